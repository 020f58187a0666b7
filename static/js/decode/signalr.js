// SignalR of ASP.NET Core: the JSON protocol, whose records end with 0x1e, and the MessagePack
// protocol, whose records have their length in front. Both begin with a handshake in JSON.

import { Fault, LIMITS, Reader, brief, bytesOf, isObject, parse, textOf, word } from "./bounded.js";
import { item } from "./msgpack.js";

const TYPES = [null, "invocation", "stream item", "completion", "stream invocation", "cancel invocation", "ping", "close", "ack", "sequence"];
const RECORD = "\u001e";

/** Records of a message that are shown; others are counted. */
const MOST = 200;

function decode(message) {
  const binary = typeof message.text !== "string";
  const bytes = binary ? bytesOf(message) : null;
  // The handshake is text even where it is sent as a binary message.
  const list = binary && bytes[bytes.length - 1] !== 0x1e ? packed(bytes) : written(textOf(message));
  const { records, more, error } = list;
  if (records.length === 0) throw new Fault(error ?? "the message is empty");
  if (more > 0) records.push({ type: `${more.toLocaleString("en")} more records` });
  const summary = (records.length > 1 ? `${records.length} records: ` : "") + records.slice(0, 12).map(line).join("; ");
  return { summary, fields: records.length === 1 ? records[0] : records, error, links: records.flatMap(linksOf) };
}

function linksOf({ type, invocationId }) {
  if (type === "handshake") return [{ ask: "handshake" }];
  if (type === "handshake answer") return [{ answer: "handshake" }];
  if (invocationId === undefined || invocationId === null) return [];
  const key = word(invocationId, 80);
  if (type === "invocation" || type === "stream invocation") return [{ ask: key }];
  if (type === "stream item") return [{ answer: key, more: true }];
  return type === "completion" ? [{ answer: key }] : [];
}

function written(text) {
  const parts = text.split(RECORD, MOST + 1);
  const last = text.endsWith(RECORD);
  const records = [];
  let error = last ? undefined : "the last record has no end (0x1e); it may be cut";
  for (const part of parts.slice(0, MOST)) {
    if (part === "") continue;
    try {
      records.push(record(parse(part)));
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      error = fault.message;
      break;
    }
  }
  return { records, more: parts.length > MOST && !error ? countOf(text) - MOST : 0, error };
}

function countOf(text) {
  let count = 0;
  for (let at = text.indexOf(RECORD); at >= 0; at = text.indexOf(RECORD, at + 1)) count += 1;
  return count;
}

function record(value) {
  if (!isObject(value)) throw new Fault("a record is no object");
  if (value.protocol !== undefined) return { type: "handshake", protocol: value.protocol, version: value.version };
  if (value.type === undefined) return { type: "handshake answer", error: value.error };
  const { type, ...rest } = value;
  return { type: kindOf(type), ...rest };
}

function kindOf(type) {
  return (Number.isInteger(type) ? TYPES[type] : null) ?? `type ${brief(type, 20)}`;
}

function packed(bytes) {
  const purse = { items: LIMITS.items };
  const reader = new Reader(bytes, { purse });
  const records = [];
  let more = 0;
  while (reader.left > 0 && !reader.fault) {
    const part = reader.attempt(() => reader.take(reader.varint(5)));
    if (reader.fault) break;
    if (records.length >= MOST) {
      more += 1;
      continue;
    }
    const own = new Reader(part, { purse });
    const value = own.attempt(() => item(own));
    if (own.fault || own.left > 0 || !Array.isArray(value)) reader.fault = own.fault ?? "a record is no list";
    else records.push(named(value));
  }
  return { records, more, error: reader.fault ?? undefined };
}

/** The members of a record by their names, as the protocol lists them. */
function named([type, ...rest]) {
  const name = kindOf(type);
  const headers = isObject(rest[0]) && Object.keys(rest[0]).length > 0 ? rest[0] : undefined;
  const invocationId = rest[1] ?? undefined;
  switch (type) {
    case 1:
    case 4: {
      const [, , target, args, streams] = rest;
      return { type: name, headers, invocationId, target, arguments: args, streamIds: streams?.length ? streams : undefined };
    }
    case 2: return { type: name, headers, invocationId, item: rest[2] };
    case 3: {
      // 1 says that an error follows, 2 that nothing does, 3 that a result does.
      const [, , kind, outcome] = rest;
      return { type: name, headers, invocationId, ...(kind === 1 ? { error: outcome } : { result: outcome }) };
    }
    case 5: return { type: name, headers, invocationId };
    case 7: return { type: name, error: rest[0] ?? null, allowReconnect: rest[1] };
    case 8:
    case 9: return { type: name, sequenceId: rest[0] };
    default: return { type: name, rest: rest.length > 0 ? rest : undefined };
  }
}

function line(record) {
  const { type, target, invocationId, protocol, version, item, result, error, sequenceId } = record;
  const words = [type];
  if (target !== undefined) words.push(`${word(target)}(${called(record.arguments)})`);
  if (invocationId !== undefined) words.push(`#${word(invocationId, 40)}`);
  if (protocol !== undefined) words.push(`${word(protocol, 40)} version ${brief(version, 10)}`);
  if (item !== undefined) words.push(brief(item));
  if (result !== undefined) words.push(brief(result));
  if (error) words.push(`error: ${brief(error)}`);
  if (sequenceId !== undefined) words.push(brief(sequenceId, 20));
  return words.join(" ");
}

function called(args) {
  return Array.isArray(args) ? brief(args, 140).slice(1, -1) : "";
}

/** Whether bytes are a handshake or records: lengths that chain to the end, each before a list with a type. */
function chains(bytes) {
  if (bytes[bytes.length - 1] === 0x1e && bytes[0] === 0x7b && (bytes[1] === 0x22 || bytes[1] === 0x7d)) return true;
  const reader = new Reader(bytes);
  for (let n = 0; n < 20 && reader.left > 0; n += 1) {
    const part = reader.take(reader.varint(5));
    if (part.length < 2 || part[0] < 0x91 || part[0] > 0x97 || part[1] < 1 || part[1] > 9) return false;
  }
  return bytes.length > 0;
}

export const signalr = {
  name: "signalr",
  title: "SignalR",
  owns: true,
  fit({ text, bytes }) {
    if (typeof text === "string") return text.endsWith(RECORD) && text.startsWith("{") ? 92 : 0;
    return bytes && chains(bytes) ? 78 : 0;
  },
  decode,
};
