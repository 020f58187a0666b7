// STOMP 1.0 to 1.2: frames of a command, headers and a body that ends with a zero byte. A message
// may hold several; clients with `splitLargeFrames` send one over several messages. Also inside of
// SockJS, where a message is a list of strings.

import { Unfinished } from "./assemble.js";
import { Fault, Reader, brief, bytesOf, maybeJson, parse, put, readable, utf8 } from "./bounded.js";

const COMMANDS = [
  "CONNECT", "STOMP", "CONNECTED", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN",
  "COMMIT", "ABORT", "DISCONNECT", "MESSAGE", "RECEIPT", "ERROR",
];
const START = new RegExp(`^[\\r\\n]*(?:${COMMANDS.join("|")})\\r?\\n`);
const SOCKJS = new RegExp(`^a?\\["(?:\\\\n|(?:${COMMANDS.join("|")})(?:\\\\r)?\\\\n)`);

/** Frames of a message that are shown, and headers of a frame; others are counted. */
const MOST = 200;

function decode(message, state) {
  const text = message.text;
  if (typeof text === "string" && SOCKJS.test(text.slice(0, 40))) return sockjs(text, state);
  return frames(bytesOf(message), state);
}

function sockjs(text, state) {
  const strings = parse(text.replace(/^a/, ""));
  if (!Array.isArray(strings) || !strings.every((one) => typeof one === "string")) throw new Fault("not a list of strings, as SockJS sends");
  return frames(new TextEncoder().encode(strings.join("")), state);
}

function frames(bytes, state) {
  const started = state.stomp;
  state.stomp = null;
  let messages = 1;
  if (started) {
    started.push(bytes);
    if (started.dropped) throw new Fault(`${started.what} over ${started.messages} messages: ${started.progress}, more than is decoded`);
    // Without a content-length the zero byte ends a frame, so a part that has none cannot.
    const waits = started.need === null ? !bytes.includes(0) : started.have < started.need;
    if (waits) return wait(started, state);
    messages = started.messages;
    bytes = started.bytes;
  }
  return read(bytes, state, messages);
}

function wait(started, state) {
  state.stomp = started;
  const split = `${started.progress}, in ${started.messages} messages so far`;
  return { summary: `${started.what} goes on: ${started.progress}`, row: `${started.what} … ${started.progress}`, part: true, fields: { command: started.what, split } };
}

function read(bytes, state, messages) {
  const reader = new Reader(bytes);
  const list = [];
  let beats = 0;
  let more = 0;
  let error;
  while (reader.left > 0 && !error) {
    if (bytes[reader.at] === 10 || bytes[reader.at] === 13) {
      beats += bytes[reader.at] === 10 ? 1 : 0;
      reader.at += 1;
      continue;
    }
    const start = reader.at;
    try {
      const one = frame(reader);
      if (!one.command) {
        list.push(unfinished(bytes.subarray(start), one.end === null ? null : one.end - start, state, start === 0 ? messages : 1));
        break;
      }
      if (list.length < MOST) list.push(messages > 1 && start === 0 ? { ...one, split: `over ${messages} messages` } : one);
      else more += 1;
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      error = fault.message;
    }
  }
  if (more > 0) list.push({ command: `${more.toLocaleString("en")} more frames` });
  if (list.length > 0) return { summary: list.slice(0, 12).map(line).join("; "), part: list.length === 1 && / here; /.test(list[0].split ?? ""), fields: list.length === 1 ? list[0] : list, error, links: list.flatMap(linksOf) };
  if (error) throw new Fault(error);
  return { summary: "heart-beat", fields: { heartBeats: beats } };
}

/** A frame with a receipt is answered by RECEIPT or ERROR, CONNECT by CONNECTED. */
function linksOf({ command, headers }) {
  if (!headers) return [];
  if (command === "CONNECT" || command === "STOMP") return [{ ask: "connect" }];
  if (command === "CONNECTED") return [{ answer: "connect" }];
  if (headers["receipt-id"] !== undefined) return [{ answer: `receipt ${headers["receipt-id"]}` }];
  return headers.receipt === undefined ? [] : [{ ask: `receipt ${headers.receipt}` }];
}

/** The frame that starts here; `{ end }` if the message ends before it, null if its end is unknown. */
function frame(reader) {
  const command = textLine(reader);
  if (command === null && begins(reader)) return { end: null };
  if (!COMMANDS.includes(command)) {
    throw new Fault(`no command before byte ${reader.at}; it may be the rest of a frame that an earlier message began`);
  }
  const headers = {};
  const plain = command === "CONNECT" || command === "CONNECTED";
  for (let n = 0; ; n += 1) {
    const text = textLine(reader);
    if (text === null) return { end: null };
    if (text.includes("\0")) throw new Fault(`${command}: a zero byte among the headers`);
    if (text === "") break;
    const colon = text.indexOf(":");
    if (colon < 0) throw new Fault(`${command}: a header without a colon: ${brief(text, 40)}`);
    const name = plain ? text.slice(0, colon) : unescaped(text.slice(0, colon));
    // Of headers that stand twice the first is the one that counts (STOMP 1.2, Repeated Header Entries).
    if (n < MOST && !Object.hasOwn(headers, name)) put(headers, name, plain ? text.slice(colon + 1) : unescaped(text.slice(colon + 1)));
  }
  return finished(reader, command, headers);
}

/** Whether the message ends within a command. */
function begins(reader) {
  const rest = reader.left < 12 ? utf8(reader.bytes.subarray(reader.at)) : null;
  return rest !== null && COMMANDS.some((name) => name.startsWith(rest.replace(/\r$/, "")));
}

function finished(reader, command, headers) {
  const told = /^\d{1,9}$/.test(headers["content-length"] ?? "") ? Number(headers["content-length"]) : null;
  const zero = reader.bytes.indexOf(0, reader.at);
  const changed = told !== null && zero >= 0 && reader.bytes[reader.at + told] !== 0 && isRedacted(reader.bytes.subarray(reader.at, zero));
  const length = told === null || changed ? zero - reader.at : told;
  if (length < 0) return { end: null };
  if (length + 1 > reader.left) return { end: reader.at + length + 1 };
  const body = reader.take(length);
  if (reader.u8() !== 0) throw new Fault(`${command}: no zero byte after ${length} bytes of body`);
  return { command, headers, size: length, body: length > 0 ? content(body) : undefined };
}

/** Whether redaction has changed a body, so that `content-length` is not its length. */
function isRedacted(body) {
  return utf8(body)?.includes("[redacted]") ?? false;
}

function content(bytes) {
  const text = readable(bytes);
  return text === null ? bytes : maybeJson(text);
}

/** A line without its end, and moves behind it; null if it has none. */
function textLine(reader) {
  const end = reader.bytes.indexOf(10, reader.at);
  if (end < 0) return null;
  const start = reader.at;
  const text = utf8(reader.bytes.subarray(start, bytesBefore(reader.bytes, start, end)));
  if (text === null) throw new Fault(`the line at byte ${start} is not UTF-8`);
  reader.at = end + 1;
  return text;
}

function bytesBefore(bytes, start, end) {
  return end > start && bytes[end - 1] === 13 ? end - 1 : end;
}

const ESCAPES = { "\\n": "\n", "\\r": "\r", "\\c": ":", "\\\\": "\\" };

function unescaped(text) {
  return text.replace(/\\[nrc\\]/g, (pair) => ESCAPES[pair]);
}

function unfinished(bytes, need, state, messages) {
  const what = /^[A-Z]*/.exec(utf8(bytes.subarray(0, 16)) ?? "")[0] || "a frame";
  state.stomp = new Unfinished(need, what);
  state.stomp.push(bytes);
  state.stomp.messages = messages;
  return { command: what, split: `${state.stomp.progress} here; the rest is in the next message` };
}

function line({ command, headers, size, body, split }) {
  const words = [command];
  if (headers) {
    const where = headers.destination ?? headers.host ?? headers["receipt-id"] ?? headers.message ?? headers.id;
    if (where !== undefined) words.push(where);
    if (command === "CONNECTED") words.push(`STOMP ${headers.version ?? "1.0"}`);
    if (size > 0) words.push(brief(body, 100));
  }
  if (split) words.push(`(${split})`);
  return words.join(" ");
}

export const stomp = {
  name: "stomp",
  title: "STOMP",
  owns: true,
  forget(state) { state.stomp = null; },
  pending: (state) => Boolean(state.stomp),
  fit({ subprotocol, text, bytes }) {
    if (/stomp/i.test(subprotocol ?? "")) return 100;
    if (typeof text === "string") {
      if (text === "\n" || text === "\r\n") return 10;
      const start = text.slice(0, 40);
      return START.test(start) || SOCKJS.test(start) ? 88 : 0;
    }
    return bytes && START.test(String.fromCharCode(...bytes.subarray(0, 40))) ? 88 : 0;
  },
  decode,
};
