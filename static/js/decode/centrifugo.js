// The client protocol of Centrifugo and centrifuge (version 2) in JSON: commands, replies and pushes,
// several in a message on a line each. An empty object is a ping of the server and its pong.

import { Fault, brief, isObject, parse, textOf, word } from "./bounded.js";

const METHODS = ["connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "ping", "send", "rpc", "refresh", "sub_refresh"];
const PUSHES = ["pub", "join", "leave", "unsubscribe", "message", "subscribe", "connect", "disconnect", "refresh"];
const OWN = /^centrifuge/;

/** Messages of a frame that are shown; others are counted. */
const MOST = 200;

function decode(message) {
  const lines = textOf(message).split("\n").filter((one) => one.trim() !== "");
  if (lines.length === 0) throw new Fault("the message is empty");
  const list = lines.slice(0, MOST).map((text) => named(parse(text), message.direction));
  const links = list.flatMap(linksOf);
  const fields = list.map(({ fields: one }) => one);
  if (lines.length > MOST) fields.push({ type: `${(lines.length - MOST).toLocaleString("en")} more` });
  return { summary: list.map((one) => one.line).join("; "), fields: fields.length === 1 ? fields[0] : fields, links };
}

function named(value, direction) {
  if (!isObject(value)) throw new Fault("no Centrifugo message: a line is no object");
  if (value.push !== undefined) return push(value.push);
  const { id, error } = value;
  const which = id === undefined ? "" : ` #${word(id, 40)}`;
  if (error !== undefined) return { kind: "answer", id, line: `error${which} ${brief(error?.code, 10)} ${word(error?.message ?? "")}`, fields: { type: "error", ...value } };
  const method = METHODS.find((name) => name in value);
  if (!method) return id === undefined ? { line: direction === "in" ? "pong" : "ping", fields: { type: direction === "in" ? "pong" : "ping" } } : { kind: "answer", id, line: `reply${which}`, fields: { type: "reply", ...value } };
  const body = value[method];
  const kind = direction === "out" ? "answer" : direction === "in" && id !== undefined ? "ask" : undefined;
  const channel = isObject(body) && typeof body.channel === "string" ? ` ${body.channel.slice(0, 100)}` : "";
  const called = method === "rpc" && isObject(body) && typeof body.method === "string" ? ` ${body.method.slice(0, 100)}` : "";
  const rest = isObject(body) ? body.data ?? without(body, "channel") : body;
  const content = isObject(rest) && Object.keys(rest).length === 0 ? "" : ` ${brief(rest, 140)}`;
  return { kind, id, line: `${method}${channel}${called}${content}${which}`, fields: { type: kind === "answer" ? "reply" : "command", id, method, ...(isObject(body) ? body : { body }) } };
}

function push(value) {
  const what = isObject(value) ? PUSHES.find((name) => name in value) ?? "push" : "push";
  const body = isObject(value) ? value[what] : value;
  const channel = isObject(value) && typeof value.channel === "string" ? ` ${value.channel.slice(0, 100)}` : "";
  const content = isObject(body) && body.data !== undefined ? brief(body.data, 160) : brief(body ?? null, 160);
  return { line: `push ${what}${channel} ${content}`, fields: { type: "push", push: what, ...(isObject(value) ? value : { value }) } };
}

function without(object, name) {
  const { [name]: _, ...rest } = object;
  return rest;
}

function linksOf({ kind, id }) {
  if (id === undefined || !kind) return [];
  return [kind === "ask" ? { ask: word(id, 40) } : { answer: word(id, 40) }];
}

export const centrifugo = {
  name: "centrifugo",
  title: "Centrifugo",
  owns: true,
  fit({ subprotocol, path, text, value }) {
    if (typeof text !== "string" || !text.startsWith("{")) return 0;
    if (OWN.test(subprotocol ?? "")) return 100;
    const known = /\/connection\/websocket|centrifug/.test(path ?? "");
    if (known && (value === undefined ? /^\{.*\}\n\{/s.test(text.slice(0, 4000)) : isObject(value))) return 95;
    if (!isObject(value)) return 0;
    const keys = Object.keys(value);
    if (isObject(value.push) && keys.length === 1) return PUSHES.some((name) => name in value.push) ? 88 : 0;
    if (!Number.isInteger(value.id) || keys.length !== 2) return 0;
    const method = METHODS.find((name) => isObject(value[name]));
    return method ? (method === "connect" || method === "subscribe" ? 86 : 60) : 0;
  },
  decode,
};
