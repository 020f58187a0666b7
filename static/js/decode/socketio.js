// Socket.IO over Engine.IO: protocol 4, where a binary message is an attachment, and 3, where the
// attachment follows a byte. Attachments come in the messages after the packet that has placeholders
// for them; with a state, the packet is completed by the last one.

import { Fault, LIMITS, Reader, amount, brief, isObject, parse, put, textOf, word } from "./bounded.js";
import { item } from "./msgpack.js";

const ENGINE = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
const SOCKET = ["connect", "disconnect", "event", "ack", "connect error", "event", "ack"];

/** Attachments of a packet; the library refuses more than 10 since 4.2.6. */
const MOST = 100;

const isV3 = (message) => /[?&]EIO=3(&|$)/.test(message.path ?? "");
const isPath = (path) => /\/(socket|engine)\.io(\/|\?|$)|[?&]EIO=\d/.test(path ?? "");

function decode(message, state) {
  if (typeof message.text !== "string" && message.bytes) return attachment(message, state);
  const text = textOf(message);
  const kind = ENGINE[text.charCodeAt(0) - 48];
  if (kind === undefined) throw new Fault(`no Engine.IO packet: those begin with 0 to 6, not ${brief(text, 10)}`);
  if (kind === "message") return packet(text, state, message.direction);
  const data = kind === "open" ? parse(text.slice(1)) : text.slice(1);
  const fields = { engine: kind, ...(data === "" ? {} : { data }) };
  // A probe is a ping with data, and its pong repeats them.
  const links = kind === "ping" ? [{ ask: `ping ${data}` }] : kind === "pong" ? [{ answer: `ping ${data}` }] : [];
  if (kind !== "open") return { summary: data ? `${kind} ${brief(data)}` : kind, fields, links };
  return { summary: `open, session ${brief(data?.sid, 60)}, ping every ${brief(data?.pingInterval, 20)} ms`, fields };
}

/** A packet of Socket.IO, or a message of a program that uses Engine.IO alone. */
function packet(text, state, direction) {
  const head = /^4([0-6])(?:(\d{1,9})-)?(?:(\/[^,]*)(?:,|$))?(\d{1,15})?/.exec(text.slice(0, 2000));
  const rest = head ? text.slice(head[0].length) : "";
  if (!head || !/^([[{"]|null$|$)/.test(rest)) {
    const data = text.slice(1);
    return { summary: `message ${brief(data)}`, fields: { engine: "message", data } };
  }
  const [, type, attachments, namespace, id] = head;
  const late = state.socketio ? `the packet before it lacked ${amount(state.socketio.count - state.socketio.parts.length, "attachment")}` : undefined;
  state.socketio = null;
  const data = rest === "" ? undefined : parse(rest);
  const fields = { engine: "message", ...described(Number(type), data), namespace: namespace ?? "/", ackId: id ? Number(id) : undefined };
  let summary = line(fields);
  const row = short(fields);
  const links = linksOf(fields, direction);
  if (attachments !== undefined) {
    const count = Number(attachments);
    fields.attachments = count;
    summary += count === 1 ? " (an attachment follows)" : ` (${count} attachments follow)`;
    if (count > MOST) return { summary, row, fields, links, error: `${count} attachments are more than are put together` };
    if (count > 0) state.socketio = { fields, count, size: 0, parts: [] };
  }
  return { summary, row, fields, links, error: late };
}

/** An ack answers its event; a connect or connect error of the server answers the connect of the client. */
function linksOf({ packet, namespace, ackId }, direction) {
  const key = `${namespace} ${ackId}`;
  if (ackId !== undefined) return [packet.endsWith("ack") ? { answer: key } : { ask: key }];
  if (packet === "connect error" || (packet === "connect" && direction === "out")) return [{ answer: `connect ${namespace}` }];
  return packet === "connect" && direction === "in" ? [{ ask: `connect ${namespace}` }] : [];
}

function described(type, data) {
  const packet = `${type >= 5 ? "binary " : ""}${SOCKET[type]}`;
  if (data === undefined) return { packet };
  if ((type === 2 || type === 5) && Array.isArray(data)) return { packet, event: data[0], args: data.slice(1) };
  if ((type === 3 || type === 6) && Array.isArray(data)) return { packet, args: data };
  return { packet, data };
}

function line({ packet, event, args, data, namespace, ackId }) {
  const words = [packet];
  if (event !== undefined) words.push(word(event, 100));
  if (args) words.push(brief(args, 140).slice(1, -1));
  if (data !== undefined) words.push(brief(data, 140));
  if (ackId !== undefined) words.push(packet.endsWith("ack") ? `of #${ackId}` : `asks for ack #${ackId}`);
  if (namespace !== "/") words.push(`in ${word(namespace)}`);
  return words.filter(Boolean).join(" ");
}

/** A packet for a row: of an event its name and arguments, attachments in short. */
function short({ packet, event, args, data, namespace }) {
  const words = event === undefined ? [packet.replace("binary ", "")] : [word(event, 100)];
  if (args) words.push(brief(args, 140).slice(1, -1).replace(/\{_placeholder: true, num: (\d+)\}/g, "<attachment>"));
  if (data !== undefined) words.push(brief(data, 140));
  if (namespace !== "/") words.push(`in ${word(namespace)}`);
  return words.filter(Boolean).join(" ");
}

function attachment(message, state) {
  const bytes = isV3(message) && message.bytes[0] === 4 ? message.bytes.subarray(1) : message.bytes;
  const open = state.socketio;
  if (!open) return byMsgpack(bytes, message.direction) ?? { summary: `binary attachment, ${amount(bytes.length)}`, fields: { engine: "message", attachment: bytes } };
  open.size += bytes.length;
  const kept = open.size <= LIMITS.bytes;
  // A copy, as the bytes may be a part of a larger buffer.
  open.parts.push(kept ? bytes.slice() : null);
  const which = `attachment ${open.parts.length} of ${open.count}`;
  if (open.parts.length < open.count) {
    const fields = { engine: "message", attachment: bytes, of: line(open.fields) };
    return { summary: `${which}, ${amount(bytes.length)}`, part: true, fields };
  }
  state.socketio = null;
  const whole = { ...open.fields };
  for (const name of ["args", "data"]) if (name in whole) whole[name] = filled(whole[name], open.parts, 0);
  const error = kept ? undefined : `attachments beyond ${amount(LIMITS.bytes)} are not put together`;
  return { summary: `${which}, completes ${line(whole)}`, row: `${short(whole)} (${which})`, fields: whole, error };
}

/** A value with the attachments in their places. */
function filled(value, parts, depth) {
  if (typeof value !== "object" || value === null || depth > 64) return value;
  if (Array.isArray(value)) return value.map((one) => filled(one, parts, depth + 1));
  if (value._placeholder === true) return (Number.isInteger(value.num) ? parts[value.num] : null) ?? value;
  const object = {};
  for (const key of Object.keys(value)) put(object, key, filled(value[key], parts, depth + 1));
  return object;
}

/** A packet of the MessagePack parser: an object with type and nsp. */
function byMsgpack(bytes, direction) {
  const reader = new Reader(bytes);
  const value = reader.attempt(() => item(reader));
  if (reader.fault || reader.left > 0 || !isObject(value)) return null;
  const { type, data, nsp, id: ackId } = value;
  if (!Number.isInteger(type) || !SOCKET[type] || typeof nsp !== "string") return null;
  const fields = { engine: "message", parser: "msgpack", ...described(type, data), namespace: nsp, ackId };
  return { summary: line(fields), row: short(fields), fields, links: linksOf(fields, direction) };
}

export const socketio = {
  name: "socketio",
  title: "Socket.IO / Engine.IO",
  owns: true,
  forget(state) { state.socketio = null; },
  pending: (state) => Boolean(state.socketio),
  fit({ path, text, bytes }) {
    if (bytes) return isPath(path) ? 80 : 0;
    if (typeof text !== "string") return 0;
    const start = text.slice(0, 300);
    if (isPath(path)) return /^[0-6]/.test(start) ? 95 : 0;
    if (/^4[2356](\d+-)?(\/[^,]*,)?\d*\["/.test(start) || /^0\{"sid":/.test(start)) return 85;
    if (/^4[014](\/[^,{]*,?)?(\{|$)/.test(start)) return 50;
    if (start === "2probe" || start === "3probe") return 60;
    return start === "2" || start === "3" ? 15 : 0;
  },
  decode,
};
