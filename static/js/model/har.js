// Model: HTTP Archives, written and read as the server does (src/wire/har.rs): messages in
// `_webSocketMessages` as Chrome has them, and in `_wstap` what HAR has no place for. Nothing is
// told that nobody has seen: a socket without a close has none. No DOM.

import { compareIds, idOf, ownObject, payload, valueOf } from "./event.js";
import { members, skipSpace, skipString, skipValue } from "./json.js";
import { fromBase64, toBase64 } from "./text.js";

// ---------------------------------------------------------------- writing

/** Opcodes that `_webSocketMessages` has a place for. */
const OPCODES = { text: 1, binary: 2 };

/** Members of a message that say how it passed. */
const HOW = ["channel", "user", "to", "except", "synthetic", "wire", "fragments", "compressed", "note"];

/** A HAR document of events, each a line, oldest first; `origin` such as "ws://localhost:8080". */
export function toHar(lines, origin, version = "") {
  const entries = [];
  const open = new Map();
  const gaps = [];
  for (const line of lines) {
    const event = valueOf(line);
    if (event?.kind === "gap" || event?.kind === "hole") gaps.push(event.id ? line : JSON.stringify({ kind: "gap", missed: event.missed ?? null, after: event.after, before: event.before }));
    if (typeof event?.id !== "string" || event.kind === "gap") continue;
    const who = event.connectionId ?? "";
    if (event.kind === "connect") open.delete(who);
    if (!open.has(who)) {
      open.set(who, { who, first: event, messages: [], control: [], connect: null, close: null });
      entries.push(open.get(who));
    }
    const entry = open.get(who);
    entry.last = event;
    if (event.kind === "connect") entry.connect = { line, event };
    else if (event.kind === "message" && OPCODES[event.opcode] && who !== "") entry.messages.push(message(line, event));
    else if (event.kind !== "close") entry.control.push(line);
    else {
      entry.close = { line, event };
      open.delete(who);
    }
  }
  const creator = JSON.stringify({ name: "wstap", version });
  return `{"log":{"version":"1.2","creator":${creator},"pages":[],"entries":[${entries.map((entry) => `\n${written(entry, origin)}`)}\n],"_wstap":{"gaps":[${gaps}]}}}\n`;
}

function written({ who, first, last, messages, control, connect, close }, origin) {
  const handshake = connect?.event ?? close?.event ?? {};
  const wait = (handshake.upstreamTime ?? 0) * 1000;
  const receive = Math.max(0, timeIn(last.id) - timeIn(first.id));
  const path = handshake.path ?? "/";
  const headers = (all) => Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => ({ name, value: String(value) }));
  const query = (path.split(/\?(.*)/s)[1] ?? "").split("&").filter(Boolean).map((item) => item.split(/=(.*)/s)).map(([name, value = ""]) => ({ name, value }));
  const status = handshake.status ?? 101;
  const entry = JSON.stringify({
    startedDateTime: first.time, time: receive + wait,
    request: { method: "GET", url: (handshake.upstream?.replace("http", "ws") ?? origin) + path, httpVersion: "HTTP/1.1", cookies: [], headers: headers(handshake.headers ?? {}), queryString: query, headersSize: -1, bodySize: 0 },
    response: {
      status, statusText: status === 101 ? "Switching Protocols" : "", httpVersion: "HTTP/1.1", cookies: [],
      headers: headers({ "sec-websocket-protocol": handshake.subprotocol, "sec-websocket-extensions": handshake.extensions }),
      content: { size: 0, mimeType: "x-unknown" }, redirectURL: "", headersSize: -1, bodySize: -1,
    },
    cache: {}, timings: { send: 0, wait, receive }, _resourceType: "websocket", _webSocketMessages: messages,
  });
  const own = `"connectionId":${JSON.stringify(who)}${connect ? `,"connect":${connect.line}` : ""},"control":[${control}],"close":${close?.line ?? null}`;
  return `${entry.slice(0, -1)},"_wstap":{${own}}}`;
}

function message(line, event) {
  const own = { id: event.id, size: event.size };
  for (const name of HOW) if (event[name] != null) own[name] = event[name];
  return { type: event.direction === "in" ? "send" : "receive", time: timeIn(event.id) / 1000, opcode: OPCODES[event.opcode], data: dataOf(line, event), _wstap: own };
}

function dataOf(line, event) {
  if (event.encoding === "base64") return event.message;
  const isAbsent = event.message === null && !event.fields && (event.note !== undefined || event.size < 4);
  if (isAbsent) return "";
  const own = ownObject(line, event);
  return isOwnObject(event, own) ? own : (payload(line, event).text ?? "");
}

/** Whether a client of hub mode has said in an object whose message it is: nothing else is that large. */
function isOwnObject(event, own) {
  const isLooked = event.wire !== undefined || event.synthetic || event.channel != null;
  return event.fields !== undefined || (!isLooked && event.size >= lengthOf(own));
}

// ---------------------------------------------------------------- reading

const NAMES = { 0: "text", 1: "text", 2: "binary", 9: "ping", 10: "pong" };
const ID = /^\d{1,15}-\d{1,15}$/;
const DIRECTIONS = { send: "in", request: "in", receive: "out", response: "out" };

/** Headers of a handshake that are worth knowing; others may be secrets. */
const KNOWN = ["user-agent", "origin", "sec-websocket-protocol", "x-forwarded-for", "traceparent"];

/** What is nested deeper than this is text to wstap. */
const MAX_DEPTH = 100;

/** The lines of the events of an archive, of which `archive` is the value. Throws if it has none. */
export function fromHar(text, archive) {
  const raw = sourceOf(text);
  const events = [];
  let isThere = false;
  for (const [n, entry] of archive.log.entries.entries()) {
    if (!Array.isArray(entry?._webSocketMessages)) continue;
    isThere = true;
    readEntry(entry, raw.entries[n] ?? {}, n, events);
  }
  if (!isThere) throw new Error("this HAR has no WebSocket messages");
  events.sort((a, b) => compareIds(a.id, b.id));
  let last = "";
  const lines = [];
  for (const { id, line } of events) {
    last = last === "" || compareIds(id, last) > 0 ? id : following(last, id);
    lines.push(last === id ? line : line.replace(`{"id":"${id}"`, `{"id":"${last}"`));
  }
  return withGaps(lines, raw.gaps);
}

function readEntry(entry, raw, n, events) {
  const frames = entry._webSocketMessages;
  const begun = Date.parse(entry.startedDateTime) || 0;
  const earliest = frames.length > 0 ? msOf(frames[0]) : 0;
  // Some clocks of the handshake are behind those of the messages.
  const started = begun && earliest ? Math.min(begun, earliest) : begun || earliest;
  const own = entry._wstap;
  const who = typeof own?.connectionId === "string" ? own.connectionId : `${split(entry.request?.url).path} #${n + 1}`;
  const whole = (source) => {
    const line = source && oneLine(source);
    if (line && ID.test(idOf(line))) events.push({ id: idOf(line), line });
  };
  if (raw.connect) whole(raw.connect);
  else if (!own) events.push({ id: `${started}-0`, line: head(`${started}-0`, "connect", who) + `,${JSON.stringify(handshake(entry)).slice(1)}` });
  let last = `${started}-0`;
  for (const frame of frames) {
    const direction = DIRECTIONS[frame.type];
    const opcode = NAMES[frame.opcode ?? 0];
    if (!direction || !opcode) continue;
    // The order in the list is what counts, whatever the clock says.
    const id = frame._wstap?.id;
    if (ID.test(id)) last = id;
    else if (msOf(frame) > timeIn(last)) last = `${msOf(frame)}-0`;
    events.push({ id: last, line: `${head(last, "message", who)},"direction":"${direction}"${readMessage(frame, opcode, who)}}` });
  }
  raw.control.forEach(whole);
  whole(raw.close);
}

/** An event as a line of the page; somebody may have formatted the archive. */
function oneLine(source) {
  if (source.startsWith('{"id":"') && !/[\r\n]/.test(source)) return source;
  const { id, ...rest } = valueOf(source) ?? {};
  return JSON.stringify({ id, ...rest });
}

function head(id, kind, who) {
  return `{"id":"${id}","time":"${new Date(timeIn(id)).toISOString()}","kind":"${kind}","connectionId":${JSON.stringify(who || null)}`;
}

function readMessage(frame, opcode, who) {
  const own = frame._wstap;
  const data = typeof frame.data === "string" ? frame.data : frame.data === undefined ? "" : JSON.stringify(frame.data);
  const { channel = null, size = lengthOf(data), id: _, ...how } = own ?? {};
  const rest = (body, length = size) => `,"opcode":"${opcode}","size":${own ? size : length},"channel":${JSON.stringify(channel)},"message":${body}${Object.keys(how).length > 0 ? `,${JSON.stringify(how).slice(1, -1)}` : ""}`;
  if (own?.size > 0 && data === "") return rest("null");
  const bytes = opcode === "binary" ? fromBase64(data) : opcode === "text" ? null : new TextEncoder().encode(data);
  if (bytes) return rest(`${JSON.stringify(opcode === "binary" ? data : toBase64(bytes))},"encoding":"base64"`, bytes.length);
  if (own && own.wire === undefined && !own.synthetic) {
    const said = readOwnObject(data, who);
    if (said) return rest(said);
  }
  return rest(isJson(data) ? data.trim().replace(/[\r\n]/g, " ") : JSON.stringify(data));
}

/** The message and the fields of an object whose client has said its name in it, or null. */
function readOwnObject(data, who) {
  const value = data.startsWith("{") && isJson(data) ? valueOf(data) : null;
  if (value?.connectionId !== who) return null;
  let message = "null";
  const fields = [];
  for (const { key, start, end } of members(data, 0, Infinity).found) {
    if (key === "message") message = data.slice(start, end);
    else if (key !== "connectionId") fields.push(`${JSON.stringify(key)}:${data.slice(start, end)}`);
  }
  return `${message}${fields.length > 0 ? `,"fields":{${fields}}` : ""}`;
}

function handshake({ request, response, timings }) {
  const find = (headers, name) => headers?.find((header) => String(header.name).toLowerCase() === name)?.value;
  const { server, path } = split(request?.url);
  const headers = Object.fromEntries(KNOWN.map((name) => [name, find(request?.headers, name)]));
  return {
    remote: "", path, headers, subprotocol: find(response?.headers, "sec-websocket-protocol"), extensions: find(response?.headers, "sec-websocket-extensions"),
    upstream: server, status: response?.status > 0 ? response.status : 101, upstreamTime: Math.max(0, timings?.wait ?? 0) / 1000,
  };
}

/** What stands in `_wstap` as it is written there, with every digit. */
function sourceOf(text) {
  const all = (at) => members(text, at, Infinity).found;
  const inside = (at, name) => (text[at] === "{" ? all(at).findLast(({ key }) => key === name) : undefined);
  const slices = (list) => (list && text[list.start] === "[" ? all(list.start).map(({ start, end }) => text.slice(start, end)) : []);
  const log = inside(skipSpace(text, 0), "log");
  const list = inside(log.start, "entries");
  const entries = all(list.start).map(({ start }) => {
    const own = inside(start, "_wstap");
    const part = (name) => own && inside(own.start, name);
    const object = (found) => (found && text[found.start] === "{" ? text.slice(found.start, found.end) : null);
    return { connect: object(part("connect")), control: slices(part("control")), close: object(part("close")) };
  });
  const own = inside(log.start, "_wstap");
  return { entries, gaps: own ? slices(inside(own.start, "gaps")) : [] };
}

/** Puts what was lost where it was lost. */
function withGaps(lines, gaps) {
  for (const gap of gaps) {
    const { id, before, after } = valueOf(gap) ?? {};
    const next = before ? lines.findIndex((line) => idOf(line) && compareIds(idOf(line), before) >= 0) : lines.findIndex((line) => idOf(line) && compareIds(idOf(line), id ?? after ?? "0-0") > 0);
    lines.splice(next === -1 ? lines.length : next, 0, oneLine(gap));
  }
  return lines;
}

/** The id after one of the same or a later moment. */
function following(last, id) {
  const [ms, seq] = last.split("-").map(Number);
  return timeIn(id) > ms ? id : `${ms}-${seq + 1}`;
}

/** Milliseconds since 1970: Chrome and mitmproxy write seconds, Playwright milliseconds, and -1 for none. */
function msOf({ time }) {
  if (!(time > 0 && time < 1e15)) return 0;
  // As seconds this is the year 5138, as milliseconds 1973.
  return Math.round(time < 1e11 ? time * 1000 : time);
}

function timeIn(id) {
  return parseInt(id, 10) || 0;
}

function lengthOf(text) {
  return new TextEncoder().encode(text).length;
}

function isJson(text) {
  if (!/^[ \t\r\n]*[{["\-0-9tfn]/.test(text) || isDeep(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isDeep(text) {
  const mark = /["{}[\]]/g;
  let depth = 0;
  for (let found = mark.exec(text); found; found = mark.exec(text)) {
    if (found[0] === '"') mark.lastIndex = skipString(text, found.index);
    else if (found[0] === "{" || found[0] === "[") depth += 1;
    else depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Scheme and authority of a URL, and its path and query. Browsers note `https:` of a WebSocket now and then. */
function split(url) {
  const [, server, path] = /^([^:/?#]+:\/\/[^/?#]*)?([^#]*)/.exec(String(url ?? "/"));
  return { server: (server ?? "").replace("http", "ws"), path: path.startsWith("/") ? path : `/${path}` };
}
