// SockJS frames (protocol 0.3.3): o, h, a[…], m"…" and c[…] of the server, lists of strings of the
// client. Each string is a message that other decoders may know.

import { Fault, brief, parse, textOf, word } from "./bounded.js";

/** Messages of a frame that are shown; others are counted. */
const MOST = 100;

/** The path of the WebSocket transport: server and session ids. */
const PATH = /\/[^/.]+\/[^/.]+\/websocket(\?|$)/;

function decode(message, state, nested) {
  const text = textOf(message);
  switch (text[0]) {
    case "o": return { summary: "open", fields: { frame: "open" } };
    case "h": return { summary: "heart-beat", fields: { frame: "heart-beat" } };
    case "c": {
      const [code, reason] = [].concat(parse(text.slice(1)));
      return { summary: `close ${brief(code, 10)} ${word(reason ?? "")}`, fields: { frame: "close", code, reason } };
    }
    case "m": return messages([parse(text.slice(1))], message, nested);
    case "a": return messages(listOf(text.slice(1)), message, nested);
    case "[": case '"': return messages(listOf(text), message, nested);
    default: throw new Fault("no SockJS frame: those begin with o, h, a, m, c or a list");
  }
}

function listOf(text) {
  const list = parse(text);
  return Array.isArray(list) ? list : [list];
}

function messages(list, { path, subprotocol, direction, opcode }, nested) {
  const shown = list.slice(0, MOST).map((data) => {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    const value = maybe(text);
    return { data: value ?? text, found: nested({ path, subprotocol, direction, opcode, text, bytes: null, value }) };
  });
  const lines = shown.map(({ data, found }) => found?.row ?? found?.summary ?? brief(data, 160));
  const fields = shown.map(({ data, found }) => (found ? { protocol: found.name, ...(found.error ? { error: found.error } : {}), decoded: found.fields } : data));
  if (list.length > MOST) fields.push(`${(list.length - MOST).toLocaleString("en")} more`);
  return {
    summary: lines.length === 1 ? lines[0] : `${list.length} messages: ${lines.slice(0, 12).join("; ")}`,
    fields: fields.length === 1 ? fields[0] : fields,
    links: shown.flatMap(({ found }) => found?.links ?? []),
  };
}

function maybe(text) {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

export const sockjs = {
  name: "sockjs",
  title: "SockJS",
  owns: true,
  fit({ path, text, direction }) {
    if (typeof text !== "string") return 0;
    const known = PATH.test(path ?? "");
    const start = text.slice(0, 40);
    if (start === "o" || start === "h") return known ? 96 : start === "o" ? 40 : 10;
    if (/^a\["/.test(start)) return known ? 96 : 80;
    if (/^c\[\d{4},"/.test(start)) return known ? 96 : 80;
    if (!known) return 0;
    return (direction !== "out" && /^\["/.test(start)) || start.startsWith('m"') ? 96 : 0;
  },
  decode,
};
