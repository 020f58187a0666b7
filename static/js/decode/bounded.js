// Shared parts of the decoders: a reader that cannot run past its end, its depth or its budget, and
// values made fit to show. No protocol is known here, and no announced length is trusted.

import { skipString } from "../model/json.js";
import { toHex } from "../model/text.js";

/**
 * How far a decoder goes. A tree of 20,000 values is more than anyone opens, and takes a few
 * milliseconds; 64 levels are ten times what protocols nest, and far from the end of any stack.
 */
export const LIMITS = { bytes: 4 * 1024 * 1024, items: 20_000, depth: 64 };

/**
 * The reason why a message is not of a protocol; `message` is for people. Not an Error: guesses fail
 * all the time, and the stack of an Error takes longer than the guess.
 */
export class Fault {
  constructor(message) {
    this.message = message;
  }
}

/** Returned by the reader of a list without a length at the list's end. */
export const END = Symbol("end");

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UNSHOWN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/** Bytes as text, or null if they are not UTF-8. */
export function utf8(bytes) {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/** Bytes as text, or null if they are not UTF-8 that people read. */
export function readable(bytes) {
  const text = utf8(bytes);
  return text === null || UNSHOWN.test(text) ? null : text;
}

/** The text of a message, binary ones included. */
export function textOf({ text, bytes }) {
  if (typeof text === "string") return text;
  const found = bytes ? utf8(bytes) : null;
  if (found === null) throw new Fault("the message is binary and not UTF-8 text");
  return found;
}

/** The bytes of a message, those of its text if it is text. */
export function bytesOf({ text, bytes }) {
  return bytes ?? new TextEncoder().encode(text ?? "");
}

/** A binary message whose bytes are UTF-8 text, as a text message; null for any other message. */
export function asText(message) {
  const { text, bytes } = message;
  if (typeof text === "string" || !(bytes instanceof Uint8Array) || bytes.length < 2 || bytes.length > LIMITS.bytes) return null;
  // Most binary messages show in their first bytes that they are no text.
  for (let at = 0; at < Math.min(bytes.length, 32); at += 1) if (bytes[at] < 32 && bytes[at] !== 10 && bytes[at] !== 13 && bytes[at] !== 9) return null;
  const found = readable(bytes);
  if (found === null) return null;
  return { ...message, text: found, bytes: null, value: /^\s*[[{]/.test(found) ? quietly(found) : undefined };
}

function quietly(text) {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** The JSON value of a message. */
export function jsonOf(message) {
  return message.value === undefined ? parse(textOf(message)) : message.value;
}

/** JSON text as a value; a fault if it is none. A redacted value without quotes is one too. */
export function parse(text) {
  for (const written of text.includes(MARK) ? [text, quoted(text)] : [text]) {
    try {
      return JSON.parse(written);
    } catch { /* the next one, or none */ }
  }
  throw new Fault(`not JSON: ${brief(text, 40)}`);
}

/** The mark of redaction in the place of a secret. */
const MARK = "[redacted]";

/** JSON with quotes around the marks of redaction that stand outside of strings, such as `[1,[redacted]]`. */
function quoted(text) {
  let out = "";
  let done = 0;
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at);
    const mark = text.indexOf(MARK, at);
    if (mark === -1) break;
    if (quote !== -1 && quote < mark) {
      at = skipString(text, quote);
      continue;
    }
    // Characters beside the mark were a part of the same number or word.
    const before = /[-\w.]*$/.exec(text.slice(Math.max(done, mark - 40), mark))[0];
    const behind = /^[-\w.]*/.exec(text.slice(mark + MARK.length, mark + MARK.length + 40))[0];
    const end = mark + MARK.length + behind.length;
    out += `${text.slice(done, mark - before.length)}"${text.slice(mark - before.length, end)}"`;
    done = at = end;
  }
  return out + text.slice(done);
}

/** JSON text as its value, any other text as it is. */
export function maybeJson(text) {
  if (!/^\s*[[{"]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Subprotocols whose content is known. */
const SUBPROTOCOLS = /mqtt|stomp|wamp|ocpp|actioncable|soap|sip|xmpp|graphql|json-?rpc|signalr|phoenix|k8s\.io|jupyter|centrifuge|lsp|amqp|realtime|xmlrpc|msgpack|cbor|protobuf/i;

/** Whether a subprotocol is known and another than those that `own` matches. */
export function isForeign(subprotocol, own) {
  return SUBPROTOCOLS.test(subprotocol ?? "") && !own.test(subprotocol);
}

/** Whether a value is an object with names, neither null nor a list. */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Sets a property, also one named `__proto__`, which must not become the prototype. */
export function put(object, key, value) {
  if (key === "__proto__") Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}

/** Pairs as an object; as `{ entries }` if a key stands twice or is no name. */
export function toMap(pairs) {
  const keys = new Set(pairs.map(([key]) => String(key)));
  if (keys.size < pairs.length || pairs.some(([key]) => typeof key !== "string" && typeof key !== "number")) return { entries: pairs };
  const map = {};
  for (const [key, value] of pairs) put(map, String(key), value);
  return map;
}

/** "1 byte", "1,000 bytes". */
export function amount(number, what = "byte") {
  return `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
}

/** A whole number as a number, or in digits where a number could not hold it. */
export function whole(big) {
  return big <= 9007199254740991n && big >= -9007199254740991n ? Number(big) : String(big);
}

/**
 * Reads bytes from the front. Throws a `Fault` if they do not fit; `fault` keeps the first, so that
 * lists can end with the values before it.
 */
export class Reader {
  #view;
  #purse;
  #depth;
  #quick;
  fault = null;
  at = 0;

  /**
   * `quick` is for a first look: long strings are passed over unread. A reader of a part takes the
   * `purse` of the reader of the whole, so that guesses that fail are paid for too.
   */
  constructor(bytes, { items = LIMITS.items, depth = LIMITS.depth, quick = false, purse = { items } } = {}) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#purse = purse;
    this.#depth = depth;
    this.#quick = quick;
  }

  get purse() { return this.#purse; }
  get left() { return this.bytes.length - this.at; }

  /** Moves on by `length` and says where that started. */
  #step(length) {
    if (length > this.left) throw new Fault(`cut short: ${amount(length)} announced at byte ${this.at}, ${this.left} there`);
    this.at += length;
    return this.at - length;
  }

  u8() { return this.#view.getUint8(this.#step(1)); }
  u16() { return this.#view.getUint16(this.#step(2)); }
  u32(little = false) { return this.#view.getUint32(this.#step(4), little); }
  u64(little = false) { return whole(this.#view.getBigUint64(this.#step(8), little)); }
  i8() { return this.#view.getInt8(this.#step(1)); }
  i16() { return this.#view.getInt16(this.#step(2)); }
  i32(little = false) { return this.#view.getInt32(this.#step(4), little); }
  i64(little = false) { return whole(this.#view.getBigInt64(this.#step(8), little)); }
  f32(little = false) { return this.#view.getFloat32(this.#step(4), little); }
  f64(little = false) { return this.#view.getFloat64(this.#step(8), little); }

  /** A number in sevens of bits, the lowest first, as BigInt: of at most `most` bytes. */
  varint(most) {
    let value = 0n;
    for (let n = 0; n < most; n += 1) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(7 * n);
      if (byte < 0x80) return value;
    }
    throw new Fault(`a number of more than ${most} bytes before byte ${this.at}`);
  }

  take(length) {
    const start = this.#step(Number(length));
    return this.bytes.subarray(start, this.at);
  }

  text(length) {
    const start = this.at;
    const part = this.take(length);
    if (this.#quick && length > 64) return "";
    const text = utf8(part);
    if (text === null) throw new Fault(`text at byte ${start} is not UTF-8`);
    return text;
  }

  /** Pays for one value at a depth. */
  spend(depth) {
    if (depth > this.#depth) throw new Fault(`nested more than ${this.#depth} deep at byte ${this.at}`);
    this.#purse.items -= 1;
    if (this.#purse.items < 0) throw new Fault("more values than are shown");
  }

  /** Runs `read`; after a fault it keeps the fault and gives undefined. */
  attempt(read) {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.fault ??= error.message;
      return undefined;
    }
  }

  /** Up to `length` values or until `END`; after a fault those before it. */
  list(length, read) {
    const list = [];
    while (list.length < length) {
      const value = this.attempt(read);
      if (value === END) break;
      if (value !== undefined) list.push(value);
      if (this.fault) break;
    }
    return list;
  }

  /** Up to `length` pairs, the one with the fault included if its key was read. */
  map(length, key, value) {
    return toMap(this.list(length, () => {
      const name = key();
      if (name === END) return END;
      if (this.fault) return undefined;
      return [name, this.attempt(value) ?? null];
    }));
  }
}

/** A value in one line of at most about `most` characters, without walking all of it. */
export function brief(value, most = 120) {
  let out = "";
  const room = () => most - out.length;
  const write = (value, depth) => {
    if (typeof value === "string") {
      out += JSON.stringify(value.length > room() + 1 ? `${value.slice(0, Math.max(1, room()))}…` : value);
    } else if (value instanceof Uint8Array) {
      out += `<${amount(value.length)}>`;
    } else if (Array.isArray(value)) {
      out += "[";
      each(value, value.length, (item) => write(item, depth + 1), depth);
      out += "]";
    } else if (typeof value === "object" && value !== null) {
      const keys = firstKeys(value);
      out += "{";
      each(keys, keys.length, (key) => { out += `${key.slice(0, 40)}: `; write(value[key], depth + 1); }, depth);
      out += "}";
    } else {
      out += String(value);
    }
  };
  const each = (list, length, one, depth) => {
    for (let n = 0; n < length; n += 1) {
      if (n > 0) out += ", ";
      if (room() <= 0 || depth > 4) { out += "…"; return; }
      one(list[n]);
    }
  };
  write(value, 0);
  return out;
}

/** A name in a line: text as it is, anything else as `brief` writes it. */
export function word(value, most = 80) {
  return typeof value === "string" ? value.slice(0, most) : brief(value, most);
}

function firstKeys(object, most = 50) {
  const keys = [];
  for (const key in object) {
    if (keys.push(key) >= most) break;
  }
  return keys;
}

/**
 * A copy of a value that a tree view can show: only JSON types, bytes as `{ bytes, hex }` (and
 * `text` if it reads as such), no deeper and no larger than the limits; members that are undefined
 * are left out, as JSON does. `cut` names the missing part.
 */
export function shown(value, { items = LIMITS.items, depth = LIMITS.depth } = {}) {
  let left = items;
  let cut = null;
  const copy = (value, deep) => {
    left -= 1;
    if (typeof value === "bigint") return whole(value);
    if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
    if (value === undefined) return null;
    if (typeof value !== "object" || value === null) return value;
    if (value instanceof Uint8Array) return binary(value);
    if (deep >= depth) {
      cut ??= `nested more than ${depth} deep; what is deeper is not shown`;
      return "…";
    }
    if (Array.isArray(value)) {
      const list = [];
      for (const item of value) {
        if (spent()) break;
        list.push(copy(item, deep + 1));
      }
      return list;
    }
    const object = {};
    for (const key in value) {
      if (!Object.hasOwn(value, key) || value[key] === undefined) continue;
      if (spent()) break;
      put(object, key, copy(value[key], deep + 1));
    }
    return object;
  };
  const spent = () => {
    if (left > 0) return false;
    cut ??= `only the first ${items.toLocaleString("en")} values are shown`;
    return true;
  };
  return { value: copy(value, 0), cut };
}

function binary(bytes) {
  const text = bytes.length > 0 && bytes.length <= 65_536 ? readable(bytes) : null;
  return { bytes: bytes.length, hex: toHex(bytes, 64), ...(text === null ? {} : { text }) };
}
