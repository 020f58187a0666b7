// MQTT over binary messages. A message may hold several packets, and a packet may span several
// messages (MQTT 5, section 6.0).

import { Unfinished } from "./assemble.js";
import { Fault, LIMITS, brief, bytesOf } from "./bounded.js";
import { TYPES, flagsFit, packet } from "./mqtt-packets.js";

/** Packets of a message that are shown; others are counted. A broker that batches sends tens. */
const MOST = 200;

const NO_START = "starts no packet; it may be the rest of one that an earlier message began";

/** The length of the packet at `at` with its head: null if the head is not all there. */
function extent(bytes, at) {
  let length = 0;
  for (let n = 1; n <= 4; n += 1) {
    if (at + n >= bytes.length) return null;
    const byte = bytes[at + n];
    length += (byte & 0x7f) * 128 ** (n - 1);
    if (byte < 0x80) return { head: n + 1, length: n + 1 + length };
  }
  throw new Fault(`no length of a packet at byte ${at + 1}`);
}

function decode(message, state) {
  const bytes = bytesOf(message);
  if (bytes.length === 0) throw new Fault("the message is empty");
  const started = state.mqtt?.unfinished;
  if (!started) return packets(bytes, state);
  state.mqtt.unfinished = null;
  const missing = started.need === null ? bytes.length : Math.min(bytes.length, started.need - started.have);
  started.push(bytes.subarray(0, missing));
  if (started.need !== null && started.have < started.need) {
    state.mqtt.unfinished = started;
    const split = `${started.progress}, in ${started.messages} messages so far`;
    return { summary: `${started.what} goes on: ${started.progress}`, row: `${started.what} … ${started.progress}`, part: true, fields: { type: started.what, split } };
  }
  if (!started.dropped) return packets(joined(started.bytes, bytes.subarray(missing)), state, started.messages);
  const skipped = { type: started.what, split: `over ${started.messages} messages`, note: `${started.progress}, more than is decoded` };
  const rest = bytes.subarray(missing);
  return rest.length > 0 ? packets(rest, state, 1, [skipped]) : result([skipped]);
}

function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

/** Reads packets; the first spans `messages` messages, `list` is put in front. */
function packets(bytes, state, messages = 1, list = []) {
  const split = messages > 1 ? { split: `over ${messages} messages` } : {};
  const own = (state.mqtt ??= {});
  const purse = { items: LIMITS.items };
  let at = 0;
  let more = 0;
  let error;
  while (at < bytes.length && !error) {
    try {
      if (!flagsFit(bytes[at])) throw new Fault(at > 0 ? `byte ${at} starts no packet` : NO_START);
      const size = extent(bytes, at);
      if (!size || at + size.length > bytes.length) {
        list.push(unfinished(bytes.subarray(at), size, own, at === 0 ? messages : 1));
        break;
      }
      if (list.length < MOST) list.push({ ...one(bytes.subarray(at, at + size.length), size.head, state, purse), ...(at === 0 ? split : {}) });
      else more += 1;
      at += size.length;
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      error = fault.message;
    }
  }
  if (list.length === 0) throw new Fault(error);
  if (more > 0) list.push({ type: `${more.toLocaleString("en")} more packets` });
  return result(list, error);
}

function one(bytes, head, state, purse) {
  const version = state.mqtt.version ?? state.peer?.mqtt?.version;
  const read = packet(bytes[0], bytes.subarray(head), version, purse);
  if (read.type === "CONNECT") state.mqtt.version = { "3.1": 3, "3.1.1": 4, 5: 5 }[read.version];
  return read.type === "PUBLISH" ? aliased(read, state.mqtt) : read;
}

/** Topic aliases that are kept for a direction. */
const ALIASES = 1000;

/** A PUBLISH of MQTT 5 may name its topic by the number that an earlier one gave it. */
function aliased(read, own) {
  const alias = read.properties?.topicAlias;
  if (!Number.isInteger(alias)) return read;
  own.aliases ??= new Map();
  if (read.topic !== "") {
    if (own.aliases.size < ALIASES) own.aliases.set(alias, read.topic);
    return read;
  }
  const topic = own.aliases.get(alias);
  return topic === undefined ? read : { ...read, topic, topicBy: `alias ${alias}` };
}

function unfinished(bytes, size, own, messages) {
  const type = TYPES[bytes[0] >> 4];
  own.unfinished = new Unfinished(size?.length ?? null, type);
  own.unfinished.push(bytes);
  own.unfinished.messages = messages;
  return { type, split: `${own.unfinished.progress} here; the rest is in the next message` };
}

function result(list, error) {
  const summary = (list.length > 1 ? `${list.length} packets: ` : "") + list.slice(0, 12).map(line).join("; ");
  const row = list.length > 0 ? list.slice(0, 12).map(short).join("; ") : undefined;
  return { summary, row, part: list.length === 1 && isUnfinished(list[0]), fields: list.length === 1 ? list[0] : list, error, links: list.flatMap(linksOf) };
}

/** A packet for a row: of a PUBLISH its topic and payload. */
function short(packet) {
  if (isUnfinished(packet)) return `${packet.type} … ${packet.split.replace(/ here;.*/, "")}`;
  if (packet.topic === undefined || packet.payload === undefined) return line(packet);
  return `${packet.type} ${packet.topic} ${typeof packet.payload === "string" ? packet.payload.slice(0, 140) : brief(packet.payload, 140)}`;
}

/** Whether the rest of a packet is missing. */
const isUnfinished = ({ split }) => split !== undefined && !split.startsWith("over");

/** Answers have the packet id of their request. QoS 2 takes a PUBREC and a PUBCOMP. */
function linksOf(packet) {
  const { type, qos, packetId } = packet;
  if (isUnfinished(packet)) return [];
  switch (type) {
    case "CONNECT": return [{ ask: "connect" }];
    case "CONNACK": return [{ answer: "connect" }];
    case "PINGREQ": return [{ ask: "ping" }];
    case "PINGRESP": return [{ answer: "ping" }];
    case "PUBLISH": return qos > 0 ? [{ ask: `publish ${packetId}` }] : [];
    case "PUBREC": return [{ answer: `publish ${packetId}`, more: true }];
    case "PUBACK": case "PUBCOMP": return [{ answer: `publish ${packetId}` }];
    case "SUBSCRIBE": case "UNSUBSCRIBE": return [{ ask: `${type} ${packetId}` }];
    case "SUBACK": return [{ answer: `SUBSCRIBE ${packetId}` }];
    case "UNSUBACK": return [{ answer: `UNSUBSCRIBE ${packetId}` }];
    default: return [];
  }
}

function line(packet) {
  const words = [packet.type];
  if (packet.topic !== undefined) words.push(packet.topic, `${packet.size} B`);
  if (packet.clientId !== undefined) words.push(JSON.stringify(packet.clientId), `MQTT ${packet.version}`);
  if (packet.filters) words.push(packet.filters.slice(0, 5).map((one) => one.filter ?? one).join(", "));
  if (packet.qos) words.push(`QoS ${packet.qos}`);
  if (packet.packetId !== undefined) words.push(`#${packet.packetId}`);
  const code = packet.reason ?? packet.reasons?.find(({ code }) => code >= 128);
  if (code && code.code !== 0) words.push(code.text);
  if (packet.note || packet.split) words.push(`(${packet.note ?? packet.split})`);
  return words.join(" ");
}

/** How well bytes read as packets: only their heads are looked at. */
function shape(bytes) {
  if (bytes.length < 2 || !flagsFit(bytes[0])) return 0;
  if (bytes[0] === 0x10 && /^\u0000.MQ(TT|Is)/s.test(String.fromCharCode(...bytes.subarray(bytes[1] < 0x80 ? 2 : 3, 9)))) return 97;
  let at = 0;
  for (let n = 0; n < 20 && at < bytes.length; n += 1) {
    if (!flagsFit(bytes[at])) return 0;
    const size = extent(bytes, at);
    if (!size || at + size.length > bytes.length) return 0;
    const type = bytes[at] >> 4;
    if (type === 3 && !topicFits(bytes.subarray(at + size.head, at + size.length))) return 0;
    if (type >= 12 && type <= 13 && size.length !== 2) return 0;
    at += size.length;
  }
  return bytes[0] >> 4 === 3 ? 72 : 42;
}

function topicFits(body) {
  const length = body[0] * 256 + body[1];
  return length > 0 && length + 2 <= body.length && body.subarray(2, 2 + Math.min(length, 64)).every((byte) => byte >= 32);
}

export const mqtt = {
  name: "mqtt",
  title: "MQTT",
  owns: true,
  forget(state) { if (state.mqtt) state.mqtt.unfinished = null; },
  pending: (state) => Boolean(state.mqtt?.unfinished),
  fit({ subprotocol, bytes }) {
    if (!bytes) return 0;
    if (/mqtt/i.test(subprotocol ?? "")) return 100;
    return shape(bytes);
  },
  decode,
};
