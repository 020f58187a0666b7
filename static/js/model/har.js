// Model: HTTP Archives, written as the server does (src/wire/har/write.rs): messages in
// `_webSocketMessages` as Chrome has them, the end in `_webSocketClose`, and in `_wstap` what HAR has
// no field for. A connection without a close has none. No DOM.

import { ownObject, payload, valueOf } from "./event.js";

/** Opcodes that `_webSocketMessages` has a place for. */
const OPCODES = { text: 1, binary: 2 };

/** Members of a message that say how it passed. */
const HOW = ["channel", "user", "to", "except", "synthetic", "wire", "fragments", "compressed", "truncated", "note"];

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
    if (event.transport === "sse" || event.event !== undefined || event.eventId !== undefined) entry.isStream = true;
    if (event.kind === "connect") entry.connect = { line, event };
    else if (event.kind === "message" && OPCODES[event.opcode] && who !== "") entry.messages.push({ event, sent: message(line, event) });
    else if (event.kind !== "close") entry.control.push(line);
    else {
      entry.close = { line, event };
      open.delete(who);
    }
  }
  const creator = JSON.stringify({ name: "wstap", version });
  return `{"log":{"version":"1.2","creator":${creator},"pages":[${page(entries)}],"entries":[${entries.map((entry) => `\n${written(entry, origin)}`)}\n],"_wstap":{"gaps":[${gaps}]}}}\n`;
}

/** The only page; Safari shows no entry without one. */
function page(entries) {
  const startedDateTime = entries[0]?.first.time ?? new Date().toISOString();
  return JSON.stringify({ startedDateTime, id: "page_1", title: "wstap", pageTimings: { onContentLoad: -1, onLoad: -1 } });
}

/** The end of a connection; one that was refused had none. */
function closing(close) {
  if (!close?.event.close || close.event.path !== undefined) return undefined;
  const { code, reason, clean, by } = close.event.close;
  return { code, reason, timestamp: timeIn(close.event.id) / 1000, wasClean: clean, by };
}

/** Why a handshake was refused. */
function refusal(close) {
  return close?.event.path === undefined ? undefined : close.event.close?.reason || undefined;
}

function written({ who, first, last, messages, control, connect, close, isStream }, origin) {
  const handshake = connect?.event ?? close?.event ?? {};
  const wait = (handshake.upstreamTime ?? 0) * 1000;
  const receive = Math.max(0, timeIn(last.id) - timeIn(first.id));
  const path = handshake.path ?? "/";
  const headers = (all) => Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) => ({ name, value: String(value) }));
  const query = (path.split(/\?(.*)/s)[1] ?? "").split("&").filter(Boolean).map((item) => item.split(/=(.*)/s)).map(([name, value = ""]) => ({ name, value }));
  const status = handshake.status ?? 101;
  const entry = isStream ? stream({ first, messages, handshake, path, query, wait, receive, origin, headers }) : JSON.stringify({
    pageref: "page_1", startedDateTime: first.time, time: receive + wait,
    request: { method: "GET", url: (handshake.upstream?.replace("http", "ws") ?? origin) + path, httpVersion: "HTTP/1.1", cookies: [], headers: headers(handshake.headers ?? {}), queryString: query, headersSize: -1, bodySize: 0 },
    response: {
      status, statusText: status === 101 ? "Switching Protocols" : "", httpVersion: "HTTP/1.1", cookies: [],
      headers: headers({ "sec-websocket-protocol": handshake.subprotocol, "sec-websocket-extensions": handshake.extensions }),
      content: { size: 0, mimeType: "x-unknown" }, redirectURL: "", headersSize: -1, bodySize: -1,
    },
    cache: {}, timings: { send: 0, wait, receive }, _resourceType: "websocket", _error: refusal(close), _webSocketClose: closing(close), _webSocketMessages: messages.map(({ sent }) => sent),
  });
  const own = `"connectionId":${JSON.stringify(who)}${connect ? `,"connect":${connect.line}` : ""},"control":[${control}],"close":${close?.line ?? null}`;
  return `${entry.slice(0, -1)},"_wstap":{${own}}}`;
}

/** The entry of an event stream. */
function stream({ first, messages, handshake, path, query, wait, receive, origin, headers }) {
  const mimeType = "text/event-stream";
  return JSON.stringify({
    pageref: "page_1", startedDateTime: first.time, time: receive + wait,
    request: { method: handshake.method ?? "GET", url: (handshake.upstream ?? origin).replace("ws", "http") + path, httpVersion: "HTTP/1.1", cookies: [], headers: headers(handshake.headers ?? {}), queryString: query, headersSize: -1, bodySize: 0 },
    response: {
      status: 200, statusText: "OK", httpVersion: "HTTP/1.1", cookies: [], headers: headers({ "content-type": mimeType, "content-encoding": handshake.contentEncoding }),
      content: { size: 0, mimeType }, redirectURL: "", headersSize: -1, bodySize: -1,
    },
    cache: {}, timings: { send: 0, wait, receive }, _resourceType: "eventsource", _eventSourceMessages: messages.map(({ event, sent }) => ({ time: sent.time, eventName: event.event ?? "message", eventId: event.eventId ?? "", data: sent.data, _wstap: sent._wstap })),
  });
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

function timeIn(id) {
  return parseInt(id, 10) || 0;
}

function lengthOf(text) {
  return new TextEncoder().encode(text).length;
}
