// Hocuspocus: the name of a document in front of messages of Yjs and its own.

import { Fault, Reader, brief, maybeJson } from "./bounded.js";
import { string, varuint } from "./lib0.js";
import { awareness, shape, sync } from "./yjs.js";

const AUTH = ["token", "permission denied", "authenticated"];

function decode(message) {
  const reader = new Reader(message.bytes ?? new Uint8Array(0));
  const document = string(reader);
  const { summary, fields, ...rest } = body(reader, document);
  return { summary: `${document.slice(0, 80)} ${summary}`, fields: { document, ...fields }, ...rest };
}

function body(reader, document) {
  const type = varuint(reader);
  switch (type) {
    case 0: case 4: return sync(reader, `sync ${document}`);
    case 1: return awareness(reader);
    case 2: return auth(reader, document);
    case 3: return { summary: "query awareness", fields: { type: "query awareness" } };
    case 5: case 6: {
      const payload = maybeJson(string(reader));
      const name = type === 5 ? "stateless" : "broadcast stateless";
      return { summary: `${name} ${brief(payload, 160)}`, fields: { type: name, payload } };
    }
    case 7: {
      const reason = reader.left > 0 ? string(reader) : "";
      return { summary: `close ${reason}`, fields: { type: "close", reason } };
    }
    case 8: {
      const saved = varuint(reader) === 1;
      return { summary: `sync status ${saved ? "saved" : "not saved"}`, fields: { type: "sync status", saved } };
    }
    case 9: return { summary: "ping", fields: { type: "ping" }, links: [{ ask: "ping" }] };
    case 10: return { summary: "pong", fields: { type: "pong" }, links: [{ answer: "ping" }] };
    default: throw new Fault(`no message of Hocuspocus has the number ${type}`);
  }
}

function auth(reader, document) {
  const kind = varuint(reader);
  const name = AUTH[kind];
  if (!name) throw new Fault(`no message of authentication has the number ${kind}`);
  const value = reader.left > 0 ? string(reader) : "";
  const what = ["token", "reason", "scope"][kind];
  return { summary: `auth ${name} ${value.slice(0, 60)}`, fields: { type: "auth", auth: name, [what]: value }, links: [kind === 0 ? { ask: `auth ${document}` } : { answer: `auth ${document}` }] };
}

export const hocuspocus = {
  name: "hocuspocus",
  title: "Hocuspocus (Yjs)",
  owns: true,
  fit({ bytes: all }) {
    if (!all || all.length < 3 || all[0] < 1) return 0;
    const reader = new Reader(all);
    const document = string(reader);
    if (!/^[!-~\u00a0-\uffff][ -~\u00a0-\uffff\0]*$/.test(document)) return 0;
    const at = reader.at;
    const type = reader.u8();
    if (type === 4) return shape(Uint8Array.from([0, ...all.subarray(at + 1)]));
    if (type < 2) return shape(all, at);
    if (type === 2) {
      const kind = reader.u8();
      if (kind > 2) return 0;
      string(reader);
      return kind === 0 || reader.left === 0 ? 75 : 0;
    }
    if (type === 8) return reader.left === 1 && all[at + 1] < 2 ? 66 : 0;
    if (type === 3) return reader.left === 0 ? 45 : 0;
    if (type !== 5 && type !== 6) return 0;
    string(reader);
    return reader.left === 0 ? 66 : 0;
  },
  decode,
};
