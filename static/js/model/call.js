// Model: a request made of what stands in a form, and the same as a line for a shell. No DOM.

/**
 * The request for an operation: `values` has the texts of parameters by `in` and name (an array
 * where it may be repeated), `body` is `{ type, text }` or null. Returns `{ method, path, headers,
 * body }`, or `{ fault, field }`.
 */
export function request(operation, values, body = null) {
  let { path } = operation;
  const query = [];
  const headers = [];
  for (const parameter of operation.parameters) {
    const { name } = parameter;
    const given = [values[`${parameter.in} ${name}`] ?? []].flat().filter((value) => value !== "");
    if (parameter.in === "path") {
      if (given.length === 0) return { fault: `${name} is part of the address.`, field: `path ${name}` };
      path = path.replace(`{${name}}`, encodeURIComponent(given[0]));
    } else if (parameter.required && given.length === 0) {
      return { fault: `${name} is needed.`, field: `${parameter.in} ${name}` };
    } else if (parameter.in === "query") {
      query.push(...given.map((value) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`));
    } else if (parameter.in === "header" && given.length > 0) {
      headers.push([name, given[0]]);
    }
  }
  if (body) headers.push(["Content-Type", body.type]);
  const text = body?.text ?? null;
  return { method: operation.method, path: path.slice(1) + (query.length > 0 ? `?${query.join("&")}` : ""), headers, body: text };
}

/** Quotes a word for a POSIX shell, where that is needed. */
export function quoted(word) {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The request as a line for a shell; `file` stands for a body that is no text. */
export function curl({ method, headers, body }, url, { endless = false, file = "" } = {}) {
  const words = ["curl"];
  if (endless) words.push("-N");
  const sends = body !== null || file !== "";
  if (method !== (sends ? "POST" : "GET")) words.push("-X", method);
  for (const [name, value] of headers) words.push("-H", quoted(`${name}: ${value}`));
  if (file) words.push("--data-binary", quoted(`@${file}`));
  else if (body !== null) words.push("--data-raw", quoted(body));
  // Brackets and braces mean ranges to curl.
  if (/[[\]{}]/.test(url)) words.push("-g");
  words.push(quoted(url));
  return words.join(" ");
}

/** JSON text with a line a member; digits, order and repeated keys stay as they are. */
export function indented(text, most = 200_000) {
  if (text.length > most) return text;
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let out = "";
  let level = 0;
  tokens.forEach((token, n) => {
    const line = () => `\n${"  ".repeat(level)}`;
    if (token === "{" || token === "[") {
      const closed = tokens[n + 1] === "}" || tokens[n + 1] === "]";
      level += 1;
      out += token + (closed ? "" : line());
    } else if (token === "}" || token === "]") {
      level -= 1;
      const empty = tokens[n - 1] === "{" || tokens[n - 1] === "[";
      out += (empty ? "" : line()) + token;
    } else if (token === ",") out += token + line();
    else if (token === ":") out += ": ";
    else out += token;
  });
  return out;
}
