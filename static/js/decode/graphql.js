// GraphQL over WebSocket: graphql-transport-ws, and the older subprotocol that is called graphql-ws
// (of subscriptions-transport-ws). The types of messages tell them apart where the subprotocol is unknown.

import { Fault, amount, brief, isForeign, isObject, jsonOf, word } from "./bounded.js";

const BOTH = ["connection_init", "connection_ack", "error", "complete"];
const NEW = ["ping", "pong", "subscribe", "next"];
const OLD = ["connection_error", "connection_terminate", "ka", "start", "stop", "data", "connection_keep_alive"];
const TYPES = new Set([...BOTH, ...NEW, ...OLD]);

/** Types that other protocols use too. */
const COMMON = new Set(["error", "complete", "ping", "pong", "subscribe", "next", "start", "stop", "data", "ka"]);

function decode(message) {
  const value = jsonOf(message);
  if (!isObject(value) || typeof value.type !== "string") throw new Fault("no GraphQL message: it has no type");
  const { type, id, payload } = value;
  const protocol = NEW.includes(type) ? "graphql-transport-ws" : OLD.includes(type) ? "graphql-ws (older)" : message.subprotocol || "either";
  const operation = isObject(payload) && typeof payload.query === "string" ? named(payload) : undefined;
  const words = [type];
  if (id !== undefined) words.push(`#${word(id, 40)}`);
  if (operation) words.push(operation.kind, operation.name ?? "(unnamed)", payload.variables ? brief(payload.variables, 80) : "");
  else if (payload !== undefined) words.push(content(type, payload));
  const error = TYPES.has(type) ? undefined : `neither protocol has the type ${brief(type, 40)}`;
  return { summary: words.filter(Boolean).join(" "), fields: { protocol, type, id, operation, payload }, error, links: linksOf(type, id) };
}

function linksOf(type, id) {
  switch (type) {
    case "connection_init": return [{ ask: "init" }];
    case "connection_ack": case "connection_error": return [{ answer: "init" }];
    case "ping": return [{ ask: "ping" }];
    case "pong": return [{ answer: "ping" }];
    case "subscribe": case "start": return [{ ask: `#${word(id, 80)}` }];
    case "next": case "data": return [{ answer: `#${word(id, 80)}`, more: true }];
    // The end of a subscription is no answer to it: its first result is.
    case "complete": return [{ answer: `#${word(id, 80)}`, end: true }];
    case "error": return [{ answer: `#${word(id, 80)}` }];
    default: return [];
  }
}

/** Members of a message; an object with others is of another protocol. */
const MEMBERS = new Set(["type", "id", "payload"]);

/** The operation of a query: the named one, else the first. */
function named({ query, operationName }) {
  const start = query.slice(0, 2000).replace(/#.*/g, "");
  const [, kind, name] = /\b(query|mutation|subscription)\b\s*([A-Za-z_]\w*)?/.exec(start.replace(/^\s*\{.*/s, "")) ?? [];
  return { kind: kind ?? "query", name: (typeof operationName === "string" ? operationName : name) ?? null };
}

function content(type, payload) {
  if (type === "error" && Array.isArray(payload)) return payload.slice(0, 3).map((one) => String(one?.message ?? "").slice(0, 100)).join("; ");
  const errors = isObject(payload) && Array.isArray(payload.errors) ? payload.errors.length : 0;
  if (errors > 0) return `${brief(payload.data ?? null, 100)}, ${amount(errors, "error")}`;
  return brief(isObject(payload) && "data" in payload ? payload.data : payload, 160);
}

const OWN = /^graphql-(transport-)?ws$/i;

export const graphql = {
  name: "graphql",
  title: "GraphQL over WebSocket",
  owns: true,
  fit({ subprotocol, path, text, value }) {
    if (typeof text !== "string") return 0;
    if (OWN.test(subprotocol ?? "")) return 100;
    // Neither another known subprotocol nor a member that GraphQL does not have is GraphQL.
    if (isForeign(subprotocol, OWN)) return 0;
    if (!isObject(value) || !TYPES.has(value.type) || !Object.keys(value).every((key) => MEMBERS.has(key))) return 0;
    if (!COMMON.has(value.type)) return 85;
    if (/graphql/i.test(path ?? "")) return 80;
    if (isObject(value.payload) && ("query" in value.payload || "data" in value.payload)) return 75;
    return typeof value.id === "string" ? 40 : 8;
  },
  decode,
};
