// Pure: JSON read where it stands. Nothing is parsed that is not looked at, so that ten megabytes
// and a hundred thousand levels cost no more than what is shown; digits and repeated keys stay as
// they were sent.

const MARK = /["{}[\]]/g;
const QUOTE = /["\\]/g;
const END = /[\s,\]}]/g;
const SPACE = /[^\s]/g;

function next(pattern, text, from) {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

/** The index of what stands at or after `from` and is no white space. */
export function skipSpace(text, from) {
  return next(SPACE, text, from);
}

/** The index behind the string that begins at `from`. */
export function skipString(text, from) {
  let at = from + 1;
  for (;;) {
    at = next(QUOTE, text, at);
    if (at >= text.length) return text.length;
    if (text[at] === '"') return at + 1;
    at += 2;
  }
}

/** The index behind the value that begins at `from`. */
export function skipValue(text, from) {
  const first = text[from];
  if (first === '"') return skipString(text, from);
  if (first !== "{" && first !== "[") return next(END, text, from);
  let depth = 0;
  let at = from;
  while (at < text.length) {
    at = next(MARK, text, at);
    const char = text[at];
    if (char === '"') {
      at = skipString(text, at);
      continue;
    }
    at += 1;
    if (char === "{" || char === "[") depth += 1;
    else if ((depth -= 1) === 0) return at;
  }
  return text.length;
}

/** What kind of value begins at an index. */
export function typeAt(text, at) {
  switch (text[at]) {
    case "{": return "object";
    case "[": return "array";
    case '"': return "string";
    case "t": case "f": return "boolean";
    case "n": return "null";
    default: return "number";
  }
}

/**
 * The members of the object or array that begins at `at`: `{ key, start, end }`, at most `most`;
 * `next` is where to go on, or -1.
 */
export function members(text, at, most = 200, from = at + 1, index = 0) {
  const isObject = text[at] === "{";
  const found = [];
  let here = skipSpace(text, from);
  while (here < text.length && text[here] !== "}" && text[here] !== "]") {
    if (found.length === most) return { found, next: here, index };
    let key = index;
    if (isObject) {
      const end = skipString(text, here);
      key = unquote(text.slice(here, end));
      here = skipSpace(text, skipSpace(text, end) + 1);
    }
    const end = skipValue(text, here);
    if (end <= here) break;
    found.push({ key, start: here, end });
    index += 1;
    here = skipSpace(text, end);
    if (text[here] === ",") here = skipSpace(text, here + 1);
  }
  return { found, next: -1, index };
}

/** The text of a JSON string, also of one that was cut. */
export function unquote(json) {
  try {
    return JSON.parse(json);
  } catch {
    const cut = json.replace(/^"/, "").replace(/\\(u[0-9a-f]{0,3})?$/i, "");
    try {
      return JSON.parse(`"${cut}"`);
    } catch {
      return cut;
    }
  }
}

/** Whether a text is one JSON object or array; very long ones are judged by their ends. */
export function isDocument(text) {
  const at = skipSpace(text, 0);
  if (text[at] !== "{" && text[at] !== "[") return false;
  if (text.length > 2_000_000) return skipSpace(text, skipValue(text, at)) === text.length;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A step of a path, as JavaScript and CEL write it: `.price`, `["a b"]`, `[3]`. */
export function step(key) {
  if (typeof key === "number") return `[${key}]`;
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}
