// Protocol buffers without their schema: field numbers and wire types are certain, and every
// guess (text, message, signed, float) says that it is one by its name.

import { END, Fault, Reader, brief, bytesOf, readable } from "./bounded.js";

const DEPTH = 24;

/** Reads the fields of a message, or of the group `group`. */
function fields(reader, depth, group = 0) {
  const list = [];
  while (reader.left > 0) {
    const one = field(reader, depth, group);
    if (one === END) return list;
    list.push(one);
  }
  if (group) throw new Fault(`group ${group} has no end`);
  return list;
}

function field(reader, depth, group) {
  reader.spend(depth);
  const at = reader.at;
  const key = Number(reader.varint(5));
  const number = Math.floor(key / 8);
  const wire = key % 8;
  if (number === 0 || number > 536_870_911) throw new Fault(`no field number at byte ${at}`);
  if (wire !== 4) return { field: number, ...value(reader, wire, number, depth, at) };
  if (number === group) return END;
  throw new Fault(`an end of group ${number} at byte ${at} that ends nothing`);
}

function value(reader, wire, field, depth, at) {
  switch (wire) {
    case 0: return varint(reader);
    case 1: return fixed64(reader);
    case 2: return delimited(reader, depth);
    case 3: return { type: "group", value: fields(reader, depth + 1, field) };
    case 5: return fixed32(reader);
    default: throw new Fault(`wire type ${wire} at byte ${at} does not exist`);
  }
}

function varint(reader) {
  const number = BigInt.asUintN(64, reader.varint(10));
  if (number < 1n << 63n) return { type: "varint", value: number };
  return { type: "varint", value: number, signed: BigInt.asIntN(64, number) };
}

function fixed64(reader) {
  const value = reader.u64(true);
  reader.at -= 8;
  return { type: "64 bits", value, double: reader.f64(true) };
}

function fixed32(reader) {
  const value = reader.u32(true);
  reader.at -= 4;
  return { type: "32 bits", value, float: reader.f32(true) };
}

/** Text if it reads as text, else a message if all of it is one, else bytes. */
function delimited(reader, depth) {
  const part = reader.take(reader.varint(5));
  const text = part.length <= 65_536 ? readable(part) : null;
  // A message of text begins with 0x0a, which is also a line break: nothing says which, but text
  // begins with a line break less often than a message with its first field.
  if (text !== null && part[0] !== 0x0a) return { type: "text", value: text };
  const inner = part.length > 0 && depth < DEPTH ? nested(reader, part, depth) : null;
  if (inner) return { type: "message", value: inner };
  return text === null ? { type: "bytes", value: part } : { type: "text", value: text };
}

function nested(outer, part, depth) {
  const reader = new Reader(part, { purse: outer.purse, depth: DEPTH });
  return reader.attempt(() => fields(reader, depth + 1)) ?? null;
}

function line(list) {
  const parts = list.slice(0, 20).map(({ field, type, value }) => {
    const short = type === "message" || type === "group" ? `{${line(value)}}` : brief(value, 60);
    return `${field}: ${short}`;
  });
  return parts.join(", ") + (list.length > 20 ? ", …" : "");
}

/** How well bytes read as a message: 0 to 40, as almost anything short does. */
function shape(bytes) {
  if (bytes.length < 2) return 0;
  const reader = new Reader(bytes, { items: 200 });
  let high = 0;
  const list = reader.list(Infinity, () => (reader.left > 0 ? field(reader, DEPTH, 0) : END));
  if (reader.fault && reader.purse.items >= 0) return 0;
  for (const one of list) high = Math.max(high, one.field);
  if (high > 1000) return 10;
  return list.some((one) => one.type === "text" && one.value.length > 2) ? 40 : 30;
}

export const protobuf = {
  name: "protobuf",
  title: "Protocol buffers, without schema",
  fit({ subprotocol, bytes }) {
    if (!bytes) return 0;
    return /protobuf|\bproto\b/i.test(subprotocol ?? "") ? 100 : shape(bytes);
  },
  decode(message) {
    const bytes = bytesOf(message);
    if (bytes.length === 0) return { summary: "an empty message", fields: [] };
    const reader = new Reader(bytes);
    const list = reader.list(Infinity, () => (reader.left > 0 ? field(reader, 0, 0) : END));
    if (list.length === 0) throw new Fault(reader.fault);
    return { summary: line(list), fields: list, error: reader.fault ?? undefined };
  },
};
