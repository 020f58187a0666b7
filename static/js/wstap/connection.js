// A WebSocket that registers, joins its channels, and does both again after a break.

import { below, home, randomHex, socketUrl } from "./address.js";
import { Answer } from "./answer.js";
import { Backoff } from "./backoff.js";
import { again, Channel, hear, wishOf } from "./channel.js";
import { codeName, comesBack, LATER, WstapError } from "./codes.js";
import { Keeper } from "./keeper.js";
import { Outbox } from "./outbox.js";
import { fromBase64, payload } from "./payload.js";
import { Session } from "./session.js";
import { Target, tell } from "./target.js";
import { fetchToken, Renewal, shown } from "./token.js";

/** @typedef {import("./keeper.js").End} End */
/** @typedef {import("./keeper.js").State} State */
/** @typedef {import("./token.js").Token} Token */

/**
 * The events of a connection. `message`: a message to this connection itself. `direct`: a message to
 * its user. `error`: an error that no promise reports. `frame`: every data frame, for logs, without
 * heartbeats and without the secret of the registration.
 * @typedef {object} ConnectionEvents
 * @property {State} state
 * @property {{ data: string | Uint8Array }} message
 * @property {{ data: any, id: string | null }} direct
 * @property {{ data: string | Uint8Array, direction: "in" | "out" }} frame
 * @property {{ error: WstapError }} error
 */

/** @extends {Target<ConnectionEvents>} */
export class Connection extends Target {
  /** @type {Session | null} */
  #session = null;
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** Why no more frames are taken. @type {WstapError | null} */
  #end = null;
  /** Proves to the server that a later connection has the same client. */
  #secret = randomHex(16);
  /** The root of a wstap; `null` for a server that may be another. @type {URL | null} */
  #root;
  #url; #token; #renewal; #protocols; #isKept; #backoff; #timeout; #heartbeat; #WebSocket; #outbox; #keeper;

  /**
   * `url` is the root of a wstap (`http://localhost:8080`, or relative to the page) or the address of a
   * WebSocket (`ws://localhost:8080/ws`). `id` is the connectionId; the default is a generated one, and
   * `null` registers nothing and asks for no answers, for an upstream behind wstap. With `ack: false` a
   * promise is kept as soon as its frame is sent. `retry: false` makes one attempt. `timeout` limits
   * each attempt, each token and the answer to a heartbeat, which follows `heartbeat` milliseconds of
   * silence. `WebSocket` is for programs without one.
   * @param {string | URL} [url]
   * @param {object} [options]
   * @param {string | null} [options.id]
   * @param {Token} [options.token]
   * @param {boolean} [options.ack]
   * @param {string[]} [options.protocols]
   * @param {boolean} [options.retry]
   * @param {Backoff} [options.backoff]
   * @param {number} [options.timeout]
   * @param {number} [options.heartbeat]
   * @param {new (url: string, protocols?: string[]) => any} [options.WebSocket]
   */
  constructor(url = home(), { id = randomHex(12), token, ack = true, protocols = [], retry = true, backoff = new Backoff(), timeout = 10_000, heartbeat = 25_000, WebSocket = globalThis.WebSocket } = {}) {
    super();
    if (!WebSocket) throw new TypeError("there is no WebSocket here; pass one, such as that of npm's ws: { WebSocket }");
    this.id = id;
    this.#url = socketUrl(url);
    this.#root = id === null || /^wss?:/.test(String(url)) ? null : below(url, "");
    const acks = ack && id !== null;
    if (acks) this.#url.searchParams.set("ack", "1");
    this.#token = token;
    this.#renewal = new Renewal(token);
    this.#protocols = protocols;
    this.#isKept = retry;
    this.#backoff = backoff;
    this.#timeout = timeout;
    this.#heartbeat = heartbeat;
    this.#WebSocket = WebSocket;
    this.#outbox = new Outbox(acks, () => this.#session?.takes ?? false, (data) => /** @type {Session} */ (this.#session).send(data), (data) => {
      tell(this, "frame", { data, direction: "out" });
    });
    this.#keeper = new Keeper(this.#url, backoff, (opened, signal) => this.#once(opened, signal), (state) => this.#became(state));
  }

  get state() {
    return this.#keeper.state;
  }

  /** Resolves when the connection is registered; rejects if it ends or is closed before. */
  get ready() {
    return this.#keeper.ready;
  }

  /** Bytes that wait to go out. @returns {number} */
  get buffered() {
    return this.#session?.buffered ?? 0;
  }

  /** Returns a channel, the same object for the same name. It does not subscribe. @param {string} name */
  channel(name) {
    const known = this.#channels.get(name);
    if (known) return known;
    /** @type {Channel} */
    const made = new Channel(name, {
      backoff: this.#backoff,
      timeout: this.#timeout,
      order: (command, onBreak) => this.#enqueue(command, onBreak, made),
      first: (command) => this.#outbox.first(command),
      hold: (isHeld) => { if (isHeld) this.#outbox.hold(made); else this.#outbox.release(made); },
      wish: (wish, answer) => {
        if (wish === "enter") this.#channels.set(name, made);
        const current = wishOf(made);
        const forget = () => { if (wishOf(made) === current) this.#channels.delete(name); };
        answer?.then(forget, forget);
      },
      isOver: () => this.#keeper.isOver,
      answer: (promise) => this.#answer(promise),
      error: ({ code, message }) => new WstapError(code, String(message)),
    });
    this.#channels.set(name, made);
    return made;
  }

  /**
   * Sends text, bytes and Blobs as they are, and other values as JSON; refuses what JSON would change.
   * Resolves with the id of its event. A frame that was not sent waits for the next connection; one that
   * was sent and not answered before a break fails as "unsure", and is not sent twice.
   * @param {any} data
   * @returns {Promise<string | null>}
   */
  send(data) {
    try {
      return this.#answer(this.#enqueue(payload(data), "fail", null));
    } catch (error) {
      return this.#answer(Promise.reject(error));
    }
  }

  /** Attempts to connect now, also after the end. */
  now() {
    if (!this.#keeper.isOver) this.#end = null;
    this.#keeper.now();
  }

  /**
   * Closes the connection; no event but its state follows. Resolves once it is closed. Throws if the
   * code is none that a page may use: 1000, and 3000 to 4999.
   * @param {number} [code]
   * @param {string} [reason]
   * @returns {Promise<void>}
   */
  close(code = 1000, reason = "") {
    if (this.#session?.isOpen) this.#session.close(code, reason);
    return this.#keeper.close();
  }

  /** @param {Promise<string | null>} promise */
  #answer(promise) {
    return Answer.of(promise, (error) => { if (!this.#keeper.isOver) tell(this, "error", { error }); });
  }

  /** @param {string | Uint8Array | Promise<string | Uint8Array>} data @param {"fail" | "repeat"} onBreak @param {object | null} lane */
  #enqueue(data, onBreak, lane) {
    return this.#end ? Promise.reject(this.#end) : this.#outbox.add(data, onBreak, lane);
  }

  /** @param {(more: Partial<State>) => void} opened @param {AbortSignal} signal @returns {Promise<End>} */
  async #once(opened, signal) {
    const token = await fetchToken(this.#token, this.#timeout);
    if (signal.aborted) return {};
    if (token === null) return { code: "unauthorized", words: "no token could be fetched", isFinal: !this.#isKept };
    const url = new URL(this.#url);
    let protocols = this.#protocols;
    if (token !== undefined && this.#root) {
      const how = await shown(this.#root, token, protocols, this.#timeout);
      if (signal.aborted) return {};
      if (how === null) return { code: "unauthorized", words: "no ticket could be fetched", isFinal: !this.#isKept };
      protocols = how.protocols;
      if (how.ticket !== undefined) url.searchParams.set("ticket", how.ticket);
    } else if (token !== undefined) url.searchParams.set("access_token", token);
    return new Promise((end) => {
      let socket;
      try {
        socket = new this.#WebSocket(url.href, protocols);
      } catch (error) {
        return end({ isFinal: true, code: "malformed", words: String(/** @type {Error} */ (error).message) });
      }
      const session = this.#session = new Session({
        socket,
        registration: this.id === null ? null : this.#registration(this.#secret),
        timeout: this.#timeout,
        heartbeat: this.#heartbeat,
        on: {
          open: (protocol) => this.#opened(() => opened({ protocol })),
          frame: (data, value) => this.#heard(data, value),
          end: ({ code, reason, wasOpen }) => end(this.#ended(code, reason, wasOpen)),
        },
      });
      signal.addEventListener("abort", () => {
        // Without a network the server does not answer a close frame.
        if (!this.#keeper.isOver) session.abandon("");
        else if (!session.isOpen) session.close();
      });
      return undefined;
    });
  }

  /** @param {string} secret */
  #registration(secret) {
    return JSON.stringify({ type: "register", params: { connectionId: this.id, secret } });
  }

  /** Joins the channels again, each as soon as it has its token, and sends what has waited. @param {() => void} announce */
  #opened(announce) {
    if (this.id !== null) tell(this, "frame", { data: this.#registration("…"), direction: "out" });
    this.#renewal.accepted();
    this.#outbox.after(() => {
      announce();
      for (const channel of this.#channels.values()) again(channel);
    });
  }

  /** @param {number} code @param {string} reason @param {boolean} wasOpen @returns {End} */
  #ended(code, reason, wasOpen) {
    const name = codeName(code);
    const words = reason || (wasOpen ? "the connection broke" : "the server did not accept the connection");
    this.#outbox.broke();
    const isFinal = !comesBack(code) && !(name === "unauthorized" && this.#renewal.mayRenew());
    return { status: code, code: name, words, reason, isFinal: !this.#isKept || isFinal, floor: name === "full" || name === "slow_down" ? LATER : 0 };
  }

  /** @param {State} state */
  #became(state) {
    if (state.state === "closed") this.#end = new WstapError("closed", "the connection is closed");
    else if (state.state === "ended") this.#end = new WstapError(state.code ?? "closed", state.words ?? "the connection has ended");
    if (state.state === "closed" || state.state === "ended") this.#outbox.refuse(/** @type {WstapError} */ (this.#end));
    tell(this, "state", state);
  }

  /**
   * Handles a frame of the server. Of a registered connection every text frame is made by the server:
   * what others send is inside `message` or `data`, so that none of it can pass for an answer.
   * @param {string | Uint8Array} data
   * @param {any} value the object in it, if there is one
   */
  #heard(data, value) {
    if (this.id !== null && value !== null && this.#isAnswer(value)) {
      if (!this.#keeper.isOver) tell(this, "frame", { data, direction: "in" });
      return;
    }
    // Answers to frames that were sent still count after a close.
    if (this.#keeper.isOver) return;
    const isWrapped = this.id !== null && typeof value?.message === "string" && Object.keys(value).length === 1;
    const content = isWrapped ? value.message : data;
    tell(this, "frame", { data: content, direction: "in" });
    const channel = typeof value?.channel === "string" ? this.#channels.get(value.channel) : undefined;
    if (isWrapped) tell(this, "message", { data: content });
    else if (channel) hear(channel, value);
    else if (this.id !== null && value?.channel === null && value.data !== undefined) this.#direct(value);
    else if (this.id !== null && typeof value?.error?.code === "string" && value.channel === undefined) this.#report(value.error);
    else tell(this, "message", { data });
  }

  /** Takes the answer to a frame. Returns whether it is one. @param {any} value */
  #isAnswer({ frame, ack, error }) {
    if (typeof frame !== "number") return false;
    if (typeof error?.code === "string") {
      const known = this.#outbox.answered(frame, new WstapError(error.code, String(error.message)));
      if (!known) this.#report(error);
      return true;
    }
    const isAck = typeof ack === "string" || ack === null;
    if (isAck) this.#outbox.answered(frame, ack);
    return isAck;
  }

  /** @param {{ code: string, message: string }} error */
  #report({ code, message }) {
    if (!this.#keeper.isOver) tell(this, "error", { error: new WstapError(code, String(message)) });
  }

  /** @param {{ id?: string, data: any, encoding?: string }} message */
  #direct({ id, data, encoding }) {
    tell(this, "direct", { data: encoding === "base64" ? fromBase64(data) : data, id: id ?? null });
  }
}
