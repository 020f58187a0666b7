// Model: recordings. Events to HAR as Chrome writes it (`_webSocketMessages`) and back; no DOM.

import { payload, valueOf } from "./event.js";

const OPCODES = { text: 1, binary: 2, ping: 9, pong: 10 };
const NAMES = { 1: "text", 2: "binary", 9: "ping", 10: "pong" };

/** A HAR document of events, each a line, oldest first; `origin` such as "ws://localhost:8080". */
export function toHar(lines, origin, version = "") {
  const entries = new Map();
  const current = new Map();
  let number = 0;
  for (const line of lines) {
    const event = valueOf(line);
    if (!event || typeof event.connectionId !== "string") continue;
    let entry = current.get(event.connectionId);
    if (!entry || event.kind === "connect") {
      entry = blank(event, origin);
      current.set(event.connectionId, entry);
      entries.set(number += 1, entry);
    }
    if (event.kind === "message") {
      const { text, bytes } = payload(line, event);
      const data = event.encoding === "base64" ? event.message : (text ?? "");
      entry._webSocketMessages.push({
        type: event.direction === "in" ? "send" : "receive", time: Date.parse(event.time) / 1000,
        opcode: OPCODES[event.opcode] ?? (bytes ? 2 : 1), data,
      });
    } else if (event.kind === "close") {
      entry.time = (event.duration ?? 0) * 1000;
      entry.response.status = event.status ?? 101;
      entry._webSocketClose = { ...event.close, time: Date.parse(event.time) / 1000 };
    }
  }
  const log = { version: "1.2", creator: { name: "wstap", version }, pages: [], entries: [...entries.values()] };
  return JSON.stringify({ log }, null, 1);
}

function blank(event, origin) {
  const isConnect = event.kind === "connect";
  const headers = Object.entries((isConnect && event.headers) || {}).map(([name, value]) => ({ name, value: String(value) }));
  return {
    startedDateTime: event.time, time: 0, _resourceType: "websocket", _connectionId: event.connectionId,
    request: { method: "GET", url: origin + ((isConnect && event.path) || "/"), httpVersion: "HTTP/1.1", headers, queryString: [], cookies: [], headersSize: -1, bodySize: 0 },
    response: { status: 101, statusText: "Switching Protocols", httpVersion: "HTTP/1.1", headers: [], cookies: [], content: { size: 0, mimeType: "x-unknown" }, redirectURL: "", headersSize: -1, bodySize: 0 },
    cache: {}, timings: { send: 0, wait: 0, receive: 0 }, serverIPAddress: "", _webSocketMessages: [],
  };
}

/** The lines of events of a recording: HAR, NDJSON or an array of events. Throws on anything else. */
export function fromFile(text) {
  const whole = /^\s*[{[]/.test(text) ? valueOf(text) : null;
  if (Array.isArray(whole?.log?.entries)) return fromHar(whole.log.entries);
  if (Array.isArray(whole)) return whole.map(canonical).filter(Boolean);
  const lines = text.split("\n").filter((line) => line.trim() !== "").map((line) => fromLine(line.trim())).filter(Boolean);
  if (lines.length === 0) throw new Error("there is no event in it; a line of NDJSON with full events, or a HAR with WebSocket messages, would be one");
  return lines;
}

/** A line of NDJSON as a line of the page, or null if it is no event. */
export function fromLine(line) {
  const value = valueOf(line);
  return line.startsWith('{"id":"') && typeof value?.kind === "string" ? line : canonical(value);
}

function canonical(event) {
  if (event === null || typeof event !== "object") return null;
  if (event.kind === "gap") return JSON.stringify(event);
  if (typeof event.kind !== "string" || (event.connectionId === undefined && event.channel === undefined)) return null;
  const time = Date.parse(event.time);
  const { id, time: _, kind, connectionId, message, encoding, note, synthetic, fields, ...rest } = event;
  return JSON.stringify({
    id: String(id ?? `${Number.isNaN(time) ? 0 : time}-0`), time: new Date(Number.isNaN(time) ? 0 : time).toISOString(), kind, connectionId: connectionId == null ? null : String(connectionId),
    ...rest, ...(kind === "message" ? { message: message ?? null } : {}), encoding, note, synthetic, fields,
  });
}

function fromHar(entries) {
  const events = [];
  let number = 0;
  for (const entry of entries) {
    if (!Array.isArray(entry._webSocketMessages)) continue;
    number += 1;
    const connectionId = String(entry._connectionId ?? `${pathOf(entry.request?.url)} #${number}`);
    const begin = Date.parse(entry.startedDateTime) || 0;
    const headers = Object.fromEntries((entry.request?.headers ?? []).map(({ name, value }) => [String(name).toLowerCase(), String(value)]));
    events.push({ at: begin, kind: "connect", connectionId, rest: { remote: "", path: pathOf(entry.request?.url), headers, status: entry.response?.status } });
    const count = { in: 0, out: 0 };
    const bytes = { in: 0, out: 0 };
    for (const message of entry._webSocketMessages) {
      const direction = message.type === "send" ? "in" : "out";
      const body = harBody(message);
      count[direction] += 1;
      bytes[direction] += body.size;
      events.push({ at: message.time * 1000, kind: "message", connectionId, rest: { direction, ...body } });
    }
    const close = entry._webSocketClose;
    if (close || entry.time > 0) {
      const { time, ...how } = close ?? { code: 1005, reason: "", clean: true, by: "client" };
      const at = time ? time * 1000 : begin + entry.time;
      events.push({ at, kind: "close", connectionId, rest: { close: how, duration: (at - begin) / 1000, messages: count, bytes } });
    }
  }
  if (number === 0) throw new Error("this HAR has no WebSocket messages");
  return events.sort((a, b) => a.at - b.at).map(({ at, kind, connectionId, rest }, n) => {
    const ms = Math.round(at);
    return JSON.stringify({ id: `${ms}-${n}`, time: new Date(ms).toISOString(), kind, connectionId, ...rest });
  });
}

function harBody({ opcode, data = "" }) {
  const name = NAMES[opcode] ?? "text";
  if (name !== "text") return { opcode: name, size: Math.floor((data.replace(/=+$/, "").length * 3) / 4), channel: null, message: data, encoding: "base64" };
  const size = new TextEncoder().encode(data).length;
  let message = data;
  try {
    message = JSON.parse(data);
  } catch {
    // It is text.
  }
  return { opcode: name, size, channel: null, message };
}

function pathOf(url) {
  try {
    const { pathname, search } = new URL(url);
    return pathname + search;
  } catch {
    return String(url ?? "/");
  }
}
