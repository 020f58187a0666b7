// Phoenix channels: serializer V1 (an object), V2 (a list of five), and the binary form of V2.

import { Fault, Reader, brief, bytesOf, isObject, jsonOf, word } from "./bounded.js";

/** Refs are strings in the client of Phoenix, numbers in some others. */
const isRef = (value) => value === null || typeof value === "string" || Number.isInteger(value);

function isV2(value) {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [joinRef, ref, topic, event] = value;
  return isRef(joinRef) && isRef(ref) && typeof topic === "string" && typeof event === "string";
}

function isV1(value) {
  return isObject(value) && typeof value.topic === "string" && typeof value.event === "string" && "payload" in value;
}

function decode(message) {
  const isText = typeof message.text === "string" || message.value !== undefined;
  const fields = isText ? written(jsonOf(message)) : binary(bytesOf(message), message.direction);
  return { summary: line(fields), fields, links: linksOf(fields) };
}

function linksOf({ event, kind, ref }) {
  if (ref === null || ref === undefined) return [];
  return [event === "phx_reply" || kind === "reply" ? { answer: `${ref}` } : { ask: `${ref}` }];
}

function written(value) {
  if (isV2(value)) {
    const [joinRef, ref, topic, event, payload] = value;
    return { serializer: "V2", topic, event, ref, joinRef, payload };
  }
  if (!isV1(value)) throw new Fault("neither a list of join ref, ref, topic, event, payload (V2) nor an object with topic, event, payload (V1)");
  const { topic, event, payload, ref = null, join_ref: joinRef = null } = value;
  return { serializer: "V1", topic, event, ref, joinRef, payload };
}

/** A push of a client has a ref, a push of the server has none: the sizes differ by one. */
function binary(bytes, direction) {
  switch (bytes[0]) {
    case 0: {
      const sent = () => parts(bytes, "push", ["joinRef", "ref", "topic", "event"]);
      const got = () => parts(bytes, "push", ["joinRef", "topic", "event"]);
      if (direction === "in") return sent();
      if (direction === "out") return got();
      return fitting(sent) ?? fitting(got) ?? sent();
    }
    case 1: return parts(bytes, "reply", ["joinRef", "ref", "topic", "status"]);
    case 2: return parts(bytes, "broadcast", ["topic", "event"]);
    default: throw new Fault("no binary message of Phoenix: those begin with 0, 1 or 2");
  }
}

/** A reading whose topic and event are names, or null. */
function fitting(read) {
  try {
    const fields = read();
    return isName(fields.topic) && isName(fields.event) && /^\d*$/.test(fields.ref ?? "") && /^\d*$/.test(fields.joinRef) ? fields : null;
  } catch (error) {
    if (error instanceof Fault) return null;
    throw error;
  }
}

const isName = (text) => /^[!-~]+$/.test(text);

function parts(bytes, kind, names) {
  const reader = new Reader(bytes);
  reader.u8();
  const sizes = names.map(() => reader.u8());
  const fields = { serializer: "V2, binary", kind };
  names.forEach((name, n) => { fields[name] = reader.text(sizes[n]); });
  if (kind === "reply") fields.event = "phx_reply";
  return { ...fields, payload: reader.take(reader.left) };
}

function line({ topic, event, ref, status, payload }) {
  const answer = status ?? (event === "phx_reply" && isObject(payload) ? payload.status : undefined);
  const content = answer !== undefined && isObject(payload) && "response" in payload ? payload.response : payload;
  const words = [topic.slice(0, 100), event.slice(0, 100)];
  if (answer !== undefined) words.push(word(answer, 40));
  if (ref !== null && ref !== undefined && ref !== "") words.push(`#${word(ref, 40)}`);
  words.push(brief(content, 140));
  return words.join(" ");
}

export const phoenix = {
  name: "phoenix",
  title: "Phoenix channels",
  owns: true,
  fit({ path, text, bytes, value }) {
    const known = /[?&]vsn=[12]\./.test(path ?? "");
    if (typeof text === "string") {
      if (isV2(value)) return known ? 97 : 76;
      return isV1(value) ? (known || "ref" in value ? 88 : 45) : 0;
    }
    if (!bytes || bytes[0] > 2 || bytes.length < 4) return 0;
    const fields = binary(bytes);
    if (!isName(fields.topic) || !isName(fields.event)) return 0;
    return known ? 97 : 50;
  },
  decode,
};
