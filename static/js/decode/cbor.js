// CBOR (RFC 8949), and sequences of it (RFC 8742). Tags are shown with their numbers.
//
// Its own reader rather than a library: those at hand refuse tags that they do not know, and give
// nothing of a message cut short.

import { END, Fault, bytesOf, whole } from "./bounded.js";
import { sequence, shape } from "./msgpack.js";

/** Reads one value. */
export function item(reader, depth = 0) {
  const value = part(reader, depth);
  if (value === END) throw new Fault(`a break at byte ${reader.at - 1} that ends nothing`);
  return value;
}

function part(reader, depth) {
  reader.spend(depth);
  const at = reader.at;
  const head = reader.u8();
  const major = head >> 5;
  const low = head & 0x1f;
  if (major === 7) return simple(reader, low, at);
  const open = low === 31;
  if (open && (major < 2 || major === 6)) throw new Fault(`0x${head.toString(16)} at byte ${at} starts no value`);
  const length = open ? Infinity : argument(reader, low, at);
  switch (major) {
    case 0: return length;
    case 1: return negative(length);
    case 2: return open ? chunks(reader, 2, depth) : reader.take(length);
    case 3: return open ? chunks(reader, 3, depth) : reader.text(length);
    case 4: return array(reader, length, depth);
    case 5: return map(reader, length, depth);
    default: return tagged(length, item(reader, depth + 1));
  }
}

/** The number that stands in or behind a head; in digits if it is beyond the safe integers. */
function argument(reader, low, at) {
  switch (low) {
    case 24: return reader.u8();
    case 25: return reader.u16();
    case 26: return reader.u32();
    case 27: return reader.u64();
    default:
      if (low < 24) return low;
      throw new Fault(`a reserved length at byte ${at}`);
  }
}

function negative(argument) {
  return typeof argument === "number" && argument < Number.MAX_SAFE_INTEGER ? -1 - argument : String(-1n - BigInt(argument));
}

function array(reader, length, depth) {
  const next = length === Infinity ? part : item;
  return reader.list(length, () => next(reader, depth + 1));
}

function map(reader, length, depth) {
  const next = length === Infinity ? part : item;
  return reader.map(length, () => next(reader, depth + 1), () => item(reader, depth + 1));
}

/** A string in parts, each with its length. */
function chunks(reader, major, depth) {
  const parts = reader.list(Infinity, () => {
    const value = part(reader, depth + 1);
    if (value === END || (major === 3 ? typeof value === "string" : value instanceof Uint8Array)) return value;
    throw new Fault(`a string before byte ${reader.at} has a part of another type`);
  });
  return major === 3 ? parts.join("") : joined(parts);
}

/** Arrays of bytes as one. */
function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function tagged(tag, value) {
  const big = (tag === 2 || tag === 3) && value instanceof Uint8Array && value.length <= 256;
  if (!big) return { tag, value };
  const digits = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const number = BigInt(`0x${digits || "0"}`);
  return whole(tag === 2 ? number : -1n - number);
}

function simple(reader, low, at) {
  switch (low) {
    case 20: return false;
    case 21: return true;
    case 22: return null;
    case 23: return { simple: "undefined" };
    case 24: return { simple: reader.u8() };
    case 25: return half(reader.u16());
    case 26: return reader.f32();
    case 27: return reader.f64();
    case 31: return END;
    default:
      if (low < 20) return { simple: low };
      throw new Fault(`0xf${(low & 0x0f).toString(16)} at byte ${at} starts no value`);
  }
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 0x1f;
  const rest = bits & 0x3ff;
  if (power === 31) return rest ? NaN : sign * Infinity;
  return sign * (power === 0 ? rest * 2 ** -24 : (1024 + rest) * 2 ** (power - 25));
}

export const cbor = {
  name: "cbor",
  title: "CBOR",
  fit({ subprotocol, bytes }) {
    if (!bytes) return 0;
    if (/cbor/i.test(subprotocol ?? "")) return 100;
    // d9 d9 f7 is the tag that says "this is CBOR".
    if (bytes[0] === 0xd9 && bytes[1] === 0xd9 && bytes[2] === 0xf7) return 90;
    return shape(bytes, item);
  },
  decode: (message) => sequence(bytesOf(message), item),
};
