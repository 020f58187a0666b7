// GraphQL over WebSocket: graphql-transport-ws, and the older subprotocol that is called graphql-ws
// (of subscriptions-transport-ws). The words tell them apart where the subprotocol is not known.

import { Fault, amount, brief, isObject, jsonOf, word } from "./bounded.js";

const BOTH = ["connection_init", "connection_ack", "error", "complete"];
const NEW = ["ping", "pong", "subscribe", "next"];
const OLD = ["connection_error", "connection_terminate", "ka", "start", "stop", "data", "connection_keep_alive"];
const TYPES = new Set([...BOTH, ...NEW, ...OLD]);

/** Words that other protocols use too, and which say little without an id. */
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
  return { summary: words.filter(Boolean).join(" "), fields: { protocol, type, id, operation, payload }, error };
}

/** The operation of a query: that which is named, else the first. */
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

export const graphql = {
  name: "graphql",
  title: "GraphQL over WebSocket",
  fit({ subprotocol, path, text, value }) {
    if (typeof text !== "string") return 0;
    if (/^graphql-(transport-)?ws$/i.test(subprotocol ?? "")) return 100;
    if (!isObject(value) || !TYPES.has(value.type)) return 0;
    if (!COMMON.has(value.type)) return 85;
    if (/graphql/i.test(path ?? "")) return 80;
    if (isObject(value.payload) && ("query" in value.payload || "data" in value.payload)) return 75;
    return typeof value.id === "string" ? 40 : 8;
  },
  decode,
};
