// Model: the lines that the page holds. Bounded by number and by size. While the reader looks at older
// lines they stay, and new ones wait, bounded too. Lines that do not fit are counted. No DOM.

import { findId, idOf, kindOf } from "./event.js";

/** A queue of lines, bounded by number and characters. The oldest lines leave it. */
export class Ring {
  #lines = [];
  #start = 0;
  #chars = 0;

  constructor(most, chars) {
    this.most = most;
    this.chars = chars;
  }

  get length() {
    return this.#lines.length - this.#start;
  }

  get isFull() {
    return this.length >= this.most || this.#chars >= this.chars;
  }

  at(index) {
    return this.#lines[this.#start + index];
  }

  push(line) {
    this.#lines.push(line);
    this.#chars += line.length;
  }

  /** Drops the oldest lines until the rest fits; returns how many. One line is kept, however long. */
  trim() {
    const before = this.#start;
    while (this.length > 1 && (this.length > this.most || this.#chars > this.chars)) {
      this.#chars -= this.#lines[this.#start].length;
      this.#lines[this.#start] = undefined;
      this.#start += 1;
    }
    const gone = this.#start - before;
    // Moves the rest once in a while, so that each line pays for it once.
    if (this.#start > this.most / 2 && this.#start > 1024) {
      this.#lines = this.#lines.slice(this.#start);
      this.#start = 0;
    }
    return gone;
  }

  clear() {
    this.#lines = [];
    this.#start = 0;
    this.#chars = 0;
  }

  takeAll() {
    const all = this.#lines.slice(this.#start);
    this.clear();
    return all;
  }
}

export class Journal {
  #ring;
  #waiting;
  #overflow = null;
  #holding = "";
  /** Number of the first line held, counted from the first that ever came. */
  first = 0;
  /** Events that came, those that are gone included. */
  total = 0;
  /** Events that are gone because there were too many. */
  dropped = 0;
  /** Events that were lost before they reached the page's list: it was too slow. */
  missed = 0;

  constructor(most = 50_000, chars = 48_000_000) {
    this.#ring = new Ring(most, chars);
    this.#waiting = new Ring(Math.ceil(most / 2), chars / 2);
  }

  /** Holds so much from now on. */
  bounds(most, chars) {
    this.#ring.most = most;
    this.#ring.chars = chars;
  }

  get length() {
    return this.#ring.length;
  }

  /** Events that came while the list is held, those that found no room included. */
  get waiting() {
    return this.#waiting.length + (this.#overflow?.missed ?? 0);
  }

  get holding() {
    return this.#holding;
  }

  at(index) {
    return this.#ring.at(index);
  }

  /** Takes lines as they came. */
  push(lines) {
    for (const line of lines) this.#one(line);
    this.#settle();
  }

  #one(line) {
    const kind = line.startsWith('{"kind":"') ? kindOf(line) : "";
    if (kind === "hole") this.missed += JSON.parse(line).missed;
    else if (kind !== "gap") this.total += 1;
    const waits = this.#holding === "paused" || (this.#holding === "scrolled" && (this.#ring.isFull || this.waiting > 0));
    (waits ? this.#waiting : this.#ring).push(line);
  }

  #settle() {
    const wait = this.#waiting;
    const oldest = wait.at(0);
    const lost = wait.trim();
    if (lost > 0) {
      this.#overflow ??= { missed: 0, after: idOf(this.#ring.at(this.length - 1) ?? oldest) };
      this.#overflow.missed += lost;
    }
    if (this.#holding === "") this.#trim();
  }

  #trim() {
    const gone = this.#ring.trim();
    this.first += gone;
    this.dropped += gone;
  }

  /** Keeps the lines that are shown: "paused" by the reader, or "scrolled", where there is room for more. */
  hold(why) {
    if (this.#holding !== "paused" || why === "paused") this.#holding = why;
  }

  /** Adds the lines that have waited, and continues. */
  release() {
    this.#holding = "";
    if (this.#overflow) {
      const { missed, after } = this.#overflow;
      const before = idOf(this.#waiting.at(0) ?? "");
      this.#ring.push(JSON.stringify({ kind: "hole", missed, after, before, why: "they came while it was held" }));
      this.dropped += missed;
      this.#overflow = null;
    }
    for (const line of this.#waiting.takeAll()) this.#ring.push(line);
    this.#trim();
  }

  clear() {
    this.first += this.#ring.length;
    this.#ring.clear();
    this.#waiting.clear();
    this.#overflow = null;
    this.total = 0;
    this.dropped = 0;
    this.missed = 0;
  }

  /** Whether an event is held. */
  has(id) {
    return findId(this.length, (index) => this.at(index), id) !== -1;
  }

  /** The index of an event, or -1. Ids only grow. */
  indexOf(id) {
    for (let at = this.length - 1; at >= 0; at -= 1) if (idOf(this.at(at)) === id) return at;
    return -1;
  }
}
