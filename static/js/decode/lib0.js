// The encoding of lib0, which Yjs and its transports use: numbers in sevens of bits, strings and bytes
// with their length, values with a type each.

import { Fault, Reader, put } from "./bounded.js";

/** A number; ids of clients have up to 53 bits. */
export const varuint = (reader) => Number(reader.varint(8));

export const string = (reader) => reader.text(varuint(reader));

/** Bytes with their length, not copied. */
export const bytes = (reader) => reader.take(varuint(reader));

/** A signed number: its first byte has a sign and six bits. */
export function varint(reader) {
  const first = reader.u8();
  let value = first & 0x3f;
  let size = 64;
  for (let more = first & 0x80; more; size *= 128) {
    if (size > 2 ** 55) throw new Fault(`a number of more than 9 bytes before byte ${reader.at}`);
    const byte = reader.u8();
    value += (byte & 0x7f) * size;
    more = byte & 0x80;
  }
  return first & 0x40 ? -value : value;
}

/** Any value, as `encoding.writeAny` writes it. */
export function any(reader, depth = 0) {
  reader.spend(depth);
  const type = reader.u8();
  switch (type) {
    case 127: return null;
    case 126: return null;
    case 125: return varint(reader);
    case 124: return reader.f32();
    case 123: return reader.f64();
    case 122: return reader.i64();
    case 121: return false;
    case 120: return true;
    case 119: return string(reader);
    case 118: {
      const object = {};
      for (let left = varuint(reader); left > 0; left -= 1) put(object, string(reader), any(reader, depth + 1));
      return object;
    }
    case 117: {
      const list = [];
      for (let left = varuint(reader); left > 0; left -= 1) list.push(any(reader, depth + 1));
      return list;
    }
    case 116: return bytes(reader);
    default: throw new Fault(`no value has the type ${type}, at byte ${reader.at - 1}`);
  }
}

/** A reader of a part, which pays from the same budget. */
export const part = (reader) => new Reader(bytes(reader), { purse: reader.purse });
