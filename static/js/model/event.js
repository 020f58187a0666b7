// Model: one event, read from its line as the server wrote it. A row reads only the beginning, so that
// it costs the same for ten bytes and ten megabytes; no DOM.

import { endInShort } from "./forensics.js";
import { skipString, skipValue, unquote } from "./json.js";
import { fromBase64, number, toHex } from "./text.js";

/** Lines up to this length are parsed whole for their row. */
const SMALL = 4096;

/** Characters of content that a row shows. */
const PREVIEW = 300;

/** The id of an event, or "" for a gap. */
export function idOf(raw) {
  return raw.startsWith('{"id":"') ? raw.slice(7, raw.indexOf('"', 7)) : "";
}

/** Its time in milliseconds since 1970, or 0. */
export function timeOf(raw) {
  return raw.startsWith('{"id":"') ? parseInt(raw.slice(7, 27), 10) || 0 : 0;
}

/** Its kind: connect, message, close, join, leave, request, gap, hole. */
export function kindOf(raw) {
  const at = raw.indexOf('"kind":"');
  return at === -1 ? "" : raw.slice(at + 8, raw.indexOf('"', at + 8));
}

/** The id of its connection, or "" if it has none. */
export function connectionOf(raw) {
  const at = raw.indexOf('"connectionId":');
  if (at === -1 || raw[at + 15] !== '"') return "";
  const end = skipString(raw, at + 15);
  return unquote(raw.slice(at + 15, end));
}

/** Compares two ids: negative if the first is older. */
export function compareIds(a, b) {
  const [ams, aseq] = a.split("-").map(Number);
  const [bms, bseq] = b.split("-").map(Number);
  return ams - bms || (aseq ?? 0) - (bseq ?? 0);
}

/**
 * The index of an event among lines from oldest to newest, or -1. Lines without an id, such as gaps, may
 * stand between them.
 */
export function findId(length, lineAt, id) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    let at = middle;
    while (at > low && idOf(lineAt(at)) === "") at -= 1;
    const other = idOf(lineAt(at));
    if (other === "" || compareIds(other, id) < 0) low = middle + 1;
    else high = at;
  }
  return low < length && idOf(lineAt(low)) === id ? low : -1;
}

/** The event as an object, or null. */
export function valueOf(raw) {
  try {
    const value = JSON.parse(raw);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** The contents of a row: `{ name, id, time, who, channel, route, opcode, size, badge, preview }`. */
export function describe(raw) {
  const at = raw.length > SMALL ? raw.indexOf(',"message":') : -1;
  const value = valueOf(at > 0 ? `${raw.slice(0, at)}}` : raw);
  const name = value?.kind === "message" ? (value.direction ?? "message") : (value?.kind ?? "broken");
  return {
    name,
    id: value?.id ?? "",
    time: timeOf(raw) || Date.parse(value?.time) || 0,
    who: String(value?.connectionId ?? ""),
    channel: value?.channel ?? "",
    route: route(value),
    opcode: value?.opcode ?? "",
    size: value?.kind === "message" ? value.size : undefined,
    badge: badge(value),
    preview: preview(raw, value, name),
  };
}

/** Where a message went: a channel, users, or both; of an event stream, the name of the event. */
function route(value) {
  const to = Array.isArray(value?.to) && value.to.length > 0 ? `→ ${value.to.join(", ")}` : "";
  return [value?.event, value?.channel, to].filter(Boolean).join(" ");
}

function badge(value) {
  if (value?.synthetic) return "synthetic";
  if (value?.note) return value.note;
  return "";
}

/** The JSON text of the message of an event, as it stands there, or null. */
export function messageJson(raw) {
  const at = raw.indexOf(',"message":');
  return at === -1 ? null : raw.slice(at + 11, skipValue(raw, at + 11));
}

function preview(raw, value, name) {
  switch (name) {
    case "gap":
      return value.missed == null ? "events were lost here; their number is not known" : `${number(value.missed, "event")} ${value.missed === 1 ? "was" : "were"} lost here`;
    case "hole":
      return `${number(value.missed, "event")} ${value.missed === 1 ? "is" : "are"} not held by this page: ${value.why}`;
    case "connect":
      return [value.transport === "sse" && `event stream: ${value.method}`, value.path, value.remote, value.subprotocol, value.headers?.["user-agent"]].filter(Boolean).join("  ");
    case "close":
      return endInShort(value.close, value.status, value.transport);
    case "join":
      return `${value.user ?? value.connectionId} came`;
    case "leave":
      return `${value.user ?? value.connectionId} left`;
    case "request":
      return `${value.method} ${value.path}  ${value.status}`;
    case "broken":
      return raw.slice(0, PREVIEW);
    default:
      return content(raw, value);
  }
}

function content(raw, value) {
  const at = raw.indexOf(',"message":') + 11;
  if (at === 10) return "";
  if (value.opcode === "binary" || value.encoding === "base64") return bytesInShort(raw, at);
  if (raw[at] === '"') {
    const end = raw.length > SMALL ? at + PREVIEW : skipString(raw, at);
    return unquote(raw.slice(at, Math.min(end, at + PREVIEW)));
  }
  const json = raw.length > SMALL ? raw.slice(at, at + PREVIEW) : raw.slice(at, Math.min(skipValue(raw, at), at + PREVIEW));
  return json === "null" && value.fields ? JSON.stringify(value.fields).slice(0, PREVIEW) : json;
}

/** The first bytes as hexadecimal digits, or as text if they are JSON or a longer text. */
function bytesInShort(raw, at) {
  const end = raw.indexOf('"', at + 1);
  const cut = end === -1 || end - at > 400;
  const array = fromBase64(raw.slice(at + 1, cut ? at + 401 : end));
  if (!array) return raw[at] === '"' && !cut ? unquote(raw.slice(at, end + 1)) : "";
  return readableText(array, cut)?.slice(0, PREVIEW) ?? toHex(array.subarray(0, 48));
}

/**
 * The text of bytes that are UTF-8 text without control characters, or null. Less than four bytes are
 * text by chance too often. `cut` allows for a character that is not complete at the end.
 */
export function readableText(array, cut = false) {
  if (array.length < 4) return null;
  for (let at = 0; at < Math.min(array.length, 64); at += 1) if (array[at] < 32 && array[at] !== 10 && array[at] !== 13 && array[at] !== 9) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(array, { stream: cut });
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** The object with a client's own `connectionId`, put together from the parts of the event. */
export function ownObject(raw, value) {
  const at = raw.indexOf(',"message":') + 11;
  const end = skipValue(raw, at);
  const message = value.message === null ? "" : `,"message":${raw.slice(at, end)}`;
  const fields = raw.startsWith(',"fields":{', end) ? `,${raw.slice(end + 11, skipValue(raw, end + 10))}` : "}";
  return `{"connectionId":${JSON.stringify(value.connectionId)}${message}${fields}`;
}

/**
 * The payload of a message: `{ text, bytes, json }`. `text` for text frames, `bytes` if the bytes are
 * known, `json` the document as it was sent, if it was one.
 */
export function payload(raw, value = valueOf(raw)) {
  const json = messageJson(raw);
  if (json === null || value?.kind !== "message") return { text: null, bytes: null, json: null };
  if (value.encoding === "base64") return { text: null, bytes: fromBase64(value.message ?? ""), json: null };
  if (value.fields) {
    const own = ownObject(raw, value);
    return { text: own, bytes: null, json: own };
  }
  if (json === "null" && value.size === 0) return { text: "", bytes: new Uint8Array(0), json: null };
  if (json[0] !== '"') return { text: json, bytes: null, json };
  const text = unquote(json);
  // A string of JSON and plain text look alike in the event; the size tells, but for a message that is cut.
  const plain = new TextEncoder().encode(text);
  const quoted = !value.truncated && plain.length !== value.size && new TextEncoder().encode(json).length === value.size;
  return quoted ? { text: json, bytes: null, json } : { text, bytes: plain, json: null };
}

/** The mark of redaction in the place of a message that it cannot search. */
const REDACTED = "[redacted]";

/** A message for the decoders: `{ opcode, direction, text, bytes, value }`, or null if it is none. */
export function toDecode(raw, value = valueOf(raw)) {
  if (value?.kind !== "message") return null;
  const { text, bytes, json } = payload(raw, value);
  if (text === REDACTED || (text === null && bytes === null)) return null;
  const own = value.fields ? valueOf(json) : value.message;
  return { opcode: value.opcode, direction: value.direction, text, bytes: text === null ? bytes : null, value: json === null ? undefined : own };
}

/** Path and subprotocol of a connect event, by which decoders are selected. */
export function handshakeOf(connect) {
  const { path, subprotocol, headers = {} } = connect ?? {};
  return { path, subprotocol: subprotocol ?? headers["sec-websocket-protocol"]?.split(",")[0].trim() };
}
