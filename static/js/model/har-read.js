// Model: HTTP Archives, read by the rules of the server (src/wire/har/read.rs): a field that is
// missing, null or of another type has its default; an element of a list that cannot be read is
// counted and left out. Both are tested over tests/fixtures/har/cases. No DOM.

import { compareIds, idOf, valueOf } from "./event.js";
import { clockOf, dataOf, endingOf, refusalOf, statusOf, wellFormed } from "./har-ending.js";
import { isStream, withBody } from "./har-stream.js";
import { members, skipSpace, skipString } from "./json.js";
import { fromBase64, toBase64 } from "./text.js";

const NAMES = { 0: "text", 1: "text", 2: "binary", 9: "ping", 10: "pong" };
const ID = /^\d{1,15}-\d{1,15}$/;
const DIRECTIONS = { send: "in", request: "in", receive: "out", response: "out" };

/** Headers of a handshake that are worth knowing; others may be secrets. */
const KNOWN = ["user-agent", "origin", "sec-websocket-protocol", "x-forwarded-for", "traceparent", "last-event-id"];

/** JSON that is nested deeper than this is text to wstap. */
const MAX_DEPTH = 100;

/**
 * The lines of the events of an archive, of which `archive` is the value, and the number of parts that
 * could not be read: `{ lines, skipped: { entries, messages, events } }`. Throws if it has no WebSocket
 * messages and is not wstap's own.
 */
export function fromHar(text, archive) {
  const raw = sourceOf(text);
  const read = { events: [], skipped: { entries: 0, messages: 0, events: 0 }, earliest: null };
  const list = Array.isArray(archive.log.entries) ? archive.log.entries : [];
  const entries = list.map((entry, n) => ({ entry, n })).filter(({ entry }) => isEntry(entry, read.skipped)).map(({ entry, n }) => ({ entry: withBody(entry), n }));
  const sockets = entries.filter(({ entry }) => isStream(entry) || isWebSocket(entry)).map((one) => ({ ...one, clock: clockOf(one.entry, framesOf(one.entry)) }));
  for (const { clock: { start } } of sockets) if (start !== null && (read.earliest === null || start < read.earliest)) read.earliest = start;
  // Entries that cannot be read have no number.
  const odd = list.map((entry) => !isObject(entry)).reduce((sums, is) => [...sums, (sums.at(-1) ?? 0) + (is ? 1 : 0)], []);
  for (const { entry, n, clock } of sockets) readEntry(entry, raw.entries[n] ?? {}, n - odd[n], clock, read);
  const { events, skipped } = read;
  const isApart = sockets.some(({ entry }) => !Array.isArray(entry._webSocketMessages) && !Array.isArray(entry._eventSourceMessages) && typeof entry.response?.content?._file === "string");
  if (isApart && events.every(({ line }) => line.includes('"kind":"connect"'))) throw new Error('its messages are in other files; Playwright includes them with recordHar: { content: "embed" }');
  if (archive.log.creator?.name !== "wstap" && events.length === 0) throw new Error("this HAR has no WebSocket messages and no events of event streams");
  events.sort((a, b) => compareIds(a.id, b.id));
  let last = "";
  const lines = [];
  for (const { id, line } of events) {
    last = last === "" || compareIds(id, last) > 0 ? id : following(last, id);
    lines.push(last === id ? line : line.replace(`{"id":"${id}"`, `{"id":"${last}"`));
  }
  return { lines: withGaps(lines, raw.gaps), skipped };
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function isEntry(entry, skipped) {
  if (!isObject(entry)) skipped.entries += 1;
  return isObject(entry);
}

function isWebSocket(entry) {
  const url = typeof entry.request?.url === "string" ? entry.request.url : "";
  return entry._resourceType === "websocket" || Array.isArray(entry._webSocketMessages) || /^wss?:/.test(url);
}

const isOpcode = (number) => Number.isInteger(number) && Math.abs(number) < 2 ** 31;

/** The messages of an entry, with an opcode each; the events of an event stream are text. */
function framesOf(entry) {
  if (isStream(entry)) return (Array.isArray(entry._eventSourceMessages) ? entry._eventSourceMessages : []).filter(isObject).map((event) => ({ ...event, type: "receive", opcode: 1, isEvent: true }));
  const list = Array.isArray(entry._webSocketMessages) ? entry._webSocketMessages : [];
  return list.filter(isObject).map((frame) => ({ ...frame, opcode: isOpcode(frame.opcode) ? frame.opcode : 0 }));
}

function readEntry(entry, raw, n, clock, { events, skipped, earliest }) {
  const frames = framesOf(entry);
  const written = isStream(entry) ? entry._eventSourceMessages : entry._webSocketMessages;
  skipped.messages += (Array.isArray(written) ? written.length : 0) - frames.length;
  const first = frames.map(({ time }) => clock.ms(time)).find((ms) => ms !== null);
  // Some clocks of the handshake are behind those of the messages.
  const started = Math.min(clock.start ?? earliest ?? 0, first ?? Infinity);
  const own = isObject(entry._wstap) ? entry._wstap : null;
  const who = typeof own?.connectionId === "string" ? own.connectionId : madeId(started, n);
  let last = `${started}-0`;
  const whole = (source) => {
    const line = oneLine(source);
    if (ID.test(idOf(line))) events.push({ id: idOf(line), line });
    else skipped.events += 1;
    return ID.test(idOf(line));
  };
  const more = (fields) => `,${JSON.stringify(fields).slice(1)}`;
  const refused = own || isStream(entry) ? null : refusalOf(entry, frames);
  if (refused) {
    const [status, reason] = refused;
    const close = { code: 1006, reason, clean: false, by: status === 0 ? "network" : "server" };
    const none = { in: 0, out: 0 };
    events.push({ id: last, line: head(last, "close", who) + more({ close, duration: 0, messages: none, bytes: none, ...handshake(entry), status }) });
    return;
  }
  if (!(raw.connect ? whole(raw.connect) : own)) events.push({ id: last, line: head(last, "connect", who) + more(handshake(entry)) });
  const messages = { in: 0, out: 0 };
  const bytes = { in: 0, out: 0 };
  for (const frame of frames) {
    const direction = DIRECTIONS[frame.type];
    const opcode = NAMES[frame.opcode];
    if (!direction || !opcode) {
      if (frame.type !== "error" && frame.opcode !== 8 && frame.opcode !== -1) skipped.messages += 1;
      continue;
    }
    // The order in the list is what counts, whatever the clock says.
    const id = frame._wstap?.id;
    const ms = clock.ms(frame.time);
    if (ID.test(id)) last = id;
    else if (ms !== null && ms > timeIn(last)) last = `${ms}-0`;
    const line = `${head(last, "message", who)},"direction":"${direction}"${readMessage(frame, opcode, who)}}`;
    messages[direction] += 1;
    bytes[direction] += Number(/,"size":(\d+)/.exec(line)?.[1] ?? 0);
    events.push({ id: last, line });
  }
  raw.control?.forEach(whole);
  if (raw.close && whole(raw.close)) return;
  const ending = own && !raw.close ? null : endingOf(entry, frames, clock);
  if (!ending) return;
  const ms = Math.max(ending.ms ?? 0, timeIn(last));
  const id = ms > timeIn(last) ? `${ms}-0` : last;
  const { code, reason, clean, by } = ending;
  events.push({ id, line: head(id, "close", who) + more({ close: { code, reason, clean, by }, duration: (ms - started) / 1000, messages, bytes }) });
}

/** The id that the server makes for a connection without one: `ConnectionId::made`. */
function madeId(started, n) {
  const digits = "0123456789abcdefghjkmnpqrstvwxyz";
  const digit = (number, place) => digits[Number((number >> BigInt(5 * place)) & 31n)];
  const random = (BigInt(started) << 10n) | BigInt(n % 1024);
  return [8, 7, 6, 5].map((place) => digit(BigInt(started), place)).concat([6, 5, 4, 3, 2, 1, 0].map((place) => digit(random, place))).join("");
}

/** An event as a line of the page; the archive may be formatted. */
function oneLine(source) {
  if (source.startsWith('{"id":"') && !/[\r\n]/.test(source)) return source;
  const { id, ...rest } = valueOf(source) ?? {};
  return JSON.stringify({ id, ...rest });
}

function head(id, kind, who) {
  return `{"id":"${id}","time":"${new Date(timeIn(id)).toISOString()}","kind":"${kind}","connectionId":${JSON.stringify(who || null)}`;
}

function readMessage(frame, opcode, who) {
  const own = isObject(frame._wstap) ? frame._wstap : null;
  const data = dataOf(frame);
  const { channel = null, size: told = lengthOf(data), id: _, ...how } = own ?? {};
  const size = Number.isInteger(told) && told >= 0 ? told : 0;
  if (frame.isEvent) {
    const text = (value) => (typeof value === "string" ? wellFormed(value) : "");
    if (text(frame.eventName) !== "" && frame.eventName !== "message") how.event = text(frame.eventName);
    if (text(frame.eventId) !== "") how.eventId = text(frame.eventId);
  }
  const rest = (body, length = size) => `,"opcode":"${opcode}","size":${own ? size : length},"channel":${JSON.stringify(channel)},"message":${body}${Object.keys(how).length > 0 ? `,${JSON.stringify(how).slice(1, -1)}` : ""}`;
  if (own?.size > 0 && data === "") return rest("null");
  const bytes = opcode === "binary" ? fromBase64(data) : opcode === "text" ? null : new TextEncoder().encode(data);
  if (bytes) return rest(`${JSON.stringify(toBase64(bytes))},"encoding":"base64"`, bytes.length);
  if (own && own.wire === undefined && !own.synthetic && !frame.isEvent) {
    const said = readOwnObject(data, who);
    if (said) return rest(said);
  }
  return rest(isJson(data) && !own?.truncated ? data.trim().replace(/[\r\n]/g, " ") : JSON.stringify(data));
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

/** Milliseconds of an archive as seconds; what is no time is 0. */
function secondsOf(ms) {
  return Number.isFinite(ms) && ms > 0 && ms < 1e3 * 2 ** 64 ? ms / 1000 : 0;
}

function handshake(entry) {
  const { request, response, timings } = entry;
  const find = (headers, name) => {
    const header = (Array.isArray(headers) ? headers : []).find((one) => isObject(one) && String(one.name).toLowerCase() === name);
    return header && (typeof header.value === "string" ? wellFormed(header.value) : "");
  };
  const { server, path } = split(request?.url);
  const upstreamTime = secondsOf(timings?.wait);
  const headers = Object.fromEntries(KNOWN.map((name) => [name, find(request?.headers, name)]));
  if (isStream(entry)) {
    const told = request?.method;
    const method = typeof told === "string" && told !== "" && wellFormed(told) === told ? told : "GET";
    return { remote: "", transport: "sse", method, path, headers, upstream: server.own, status: statusOf(response) || 200, upstreamTime, contentEncoding: find(response?.headers, "content-encoding") };
  }
  return {
    remote: "", transport: "websocket", path, headers, subprotocol: find(response?.headers, "sec-websocket-protocol"), extensions: find(response?.headers, "sec-websocket-extensions"),
    upstream: server.socket, status: statusOf(response) || 101, upstreamTime,
  };
}

/** The parts of `_wstap` as they are written, with every digit. */
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
  const [, server, path] = /^([^:/?#]+:\/\/[^/?#]*)?([^#]*)/.exec(typeof url === "string" ? wellFormed(url) : "/");
  return { server: { own: server ?? "", socket: (server ?? "").replace("http", "ws") }, path: path.startsWith("/") ? path : `/${path}` };
}
