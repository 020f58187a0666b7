// WAMP 2 (https://wamp-proto.org): lists that begin with the number of a message type, in JSON,
// MessagePack or CBOR.

import { item as cborItem } from "./cbor.js";
import { Fault, Reader, brief, jsonOf, parse, textOf, word } from "./bounded.js";
import { item as packItem } from "./msgpack.js";

/** The message types with the names of their members (section 5 of the specification). */
const TYPES = new Map([
  [1, ["HELLO", "realm", "details"]],
  [2, ["WELCOME", "session", "details"]],
  [3, ["ABORT", "details", "reason", "args", "kwargs"]],
  [4, ["CHALLENGE", "method", "extra"]],
  [5, ["AUTHENTICATE", "signature", "extra"]],
  [6, ["GOODBYE", "details", "reason"]],
  [8, ["ERROR", "of", "request", "details", "error", "args", "kwargs"]],
  [16, ["PUBLISH", "request", "options", "topic", "args", "kwargs"]],
  [17, ["PUBLISHED", "request", "publication"]],
  [32, ["SUBSCRIBE", "request", "options", "topic"]],
  [33, ["SUBSCRIBED", "request", "subscription"]],
  [34, ["UNSUBSCRIBE", "request", "subscription"]],
  [35, ["UNSUBSCRIBED", "request"]],
  [36, ["EVENT", "subscription", "publication", "details", "args", "kwargs"]],
  [48, ["CALL", "request", "options", "procedure", "args", "kwargs"]],
  [49, ["CANCEL", "request", "options"]],
  [50, ["RESULT", "request", "details", "args", "kwargs"]],
  [64, ["REGISTER", "request", "options", "procedure"]],
  [65, ["REGISTERED", "request", "registration"]],
  [66, ["UNREGISTER", "request", "registration"]],
  [67, ["UNREGISTERED", "request"]],
  [68, ["INVOCATION", "request", "registration", "details", "args", "kwargs"]],
  [69, ["INTERRUPT", "request", "options"]],
  [70, ["YIELD", "request", "options", "args", "kwargs"]],
]);

/** The type of the request that a type answers. */
const ANSWERS = { PUBLISHED: 16, SUBSCRIBED: 32, UNSUBSCRIBED: 34, RESULT: 48, REGISTERED: 64, UNREGISTERED: 66, YIELD: 68 };
const REQUESTS = new Set([16, 32, 34, 48, 64, 66, 68]);

/** Messages of a batch that are shown, and names that are kept of a connection. */
const MOST = 200;
const NAMES = 1000;

const OWN = /^wamp\./;

function decode(message, state) {
  const lists = typeof message.text === "string" ? written(message) : [packed(message)];
  const own = (state.wamp ??= { asked: new Map(), names: new Map() });
  const list = lists.slice(0, MOST).map((one) => named(one, own, state.peer?.wamp));
  return {
    summary: list.map(line).join("; "),
    fields: list.length === 1 ? list[0] : list,
    links: list.flatMap(linksOf),
  };
}

/** JSON; the messages of a batch end with 0x1e. */
function written(message) {
  const text = textOf(message);
  if (!text.includes("\u001e")) return [jsonOf(message)];
  return text.split("\u001e", MOST).filter((part) => part !== "").map(parse);
}

function packed({ bytes, subprotocol }) {
  const reader = new Reader(bytes);
  const value = /cbor/.test(subprotocol ?? "") ? cborItem(reader) : packItem(reader);
  if (reader.fault) throw new Fault(reader.fault);
  return value;
}

/** The members of a message by name; topics and procedures are known by their ids from then on. */
function named(list, own, peer) {
  const type = Array.isArray(list) ? TYPES.get(list[0]) : undefined;
  if (!type) throw new Fault("no WAMP message: it is no list that begins with a message type");
  const [name, ...members] = type;
  const fields = { type: name };
  members.forEach((member, n) => { if (list[n + 1] !== undefined) fields[member] = list[n + 1]; });
  if (name === "ERROR") fields.of = TYPES.get(list[1])?.[0] ?? list[1];
  if (name === "SUBSCRIBE" || name === "REGISTER") keep(own.asked, `${name} ${fields.request}`, fields.topic ?? fields.procedure);
  if (name === "SUBSCRIBED") keep(own.names, `EVENT ${fields.subscription}`, peer?.asked.get(`SUBSCRIBE ${fields.request}`));
  if (name === "REGISTERED") keep(own.names, `INVOCATION ${fields.registration}`, peer?.asked.get(`REGISTER ${fields.request}`));
  if (name === "EVENT") fields.topic = own.names.get(`EVENT ${fields.subscription}`);
  if (name === "INVOCATION") fields.procedure = own.names.get(`INVOCATION ${fields.registration}`);
  return fields;
}

function keep(map, key, value) {
  if (value !== undefined && map.size < NAMES) map.set(key, value);
}

function linksOf({ type, of, request }) {
  const number = [...TYPES].find(([, [name]]) => name === (type === "ERROR" ? of : type))?.[0];
  if (type === "HELLO") return [{ ask: "hello" }];
  if (type === "WELCOME" || type === "ABORT") return [{ answer: "hello" }];
  if (type === "ERROR") return [{ answer: `${number} ${request}` }];
  if (ANSWERS[type]) return [{ answer: `${ANSWERS[type]} ${request}` }];
  return REQUESTS.has(number) ? [{ ask: `${number} ${request}` }] : [];
}

function line({ type, of, realm, topic, procedure, subscription, registration, request, reason, error, args, kwargs }) {
  const words = [type];
  if (of !== undefined) words.push(`of ${of}`);
  const where = realm ?? topic ?? procedure ?? reason ?? error;
  if (where !== undefined) words.push(word(where));
  else if (subscription !== undefined && type === "EVENT") words.push(`of subscription ${subscription}`);
  else if (registration !== undefined && type === "INVOCATION") words.push(`of registration ${registration}`);
  if (Array.isArray(args)) words.push(brief(args, 140).slice(1, -1));
  if (kwargs !== undefined) words.push(brief(kwargs, 140));
  if (request !== undefined) words.push(`#${request}`);
  return words.filter(Boolean).join(" ");
}

/** Whether a list reads as a message: its type is known, and ids and dictionaries are in their places. */
function looks(value) {
  if (!Array.isArray(value) || !TYPES.has(value[0]) || value.length < 2 || value.length > 7) return false;
  const isMap = (one) => typeof one === "object" && one !== null && !Array.isArray(one);
  if (value[0] <= 6) return value.some(isMap) && value.some((one) => typeof one === "string" || Number.isInteger(one));
  return Number.isInteger(value[1]) && (value.length === 2 || isMap(value[2]) || Number.isInteger(value[2]));
}

export const wamp = {
  name: "wamp",
  title: "WAMP",
  owns: true,
  fit({ subprotocol, text, bytes, value }) {
    if (OWN.test(subprotocol ?? "")) {
      if (typeof text === "string") return 100;
      // A list of 2 to 7, as MessagePack and CBOR begin one; their own decoders fit by the subprotocol with 100.
      return bytes && [0x90, 0x80].includes(bytes[0] & 0xf0) && (bytes[0] & 0x0f) >= 2 && (bytes[0] & 0x0f) <= 7 ? 101 : 0;
    }
    if (typeof text !== "string" || !looks(value)) return 0;
    return value[0] === 1 || value[0] === 2 ? 70 : 50;
  },
  decode,
};
