// Model: a long history that stays on the server. Marks say how many events there are and where
// each part begins; parts are loaded when they are in sight, and dropped again. Lines that were found by
// other means are inserted in their places, and lines that are folded into others are left out. No DOM.

import { compareIds, findId, idOf, timeOf } from "./event.js";
import { Spans } from "./spans.js";

/** Events that are loaded at a time. */
const PART = 200;

/** Milliseconds before a part that could not be read is asked for again. */
const RETRY = 2000;

/** Characters of parts that are kept. */
const CHARS = 32_000_000;

/** Lines and characters that are inserted at most. */
const INSERTED = [50_000, 24_000_000];

/** Stands for an event that the server has forgotten since it was counted. */
const FORGOTTEN = '{"kind":"hole","missed":1,"why":"the server has forgotten it since"}';

/** Marks of a history of some length: near enough to draw it, few enough to send them. */
export function spacing(events) {
  return Math.max(1, Math.ceil(events / 4000));
}

export class Archive {
  #ask;
  #ends = [];
  /** Events of each part that the server has counted. */
  #counted = [];
  #spans;
  /** Parts that are held, in the order of use: `{ lines, rows }`. */
  #parts = new Map();
  #inserted = new Map();
  #folded = new Map();
  #fold = null;
  #chars = 0;
  #insertedChars = 0;
  #wanted = [];
  #loading = new Map();
  #rest = 0;
  #most;
  /** Lines that were inserted. */
  found = 0;
  /** Called with the lines of a part that has come. */
  onload = () => {};
  /** The server's words when a part could not be read, or "". */
  fault = "";

  /** `ask(params)` resolves with the lines of an answer of `/api/events`; `marks` is one too. */
  constructor(ask, marks, most = CHARS) {
    this.#ask = ask;
    this.#most = most;
    this.count = marks.count;
    this.last = marks.last;
    const step = Math.max(1, Math.round(PART / marks.every));
    this.part = step * marks.every;
    for (let at = step - 1; at < marks.marks.length; at += step) this.#ends.push(marks.marks[at]);
    if (this.count > this.#ends.length * this.part) this.#ends.push(marks.last);
    this.#counted = this.#ends.map((_, at) => Math.min(this.part, this.count - at * this.part));
    this.#spans = new Spans([...this.#counted]);
  }

  /** Rows, which are the events counted and inserted without those that are folded. */
  get length() {
    return this.#spans.length;
  }

  /** The line at an index, or null if it is not here yet; then it is asked for. */
  at(index) {
    if (index < 0 || index >= this.length) return undefined;
    const number = this.#spans.partOf(index);
    const part = this.#parts.get(number);
    if (!part) {
      this.#want(number);
      return null;
    }
    // The map is in the order of use.
    this.#parts.delete(number);
    this.#parts.set(number, part);
    if (this.#fold && this.#chars < this.#most / 2) this.#wantBeside(number);
    return part.rows[index - this.#spans.start(number)];
  }

  /** A request and its answer may stand in parts beside each other. */
  #wantBeside(number) {
    for (const beside of [number - 1, number + 1]) if (beside >= 0 && beside < this.#spans.parts && !this.#parts.has(beside)) this.#want(beside);
  }

  /** The line of an event that is held, folded or not, or null. */
  lineOf(id) {
    const lines = this.#parts.get(this.#partOfId(id))?.lines ?? [];
    const at = findId(lines.length, (n) => lines[n], id);
    return at === -1 ? null : lines[at];
  }

  /** The index of an event that is held and shown, or -1. */
  indexOf(id) {
    const number = this.#partOfId(id);
    const rows = this.#parts.get(number)?.rows ?? [];
    const at = findId(rows.length, (n) => rows[n], id);
    return at === -1 ? -1 : this.#spans.start(number) + at;
  }

  /** The place of a row, which `indexOfPlace` finds after rows have come or gone. */
  placeOf(index) {
    const number = this.#spans.partOf(index);
    const offset = index - this.#spans.start(number);
    return { number, offset, id: idOf(this.#parts.get(number)?.rows[offset] ?? "") };
  }

  indexOfPlace({ number, offset, id }) {
    const start = this.#spans.start(number);
    const part = this.#parts.get(number);
    if (!part || id === "") return Math.min(start + offset, Math.max(0, this.length - 1));
    const at = part.rows.findLastIndex((line) => idOf(line) !== "" && compareIds(idOf(line), id) <= 0);
    return start + Math.max(0, at);
  }

  /** The index of the first event at or after a time. */
  async indexOfTime(ms) {
    const number = this.#partWhere((end) => parseInt(end, 10) >= ms);
    const { rows } = await this.#load(number);
    const at = rows.findIndex((line) => timeOf(line) >= ms);
    return this.#spans.start(number) + (at === -1 ? rows.length : at);
  }

  /** The index of an event, or of the one that stands where it would. */
  async indexOfId(id) {
    const number = this.#partOfId(id);
    const { rows } = await this.#load(number);
    const at = rows.findIndex((line) => idOf(line) !== "" && compareIds(idOf(line), id) >= 0);
    return this.#spans.start(number) + (at === -1 ? Math.max(0, rows.length - 1) : at);
  }

  #partOfId(id) {
    return this.#partWhere((end) => compareIds(end, id) >= 0);
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

  /** Inserts lines that the server does not count, from oldest to newest. Returns whether there was room. */
  insert(lines) {
    const changed = new Set();
    for (const line of lines) {
      if (this.found >= INSERTED[0] || this.#insertedChars + line.length > INSERTED[1]) break;
      if (this.#ends.length === 0) {
        this.#ends.push(idOf(line));
        this.#counted.push(0);
        this.#spans = new Spans([0]);
      }
      const number = this.#partOfId(idOf(line));
      if (!this.#inserted.has(number)) this.#inserted.set(number, []);
      this.#inserted.get(number).push(line);
      this.#insertedChars += line.length;
      this.found += 1;
      changed.add(number);
    }
    for (const number of changed) this.#arrange(number);
    return this.found < INSERTED[0] && this.#insertedChars < INSERTED[1];
  }

  /** Leaves out the lines for which `isFolded(line)` holds, or none if it is null. */
  fold(isFolded) {
    this.#fold = isFolded;
    const known = [...this.#folded.keys()];
    this.#folded.clear();
    for (const number of new Set([...known, ...this.#parts.keys()])) this.#arrange(number);
  }

  /** Looks again at the parts with some events, and at those beside them. */
  foldAgain(ids) {
    if (this.#fold === null) return;
    const changed = new Set(ids.filter((id) => id !== "").map((id) => this.#partOfId(id)));
    for (const number of [...changed]) changed.add(number - 1).add(number + 1);
    for (const number of changed) if (this.#parts.has(number)) this.#arrange(number);
  }

  /** Makes the rows of a part of its lines, and counts them. */
  #arrange(number) {
    const part = this.#parts.get(number);
    const inserted = this.#inserted.get(number) ?? [];
    if (part) {
      const missing = Math.max(0, this.#counted[number] - part.sent.length);
      const lines = inserted.length === 0 ? part.sent : merged(part.sent, inserted);
      part.lines = missing === 0 ? lines : [...lines, ...Array(missing).fill(FORGOTTEN)];
      if (this.#fold) {
        // A line stays folded when its request is no longer held.
        const folded = this.#folded.get(number) ?? new Set();
        for (const line of part.lines) if (this.#fold(line)) folded.add(idOf(line));
        this.#folded.set(number, folded);
      }
      const folded = this.#folded.get(number);
      part.rows = folded ? part.lines.filter((line) => !folded.has(idOf(line))) : part.lines;
    }
    this.#spans.resize(number, part ? part.rows.length : this.#counted[number] + inserted.length - (this.#folded.get(number)?.size ?? 0));
  }

  /** Asks for a part. The newest request goes first, and old ones are dropped. */
  #want(number) {
    if (this.#wanted.includes(number) || this.#loading.has(number) || Date.now() < this.#rest) return;
    this.#wanted.push(number);
    if (this.#wanted.length > 4) this.#wanted.shift();
    this.#next();
  }

  #next() {
    if (this.#loading.size >= 2) return;
    const number = this.#wanted.pop();
    if (number === undefined) return;
    this.#load(number).catch(() => setTimeout(() => this.onload([]), RETRY));
  }

  #load(number) {
    const known = this.#parts.get(number);
    if (known) return Promise.resolve(known);
    if (!this.#loading.has(number)) this.#loading.set(number, this.#read(number).finally(() => { this.#loading.delete(number); this.#next(); }));
    return this.#loading.get(number);
  }

  async #read(number) {
    const end = this.#ends[number] ?? this.last;
    let lines = [];
    try {
      if (this.#counted[number] !== 0) {
        const params = new URLSearchParams({ format: "ndjson", limit: String(this.part) });
        if (number > 0) params.set("last_event_id", this.#ends[number - 1]);
        lines = (await this.#ask(params)).filter((line) => idOf(line) !== "" && compareIds(idOf(line), end) <= 0);
      }
      this.fault = "";
    } catch (error) {
      this.fault = error.message;
      this.#rest = Date.now() + RETRY;
      throw error;
    }
    this.#keep(number, lines);
    const part = this.#parts.get(number);
    this.onload(part.lines);
    return part;
  }

  #keep(number, sent) {
    const size = (lines) => lines.reduce((sum, line) => sum + line.length, 0);
    if (!this.#parts.has(number)) this.#chars += size(sent);
    this.#parts.set(number, { sent, lines: sent, rows: sent });
    this.#arrange(number);
    for (const [old, part] of this.#parts) {
      if (this.#chars <= this.#most || this.#parts.size <= 2) break;
      this.#chars -= size(part.sent);
      this.#parts.delete(old);
    }
  }

  /** Parts that are held now. */
  get held() {
    return this.#parts.size;
  }

  /** The lines that were inserted, from oldest to newest. */
  get insertedLines() {
    return [...this.#inserted.keys()].sort((a, b) => a - b).flatMap((number) => this.#inserted.get(number));
  }

  /** The lines of the parts that are held. */
  get heldLines() {
    return [...this.#parts.values()].flatMap(({ lines }) => lines);
  }
}

/** Two lists of lines, each from oldest to newest, as one. */
export function merged(a, b) {
  const all = [];
  let from = 0;
  for (const line of a) {
    while (from < b.length && compareIds(idOf(b[from]), idOf(line)) < 0) all.push(b[from++]);
    all.push(line);
  }
  return [...all, ...b.slice(from)];
}
