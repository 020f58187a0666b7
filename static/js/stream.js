// Link: the event stream, by EventSource, which comes back by itself, and by our own hand where
// that gives up.

import { here } from "./server.js";

/** The longest wait between two attempts of our own. */
const MAX_WAIT = 30_000;

export class Stream {
  #on;
  #source = null;
  #lastId = "";
  #wait = 1000;
  #timer = 0;
  #past;

  /**
   * `past` is how many events before now to begin with. `on.event(kind, raw)` is called for each
   * event, `on.state(state, words)` with "open", "waiting" or "failed".
   */
  constructor(past, on) {
    this.#past = past;
    this.#on = on;
    this.#open();
  }

  #open() {
    clearTimeout(this.#timer);
    const url = here("events");
    url.searchParams.set("format", "full");
    if (this.#lastId) url.searchParams.set("last_event_id", this.#lastId);
    else url.searchParams.set("last", String(this.#past));
    const source = new EventSource(url);
    this.#source = source;
    source.onopen = () => {
      this.#wait = 1000;
      this.#on.state("open", "connected");
    };
    source.onmessage = (event) => {
      this.#lastId = event.lastEventId;
      this.#on.event("event", event.data);
    };
    source.addEventListener("gap", (event) => this.#on.event("gap", event.data));
    source.onerror = () => {
      if (source.readyState === EventSource.CONNECTING) {
        this.#on.state("waiting", "reconnecting…");
        return;
      }
      // It has given up for ever: any answer but a stream does that.
      source.close();
      const seconds = Math.round(this.#wait / 1000);
      this.#on.state("failed", `no stream; trying again in ${seconds} s`);
      this.#timer = setTimeout(() => this.#open(), this.#wait);
      this.#wait = Math.min(this.#wait * 2, MAX_WAIT);
    };
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
  }
}
