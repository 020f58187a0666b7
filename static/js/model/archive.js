// Model: a long history that stays on the server. Marks say how many events there are and where
// each part begins; parts are loaded when they are in sight, and dropped again. No DOM.

import { compareIds, idOf, timeOf } from "./event.js";

/** Events that are loaded at a time. */
const PART = 200;

/** Milliseconds before a part that could not be read is asked for again. */
const RETRY = 2000;

/** Characters of parts that are kept. */
const CHARS = 32_000_000;

/** Marks of a history of some length: near enough to draw it, few enough to send them. */
export function spacing(events) {
  return Math.max(1, Math.ceil(events / 4000));
}

export class Archive {
  #ask;
  #ends = [];
  #parts = new Map();
  #chars = 0;
  #wanted = [];
  #busy = 0;
  #rest = 0;
  #most;
  /** Called when a part has come. */
  onload = () => {};
  /** The server's words when a part could not be read, or "". */
  fault = "";

  /** `ask(params)` resolves with the lines of an answer of `/api/events`; `marks` is one too. */
  constructor(ask, marks, most = CHARS) {
    this.#ask = ask;
    this.#most = most;
    this.length = marks.count;
    this.last = marks.last;
    const step = Math.max(1, Math.round(PART / marks.every));
    this.part = step * marks.every;
    for (let at = step - 1; at < marks.marks.length; at += step) this.#ends.push(marks.marks[at]);
    if (this.length > this.#ends.length * this.part) this.#ends.push(marks.last);
  }

  /** The line at an index, or null if it is not here yet; then it is asked for. */
  at(index) {
    const number = Math.floor(index / this.part);
    const part = this.#parts.get(number);
    if (!part) {
      this.#want(number);
      return null;
    }
    // The map is in the order of use.
    this.#parts.delete(number);
    this.#parts.set(number, part);
    return part[index - number * this.part] ?? '{"kind":"hole","missed":1,"why":"the server has forgotten it since"}';
  }

  /** The index of the first event at or after a time. */
  async indexOfTime(ms) {
    const number = this.#partWhere((end) => parseInt(end, 10) >= ms);
    const part = await this.#load(number);
    const at = part.findIndex((line) => timeOf(line) >= ms);
    return number * this.part + (at === -1 ? part.length : at);
  }

  /** The index of an event, or of the one that stands where it would. */
  async indexOfId(id) {
    const number = this.#partWhere((end) => compareIds(end, id) >= 0);
    const part = await this.#load(number);
    const at = part.findIndex((line) => idOf(line) !== "" && compareIds(idOf(line), id) >= 0);
    return number * this.part + (at === -1 ? Math.max(0, part.length - 1) : at);
  }

  #partWhere(holds) {
    let low = 0;
    let high = Math.max(0, this.#ends.length - 1);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.#ends[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Asks for a part. The newest request goes first, and old ones are dropped. */
  #want(number) {
    if (this.#wanted.includes(number) || Date.now() < this.#rest) return;
    this.#wanted.push(number);
    if (this.#wanted.length > 4) this.#wanted.shift();
    this.#next();
  }

  #next() {
    if (this.#busy >= 2) return;
    const number = this.#wanted.pop();
    if (number === undefined) return;
    this.#load(number).then(() => this.onload(), () => setTimeout(() => this.onload(), RETRY));
  }

  async #load(number) {
    const known = this.#parts.get(number);
    if (known) return known;
    this.#busy += 1;
    try {
      const params = new URLSearchParams({ format: "ndjson", limit: String(this.part) });
      if (number > 0) params.set("last_event_id", this.#ends[number - 1]);
      const end = this.#ends[number] ?? this.last;
      const lines = (await this.#ask(params)).filter((line) => idOf(line) !== "" && compareIds(idOf(line), end) <= 0);
      this.fault = "";
      this.#keep(number, lines);
      return lines;
    } catch (error) {
      this.fault = error.message;
      this.#rest = Date.now() + RETRY;
      throw error;
    } finally {
      this.#busy -= 1;
      this.#next();
    }
  }

  #keep(number, lines) {
    const size = (part) => part.reduce((sum, line) => sum + line.length, 0);
    if (!this.#parts.has(number)) this.#chars += size(lines);
    this.#parts.set(number, lines);
    for (const [old, part] of this.#parts) {
      if (this.#chars <= this.#most || this.#parts.size <= 2) break;
      this.#chars -= size(part);
      this.#parts.delete(old);
    }
  }

  /** Parts that are held now. */
  get held() {
    return this.#parts.size;
  }
}
