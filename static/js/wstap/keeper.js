// Keeps something open: attempts, waits and attempts again, until an end is final.

import { isLoopback } from "./address.js";
import { Deferred } from "./answer.js";
import { WstapError } from "./codes.js";

/**
 * The state of a link. `waiting`: the next attempt is in `wait` milliseconds, or when the device is
 * online again. `ended`: there is no further attempt before `now()`. `closed`: closed by this side.
 * @typedef {object} State
 * @property {"connecting" | "open" | "waiting" | "ended" | "closed"} state
 * @property {number} attempt the number of attempts that failed in a row
 * @property {string} [words] what happened, as a sentence for people
 * @property {string} [code] wstap's name of it, such as "full"
 * @property {number} [status] an HTTP status, or the close code of a WebSocket
 * @property {string} [reason] the reason of a close
 * @property {number} [position] where a filter is wrong
 * @property {number} [wait]
 * @property {string} [protocol] the subprotocol of an open WebSocket
 */

/** How an attempt ended. @typedef {Partial<State> & { floor?: number, isFinal?: boolean }} End */

export class Keeper {
  #abort = new AbortController();
  #over = new AbortController();
  #wake = () => {};
  #isWoken = false;
  #attempt; #tell; #backoff; #isLocal;
  /** @type {State["state"]} */
  #state = "connecting";
  /** @type {Deferred<void>} */
  #ready = new Deferred();

  /**
   * @param {URL} url
   * @param {import("./backoff.js").Backoff} backoff
   * @param {(opened: (more?: Partial<State>) => void, signal: AbortSignal) => Promise<End>} attempt
   * @param {(state: State) => void} tell
   */
  constructor(url, backoff, attempt, tell) {
    this.#attempt = attempt;
    this.#tell = tell;
    this.#backoff = backoff;
    this.#isLocal = isLoopback(url);
    // Node has no such events.
    const { signal } = this.#over;
    globalThis.addEventListener?.("online", () => { if (this.#state !== "ended") this.now(); }, { signal });
    globalThis.addEventListener?.("offline", () => { if (this.#isOffline) this.#abort.abort(); }, { signal });
    this.done = this.#run();
  }

  get state() {
    return this.#state;
  }

  /** Resolves when the link is open; rejects if it ends or is closed before. */
  get ready() {
    return this.#ready.promise;
  }

  get isOver() {
    return this.#over.signal.aborted;
  }

  get #isOffline() {
    return !this.#isLocal && globalThis.navigator?.onLine === false;
  }

  /** Attempts again now, also after a refusal, and from a listener of the state too. */
  now() {
    this.#isWoken = true;
    this.#wake();
  }

  /** Ends it. Resolves once it is closed. */
  close() {
    this.#over.abort();
    this.#abort.abort();
    this.#wake();
    return this.done;
  }

  async #run() {
    // Listeners that are added in the same turn miss nothing.
    await null;
    /** @type {Partial<State>} */
    let last = {};
    while (!this.isOver) {
      this.#became({ state: "connecting", attempt: this.#backoff.attempt });
      this.#abort = new AbortController();
      // A listener may have closed it.
      if (this.isOver) break;
      let began = 0;
      const { floor = 0, isFinal = false, ...end } = await this.#attempt((more) => {
        began = Date.now();
        this.#became({ state: "open", attempt: this.#backoff.attempt, ...more });
      }, this.#abort.signal);
      last = end;
      if (this.isOver) break;
      const wait = this.#backoff.next(began === 0 ? 0 : Date.now() - began, floor);
      const { attempt } = this.#backoff;
      this.#isWoken = false;
      if (isFinal) this.#became({ ...end, state: "ended", attempt });
      else if (this.#isOffline) this.#became({ ...end, state: "waiting", attempt, words: "this device is offline" });
      else this.#became({ ...end, state: "waiting", attempt, wait });
      await this.#pause(isFinal || this.#isOffline ? null : wait);
    }
    this.#became({ ...last, state: "closed", attempt: 0 });
  }

  /** @param {State} state */
  #became(state) {
    this.#state = state.state;
    if (this.#ready.isSettled) this.#ready = new Deferred();
    if (state.state === "open") this.#ready.keep(undefined);
    else if (state.state === "closed") this.#ready.fail(new WstapError("closed", "the connection is closed"));
    else if (state.state === "ended") this.#ready.fail(new WstapError(state.code ?? "closed", state.words ?? "the connection has ended"));
    this.#tell(state);
  }

  /** @param {number | null} ms `null`: until `now()` or `close()` */
  #pause(ms) {
    return new Promise((/** @type {(value?: undefined) => void} */ done) => {
      const timer = ms === null ? undefined : setTimeout(done, ms);
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
      if (this.isOver || this.#isWoken) this.#wake();
    });
  }
}
