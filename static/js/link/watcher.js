// Link: asks the server for its connections, once a second or less often where the answer is long,
// and keeps the roster. The part of it that is in sight goes to the page.

import { idOf, timeOf, valueOf } from "../model/event.js";

/** Connects and closes of the past with which the list begins. */
const PAST = 500;

export class Watcher {
  #base;
  #roster;
  #post;
  #timer = 0;
  #lastId = null;
  #view = {};
  #over = false;
  #hasPast = false;
  #began = false;
  /** Whether the server shows a recording: its list is complete, and does not change. */
  #isRecording = false;
  /** Whether the stream contains every connect and close. */
  streamTellsAll = true;

  constructor(base, roster, post) {
    this.#base = base;
    this.#roster = roster;
    this.#post = post;
    this.#next(0);
  }

  /** The part of the list that is in sight. */
  set view(view) {
    this.#view = view;
    this.tell();
  }

  /** Takes the line of a connect or close from the stream. */
  see(line) {
    if (this.#isRecording) return;
    this.#roster.see(valueOf(line), timeOf(line), { now: Date.now() });
    if (this.streamTellsAll) this.#lastId = idOf(line);
  }

  tell() {
    this.#post({ type: "roster", ...this.#roster.window(this.#view) });
  }

  /** Names that are new. The first ones wait for the list, so that connections are numbered by age. */
  names() {
    return this.#began ? this.#roster.names() : [];
  }

  now() {
    this.#next(0);
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #next(wait) {
    clearTimeout(this.#timer);
    if (!this.#over) this.#timer = setTimeout(() => this.#look(), wait);
  }

  async #look() {
    const began = performance.now();
    try {
      if (!this.#began) this.#isRecording = (await this.#ask("api/info")).mode === "recording";
      if (this.#isRecording) this.#hasPast = true;
      else if (!this.#hasPast) await this.#past();
      else if (!this.streamTellsAll) await this.#ends();
      const asked = Date.now();
      const live = await this.#ask("api/connections");
      this.#roster.snapshot(live, Date.now(), asked);
      this.#began = true;
      this.tell();
      if (this.#isRecording) return;
    } catch {
      // The stream reports the fault; the list stays as it was.
    }
    this.#next(Math.max(1000, (performance.now() - began) * 10));
  }

  async #past() {
    const events = await this.#ask(`api/events?kind=connect&kind=close&order=desc&limit=${PAST}`);
    for (const event of events.reverse()) if (event.kind !== "gap") this.#roster.see(event, Date.parse(event.time), { now: Date.now() });
    this.#lastId = events.at(-1)?.id ?? null;
    this.#hasPast = true;
  }

  /** Connects and closes that a stream with a selection leaves out. */
  async #ends() {
    if (this.#lastId === null) {
      const [newest] = await this.#ask("api/events?order=desc&limit=1");
      this.#lastId = newest?.id ?? null;
      if (this.#lastId === null) return;
    }
    const events = await this.#ask(`api/events?kind=connect&kind=close&last_event_id=${this.#lastId}&limit=1000`);
    for (const event of events) {
      if (event.kind === "gap") continue;
      this.#roster.see(event, Date.parse(event.time), { now: Date.now() });
      this.#lastId = event.id;
    }
  }

  async #ask(path) {
    const response = await fetch(new URL(path, this.#base), { cache: "no-store" });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }
}
