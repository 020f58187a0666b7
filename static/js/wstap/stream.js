// The event stream, by `fetch`: node has no EventSource, and EventSource has no headers.

import { below, home } from "./address.js";
import { Backoff } from "./backoff.js";
import { LATER, mayAskAgain } from "./codes.js";
import { Keeper } from "./keeper.js";
import { objectIn } from "./payload.js";
import { SseParser } from "./sse.js";
import { Target, tell } from "./target.js";
import { fetchToken, Renewal } from "./token.js";

/** @typedef {import("./keeper.js").End} End */
/** @typedef {import("./keeper.js").State} State */
/** @typedef {import("./token.js").Token} Token */
/** @typedef {"connect" | "message" | "close" | "join" | "leave" | "request"} Kind */

/** Four heartbeats of the stream: a server that is silent for longer is gone. Milliseconds. */
const SILENCE = 60_000;

/**
 * The events of the stream by their kinds, each as the object of the full form. With `raw: true`, `line`
 * in their place: their JSON, with every digit as it was sent.
 * @typedef {Record<Kind, { data: any }> & {
 *   state: State, line: { data: string },
 *   gap: { missed: number | null, after: string | null, before: string | null } }} StreamEvents
 */

/**
 * Resumes after the last event; what the server has forgotten meanwhile is a `gap`.
 * @extends {Target<StreamEvents>}
 */
export class EventStream extends Target {
  #url; #token; #renewal; #start; #isRaw; #silence; #fetch; #keeper;

  /**
   * `url` is the root of a wstap. The selection: `connection`, `channel`, `kind`, `direction`, each one
   * or several, and `filter`, an expression. The beginning: `last` so many, `since` a time or `5m`, or
   * everything after `lastEventId`. `silence` is how long the server may be silent, in milliseconds.
   * @param {string | URL} [url]
   * @param {{ token?: Token, lastEventId?: string, last?: number, since?: string, raw?: boolean, silence?: number,
   *   backoff?: Backoff, fetch?: typeof globalThis.fetch, filter?: string, kind?: Kind | Kind[], direction?: "in" | "out" | ("in" | "out")[],
   *   connection?: string | string[], channel?: string | string[] }} [options]
   */
  constructor(url = home(), { token, lastEventId = "", last, since, raw = false, silence = SILENCE, backoff = new Backoff(), fetch = globalThis.fetch.bind(globalThis), ...selection } = {}) {
    super();
    this.#url = below(url, "events");
    for (const [name, value] of Object.entries(selection)) for (const one of [value ?? []].flat()) this.#url.searchParams.append(name, one);
    this.#url.searchParams.set("format", "full");
    this.#start = Object.entries({ last, since }).filter(([, value]) => value !== undefined);
    this.#token = token;
    this.#renewal = new Renewal(token);
    this.#isRaw = raw;
    this.#silence = silence;
    this.#fetch = fetch;
    /** The event to resume after. */
    this.lastEventId = lastEventId;
    this.#keeper = new Keeper(this.#url, backoff, (opened, signal) => this.#once(opened, signal), (state) => tell(this, "state", state));
  }

  get state() {
    return this.#keeper.state;
  }

  /** Resolves when the stream is open; rejects if it ends or is closed before. */
  get ready() {
    return this.#keeper.ready;
  }

  /** Attempts to open the stream now, also after the end. */
  now() {
    this.#keeper.now();
  }

  /** Closes the stream; no event but its state follows. Resolves once it is closed. @returns {Promise<void>} */
  close() {
    return this.#keeper.close();
  }

  /** @param {() => void} opened @param {AbortSignal} signal @returns {Promise<End>} */
  async #once(opened, signal) {
    const url = new URL(this.#url);
    if (this.lastEventId) url.searchParams.set("last_event_id", this.lastEventId);
    else for (const [name, value] of this.#start) url.searchParams.set(name, String(value));
    let isOpen = false;
    const token = await fetchToken(this.#token, this.#silence);
    if (signal.aborted) return {};
    if (token === null) return { code: "unauthorized", words: "no token could be fetched" };
    // An EventSource that is refused gives up, so that the server answers it with less.
    const headers = { accept: "text/plain, application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const silence = new Silence(this.#silence, signal);
    try {
      const response = await this.#fetch(url, { signal: silence.signal, cache: "no-store", headers });
      if (!response.ok) {
        const end = await refusal(response);
        return end.code === "unauthorized" && this.#renewal.mayRenew() ? { ...end, isFinal: false } : end;
      }
      const isStream = /text\/event-stream/.test(response.headers.get("content-type") ?? "");
      if (!isStream || !response.body) return { isFinal: true, words: "what answers there is no event stream", status: response.status };
      opened();
      this.#renewal.accepted();
      isOpen = true;
      return await this.#read(response.body.getReader(), silence);
    } catch {
      if (silence.isBroken) return { words: "nothing came for a long time" };
      return { words: isOpen ? "the connection broke" : "the server does not answer" };
    } finally {
      silence.end();
    }
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} body @param {Silence} silence @returns {Promise<End>} */
  async #read(body, silence) {
    const parser = new SseParser(this.lastEventId);
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await body.read();
      if (done) return { words: "the server ended the stream", floor: parser.retry ?? 0 };
      if (this.#keeper.isOver) return {};
      silence.heard();
      parser.feed(decoder.decode(value, { stream: true }), (name, data) => {
        // A listener may close the stream in the middle of a chunk.
        if (this.#keeper.isOver) return;
        this.lastEventId = parser.lastId;
        this.#event(name, data);
      });
      if (!this.#keeper.isOver) this.lastEventId = parser.lastId;
    }
  }

  /** @param {string} name @param {string} data */
  #event(name, data) {
    if (name === "gap") tell(this, "gap", objectIn(data) ?? {});
    else if (this.#isRaw) tell(this, "line", { data });
    else {
      const event = objectIn(data);
      if (typeof event?.kind === "string") tell(this, event.kind, { data: event });
    }
  }
}

/** Aborts a request that is silent for too long, and what is left of it at its end. */
class Silence {
  #abort = new AbortController();
  #last = Date.now();
  #timer;
  isBroken = false;

  /** @param {number} most milliseconds @param {AbortSignal} outer aborts it too */
  constructor(most, outer) {
    outer.addEventListener("abort", () => this.#abort.abort());
    this.#timer = setInterval(() => {
      if (Date.now() - this.#last <= most) return;
      this.isBroken = true;
      this.#abort.abort();
    }, Math.min(1000, most));
  }

  get signal() {
    return this.#abort.signal;
  }

  heard() {
    this.#last = Date.now();
  }

  end() {
    clearInterval(this.#timer);
    this.#abort.abort();
  }
}

/** Returns what an answer says that is no stream. @param {Response} response @returns {Promise<End>} */
async function refusal(response) {
  const { status, headers } = response;
  const { code, detail, position } = await response.json().catch(() => ({}));
  const words = detail ?? `the server answers ${status}`;
  const floor = Number(headers.get("retry-after")) * 1000 || (status === 429 || status === 503 ? LATER : 0);
  return { status, code, words, position, isFinal: !mayAskAgain(status), floor };
}
