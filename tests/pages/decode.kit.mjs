// What the tests of the decoders share: messages as the page has them, and a socket that records.

import assert from "node:assert/strict";
import { decode, decodersFor } from "../../static/js/decode/index.js";

/** A message as the page has it, of text or bytes. */
export function message(data, more = {}) {
  if (typeof data !== "string") return { text: null, bytes: new Uint8Array(data), value: undefined, opcode: "binary", ...more };
  let value;
  try {
    value = JSON.parse(data);
  } catch { /* most of them are no JSON */ }
  return { text: data, bytes: null, value, opcode: "text", ...more };
}

/** Decodes by the decoder that fits best, which must be `name`, without an error. */
export function best(name, data, more, state) {
  const all = message(data, more);
  assert.equal(decodersFor(all)[0], name, `of ${typeof data === "string" ? data : Buffer.from(data).toString("hex")}`);
  const result = decode(name, all, state);
  assert.equal(result.error, undefined, result.error);
  return result;
}

/** In place of a socket: opens at once, and keeps what a client sends. */
export function recorder(protocol) {
  const sent = [];
  const sockets = [];
  class Recorder {
    static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3;
    readyState = 1;
    protocol = protocol;
    binaryType = "arraybuffer";
    constructor(url) {
      this.url = url;
      sockets.push(this);
      queueMicrotask(() => this.onopen?.({}));
    }
    send(data) { sent.push(data); }
    close() { this.readyState = 3; this.onclose?.({ code: 1000, reason: "", wasClean: true }); }
    receive(data) { this.onmessage?.({ data }); }
  }
  const until = async (count) => {
    for (let n = 0; sent.length < count; n += 1) {
      assert.ok(n < 1000, `${sent.length} of ${count} messages were sent`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return sent;
  };
  return { Recorder, sent, until, socket: () => sockets.at(-1) };
}

/** The same numbers on every run: a failure can be seen again. */
export function dice(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
