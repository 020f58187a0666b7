// Link: the event stream by fetch, with its own resume and its own way back after a break.

import { SseParser } from "./sse.js";

/** The first wait of our own, the longest, and how long a stream may be silent. */
const FIRST_WAIT = 500;
const MAX_WAIT = 30_000;

/** What a status asks of the reader: come back, come back later, or change something first. */
function verdict(status) {
  if (status === 503) return "full";
  if (status === 429 || status >= 500) return "waiting";
  return "refused";
}

export class Reader {
  #url;
  #on;
  #fetch;
  #lastId;
  #start;
  #attempt = 0;
  #over = false;
  #abort = new AbortController();
  #wake = () => {};
  #silence;

  /**
   * Reads `url` (with `query`), beginning with `start` (such as `{ last: "2000" }`) or after
   * `lastId`. `on.event(name, data)`, `on.idle()` after each chunk, `on.state({ state, … })`.
   */
  constructor({ url, lastId = "", start = {}, silence = 60_000, fetch = globalThis.fetch.bind(globalThis) }, on) {
    this.#url = url;
    this.#lastId = lastId;
    this.#start = start;
    this.#on = on;
    this.#fetch = fetch;
    this.#silence = silence;
    this.done = this.#run();
  }

  get lastId() {
    return this.#lastId;
  }

  /** Tries again now. */
  now() {
    this.#wake();
  }

  close() {
    this.#over = true;
    this.#abort.abort();
    this.#wake();
  }

  async #run() {
    while (!this.#over) {
      this.#on.state({ state: this.#attempt === 0 ? "connecting" : "reconnecting", attempt: this.#attempt });
      const end = await this.#once();
      if (this.#over) return;
      this.#attempt += 1;
      const wait = this.#wait(end);
      this.#on.state({ ...end, attempt: this.#attempt, wait });
      await this.#pause(wait);
    }
  }

  #wait({ state, retry }) {
    const grown = Math.min(MAX_WAIT, FIRST_WAIT * 2 ** Math.min(10, this.#attempt - 1));
    const base = state === "refused" ? MAX_WAIT : Math.max(retry ?? 0, grown);
    return Math.round(base * (0.5 + Math.random()));
  }

  #pause(ms) {
    return new Promise((wake) => {
      const timer = setTimeout(wake, ms);
      this.#wake = () => {
        clearTimeout(timer);
        wake();
      };
    });
  }

  /** One attempt, to its end. Resolves with what came of it. */
  async #once() {
    this.#abort = new AbortController();
    const url = new URL(this.#url);
    url.searchParams.set("format", "full");
    if (this.#lastId) url.searchParams.set("last_event_id", this.#lastId);
    else for (const [name, value] of Object.entries(this.#start)) url.searchParams.set(name, value);
    let response;
    try {
      response = await this.#fetch(url, { signal: this.#abort.signal, cache: "no-store", headers: { accept: "text/plain, application/json" } });
    } catch {
      return { state: "waiting", words: "the server does not answer" };
    }
    if (!response.ok) return this.#refusal(response);
    if (!/text\/event-stream/.test(response.headers.get("content-type") ?? "")) {
      this.#abort.abort();
      return { state: "refused", words: "what answers there is no event stream", status: response.status };
    }
    return this.#read(response.body.getReader());
  }

  async #refusal(response) {
    const problem = await response.json().catch(() => ({}));
    const after = Number(response.headers.get("retry-after"));
    return {
      state: verdict(response.status), status: response.status, code: problem.code, position: problem.position,
      words: problem.detail ?? `the server answers ${response.status}`, retry: after > 0 ? after * 1000 : undefined,
    };
  }

  async #read(body) {
    const parser = new SseParser(this.#lastId);
    const decoder = new TextDecoder();
    this.#on.state({ state: "open", attempt: this.#attempt });
    this.#attempt = 0;
    let heard = Date.now();
    const guard = setInterval(() => {
      if (Date.now() - heard > this.#silence) this.#abort.abort();
    }, 1000);
    try {
      for (;;) {
        const { done, value } = await body.read();
        if (done || this.#over) break;
        heard = Date.now();
        parser.feed(decoder.decode(value, { stream: true }), this.#on.event);
        this.#lastId = parser.lastId;
        this.#on.idle();
      }
      return { state: "waiting", words: "the server ended the stream", retry: parser.retry ?? undefined };
    } catch {
      const silent = Date.now() - heard > this.#silence;
      return { state: "waiting", words: silent ? "nothing came for a long time" : "the connection broke" };
    } finally {
      clearInterval(guard);
      body.cancel().catch(() => {});
    }
  }
}
