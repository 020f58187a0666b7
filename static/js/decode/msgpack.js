// MessagePack, by its specification: one value or several in a message.
//
// Its own reader rather than a library: those at hand reserve the memory that a header announces
// (50 kB of nested array headers take all memory of a tab) and give nothing of a message cut short.

import { Fault, Reader, brief, bytesOf } from "./bounded.js";

/** Reads one value. */
export function item(reader, depth = 0) {
  reader.spend(depth);
  const at = reader.at;
  const head = reader.u8();
  if (head < 0x80) return head;
  if (head < 0x90) return map(reader, head & 0x0f, depth);
  if (head < 0xa0) return array(reader, head & 0x0f, depth);
  if (head < 0xc0) return reader.text(head & 0x1f);
  if (head >= 0xe0) return head - 0x100;
  switch (head) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: return reader.take(reader.u8());
    case 0xc5: return reader.take(reader.u16());
    case 0xc6: return reader.take(reader.u32());
    case 0xc7: return extension(reader, reader.u8());
    case 0xc8: return extension(reader, reader.u16());
    case 0xc9: return extension(reader, reader.u32());
    case 0xca: return reader.f32();
    case 0xcb: return reader.f64();
    case 0xcc: return reader.u8();
    case 0xcd: return reader.u16();
    case 0xce: return reader.u32();
    case 0xcf: return reader.u64();
    case 0xd0: return reader.i8();
    case 0xd1: return reader.i16();
    case 0xd2: return reader.i32();
    case 0xd3: return reader.i64();
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(reader, 1 << (head - 0xd4));
    case 0xd9: return reader.text(reader.u8());
    case 0xda: return reader.text(reader.u16());
    case 0xdb: return reader.text(reader.u32());
    case 0xdc: return array(reader, reader.u16(), depth);
    case 0xdd: return array(reader, reader.u32(), depth);
    case 0xde: return map(reader, reader.u16(), depth);
    case 0xdf: return map(reader, reader.u32(), depth);
    default: throw new Fault(`0x${head.toString(16)} at byte ${at} starts no value`);
  }
}

function array(reader, length, depth) {
  return reader.list(length, () => item(reader, depth + 1));
}

function map(reader, length, depth) {
  return reader.map(length, () => item(reader, depth + 1), () => item(reader, depth + 1));
}

function extension(reader, length) {
  const type = reader.i8();
  const data = reader.take(length);
  return type === -1 ? timestamp(data) : { extension: type, data };
}

function timestamp(data) {
  const part = new Reader(data);
  let seconds;
  let nanos = 0;
  if (data.length === 4) {
    seconds = part.u32();
  } else if (data.length === 8) {
    const high = part.u32();
    nanos = high >>> 2;
    seconds = (high & 3) * 2 ** 32 + part.u32();
  } else if (data.length === 12) {
    nanos = part.u32();
    seconds = Number(part.i64());
  } else {
    return { extension: -1, data };
  }
  const date = new Date(seconds * 1000 + Math.floor(nanos / 1e6));
  return { timestamp: Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString(), ...(nanos % 1e6 ? { nanos } : {}) };
}

/** Values one after the other, as many as there are, as MessagePack and CBOR both may stand. */
export function sequence(bytes, read) {
  const reader = new Reader(bytes);
  if (bytes.length === 0) throw new Fault("the message is empty");
  const items = [];
  while (reader.left > 0 && !reader.fault) {
    const value = reader.attempt(() => read(reader));
    if (value !== undefined) items.push(value);
  }
  if (items.length === 0) throw new Fault(reader.fault);
  const fields = items.length === 1 ? items[0] : items;
  const summary = items.length === 1 ? brief(fields, 200) : `${items.length} values: ${brief(fields, 200)}`;
  return reader.fault ? { summary, fields, error: reader.fault } : { summary, fields };
}

/** How well bytes read as one value: 0 to 70; looks at the first 200 values only. */
export function shape(bytes, read) {
  if (!bytes || bytes.length === 0) return 0;
  const reader = new Reader(bytes, { items: 200, quick: true });
  const value = reader.attempt(() => read(reader));
  if (reader.fault && reader.fault !== "more values than are shown") return 0;
  if (!reader.fault && reader.left > 0) return 0;
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return bytes.length < 3 ? 5 : 20;
  if (Array.isArray(value)) return value.length > 0 ? 45 : 15;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => /^[\w .$@:/-]+$/.test(key)) ? 70 : 25;
}

export const msgpack = {
  name: "msgpack",
  title: "MessagePack",
  fit({ subprotocol, bytes }) {
    if (!bytes) return 0;
    return /msgpack|messagepack/i.test(subprotocol ?? "") ? 100 : shape(bytes, item);
  },
  decode: (message) => sequence(bytesOf(message), item),
};
