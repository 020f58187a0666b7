// The decoders of WebSocket subprotocols: which of them fit a message, and the decoded message. Pure;
// no DOM. No message makes it throw or run without a bound.
//
// A message is `{ subprotocol, path, opcode, direction, text, bytes, value }`: `path` with its query;
// `direction` "in" or "out", if known; `text` a string or null; `bytes` a Uint8Array or null; `value`
// the parsed JSON or undefined. Only one of `text` and `bytes` is required.
//
// A decoder is `{ name, title, fit(message), decode(message, state) }`. `fit` returns 0 for a message
// that it does not decode, up to 100 for a message that is certainly its own. `decode` returns
// `{ summary, fields, error, row, links, part }`; all but `summary` and `fields` are optional. `row` is a
// shorter summary for a list. `part` says that a later message completes this one. `links` join requests and answers: `{ ask: key }` for a message that
// expects an answer, `{ answer: key, more }` for one that answers the request with that key of the
// other direction; `more` if further answers may follow, `end` if it only ends them. `owns` says that all messages of a connection
// belong to the protocol once one did. `pending(state)` says that a packet is not complete yet, and
// `forget(state)` drops it, after a message was lost.

import { visible } from "../model/text.js";
import { actioncable } from "./actioncable.js";
import { Fault, LIMITS, asText, shown } from "./bounded.js";
import { cbor } from "./cbor.js";
import { centrifugo } from "./centrifugo.js";
import { graphql } from "./graphql.js";
import { hocuspocus } from "./hocuspocus.js";
import { jsonrpc } from "./jsonrpc.js";
import { jupyter } from "./jupyter.js";
import { kubernetes } from "./kubernetes.js";
import { lsp } from "./lsp.js";
import { mqtt } from "./mqtt.js";
import { msgpack } from "./msgpack.js";
import { ocpp } from "./ocpp.js";
import { phoenix } from "./phoenix.js";
import { protobuf } from "./protobuf.js";
import { pusher } from "./pusher.js";
import { realtime } from "./realtime.js";
import { signalr } from "./signalr.js";
import { socketio } from "./socketio.js";
import { sockjs } from "./sockjs.js";
import { stomp } from "./stomp.js";
import { wamp } from "./wamp.js";
import { yjs } from "./yjs.js";

const DECODERS = [
  socketio, graphql, stomp, signalr, phoenix, mqtt, pusher, jsonrpc, lsp, wamp, ocpp, actioncable, centrifugo,
  sockjs, jupyter, yjs, hocuspocus, kubernetes, realtime, msgpack, cbor, protobuf,
];
const BY_NAME = new Map(DECODERS.map((decoder) => [decoder.name, decoder]));
const CONTROL = new Set([8, 9, 10, "close", "ping", "pong"]);

/** Characters of a summary: more than a row shows. */
const LINE = 300;

/** The fit from which a message is taken to be of a protocol without other evidence. */
export const LIKELY = 60;

/** Links of a message; a batch has a few. */
const LINKS = 50;

/** All decoders with their titles, as `{ name, title }`. */
export const names = DECODERS.map(({ name, title }) => ({ name, title }));

/** Adds decoders, in the place of those of the same names; a prefix in `instead` removes others. */
export function add(decoders, instead = null) {
  const goes = ({ name }) => decoders.some((one) => one.name === name) || (instead !== null && name.startsWith(instead));
  for (const list of [DECODERS, names]) {
    const kept = list.filter((one) => !goes(one));
    list.splice(0, list.length, ...kept);
  }
  DECODERS.push(...decoders);
  names.push(...decoders.map(({ name, title }) => ({ name, title })));
  BY_NAME.clear();
  for (const decoder of DECODERS) BY_NAME.set(decoder.name, decoder);
}

/** Whether a packet that began in an earlier message of this direction waits for its rest. */
export const pending = (name, state) => BY_NAME.get(name)?.pending?.(state) === true;

/** Whether all messages of a connection belong to a decoder once one did. */
export const owns = (name) => BY_NAME.get(name)?.owns === true;

/**
 * The decoders that fit a message as `{ name, fit }`, the best first; none for plain text, JSON of no
 * known protocol, and control frames. A binary message that is UTF-8 text fits as text too.
 */
export function fitsOf(message) {
  if (!message || CONTROL.has(message.opcode)) return [];
  const text = asText(message);
  const fits = [];
  for (const decoder of DECODERS) {
    if (decoder.byHand) continue;
    const fit = Math.max(fitOf(decoder, message), text ? fitOf(decoder, text) - 1 : 0);
    if (fit > 0) fits.push({ name: decoder.name, fit });
  }
  return fits.sort((a, b) => b.fit - a.fit);
}

/** The names of the decoders that fit a message, the best first. */
export function decodersFor(message) {
  return fitsOf(message).map(({ name }) => name);
}

function fitOf(decoder, message) {
  try {
    return decoder.fit(message);
  } catch {
    return 0;
  }
}

/** The form of a message that a decoder reads: as it is, or the text of its bytes. */
function formFor(decoder, message) {
  const text = asText(message);
  return text && fitOf(decoder, message) === 0 && fitOf(decoder, text) > 0 ? text : message;
}

/**
 * Decodes a message: `{ name, summary, row, fields, error, links }`. `summary` and `row` are one line;
 * `fields` is a value for a tree, only of JSON types, at most 20,000 values and 64 deep; `error` is
 * present if something is wrong or missing, `fields` then holds the part before it.
 *
 * `state` is an object, at first empty, for one direction of one connection. Messages are decoded in
 * order, each once. `state.peer` may be the state of the other direction. Without a state each message
 * is decoded alone.
 */
export function decode(name, message, state = {}) {
  const decoder = BY_NAME.get(name);
  if (!decoder) return failed(name, "there is no such decoder");
  try {
    const size = message.bytes?.length ?? message.text?.length ?? 0;
    if (size > LIMITS.bytes) {
      forget(state);
      return failed(name, `a message of ${size.toLocaleString("en")} bytes is more than is decoded (${LIMITS.bytes.toLocaleString("en")})`);
    }
    return result(name, decoder.decode(formFor(decoder, message), state ?? {}, (inner) => nested(decoder, inner, state ?? {})));
  } catch (error) {
    return failed(name, error instanceof Fault ? error.message : `gave up: ${error?.message}`);
  }
}

/** A message within a message, by the decoder that has begun one or fits best; null if none is likely. */
function nested(outer, message, state) {
  const others = DECODERS.filter((decoder) => decoder !== outer && !decoder.byHand);
  const begun = others.find((decoder) => decoder.pending?.(state));
  const [best] = others.map((decoder) => ({ decoder, fit: fitOf(decoder, message) })).sort((a, b) => b.fit - a.fit);
  const chosen = begun ?? (best.fit >= LIKELY ? best.decoder : null);
  if (!chosen) return null;
  try {
    return { name: chosen.name, ...chosen.decode(message, state, () => null) };
  } catch (error) {
    if (error instanceof Fault) return null;
    throw error;
  }
}

/** The output of a decoder, made fit to show: bounded, one line where one line is expected. */
export function result(name, { summary, row, fields, error, links, part }) {
  const { value, cut } = shown(fields);
  const wrong = error ?? cut;
  return {
    name,
    summary: line(summary),
    ...(row === undefined ? {} : { row: line(row) }),
    fields: value,
    ...(part === true ? { part } : {}),
    ...(wrong ? { error: line(wrong) } : {}),
    ...(Array.isArray(links) && links.length > 0 ? { links: links.slice(0, LINKS) } : {}),
  };
}

/** Drops unfinished packets, after messages that were not seen. Facts such as a version stay. */
export function forget(state) {
  if (!state) return;
  for (const decoder of DECODERS) decoder.forget?.(state);
}

function failed(name, error) {
  return { name, summary: `not decoded: ${line(error)}`, fields: null, error: line(error) };
}

/** Text on one line, bounded. */
function line(text) {
  const all = String(text);
  const whole = all.length <= LINE ? all : `${all.slice(0, LINE).replace(/[\ud800-\udbff]$/, "")}…`;
  return visible(whole);
}
