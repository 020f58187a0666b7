// Pusher Channels, protocol 7, and servers that speak it (Reverb, Soketi). Its data are often JSON in
// a string, which is decoded.

import { Fault, brief, isObject, jsonOf, maybeJson, word } from "./bounded.js";

const OWN = /^(pusher|pusher_internal):/;

function decode(message) {
  const value = jsonOf(message);
  if (!isObject(value) || typeof value.event !== "string") throw new Fault("no Pusher message: it has no event");
  const { event, channel, data, ...rest } = value;
  const inner = typeof data === "string" ? maybeJson(data) : data;
  const dataIs = inner === data ? undefined : "JSON in a string";
  const fields = { event, of: sort(event), channel, data: inner, dataIs, ...rest };
  const where = channel ?? (isObject(inner) ? inner.channel : undefined);
  const words = [event.slice(0, 100)];
  if (where !== undefined) words.push(`on ${word(where)}`);
  if (event === "pusher:error" && isObject(inner)) words.push(brief(inner.code, 10), brief(inner.message));
  else if (event === "pusher:connection_established" && isObject(inner)) words.push(`socket ${brief(inner.socket_id, 40)}`);
  else if (inner !== undefined && !event.endsWith(":subscribe") && !event.endsWith(":unsubscribe")) words.push(brief(inner, 140));
  return { summary: words.join(" "), fields, links: linksOf(event, where) };
}

function linksOf(event, where) {
  switch (event) {
    case "pusher:subscribe": return [{ ask: `subscribe ${word(where)}` }];
    case "pusher_internal:subscription_succeeded": case "pusher:subscription_error": return [{ answer: `subscribe ${word(where)}` }];
    case "pusher:ping": return [{ ask: "ping" }];
    case "pusher:pong": return [{ answer: "ping" }];
    default: return [];
  }
}

function sort(event) {
  if (OWN.test(event)) return "the protocol";
  return event.startsWith("client-") ? "a client" : undefined;
}

export const pusher = {
  name: "pusher",
  title: "Pusher Channels",
  fit({ path, text, value }) {
    if (typeof text !== "string" || !isObject(value) || typeof value.event !== "string") return 0;
    if (OWN.test(value.event)) return 90;
    if (/\/app\/[^/?]+\?(.*&)?protocol=\d/.test(path ?? "")) return 90;
    return typeof value.channel === "string" ? 65 : 0;
  },
  decode,
};
