// Link: the batches that the worker hands to the page. One at most every 16 ms, and only while the page
// keeps up; lines that a slow page cannot take are dropped, oldest first, and counted.

import { describe, idOf } from "../model/event.js";
import { passes } from "../model/query.js";
import { Tally } from "../model/tally.js";

/** Batches that the page has not acknowledged. */
const CREDIT = 2;

/** Lines of a batch: more would hold the page up for longer than a frame. */
const BATCH = 4000;

export class Outbox {
  #post;
  #lines = [];
  #briefs = [];
  #chars = 0;
  #tally = new Tally();
  #lost = null;
  #open = 0;
  #most;
  #mostChars;
  /** Only lines that a view selects, if it has a text; the server has applied the expression. */
  view = null;

  /** `post({ lines, counts, briefs })` hands a batch over. */
  constructor(post, most = 50_000, mostChars = 48_000_000) {
    this.#post = post;
    this.#most = most;
    this.#mostChars = mostChars;
  }

  /** Takes a line, and its brief if it was decoded. */
  push(line, brief = undefined) {
    if (this.view !== null && !passes(this.view, line, describe(line), brief?.row ?? "")) return;
    this.#lines.push(line);
    if (brief !== undefined) this.#briefs.push([idOf(line), brief]);
    this.#chars += line.length;
    this.#tally.add(line);
    if (this.#lines.length > this.#most || this.#chars > this.#mostChars) this.#drop();
  }

  /** Drops a good part of the lines, the oldest, so that the cost for each is low. */
  #drop() {
    let cut = 0;
    while (cut < this.#lines.length - 1 && (cut < this.#lines.length / 4 || this.#chars > this.#mostChars * 0.75)) {
      this.#chars -= this.#lines[cut].length;
      cut += 1;
    }
    this.#lost ??= { missed: 0, after: idOf(this.#lines[0]) };
    this.#lost.missed += cut;
    this.#lines.splice(0, cut);
    // Briefs of dropped lines are of no use to anyone.
    if (this.#briefs.length > this.#lines.length) this.#briefs.splice(0, this.#briefs.length - this.#lines.length);
  }

  /** Hands over a batch, if the page keeps up. */
  flush() {
    if (this.#open >= CREDIT || (this.#lines.length === 0 && this.#tally.isEmpty)) return;
    if (this.#lost) {
      const { missed, after } = this.#lost;
      this.#lines.unshift(JSON.stringify({ kind: "hole", missed, after, before: idOf(this.#lines[0] ?? ""), why: "the page was too slow to take them" }));
      this.#lost = null;
    }
    const batch = { lines: this.#lines.splice(0, BATCH), counts: this.#tally.take(), briefs: this.#briefs.splice(0) };
    this.#chars = this.#lines.length === 0 ? 0 : this.#chars - batch.lines.reduce((sum, line) => sum + line.length, 0);
    this.#open += 1;
    this.#post(batch);
  }

  /** Counts only events later than one: the server has counted the others. */
  countAfter(id) {
    this.#tally.after(id);
  }

  /** The page has taken a batch. */
  taken() {
    this.#open = Math.max(0, this.#open - 1);
  }

  /** Lines that wait for the page. */
  get length() {
    return this.#lines.length;
  }

  /** An empty outbox for the same page, which may still be busy with the last batches of this one. */
  fresh(most, mostChars) {
    const made = new Outbox(this.#post, most, mostChars);
    made.#open = this.#open;
    return made;
  }
}
