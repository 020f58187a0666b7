// Link: what the worker hands to the page. A batch at most every 16 ms, and only while the page
// keeps up; what a page that does not cannot take is dropped, oldest first, and counted.

import { holds } from "../model/query.js";
import { idOf } from "../model/event.js";
import { Tally } from "../model/tally.js";

/** Batches that the page has not said yes to. */
const CREDIT = 2;

/** Lines of a batch: more would hold the page up for longer than a frame. */
const BATCH = 4000;

export class Outbox {
  #post;
  #lines = [];
  #chars = 0;
  #tally = new Tally();
  #lost = null;
  #open = 0;
  #most;
  #mostChars;
  /** Only lines that hold it. */
  text = "";

  /** `post({ lines, counts })` hands a batch over. */
  constructor(post, most = 50_000, mostChars = 48_000_000) {
    this.#post = post;
    this.#most = most;
    this.#mostChars = mostChars;
  }

  push(line) {
    if (this.text !== "" && !line.startsWith('{"kind":"gap"') && !holds(line, this.text)) return;
    this.#lines.push(line);
    this.#chars += line.length;
    this.#tally.add(line);
    if (this.#lines.length > this.#most || this.#chars > this.#mostChars) this.#drop();
  }

  /** Lets a good part go, the oldest, so that this costs little for each. */
  #drop() {
    let cut = 0;
    while (cut < this.#lines.length - 1 && (cut < this.#lines.length / 4 || this.#chars > this.#mostChars * 0.75)) {
      this.#chars -= this.#lines[cut].length;
      cut += 1;
    }
    this.#lost ??= { missed: 0, after: idOf(this.#lines[0]) };
    this.#lost.missed += cut;
    this.#lines.splice(0, cut);
  }

  /** Hands over what there is, if the page keeps up. */
  flush() {
    if (this.#open >= CREDIT || (this.#lines.length === 0 && this.#tally.isEmpty)) return;
    if (this.#lost) {
      const { missed, after } = this.#lost;
      this.#lines.unshift(JSON.stringify({ kind: "hole", missed, after, before: idOf(this.#lines[0] ?? ""), why: "the page was too slow to take them" }));
      this.#lost = null;
    }
    const batch = { lines: this.#lines.splice(0, BATCH), counts: this.#tally.take() };
    this.#chars = this.#lines.length === 0 ? 0 : this.#chars - batch.lines.reduce((sum, line) => sum + line.length, 0);
    this.#open += 1;
    this.#post(batch);
  }

  /** Counts only what is later than an event: the server has counted the rest. */
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

  /** An empty one at the same page, which may still be busy with the last batches of this one. */
  fresh(most, mostChars) {
    const made = new Outbox(this.#post, most, mostChars);
    made.#open = this.#open;
    return made;
  }
}
