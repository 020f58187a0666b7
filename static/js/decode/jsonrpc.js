// JSON-RPC 2.0 and its batches, and protocols of the same form without a version, such as DevTools.

import { Fault, brief, isObject, jsonOf, word } from "./bounded.js";

const CODES = new Map([
  [-32700, "parse error"], [-32600, "invalid request"], [-32601, "method not found"],
  [-32602, "invalid params"], [-32603, "internal error"],
]);

/** Members of a batch that are shown; others are counted. */
const MOST = 200;

function sort(value) {
  if (!isObject(value)) return null;
  if (typeof value.method === "string") return "id" in value ? "request" : "notification";
  if (!("id" in value)) return null;
  if (isObject(value.error)) return "error";
  return "result" in value ? "response" : null;
}

function decode(message) {
  const value = jsonOf(message);
  if (!Array.isArray(value)) return one(value);
  if (value.length === 0) throw new Fault("an empty batch, which JSON-RPC does not allow");
  const list = [];
  const faults = [];
  for (const each of value.slice(0, MOST)) {
    try {
      list.push(one(each));
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      faults.push(fault.message);
      list.push({ summary: "?", fields: { kind: "unknown", value: each } });
    }
  }
  if (faults.length === list.length) throw new Fault(faults[0]);
  const fields = list.map((each) => each.fields);
  const links = list.flatMap((each) => each.links ?? []);
  if (value.length > MOST) fields.push({ kind: `${(value.length - MOST).toLocaleString("en")} more` });
  return { summary: `batch of ${value.length}: ${list.slice(0, 12).map((each) => each.summary).join("; ")}`, fields, error: faults[0], links };
}

/** Decodes one message, which is no batch. */
export function one(value) {
  const kind = sort(value);
  if (!kind) throw new Fault("neither a request nor a response of JSON-RPC");
  const { jsonrpc, id, method, params, result, error, ...rest } = value;
  const meant = isObject(error) && CODES.has(error.code) ? { meaning: CODES.get(error.code), ...error } : error;
  const fields = { kind, jsonrpc: jsonrpc ?? "no version", id, method, params, result, error: meant, ...rest };
  const key = id === undefined || id === null ? null : brief(id, 80);
  const links = key === null || kind === "notification" ? [] : [kind === "request" ? { ask: key } : { answer: key }];
  return { summary: line(kind, value), fields, links };
}

function line(kind, { id, method, params, result, error }) {
  const which = id === undefined ? "" : ` #${word(id, 40)}`;
  switch (kind) {
    case "request": return `${method.slice(0, 100)}(${inner(params)})${which}`;
    case "notification": return `notify ${method.slice(0, 100)}(${inner(params)})`;
    case "error": return `error${which}: ${brief(error.code, 10)} ${brief(error.message ?? CODES.get(error.code) ?? "", 140)}`;
    default: return `result${which}: ${brief(result, 160)}`;
  }
}

function inner(params) {
  return params === undefined ? "" : brief(params, 140).replace(/^[[{](.*)[\]}]$/s, "$1");
}

export const jsonrpc = {
  name: "jsonrpc",
  title: "JSON-RPC 2.0",
  fit({ subprotocol, text, value }) {
    if (typeof text !== "string") return 0;
    if (/json-?rpc/i.test(subprotocol ?? "")) return 100;
    const first = Array.isArray(value) ? value[0] : value;
    if (isObject(first) && first.jsonrpc === "2.0") return 92;
    const kind = Array.isArray(value) ? null : sort(value);
    return kind === "notification" ? 20 : kind ? 45 : 0;
  },
  decode,
};
