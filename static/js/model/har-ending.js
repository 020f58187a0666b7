// Model: times and ends of connections in archives, by the rules of src/wire/har/clock.rs and
// src/wire/har/ending.rs. No DOM.

import { fromBase64 } from "./text.js";

/** Milliseconds of a year. */
const YEAR = 366 * 86_400e3;

/** Handshakes before this moment, a day after the beginning of 1970, have no time. */
const NO_TIME = 86_400_000;

/** Milliseconds of a time in seconds, milliseconds or microseconds since 1970, or null. */
function since1970(time) {
  if (!(typeof time === "number" && time > 0 && time < 1e17)) return null;
  // As seconds this is the year 5138, as milliseconds 1973.
  if (time < 1e11) return time * 1e3;
  return time < 1e14 ? time : time / 1e3;
}

const rounded = (ms) => Math.floor(ms + 0.5);

/** A date and time of ISO 8601; one without an offset is of UTC. */
const DATE = /^\d{4}-\d\d-\d\d(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;

/** When an entry began, in milliseconds since 1970, or NaN. */
function startOf({ startedDateTime }) {
  const [text, time = "00:00", offset = "Z"] = DATE.exec(startedDateTime) ?? [];
  if (text === undefined) return NaN;
  const minutes = offset.length === 3 ? ":00" : "";
  return Date.parse(`${text.slice(0, 10)}T${time}${offset}${minutes}`);
}

/**
 * Reads the times of the messages of an entry: `{ start, ms(time) }`, null for none. Times that lie
 * years away from the handshake are of another epoch, and count from it.
 */
export function clockOf(entry, frames) {
  const begun = startOf(entry);
  const handshake = begun >= NO_TIME ? begun : null;
  const known = frames.map(({ time }) => time).filter((time) => since1970(time) !== null);
  const near = (time, moment) => Math.abs(since1970(time) - moment) < YEAR;
  const first = known[0];
  const start = handshake ?? (first === undefined ? null : rounded(since1970(first)));
  let unit = null;
  if (handshake !== null && first !== undefined && !near(first, handshake)) {
    const span = known.reduce((last, time) => Math.max(last, time), first) - first;
    const most = 2 * (typeof entry.time === "number" ? entry.time : 0);
    // Milliseconds, if seconds would last far longer than the entry.
    unit = span * 1e3 > most && span <= most ? 1 : 1e3;
  }
  const ms = (time) => {
    if (since1970(time) === null || start === null) return null;
    if (near(time, start)) return rounded(since1970(time));
    const after = unit === null ? YEAR : (time - first) * unit;
    return Math.abs(after) < YEAR ? start + rounded(Math.max(0, after)) : null;
  };
  return { start, ms };
}

const SIDES = ["client", "server", "tap", "network"];
const isAbnormal = (code) => code === 1006 || code === 1015;

/** The side that ended a connection, as far as the code tells. */
function likely(code) {
  if (isAbnormal(code)) return "network";
  return [1000, 1001, 1005].includes(code) ? "client" : "server";
}

/** Text in which half a surrogate pair, which is no Unicode, is U+FFFD. */
export function wellFormed(text) {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

/** The data of a message as text: of another value its JSON, of null nothing. */
export function dataOf({ data }) {
  if (typeof data === "string") return wellFormed(data);
  return data == null ? "" : JSON.stringify(data);
}

/** The status of a response, or 0. */
export function statusOf(response) {
  const { status } = response ?? {};
  return Number.isInteger(status) && status > 0 && status < 65_536 ? status : 0;
}

/** The end of the connection of an entry, `{ ms, code, reason, clean, by }`; null if it was open. */
export function endingOf(entry, frames, clock) {
  const frame = frames.find(({ opcode }) => opcode === 8);
  const byFrame = frame && (frame.type === "send" || frame.type === "request" ? "client" : "server");
  const closing = entry._webSocketClose;
  if (closing != null) {
    const whole = (number) => (Number.isInteger(number) && number >= 0 && number < 65_536 ? number : null);
    const code = whole(closing.code) ?? whole(closing.closeCode) ?? 1006;
    const reason = [closing.reason, closing.closeReason].find((text) => typeof text === "string") ?? "";
    const by = SIDES.includes(closing.by) ? closing.by : (byFrame ?? likely(code));
    const clean = typeof closing.wasClean === "boolean" ? closing.wasClean : !isAbnormal(code);
    return { ms: clock.ms(closing.timestamp) ?? clock.ms(closing.time), code, reason: wellFormed(reason), clean, by };
  }
  if (!frame) return entry.isComplete ? completed(entry, clock) : null;
  const [code, reason] = closeFrame(dataOf(frame));
  return { ms: clock.ms(frame.time), code, reason, clean: !isAbnormal(code), by: byFrame };
}

/** The end of an event stream whose body is complete. */
function completed({ time }, clock) {
  const isDuration = typeof time === "number" && time >= 0 && time < 1e17;
  const ms = clock.start === null ? null : clock.start + (isDuration ? Math.floor(time) : 0);
  return { ms, code: 1005, reason: "", clean: true, by: "server" };
}

/** `[status, reason]` of a handshake that was refused, 0 if it was not answered; null if it was opened. */
export function refusalOf(entry, frames) {
  if (frames.some(({ opcode, type }) => [1, 2, 9, 10].includes(opcode) && type !== "error")) return null;
  const { response } = entry;
  const words = [entry._error, response?._error, response?._failureText, frames.find(({ type }) => type === "error")?.data];
  const error = words.map((word) => (typeof word === "string" ? wellFormed(word) : "")).find((word) => word !== "");
  const known = statusOf(response);
  if (known === 101 || (known === 0 && error === undefined)) return null;
  return [known, error ?? `the server answered ${known}`];
}

/** Code and reason of a close frame: its bytes as characters, or as base64, or the code in digits. */
export function closeFrame(data) {
  const isCode = (code) => code >= 1000 && code < 5000;
  const coded = (high, low, reason) => (high < 256 && low < 256 && isCode(high * 256 + low) ? [high * 256 + low, reason] : null);
  const characters = () => {
    const reason = data.slice(2);
    const bytes = Array.from(reason, (char) => char.codePointAt(0));
    return coded(data.charCodeAt(0), data.charCodeAt(1), (bytes.every((byte) => byte < 256) ? utf8(bytes, true) : null) ?? reason);
  };
  const digits = () => {
    const [, code, rest] = /^(\d{1,5})[ :,;-]*(.*)$/s.exec(data) ?? [];
    return isCode(Number(code)) ? [Number(code), rest] : null;
  };
  const base64 = () => {
    const bytes = fromBase64(data) ?? [];
    return bytes.length < 2 ? null : coded(bytes[0], bytes[1], utf8(bytes.slice(2), false));
  };
  return characters() ?? digits() ?? base64() ?? [1005, data];
}

function utf8(bytes, fatal) {
  try {
    return new TextDecoder("utf-8", { fatal, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}
