// What rides on WebSockets, taken apart for people: which decoders fit a message, and what one of
// them makes of it. Pure; no DOM. Nothing that a message holds makes it throw or run on.
//
// A message is `{ subprotocol, path, opcode, direction, text, bytes, value }`: `path` with its query;
// `direction` "in" or "out", if known; `text` a string or null; `bytes` a Uint8Array or null; `value`
// the parsed JSON or undefined. All may be left out but one of `text` and `bytes`.

import { visible } from "../model/text.js";
import { Fault, LIMITS, shown } from "./bounded.js";
import { cbor } from "./cbor.js";
import { graphql } from "./graphql.js";
import { jsonrpc } from "./jsonrpc.js";
import { mqtt } from "./mqtt.js";
import { msgpack } from "./msgpack.js";
import { phoenix } from "./phoenix.js";
import { protobuf } from "./protobuf.js";
import { pusher } from "./pusher.js";
import { signalr } from "./signalr.js";
import { socketio } from "./socketio.js";
import { stomp } from "./stomp.js";

const DECODERS = [socketio, graphql, stomp, signalr, phoenix, mqtt, pusher, jsonrpc, msgpack, cbor, protobuf];
const BY_NAME = new Map(DECODERS.map((decoder) => [decoder.name, decoder]));
const CONTROL = new Set([8, 9, 10, "close", "ping", "pong"]);

/** Characters of a summary: more than a row shows. */
const LINE = 300;

/** All decoders with their titles for people, as `{ name, title }`. */
export const names = DECODERS.map(({ name, title }) => ({ name, title }));

/**
 * The names of the decoders that fit a message, the best first; none for plain text, JSON of no
 * known protocol, and control frames. Looks at the start of the message only, so it may be asked
 * for every row.
 */
export function decodersFor(message) {
  if (!message || CONTROL.has(message.opcode)) return [];
  const fits = [];
  for (const decoder of DECODERS) {
    const fit = fitOf(decoder, message);
    if (fit > 0) fits.push({ name: decoder.name, fit });
  }
  return fits.sort((a, b) => b.fit - a.fit).map(({ name }) => name);
}

function fitOf(decoder, message) {
  try {
    return decoder.fit(message);
  } catch {
    return 0;
  }
}

/**
 * What a decoder makes of a message: `{ name, summary, fields, error }`. `summary` is one line;
 * `fields` is a value for a tree, only of what JSON has, at most 20,000 values and 64 deep; `error`
 * is there if something is wrong or missing, `fields` then has what was read before.
 *
 * `state` is an object, at first empty, for one direction of one connection, from which a decoder
 * knows what an earlier message began; its messages are then decoded in order, each once. A view
 * that jumps about replays some messages before the one it shows with a fresh object. `state.peer`
 * may be the state of the other direction. Without a state each message stands alone.
 */
export function decode(name, message, state = {}) {
  const decoder = BY_NAME.get(name);
  if (!decoder) return failed(name, "there is no such decoder");
  try {
    const size = message.bytes?.length ?? message.text?.length ?? 0;
    if (size > LIMITS.bytes) {
      state[name] = undefined;
      return failed(name, `a message of ${size.toLocaleString("en")} bytes is more than is decoded (${LIMITS.bytes.toLocaleString("en")})`);
    }
    const { summary, fields, error } = decoder.decode(message, state ?? {});
    const { value, cut } = shown(fields);
    const wrong = error ?? cut;
    return { name, summary: line(summary), fields: value, ...(wrong ? { error: line(wrong) } : {}) };
  } catch (error) {
    return failed(name, error instanceof Fault ? error.message : `gave up: ${error?.message}`);
  }
}

function failed(name, error) {
  return { name, summary: `not decoded: ${line(error)}`, fields: null, error: line(error) };
}

/** Text on one line, with an end. */
function line(text) {
  const whole = text.length <= LINE ? text : `${text.slice(0, LINE).replace(/[\ud800-\udbff]$/, "")}…`;
  return visible(whole);
}
