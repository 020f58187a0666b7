// Model: the connections, as the server's list and events describe them. Lists and events arrive in any
// order, so that an older one never overrides a newer one. Bounded; no DOM.

import { compareIds } from "./event.js";
import { isMade, label, program } from "./label.js";

/** What the list can be sorted by: larger and newer first, names from a to z. */
const ORDERS = {
  state: (a, b) => b.open - a.open || b.since - a.since,
  name: (a, b) => (a.name || a.id).localeCompare(b.name || b.id, "en", { numeric: true }),
  rate: (a, b) => b.rate.in + b.rate.out - (a.rate.in + a.rate.out) || b.messages.in + b.messages.out - (a.messages.in + a.messages.out),
  messages: (a, b) => b.messages.in + b.messages.out - (a.messages.in + a.messages.out),
  bytes: (a, b) => b.bytes.in + b.bytes.out - (a.bytes.in + a.bytes.out),
  age: (a, b) => a.since - b.since,
  newest: (a, b) => b.since - a.since,
};

/** Milliseconds by which a beginning that was computed from a duration may differ. */
const CLOSE = 5;

export const SORTS = Object.keys(ORDERS);

export class Roster {
  #most;
  #byId = new Map();
  #closed = 0;
  /** How many connections of each path have a number. */
  #numbers = new Map();
  /** Connections whose name may be new. */
  #unnamed = new Set();
  /** Connections that are not listed: those that did not fit, and those that were forgotten. */
  unlisted = 0;

  constructor(most = 20_000) {
    this.#most = most;
  }

  /**
   * Takes the list of connections, live ones or those of a recording, as `/api/connections` answers a request
   * of a time.
   */
  snapshot(live, now, asked = now - 2000) {
    const there = new Set();
    for (const connection of live) {
      there.add(connection.connectionId);
      const known = this.#at(connection.connectionId);
      if (known) this.#update(known, connection, now);
    }
    for (const known of this.#byId.values()) {
      // A connection that began after the request may be missing in the list.
      if (known.open && !there.has(known.id) && known.seen < asked) this.#close(known, null, now);
    }
  }

  #update(known, connection, now) {
    const since = Date.parse(connection.since) || 0;
    // The list is older than the close that has arrived meanwhile.
    if (!known.open && known.closed && !connection.closed && since <= known.ended) return;
    if (!known.open) {
      this.#closed -= 1;
      known.since = 0;
      known.agent = "";
    }
    const seconds = (now - known.counted) / 1000;
    const rate = (way) => (known.counted > 0 && seconds > 0 ? Math.max(0, (connection.messages[way] - known.messages[way]) / seconds) : 0);
    known.rate = { in: rate("in"), out: rate("out") };
    known.counted = now;
    known.seen = now;
    known.open = true;
    known.closed = null;
    known.since = since || known.since;
    known.path = connection.path;
    known.transport = connection.transport ?? "websocket";
    known.remote = connection.remote;
    known.messages = connection.messages;
    known.bytes = connection.bytes;
    known.roundTrip = connection.roundTrip ?? null;
    known.user = connection.user ?? "";
    known.channels = connection.channels ?? [];
    if (connection.closed) {
      this.#close(known, null, Date.parse(connection.closed.time) || 0);
      known.closed = { ...connection.closed, status: connection.closed.status ?? undefined };
    }
    this.#unnamed.add(known);
  }

  /** Takes the value of an event; `now` by the clock of the snapshots, `count` where no server counts. */
  see(event, time, { now = time, count = false } = {}) {
    if (typeof event?.connectionId !== "string") return;
    const known = this.#at(event.connectionId);
    if (!known) return;
    if (event.kind === "connect" || event.kind === "close") {
      const isStale = !count && known.last !== "" && compareIds(event.id ?? "", known.last) <= 0;
      if (isStale) {
        // An older event still describes the connection, unless an even older one of the same id.
        if (event.kind === "connect" && Math.abs(known.since - time) < CLOSE) describe(known, event);
        this.#unnamed.add(known);
        return;
      }
      // A list of the past may contain the close of an older connection of the same id.
      if (time < known.since && known.path !== "") return;
      known.last = event.id ?? "";
      if (event.kind === "connect") this.#connect(known, event, time, now);
      else this.#close(known, event, time);
      this.#unnamed.add(known);
    } else if (event.kind === "message" && count) {
      const way = event.direction === "out" ? "out" : "in";
      known.messages = { ...known.messages, [way]: known.messages[way] + 1 };
      known.bytes = { ...known.bytes, [way]: known.bytes[way] + (event.size ?? 0) };
      known.since ||= time;
    } else if ((event.kind === "join" || event.kind === "leave") && count) {
      // A recording tells of users; who came first and who went last is all that it has.
      const others = known.channels.filter((name) => name !== event.channel);
      known.channels = event.kind === "join" ? [...others, event.channel] : others;
      known.user = event.user === known.id ? "" : (event.user ?? "");
    }
  }

  #connect(known, event, time, now) {
    if (!known.open) this.#closed -= 1;
    // The list may have the connection already, with its counts.
    if (!known.open || known.since !== time) Object.assign(known, fresh(known.id), { since: time, seen: now, last: known.last });
    describe(known, event);
  }

  #close(known, event, time) {
    if (known.open) this.#closed += 1;
    known.open = false;
    known.rate = { in: 0, out: 0 };
    known.ended = time;
    if (!event) return;
    known.closed = { ...event.close, status: event.status };
    known.transport = event.transport ?? known.transport;
    known.messages = event.messages ?? known.messages;
    known.bytes = event.bytes ?? known.bytes;
    known.path ||= event.path ?? "";
    known.remote ||= event.remote ?? "";
    if (typeof event.duration === "number") known.since = time - event.duration * 1000;
  }

  get open() {
    return this.#byId.size - this.#closed;
  }

  get size() {
    return this.#byId.size;
  }

  /** Names that are new since the last call: `[id, name]`, for ids that the server has made. */
  names() {
    const made = [...this.#unnamed].filter((known) => known.path !== "" && isMade(known.id, known.since)).sort((a, b) => a.since - b.since);
    this.#unnamed.clear();
    const found = [];
    for (const known of made) {
      known.number ||= this.#next(known.path.split("?")[0]);
      const name = label(known);
      if (name !== known.name) found.push([known.id, name]);
      known.name = name;
    }
    return found;
  }

  #next(path) {
    const number = (this.#numbers.get(path) ?? 0) + 1;
    if (this.#numbers.size > this.#most) this.#numbers.clear();
    this.#numbers.set(path, number);
    return number;
  }

  /** A part of the list: `{ total, all, open, unlisted, rows }`. */
  window({ sort = "state", reverse = false, search = "", from = 0, count = 100 } = {}) {
    const text = search.toLowerCase();
    let found = [...this.#byId.values()];
    if (text) found = found.filter((one) => [one.id, one.name, one.path, one.remote, one.user, ...one.channels].some((part) => part.toLowerCase().includes(text)));
    found.sort(ORDERS[sort] ?? ORDERS.state);
    if (reverse) found.reverse();
    return { total: found.length, all: this.size, open: this.open, unlisted: this.unlisted, from, rows: found.slice(from, from + count) };
  }

  /** Forgets those that are closed. */
  clear() {
    for (const known of this.#byId.values()) if (!known.open) this.#byId.delete(known.id);
    this.#closed = 0;
    this.unlisted = 0;
  }

  #at(id) {
    const known = this.#byId.get(id);
    if (known) return known;
    if (this.#byId.size >= this.#most) {
      this.unlisted += 1;
      if (this.#closed === 0) return null;
      this.#forget();
    }
    const made = fresh(id);
    this.#byId.set(id, made);
    return made;
  }

  /** Forgets a tenth of those that are closed, the oldest first, so that this costs little each. */
  #forget() {
    let left = Math.max(1, Math.floor(this.#closed / 10));
    for (const known of this.#byId.values()) {
      if (known.open) continue;
      this.#byId.delete(known.id);
      this.#closed -= 1;
      if ((left -= 1) === 0) return;
    }
  }
}

function fresh(id) {
  return {
    id, name: "", number: 0, agent: "", open: true, since: 0, seen: 0, counted: 0, ended: 0, last: "", transport: "websocket", path: "", remote: "", user: "", channels: [], closed: null, roundTrip: null,
    messages: { in: 0, out: 0 }, bytes: { in: 0, out: 0 }, rate: { in: 0, out: 0 },
  };
}

/** Takes what a connect says of a connection. */
function describe(known, { user, transport, path, remote, headers }) {
  known.user ||= user ?? "";
  known.transport = transport ?? known.transport;
  known.path ||= path ?? "";
  known.remote ||= remote ?? "";
  known.agent ||= program(headers?.["user-agent"]);
}
