// Link: the page's end of the worker, and its own requests to the server.

import { here } from "./server.js";
import { compareIds, idOf } from "../model/event.js";
import { all, isAll, toQuery } from "../model/query.js";

/** Events that a fresh stream begins with. */
const PAST = 2000;

export class Feed {
  #worker;
  #on;
  #session = 0;
  #selecting = null;
  #isOpen = false;
  #counted = null;
  #number = 0;
  #full = new Map();
  #scans = new Map();

  /** The decoders: `[{ name, title }]`. */
  names = [];

  /**
   * `on.batch(lines, counts, briefs)`, `on.state(state)`, `on.roster(part)`,
   * `on.labels(pairs)`, `on.briefs(pairs)`, `on.note(words)`.
   */
  constructor(on) {
    this.#on = on;
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#take(data);
    this.#worker.onerror = () => on.state({ state: "broken", words: "the part of this page that reads the stream did not start; reloading the page may help" });
  }

  #take(data) {
    if (data.type === "roster") return this.#on.roster(data);
    if (data.type === "names") {
      this.names = data.names;
      return undefined;
    }
    if (data.type === "briefs") return this.#on.briefs(data.briefs);
    if (data.type === "scanned") return this.#scanned(data);
    if (data.type === "note") return this.#on.note(data.words);
    if (data.type === "full") {
      this.#full.get(data.number)?.(data.result);
      return this.#full.delete(data.number);
    }
    if (data.type === "labels") return this.#on.labels(data.labels);
    if (data.type === "batch") this.#worker.postMessage({ type: "taken" });
    if (data.session !== this.#session) return undefined;
    if (data.type === "batch") return this.#on.batch(data.lines, data.counts, data.briefs);
    return this.#on.state(data);
  }

  /** Decodes lines that are in sight; `past` if they are no part of the stream. The briefs come by `on.briefs`. */
  ask(lines, past) {
    this.#worker.postMessage({ type: "ask", lines, past });
  }

  /** Resolves with a message as its decoder reads it: `{ name, summary, fields, error, fits, of }`, or null. */
  full(line) {
    return this.#request({ type: "full", line });
  }

  /** Adds the decoder of a module, or those of a descriptor set; resolves with `{ title }` or `{ error }`. */
  learn(decoder) {
    return this.#request({ type: "learn", ...decoder });
  }

  #request(message) {
    this.#number += 1;
    this.#worker.postMessage({ ...message, number: this.#number });
    return new Promise((done) => this.#full.set(this.#number, done));
  }

  /** Decodes a connection by a decoder of the reader's choice, "off", or null for the one that fits. */
  choose(connection, name) {
    this.#worker.postMessage({ type: "choose", connection, name });
  }

  /**
   * Follows the stream as a view selects. The stream does not search text: past events with it are
   * asked for first, and the stream continues after them. Resolves with `{ since, lines }` of such a
   * search: the id of the first event whose decoded form was searched, "" for all, or null for none, and
   * the lines that only their decoded form has selected.
   */
  async follow(view, silence) {
    const mine = this.#session += 1;
    this.#isOpen = false;
    this.#counted = null;
    const isSearch = view.text !== "";
    // Decoders need the messages that a search leaves out, so that the worker selects.
    const asked = isSearch ? { ...all(), connections: view.connections, filter: view.filter } : { ...view, since: null, until: null };
    const isPartial = view.filter !== "" || (!isSearch && (view.direction !== "" || view.channels.length > 0));
    const order = { type: "open", base: document.baseURI, query: toQuery(asked).toString(), view: isSearch ? { ...view, since: null, until: null } : null, past: PAST, lastId: "", silence, session: mine, selects: !isAll(asked), partial: isPartial };
    let told = { since: null, lines: [] };
    if (isSearch) {
      try {
        order.lastId = (await json("api/info")).now.lastEventId ?? "";
        told = order.lastId === "" ? { since: "", lines: [] } : await this.#search(order.view, order.lastId, () => mine === this.#session);
      } catch {
        // The stream will say what is wrong.
      }
      if (mine !== this.#session) return told;
    }
    this.#worker.postMessage(order);
    this.#isOpen = true;
    if (this.#counted !== null) this.countAfter(this.#counted);
    return told;
  }

  /** Shows the past events with the text of a view, as they were sent and as they are decoded. */
  async #search(view, last, isCurrent) {
    const decoded = this.scan({ view, last, isNewest: true });
    const lines = (await this.lines(`${toQuery(view)}&order=desc&limit=${PAST}&format=ndjson`)).reverse();
    const { lines: found = [], briefs = [], since = null, fault } = await decoded;
    const known = new Set(lines.map(idOf));
    const more = found.filter((line) => !known.has(idOf(line)));
    const merged = more.length === 0 ? lines : [...lines, ...more].sort((a, b) => compareIds(idOf(a), idOf(b)));
    if (isCurrent()) this.#on.batch(merged, [], briefs);
    return { since: fault === undefined ? since : null, lines: more };
  }

  /**
   * Looks for the text of a view in decoded messages up to the event `last`. Calls `report` with what
   * was found, and resolves with the last report. Another scan of the same kind, of the newest events or
   * of the history, ends this one.
   */
  scan({ view, last, isNewest = false }, report = () => {}) {
    this.#number += 1;
    const number = this.#number;
    for (const [other, scan] of this.#scans) {
      if (scan.isNewest !== isNewest) continue;
      this.#scans.delete(other);
      scan.end({});
    }
    this.#worker.postMessage({ type: "scan", number, base: document.baseURI, view, last, isNewest });
    return new Promise((end) => this.#scans.set(number, { isNewest, report, end }));
  }

  /** Ends the scan of the history. */
  stopScan() {
    this.#worker.postMessage({ type: "stop" });
  }

  #scanned(data) {
    const scan = this.#scans.get(data.number);
    if (!scan) return;
    scan.report(data);
    if (!data.isDone) return;
    this.#scans.delete(data.number);
    scan.end(data);
  }

  /** Counts only events of the stream that are later than one: the server has counted the rest. */
  countAfter(id) {
    this.#counted = id;
    if (this.#isOpen) this.#worker.postMessage({ type: "counted", id, session: this.#session });
  }

  /** Reads a file instead. */
  file(file) {
    this.#session += 1;
    this.#worker.postMessage({ type: "file", file, session: this.#session });
  }

  /** Shows the part of the file that a view selects. */
  select(view) {
    clearTimeout(this.#selecting);
    this.#session += 1;
    const message = { type: "select", view, session: this.#session };
    this.#selecting = setTimeout(() => this.#worker.postMessage(message));
  }

  /** Says which part of the connections is in sight. */
  roster(view) {
    this.#worker.postMessage({ type: "roster", view });
  }

  /** Forgets the connections that are closed. */
  forget() {
    this.#worker.postMessage({ type: "forget" });
  }

  /** Tries again at once. */
  now() {
    this.#worker.postMessage({ type: "now" });
  }

  /** The line of one event. */
  async one(id) {
    const response = await fetch(here(`api/events/${encodeURIComponent(id)}`), { cache: "no-store" });
    if (!response.ok) throw await problem(response);
    return (await response.text()).trim();
  }

  /** The lines of a finite answer. */
  async lines(query) {
    const response = await fetch(here(`api/events?${query}`), { cache: "no-store" });
    if (!response.ok) throw await problem(response);
    return (await response.text()).split("\n").filter((line) => line !== "");
  }
}

/** Asks for JSON; rejects with an Error that has `status`, `code` and `position`. */
export async function json(path) {
  let response;
  try {
    response = await fetch(here(path), { cache: "no-store" });
  } catch {
    throw new Error("the server does not answer");
  }
  if (!response.ok) throw await problem(response);
  return response.json();
}

async function problem(response) {
  const body = await response.json().catch(() => ({}));
  const error = new Error(body.detail ?? `the server answers ${response.status}`);
  return Object.assign(error, { status: response.status, code: body.code, position: body.position });
}
