// The packets of MQTT 3.1, 3.1.1 and 5: the bytes after the length.

import { Fault, Reader, amount, maybeJson, readable, word } from "./bounded.js";
import { properties, string } from "./mqtt-properties.js";

export const TYPES = [
  null, "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE",
  "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
];

const RETURNS = [
  "accepted", "unacceptable protocol version", "identifier rejected", "server unavailable",
  "bad user name or password", "not authorized",
];

const REASONS = new Map(Object.entries({
  0: "success", 1: "granted QoS 1", 2: "granted QoS 2", 4: "disconnect with will message",
  16: "no matching subscribers", 17: "no subscription existed", 24: "continue authentication",
  25: "re-authenticate", 128: "unspecified error", 129: "malformed packet", 130: "protocol error",
  131: "implementation specific error", 132: "unsupported protocol version",
  133: "client identifier not valid", 134: "bad user name or password", 135: "not authorized",
  136: "server unavailable", 137: "server busy", 138: "banned", 139: "server shutting down",
  140: "bad authentication method", 141: "keep alive timeout", 142: "session taken over",
  143: "topic filter invalid", 144: "topic name invalid", 145: "packet identifier in use",
  146: "packet identifier not found", 147: "receive maximum exceeded", 148: "topic alias invalid",
  149: "packet too large", 150: "message rate too high", 151: "quota exceeded",
  152: "administrative action", 153: "payload format invalid", 154: "retain not supported",
  155: "QoS not supported", 156: "use another server", 157: "server moved",
  158: "shared subscriptions not supported", 159: "connection rate exceeded",
  160: "maximum connect time", 161: "subscription identifiers not supported",
  162: "wildcard subscriptions not supported",
}).map(([code, text]) => [Number(code), text]));

const reason = (code) => ({ code, text: REASONS.get(code) ?? "unknown" });

/** Whether the low half of a first byte may stand with its type. */
export function flagsFit(first) {
  const type = first >> 4;
  const flags = first & 0x0f;
  if (type === 0) return false;
  if (type === 3) return (flags & 6) !== 6;
  return flags === (type === 6 || type === 8 || type === 10 ? 2 : 0);
}

/**
 * Reads one packet. `version` is 3, 4 or 5 if a CONNECT said so; without one it is guessed, and
 * the packet says so.
 */
export function packet(first, body, version, purse) {
  const type = TYPES[first >> 4];
  if (version !== undefined || type === "CONNECT" || body.length <= 2) return whole(first, body, version ?? 4, purse);
  // A PUBLISH of MQTT 5 has properties in front of its payload; an older one whose payload reads
  // as such is rare. Of the others most that read as 3.1.1 are.
  for (const guess of type === "PUBLISH" ? [5, 4] : [4, 5]) {
    const read = attempt(first, body, guess, purse);
    if (read) return { ...read, version: `${guess === 5 ? "5" : "3.1.1"}, guessed` };
  }
  return whole(first, body, 4, purse);
}

function attempt(first, body, version, purse) {
  try {
    return whole(first, body, version, purse);
  } catch (error) {
    if (error instanceof Fault) return null;
    throw error;
  }
}

function whole(first, body, version, purse) {
  const reader = new Reader(body, { purse });
  const type = TYPES[first >> 4];
  const packet = { type, ...READERS[type](reader, version, first & 0x0f) };
  if (reader.left > 0) throw new Fault(`${type}: ${amount(reader.left)} after its end`);
  return packet;
}

/** Properties as a member, left out where there are none. */
function more(reader, version, name = "properties") {
  if (version !== 5) return {};
  const found = properties(reader);
  return Object.keys(found).length > 0 ? { [name]: found } : {};
}

function connect(reader) {
  const protocol = string(reader);
  const level = reader.u8();
  const version = level & 0x7f;
  if ((protocol !== "MQTT" && protocol !== "MQIsdp") || version < 3 || version > 5) {
    throw new Fault(`CONNECT of ${word(protocol)} level ${level}, which is not MQTT 3.1, 3.1.1 or 5`);
  }
  const flags = reader.u8();
  const keepAlive = reader.u16();
  const own = more(reader, version);
  const clientId = string(reader);
  const result = { version: ["3.1", "3.1.1", "5"][version - 3], clientId, clean: Boolean(flags & 2), keepAlive, ...own };
  if (flags & 4) {
    const of = more(reader, version);
    result.will = { topic: string(reader), payload: payload(reader.take(reader.u16())), qos: (flags >> 3) & 3, retain: Boolean(flags & 0x20), ...of };
  }
  if (flags & 0x80) result.username = string(reader);
  if (flags & 0x40) result.password = readable(reader.take(reader.u16())) ?? "not text";
  return result;
}

function connack(reader, version) {
  const sessionPresent = Boolean(reader.u8() & 1);
  const code = reader.u8();
  if (version !== 5) return { sessionPresent, reason: { code, text: RETURNS[code] ?? "unknown" } };
  return { sessionPresent, reason: reason(code), ...more(reader, version) };
}

function publish(reader, version, flags) {
  const qos = (flags >> 1) & 3;
  const topic = string(reader);
  const packetId = qos > 0 ? reader.u16() : undefined;
  const own = more(reader, version);
  const bytes = reader.take(reader.left);
  return { topic, qos, retain: Boolean(flags & 1), dup: Boolean(flags & 8), packetId, ...own, size: bytes.length, payload: payload(bytes) };
}

function payload(bytes) {
  const text = readable(bytes);
  return text === null ? bytes : maybeJson(text);
}

/** PUBACK and its like: the reason and properties may be left out. */
function ack(reader, version) {
  const packetId = reader.u16();
  return version === 5 && reader.left > 0 ? { packetId, ...outcome(reader, version) } : { packetId };
}

function outcome(reader, version) {
  if (version !== 5 || reader.left === 0) return {};
  const code = reason(reader.u8());
  return { reason: code, ...(reader.left > 0 ? more(reader, version) : {}) };
}

/** `read` until the end, at least once. */
function several(reader, read) {
  const list = [];
  do {
    reader.spend(1);
    list.push(read());
  } while (reader.left > 0);
  return list;
}

function subscribe(reader, version) {
  const packetId = reader.u16();
  const own = more(reader, version);
  const filters = several(reader, () => {
    const filter = string(reader);
    const options = reader.u8();
    if (options > (version === 5 ? 0x2f : 2)) throw new Fault(`SUBSCRIBE with the options ${options}`);
    if (version !== 5) return { filter, qos: options };
    return { filter, qos: options & 3, noLocal: Boolean(options & 4), retainAsPublished: Boolean(options & 8), retainHandling: options >> 4 };
  });
  return { packetId, ...own, filters };
}

function suback(reader, version) {
  const packetId = reader.u16();
  const own = more(reader, version);
  return { packetId, ...own, reasons: several(reader, () => reason(reader.u8())) };
}

function unsubscribe(reader, version) {
  const packetId = reader.u16();
  const own = more(reader, version);
  return { packetId, ...own, filters: several(reader, () => string(reader)) };
}

function unsuback(reader, version) {
  if (version !== 5) return { packetId: reader.u16() };
  return suback(reader, version);
}

const empty = () => ({});

const READERS = {
  CONNECT: connect, CONNACK: connack, PUBLISH: publish, PUBACK: ack, PUBREC: ack, PUBREL: ack,
  PUBCOMP: ack, SUBSCRIBE: subscribe, SUBACK: suback, UNSUBSCRIBE: unsubscribe,
  UNSUBACK: unsuback, PINGREQ: empty, PINGRESP: empty, DISCONNECT: outcome, AUTH: outcome,
};
