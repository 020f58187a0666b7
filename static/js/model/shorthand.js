// Model: the short terms that `wstap watch` takes, as an expression: `conn:room-7 dir:out "text" size>100`.
// The same translation as src/filter/shorthand.rs; no DOM.

const KEYS = {
  conn: "connectionId", connection: "connectionId", channel: "channel", user: "user", kind: "kind", dir: "direction", direction: "direction",
  op: "opcode", opcode: "opcode", path: "path", re: "re",
};

const CHOICES = {
  kind: ["connect", "message", "close", "join", "leave", "request", "gap"], direction: ["in", "out"], opcode: ["text", "binary"],
};

/** Whether a text contains a short term: only then it is read as short terms. */
export function isShort(text) {
  try {
    return split(text).some((term) => keyed(term.replace(/^!+/, "")) !== null);
  } catch {
    return /(^|\s)!*[a-z]+:/.test(text) && isShort(text.replace(/["'].*$/s, ""));
  }
}

/**
 * Translates short terms. All must hold; of terms with the same key, one. `isExpression(term)` resolves
 * with whether a term such as `size>100` is an expression itself. Throws on an open quote and on a value
 * that no event can have.
 */
export async function translate(terms, isExpression) {
  const groups = [];
  for (const term of split(terms)) {
    const { key, condition } = await conditionOf(term, isExpression);
    const group = groups.find((one) => key !== null && one.key === key);
    if (group) group.alternatives.push(condition);
    else groups.push({ key, alternatives: [condition] });
  }
  return groups.map(({ alternatives }) => (alternatives.length === 1 ? alternatives[0] : `(${alternatives.join(" || ")})`)).join(" && ");
}

/** Splits at white space outside of quotes. */
function split(terms) {
  const all = [];
  let term = "";
  let quote = "";
  for (const char of terms) {
    if (quote === "" && /\s/.test(char)) {
      all.push(term);
      term = "";
      continue;
    }
    term += char;
    if (quote === "") quote = char === '"' || char === "'" ? char : "";
    else if (char === quote) quote = "";
  }
  if (quote !== "") throw new Error(`${term}: the quote does not end`);
  return [...all, term].filter((one) => one !== "");
}

/** The key and the value of a term, or null. */
function keyed(term) {
  const at = term.indexOf(":");
  const name = term.slice(0, Math.max(0, at));
  return Object.hasOwn(KEYS, name) ? { key: KEYS[name], value: term.slice(at + 1) } : null;
}

async function conditionOf(term, isExpression) {
  if (term.startsWith("!") && term.length > 1) {
    const { condition } = await conditionOf(term.slice(1), isExpression);
    return { key: null, condition: `!(${condition})` };
  }
  const found = keyed(term);
  if (found === null) return { key: null, condition: await plain(term, isExpression) };
  const { key } = found;
  const value = unquoted(found.value);
  if (CHOICES[key] && !CHOICES[key].includes(value)) throw new Error(`${term}: a ${key} is ${CHOICES[key].join(", ")}`);
  return { key, condition: { path: `path.startsWith(${quoted(value)})`, re: `text(message).matches(${quoted(value)})` }[key] ?? named(key, value) };
}

async function plain(term, isExpression) {
  if (/[<>=(]/.test(term) && !/^["']/.test(term) && await isExpression(term)) return term;
  const word = quoted(unquoted(term));
  return `(text(message).contains(${word}) || text(fields).contains(${word}))`;
}

/** Compares a name, or with `*` at the end its beginning. */
function named(name, value) {
  if (CHOICES[name] || !value.endsWith("*")) return `${name} == ${quoted(value)}`;
  return `${name}.startsWith(${quoted(value.slice(0, -1))})`;
}

function unquoted(text) {
  return /^(["'])(.*)\1$/s.exec(text)?.[2] ?? text;
}

/** Text as a string of the language. */
function quoted(text) {
  return `"${text.replace(/["\\]/g, "\\$&").replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) => ({ "\n": "\\n", "\t": "\\t" })[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)}"`;
}
