// Model: names of connections that people can read. An id that the server has made says nothing, so
// that such a connection is called by its path, a number, and the program of the client. No DOM.

/** Crockford's digits, of which the server makes ids: four of the time, seven of chance. */
const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";

/** Digits of the time that the first digit of an id stands for: 5 bits each, the lowest 25 bits are left out. */
const SHIFT = 2 ** 25;

/** Characters of a path in a name. */
const PATH = 24;

/** Whether the server made an id for a connection that began at a time, in milliseconds. */
export function isMade(id, since) {
  if (id.length !== 11 || !(since > 0)) return false;
  let time = 0;
  for (const [at, digit] of [...id].entries()) {
    const value = DIGITS.indexOf(digit);
    if (value === -1) return false;
    if (at < 4) time = time * 32 + value;
  }
  // The id is made a moment before the connection begins.
  return [since, since - 60_000].some((ms) => Math.floor(ms / SHIFT) % 32 ** 4 === time);
}

/** The program that a `User-Agent` names, in one word, or "". */
export function program(agent) {
  if (typeof agent !== "string") return "";
  for (const [pattern, name] of [[/\bEdgA?\//, "Edge"], [/\bOPR\//, "Opera"], [/\b(Firefox|FxiOS)\//, "Firefox"], [/(Chrome|Chromium|CriOS)\//, "Chrome"], [/\bVersion\/.*Safari\//, "Safari"]]) {
    if (pattern.test(agent)) return name;
  }
  return /^[^\s/]{1,20}/.exec(agent)?.[0] ?? "";
}

/** The name of a connection: `/chat #3 · Firefox`. */
export function label({ path, number, agent }) {
  const [plain] = path.split("?");
  const short = plain.length > PATH ? `…${plain.slice(1 - PATH)}` : plain;
  return `${short} #${number}${agent ? ` · ${agent}` : ""}`;
}
