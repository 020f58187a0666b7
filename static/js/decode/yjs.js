// Yjs as y-websocket sends it: the sync and awareness protocols of y-protocols.

import { Fault, Reader, amount, brief, maybeJson } from "./bounded.js";
import { bytes, part, string, varuint } from "./lib0.js";
import { line, stateVector, update } from "./yjs-update.js";

/** Reads a message of the sync protocol: `{ summary, fields, links }`. */
export function sync(reader, key = "sync") {
  const step = varuint(reader);
  const inner = part(reader);
  switch (step) {
    case 0: {
      const state = inner.attempt(() => stateVector(inner)) ?? {};
      return { summary: `sync step 1, ${amount(Object.keys(state).length, "client")}`, fields: { type: "sync step 1", state }, error: inner.fault ?? undefined, links: [{ ask: key }] };
    }
    case 1: return { ...changes(inner, "sync step 2"), links: [{ answer: key }] };
    case 2: return changes(inner, "update");
    default: throw new Fault(`no step of the sync protocol has the number ${step}`);
  }
}

function changes(inner, type) {
  const found = inner.attempt(() => update(inner));
  // The second encoding of updates begins with a byte of zero and features; it is not taken apart.
  if (!found || inner.left > 0) return { summary: `${type}, ${amount(inner.bytes.length)}`, fields: { type, update: inner.bytes }, error: inner.fault ?? undefined };
  return { summary: `${type}: ${line(found)}`, fields: { type, ...found } };
}

/** Reads states of the awareness protocol. */
export function awareness(reader) {
  const inner = part(reader);
  const clients = [];
  for (let left = varuint(inner); left > 0; left -= 1) {
    inner.spend(1);
    clients.push({ client: varuint(inner), clock: varuint(inner), state: maybeJson(string(inner)) });
  }
  const said = clients.slice(0, 4).map(({ client, state }) => `${client} ${state === "null" ? "left" : brief(state, 80)}`);
  return { summary: `awareness ${said.join(", ")}`, fields: { type: "awareness", clients: clients.map((one) => (one.state === "null" ? { ...one, state: null } : one)) } };
}

function decode(message) {
  const reader = new Reader(message.bytes ?? new Uint8Array(0));
  if (reader.left === 0) throw new Fault("the message is empty");
  const type = varuint(reader);
  switch (type) {
    case 0: return sync(reader);
    case 1: return awareness(reader);
    case 2: {
      const reason = varuint(reader) === 0 ? string(reader) : "";
      return { summary: `permission denied ${reason}`, fields: { type: "auth", reason } };
    }
    case 3: return { summary: "query awareness", fields: { type: "query awareness" } };
    default: throw new Fault(`no message of y-websocket has the number ${type}`);
  }
}

/** How well bytes read as a message that ends where its lengths say. */
export function shape(all, at = 0) {
  const reader = new Reader(all.subarray(at));
  const type = reader.u8();
  if (type === 3) return reader.left === 0 ? 20 : 0;
  if (type > 1) return 0;
  const step = type === 0 ? reader.u8() : 0;
  if (step > 2) return 0;
  const inner = bytes(reader);
  if (reader.left > 0) return 0;
  const own = new Reader(inner, { items: 500 });
  if (type === 1) return inner.length > 2 && isAwareness(own) ? 86 : 0;
  const value = own.attempt(() => (step === 0 ? stateVector(own) : update(own)));
  return value !== undefined && own.left === 0 ? (inner.length > 3 ? 80 : 62) : 0;
}

function isAwareness(reader) {
  for (let left = varuint(reader); left > 0; left -= 1) {
    reader.spend(1);
    varuint(reader);
    varuint(reader);
    if (!/^(\{.*\}|null)$/s.test(string(reader))) return false;
  }
  return reader.left === 0;
}

export const yjs = {
  name: "yjs",
  title: "Yjs (y-websocket)",
  owns: true,
  fit: ({ bytes: all }) => (all && all.length > 1 ? shape(all) : 0),
  decode,
};
