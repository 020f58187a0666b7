// Model: counts events by time, each once. The server counts its history up to an event; until it is
// known which one, the ids of what the stream brings are kept, and then only later ones count. No DOM.

import { BUCKET } from "./density.js";

/** Events that are kept while the server counts. The oldest go first: the server counts those. */
const MOST = 500_000;

export class Tally {
  /** Milliseconds and sequence numbers in turn, or null once it is known where to begin. */
  #kept = [];
  #after = [0, -1];
  #counts = new Map();

  /** Takes the line of an event. Lines without an id, such as gaps, do not count. */
  add(line) {
    if (!line.startsWith('{"id":"')) return;
    const ms = parseInt(line.slice(7, 27), 10);
    const seq = parseInt(line.slice(line.indexOf("-", 7) + 1, line.indexOf("-", 7) + 21), 10);
    if (!(ms > 0)) return;
    if (this.#kept === null) return this.#count(ms, seq);
    this.#kept.push(ms, seq);
    if (this.#kept.length > 2 * MOST) this.#kept.splice(0, MOST);
    return undefined;
  }

  /** Counts what is later than an event; with "" everything. */
  after(id) {
    if (this.#kept === null) return;
    if (id !== "") this.#after = id.split("-").map(Number);
    const kept = this.#kept;
    this.#kept = null;
    for (let at = 0; at < kept.length; at += 2) this.#count(kept[at], kept[at + 1]);
  }

  #count(ms, seq) {
    const [afterMs, afterSeq] = this.#after;
    if (ms < afterMs || (ms === afterMs && seq <= afterSeq)) return;
    const begin = ms - (ms % BUCKET);
    this.#counts.set(begin, (this.#counts.get(begin) ?? 0) + 1);
  }

  get isEmpty() {
    return this.#counts.size === 0;
  }

  /** The counts `[ms, n]` since the last call. */
  take() {
    const counts = [...this.#counts];
    this.#counts.clear();
    return counts;
  }
}
