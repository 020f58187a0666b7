// Link: looks for a text in the decoded messages of the server's history, in the worker. The server looks
// at messages as they were sent; a decoder needs all messages of a connection in their order. So that the
// scan reads pages of the history from the oldest to the newest, decodes them, and keeps what it finds.

import { brief } from "../decode/track.js";
import { compareIds, connectionOf, describe, idOf, kindOf, valueOf } from "../model/event.js";
import { holds, passes, toQuery } from "../model/query.js";
import { ServerContext, readLines } from "./context.js";
import { read } from "./interpreter.js";

/** Events that are read at a time. */
const PAGE = 1000;

/** Contexts of connections that began before the scan; further ones are decoded from their first line on. */
const CONTEXTS = 200;

/** The newest events, and the milliseconds of reading them, that are scanned before a live stream. */
const NEWEST = 20_000;
const READING = 1500;

/** Milliseconds between reports. */
const REPORT = 100;

export class Scan {
  #base;
  #view;
  #interpreter;
  #abort = new AbortController();
  #contexts = CONTEXTS;
  #tracks = new Map();

  /** `base` is the address of the pages; the decoders are those of an `Interpreter`. */
  constructor(base, view, interpreter) {
    this.#base = base;
    this.#view = view;
    this.#interpreter = interpreter;
  }

  stop() {
    this.#abort.abort();
  }

  get isStopped() {
    return this.#abort.signal.aborted;
  }

  /** The tracks of connections, `[connection, track]`, as the last line left them. */
  get tracks() {
    return [...this.#tracks].map(([connection, { track }]) => [connection, track]);
  }

  /** All messages of the connections of the view, since decoders need those that it leaves out. */
  get #sequence() {
    const { connections, since, until } = this.#view;
    return toQuery({ ...this.#view, connections, since, until, channels: [], kinds: [], direction: "", filter: "", text: "" });
  }

  #read(query, more, limits = {}) {
    const asked = new URLSearchParams(query);
    for (const [name, value] of Object.entries({ format: "ndjson", ...more })) asked.set(name, String(value));
    return readLines(new URL(`api/events?${asked}`, this.#base), { signal: this.#abort.signal, ...limits });
  }

  /**
   * Scans the history up to the event `last`. Calls `report({ lines, briefs, at, isDone })` with the lines
   * that only the decoded form matches, and the id of the event up to which it has read.
   */
  async history(last, report) {
    const context = this.#view.since === null ? null : new ServerContext(this.#base);
    let at = "";
    let found = [];
    let reported = performance.now();
    for (let isDone = false; !isDone;) {
      const lines = await this.#read(this.#sequence, { limit: PAGE, ...(at && { last_event_id: at }) });
      const before = at;
      at = lines.findLast((line) => idOf(line) !== "") ?? "";
      at = at === "" ? last : idOf(at);
      isDone = at === before || compareIds(at, last) >= 0;
      const hits = await this.#decode(lines, context);
      found.push(...await this.#select(hits.filter(({ line, isSent }) => !isSent && compareIds(idOf(line), last) <= 0), before));
      if (this.isStopped) return;
      if (!isDone && found.length === 0 && performance.now() - reported < REPORT) continue;
      reported = performance.now();
      report({ lines: found.map(({ line }) => line), briefs: found.map(({ line, brief: shown }) => [idOf(line), shown]), at, isDone });
      found = [];
    }
  }

  /**
   * Scans the newest events, up to `last`. Resolves with the lines that match, `{ lines, briefs, since }`;
   * `since` is the id of the first event that was scanned, or "" if it is the first of the history.
   */
  async newest(last) {
    const read = await this.#read(this.#sequence, { limit: NEWEST, order: "desc" }, { ms: READING });
    const isWhole = read.length < NEWEST && !read.some((line) => kindOf(line) === "gap");
    const lines = read.reverse().filter((line) => idOf(line) !== "" && (last === "" || compareIds(idOf(line), last) <= 0));
    const hits = await this.#decode(lines, isWhole ? null : new ServerContext(this.#base));
    const found = await this.#select(hits, "", idOf(lines[0] ?? ""));
    return { lines: found.map(({ line }) => line), briefs: found.map(({ line, brief: shown }) => [idOf(line), shown]), since: isWhole ? "" : idOf(lines[0] ?? "") };
  }

  /** Decodes lines in order; returns those that match, `{ line, brief, isSent }`. */
  async #decode(lines, context) {
    const { text, within } = this.#view;
    const hits = [];
    for (const line of lines) {
      if (this.isStopped) break;
      const shown = await this.#brief(line, context);
      const isSent = holds(line, text, within);
      if (isSent || (shown !== null && holds(line, text, within, shown.row))) hits.push({ line, brief: shown, isSent });
    }
    return hits;
  }

  /** Those of the lines that the view selects. The server evaluates the expression, on its page after `after`. */
  async #select(hits, after) {
    const plain = hits.filter(({ line }) => passes({ ...this.#view, text: "" }, line, describe(line)));
    if (plain.length === 0 || this.#view.filter === "") return plain;
    const more = after === "" ? { limit: NEWEST, order: "desc" } : { limit: PAGE, last_event_id: after };
    const selected = new Set((await this.#read(toQuery({ ...this.#view, text: "" }), more)).map(idOf));
    return plain.filter(({ line }) => selected.has(idOf(line)));
  }

  async #brief(line, context) {
    const kind = kindOf(line);
    const connection = connectionOf(line);
    if (kind === "gap") for (const { track } of this.#tracks.values()) track.lose();
    else if (kind === "connect") this.#tracks.set(connection, { track: this.#interpreter.begin(connection, valueOf(line)) });
    else if (kind === "close") this.#tracks.delete(connection);
    if (kind !== "message" || connection === "") return null;
    const known = this.#tracks.get(connection);
    const entry = known ?? await this.#enter(connection, line, context);
    const { track } = entry;
    // The track of a context has read the line.
    let shown = known || !entry.result ? (track.isDormant ? null : brief(read(track, line))) : entry.result;
    entry.result = null;
    if (this.#interpreter.hasOwn) {
      shown = await this.#interpreter.ownBrief(connection, track, line, !entry.isBegun, `scan ${connection}`) ?? shown;
      entry.isBegun = true;
    }
    return shown;
  }

  /** The track of a connection that began before the scan. Its earlier messages are read if a decoder may know it. */
  async #enter(connection, line, context) {
    const entry = { track: this.#interpreter.begin(connection), result: null };
    const isCandidate = line.includes('"opcode":"binary"') || brief(read(entry.track.fork(), line)) !== null;
    if (context && isCandidate && this.#contexts > 0) {
      this.#contexts -= 1;
      const lines = await context.context(connection, line).catch(() => [line]);
      let result = null;
      entry.track = this.#interpreter.replay(connection, lines, (one, read) => { if (idOf(one) === idOf(line)) result = brief(read); });
      entry.result = result;
    }
    this.#tracks.set(connection, entry);
    return entry;
  }
}
