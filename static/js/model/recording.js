// Model: a recording as lines of the page: HAR, NDJSON, or an array of events; no DOM.

import { valueOf } from "./event.js";
import { fromHar } from "./har-read.js";

/** The lines of events of a recording. Throws on anything else. */
export function fromFile(text) {
  return read(text).lines;
}

/** The same with the parts that could not be read, in words: `{ lines, skipped: "1 entry, 2 messages" }`. */
export function read(text) {
  const json = withoutCallback(text.replace(/^\ufeff/, ""));
  const whole = /^\s*[{[]/.test(json) ? valueOf(json) : null;
  if (typeof whole?.log === "object" && whole.log !== null && !Array.isArray(whole.log)) {
    const { lines, skipped } = fromHar(json, whole);
    return { lines, skipped: words(skipped) };
  }
  const { lines, odd } = fromEvents(json, whole);
  return { lines, skipped: words({ entries: 0, messages: 0, events: odd }) };
}

/** JSON of a script that hands it to a function: `onInputData({…});`, also after a comment or a condition. */
function withoutCallback(text) {
  return /^[^([{"]*\(\s*([[{].*[\]}])\s*\)[\s;]*$/s.exec(text)?.[1] ?? text;
}

function words({ entries, messages, events }) {
  const counts = [[entries, "entry", "entries"], [messages, "message", "messages"], [events, "event", "events"]];
  return counts.filter(([count]) => count > 0).map(([count, one, many]) => `${count} ${count === 1 ? one : many}`).join(", ");
}

function fromEvents(text, whole) {
  const read = Array.isArray(whole) ? whole.map(canonical) : text.split("\n").filter((line) => line.trim() !== "").map((line) => fromLine(line.trim()));
  const lines = read.filter(Boolean);
  if (lines.length === 0 && (read.length > 0 || !Array.isArray(whole))) throw new Error("there is no event in it; a line of NDJSON with full events, or a HAR with WebSocket messages, would be one");
  return { lines, odd: read.length - lines.length };
}

/** A line of NDJSON as a line of the page, or null if it is no event. */
function fromLine(line) {
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
