// What is sent: text and bytes as they are, other values as JSON, or an error.

import { WstapError } from "./codes.js";

/** @param {string} what */
const refused = (what) => new WstapError("malformed", what);

/** Returns a copy of bytes, or null for another value. @param {any} data */
function bytesOf(data) {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  const isBuffer = data instanceof ArrayBuffer || (typeof SharedArrayBuffer === "function" && data instanceof SharedArrayBuffer);
  return isBuffer ? new Uint8Array(data).slice() : null;
}

/** @param {unknown} data @returns {data is Blob} */
const isBlob = (data) => typeof Blob === "function" && data instanceof Blob;

/** @param {string} text */
function wellFormed(text) {
  // A WebSocket would replace half a pair by another character.
  if (/** @type {any} */ (text).isWellFormed?.() === false) throw refused("a text with half a surrogate pair cannot be sent as it is");
  return text;
}

/**
 * Refuses what JSON would change or drop without a word. Members that are `undefined` are left out, as
 * everywhere in JavaScript.
 * @this {any}
 * @param {string} key
 * @param {any} value
 */
function exact(key, value) {
  const original = this[key];
  const place = key === "" ? "" : ` (${key})`;
  if (bytesOf(original) || isBlob(original)) throw refused(`bytes inside JSON would be lost${place}; send them alone, or as text`);
  if (original instanceof Map || original instanceof Set || original instanceof Promise) throw refused(`JSON has no ${original.constructor.name}${place}`);
  if (original instanceof Date && Number.isNaN(original.getTime())) throw refused(`JSON has no invalid date${place}`);
  if (typeof value === "number" && !Number.isFinite(value)) throw refused(`JSON has no ${value}${place}`);
  const isOdd = typeof value === "bigint" || typeof value === "function" || typeof value === "symbol";
  if (isOdd || (value === undefined && (key === "" || Array.isArray(this)))) throw refused(`JSON has no ${typeof value}${place}`);
  return value;
}

/** Returns a value as JSON text. @param {any} value */
export function json(value) {
  try {
    return JSON.stringify(value, exact);
  } catch (error) {
    throw error instanceof WstapError ? error : refused(/** @type {Error} */ (error).message);
  }
}

/**
 * Returns what a WebSocket sends for a value.
 * @param {any} data
 * @returns {string | Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>}
 */
export function payload(data) {
  if (typeof data === "string") return wellFormed(data);
  if (isBlob(data)) return data.arrayBuffer().then((buffer) => new Uint8Array(buffer));
  return bytesOf(data) ?? json(data);
}

/** @param {Uint8Array} bytes */
function toBase64(bytes) {
  let text = "";
  for (let from = 0; from < bytes.length; from += 8192) text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  return btoa(text);
}

/** Returns bytes from base64. @param {string} text */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/**
 * Returns the command that publishes a value to a channel.
 * @param {string} channel
 * @param {any} message
 * @returns {string | Promise<string>}
 */
export function publication(channel, message) {
  const command = (/** @type {Uint8Array} */ bytes) => json({ type: "publish", params: { channel, message: toBase64(bytes), encoding: "base64" } });
  if (isBlob(message)) return message.arrayBuffer().then((buffer) => command(new Uint8Array(buffer)));
  const bytes = bytesOf(message);
  if (bytes) return command(bytes);
  // The value alone decides, so that an error names its own place.
  return `{"type":"publish","params":{"channel":${json(channel)},"message":${json(message)}}}`;
}

/** Returns the object in a text, or null. @param {string} text @returns {any} */
export function objectIn(text) {
  if (!text.startsWith("{")) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
