// Model: one event, read off its line as the server wrote it. What a row shows is read off the
// beginning, so that a row costs the same for ten bytes and ten megabytes; no DOM.

import { endInShort } from "./forensics.js";
import { skipString, skipValue, unquote } from "./json.js";
import { fromBase64, toHex } from "./text.js";

/** Lines up to this length are parsed whole for their row. */
const SMALL = 4096;

/** Characters of content that a row shows. */
const PREVIEW = 300;

/** The id of an event, or "" for a gap. */
export function idOf(raw) {
  return raw.startsWith('{"id":"') ? raw.slice(7, raw.indexOf('"', 7)) : "";
}

/** When it happened, in milliseconds since 1970, or 0. */
export function timeOf(raw) {
  return raw.startsWith('{"id":"') ? parseInt(raw.slice(7, 27), 10) || 0 : 0;
}

/** Its kind: connect, message, close, join, leave, request, gap, hole. */
export function kindOf(raw) {
  const at = raw.indexOf('"kind":"');
  return at === -1 ? "" : raw.slice(at + 8, raw.indexOf('"', at + 8));
}

/** Whose it is; nobody's is "". */
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

/** All of it as JavaScript has it, or null. */
export function valueOf(raw) {
  try {
    const value = JSON.parse(raw);
    return value !== null && typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** What a row shows: `{ name, id, time, who, channel, route, opcode, size, badge, preview }`. */
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

/** Where a message went: a channel, users, or both. */
function route(value) {
  const to = Array.isArray(value?.to) && value.to.length > 0 ? `→ ${value.to.join(", ")}` : "";
  return [value?.channel, to].filter(Boolean).join(" ");
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
      return value.missed == null ? "events were lost here; nobody knows how many" : `${value.missed.toLocaleString("en")} events were lost here`;
    case "hole":
      return `${value.missed.toLocaleString("en")} events are not held by this page: ${value.why}`;
    case "connect":
      return [value.path, value.remote, value.subprotocol, value.headers?.["user-agent"]].filter(Boolean).join("  ");
    case "close":
      return endInShort(value.close, value.status);
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

function bytesInShort(raw, at) {
  const array = fromBase64(raw.slice(at + 1, at + 1 + 64).replace(/".*$/s, ""));
  return array ? toHex(array.subarray(0, 48)) : "";
}

/** The object in which a client has said its own name, put together of what stands in the event. */
export function ownObject(raw, value) {
  const at = raw.indexOf(',"message":') + 11;
  const end = skipValue(raw, at);
  const message = value.message === null ? "" : `,"message":${raw.slice(at, end)}`;
  const fields = raw.startsWith(',"fields":{', end) ? `,${raw.slice(end + 11, skipValue(raw, end + 10))}` : "}";
  return `{"connectionId":${JSON.stringify(value.connectionId)}${message}${fields}`;
}

/**
 * What a message carried: `{ text, bytes, json }`. `text` for text frames, `bytes` for all whose
 * bytes are known, `json` the document as it was sent, if it was one.
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
  // A string of JSON and plain text look alike in the event; the size tells.
  const plain = new TextEncoder().encode(text);
  const quoted = plain.length !== value.size && new TextEncoder().encode(json).length === value.size;
  return quoted ? { text: json, bytes: null, json } : { text, bytes: plain, json: null };
}
