// Model: a view, the selection of the reader, as an address and as a query to the server. No DOM.

import { messageJson, valueOf } from "./event.js";

/** Kinds that have a switch. */
export const KINDS = ["connect", "message", "close", "join", "leave", "request"];

/** A view that hides nothing. */
export function all() {
  return { connections: [], channels: [], kinds: [], direction: "", filter: "", text: "", within: "content", since: null, until: null };
}

export function isAll(view) {
  return view.connections.length === 0 && view.channels.length === 0 && view.kinds.length === 0 && view.direction === "" && view.filter === ""
    && view.text === "" && view.since === null && view.until === null;
}

/** Reads the query of the page. Other parameters are ignored. */
export function fromQuery(params) {
  const one = (name) => params.get(name) ?? "";
  const time = (name) => {
    const value = Date.parse(one(name));
    return Number.isNaN(value) ? null : value;
  };
  return {
    connections: params.getAll("connection"),
    channels: params.getAll("channel"),
    kinds: KINDS.filter((kind) => params.getAll("kind").includes(kind)),
    direction: ["in", "out"].includes(one("direction")) ? one("direction") : "",
    filter: one("filter"),
    text: one("text"),
    within: one("within") === "event" ? "event" : "content",
    since: time("since"),
    until: time("until"),
  };
}

/** The query of a page, and of `/api/events`, that shows a view. */
export function toQuery(view, text = true) {
  const params = new URLSearchParams();
  for (const id of view.connections) params.append("connection", id);
  for (const name of view.channels) params.append("channel", name);
  for (const kind of view.kinds) params.append("kind", kind);
  if (view.direction) params.set("direction", view.direction);
  if (view.filter) params.set("filter", view.filter);
  if (text && view.text) {
    params.set("text", view.text);
    params.set("within", view.within ?? "content");
  }
  if (view.since !== null) params.set("since", new Date(view.since).toISOString());
  if (view.until !== null) params.set("until", new Date(view.until).toISOString());
  return params;
}

/**
 * Whether a line has a text: in the content, or anywhere in the event. A text matches as it is, as JSON
 * writes it, and as UTF-8 in the bytes of a binary message. `decoded` is a message as a decoder reads it.
 */
export function holds(raw, text, within = "event", decoded = "") {
  if (text === "") return true;
  const plain = text.toLowerCase();
  const json = JSON.stringify(plain).slice(1, -1);
  const isIn = (part) => part.includes(plain) || part.includes(json);
  if (isIn(decoded.toLowerCase())) return true;
  const isBinary = raw.includes('"encoding":"base64"');
  if (isBinary && folded(bytesOf(raw)).includes(folded(utf8(text)))) return true;
  if (within === "event") return isIn(raw.toLowerCase());
  return !isBinary && isIn(contentOf(raw).toLowerCase());
}

/** The content of an event, the part that an application has made: see content.rs. */
function contentOf(raw) {
  const message = messageJson(raw);
  // The fields of an object with the name of its own client stand behind its message.
  if (message !== null) return raw.includes(',"fields":{') ? raw.slice(raw.indexOf(',"message":')) : message;
  const { kind, path, subprotocol, user, channel, method, close } = valueOf(raw) ?? {};
  const parts = { connect: [path, subprotocol, user], close: [close?.reason, path], join: [channel, user], leave: [channel, user], request: [method, path] }[kind] ?? [];
  return parts.filter((part) => typeof part === "string").join("\n");
}

/** The bytes of a binary message as characters up to U+00FF. */
function bytesOf(raw) {
  try {
    return atob(messageJson(raw)?.slice(1, -1) ?? "");
  } catch {
    return "";
  }
}

/** The bytes of a text in UTF-8, likewise. */
function utf8(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

function folded(bytes) {
  return bytes.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether an event passes all of a view but the expression, which needs the server. */
export function passes(view, raw, event, decoded = "") {
  if (event.name === "gap" || event.name === "hole") return true;
  const isMessage = event.name === "in" || event.name === "out" || event.name === "message";
  return (view.connections.length === 0 || view.connections.includes(event.who))
    && (view.channels.length === 0 || view.channels.includes(event.channel))
    && (view.kinds.length === 0 || view.kinds.includes(isMessage ? "message" : event.name))
    && (view.direction === "" || event.name === view.direction)
    && (view.since === null || event.time >= view.since)
    && (view.until === null || event.time <= view.until)
    && holds(raw, view.text, view.within, decoded);
}

/** Adds a condition to an expression. */
export function both(filter, condition) {
  if (filter.trim() === "" || filter === condition) return condition;
  if (filter.split(" && ").includes(condition)) return filter;
  return /\|\|/.test(filter) && !/^\(.*\)$/.test(filter) ? `(${filter}) && ${condition}` : `${filter} && ${condition}`;
}

/** A value as the expression language writes it. */
export function literal(value) {
  return JSON.stringify(value) ?? "null";
}

/** The conditions of a view in words, each with the view that lacks it; `name(id)` names a connection. */
export function conditions(view, time, name = (id) => id) {
  const found = [];
  const put = (words, change) => found.push({ words, without: { ...view, ...change } });
  for (const id of view.connections) put(`connection ${name(id)}`, { connections: view.connections.filter((other) => other !== id) });
  for (const name of view.channels) put(`channel ${name}`, { channels: view.channels.filter((other) => other !== name) });
  if (view.since !== null || view.until !== null) {
    const end = (ms, otherwise) => (ms === null ? otherwise : time(ms));
    put(`${end(view.since, "the beginning")} – ${end(view.until, "the end")}`, { since: null, until: null });
  }
  if (view.text) put(`text “${view.text}”${view.within === "event" ? ", anywhere in the event" : ""}`, { text: "" });
  if (view.filter) put(view.filter, { filter: "" });
  if (view.direction) put(view.direction === "in" ? "client to server" : "server to client", { direction: "" });
  if (view.kinds.length > 0) put(`only ${view.kinds.join(", ")}`, { kinds: [] });
  return found;
}

/** Views that were saved, in a store such as `localStorage`. */
export class SavedViews {
  #store;

  constructor(store, key = "wstap.views") {
    this.#store = store;
    this.key = key;
  }

  list() {
    try {
      const list = JSON.parse(this.#store.getItem(this.key) ?? "[]");
      return Array.isArray(list) ? list.filter((view) => typeof view?.name === "string" && typeof view?.query === "string") : [];
    } catch {
      return [];
    }
  }

  /** Saves a query under a name; an older one of that name goes. Returns whether there was room. */
  save(name, query) {
    return this.#write([...this.list().filter((view) => view.name !== name), { name, query }]);
  }

  remove(name) {
    return this.#write(this.list().filter((view) => view.name !== name));
  }

  #write(list) {
    try {
      this.#store.setItem(this.key, JSON.stringify(list));
      return true;
    } catch {
      return false;
    }
  }
}
