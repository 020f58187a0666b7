// The client of wstap for browsers and node (20 or newer): one file, no dependencies, no build.
//
//   import { Connection, EventStream } from "http://localhost:8080/wstap.js";
//
//   const hub = new Connection("http://localhost:8080", { id: "ann" });
//   const news = hub.channel("news");
//   news.on("message", ({ data }) => console.log(data));
//   news.on("join", ({ user }) => console.log(user, "is here, with", news.users));
//   await news.subscribe({ last: 5 });
//   await news.publish({ headline: "it works" });
//
//   const events = new EventStream("http://localhost:8080", { kind: "message", last: 10 });
//   events.on("message", ({ data }) => console.log(data.connectionId, data.message));
//   events.on("gap", ({ missed }) => console.warn("lost", missed));
//
// Both are EventTargets and no async iterators: several parts of a page hear the same connection,
// messages and presence and state come side by side, and what comes is handed over at once. An
// iterator has one reader, and a queue without bound for a reader that is slow.
//
// Both come back by themselves after a break, until a code says that this is of no use.

/** @typedef {"connect" | "message" | "close" | "join" | "leave" | "request"} Kind */

/**
 * What becomes of a link. `waiting`: it comes back in `wait` milliseconds, or when the device is
 * online again. `ended`: it does not come back by itself. `closed`: closed from here.
 * @typedef {object} State
 * @property {"connecting" | "open" | "waiting" | "ended" | "closed"} state
 * @property {number} attempt how many attempts have failed in a row
 * @property {string} [words] what happened, as a sentence for people
 * @property {string} [code] wstap's name of it, such as "full"
 * @property {number} [status] of HTTP, or the close code of a WebSocket
 * @property {string} [reason] of a close
 * @property {number} [position] where a filter is wrong
 * @property {number} [wait]
 * @property {string} [protocol] the subprotocol, once a WebSocket is open
 */

/** How an attempt ended. @typedef {Partial<State> & { floor?: number, isFinal?: boolean }} End */

/** Close codes, and what wstap calls them. */
const CODES = new Map([
  [1001, "stopping"], [1009, "too_large"], [1011, "internal"], [1013, "full"], [1014, "unavailable"], [4400, "malformed"], [4401, "unauthorized"],
  [4403, "forbidden"], [4404, "not_found"], [4408, "timeout"], [4409, "replaced"], [4429, "slow_down"],
]);

/** Close codes after which the same would happen again, or which mean the end. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010, 4400, 4401, 4403, 4404, 4409]);

/** Those who are told "later" wait at least this long. */
const LATER = 2000;

/** Frames that wait for a connection; more are refused, so that a long break costs no memory. */
const MOST_WAITING = 1000;

/** Four heartbeats of the stream: who is silent for longer is gone. */
const SILENCE = 60_000;

/** Whether somebody who was closed with a code may come back. @param {number} code */
export const comesBack = (code) => !FINAL.has(code);

/** Whether somebody who was answered with a status may come back. @param {number} status */
const mayAskAgain = (status) => status >= 500 || status === 408 || status === 425 || status === 429;

/** Why something was not done: `code` is wstap's, such as "forbidden", or "unsure" if nobody knows. */
export class WstapError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = "WstapError";
    this.code = code;
  }
}

/**
 * How long to wait before the next attempt: a random part ("full jitter") of a time that doubles
 * with each failure. Only a connection that lasted counts as a success; one that is cut off at once,
 * again and again, is a failure too.
 */
export class Backoff {
  /** Attempts that failed in a row. */
  attempt = 0;

  /** Another one gives its waits, and not its failures: `new Backoff(backoff)`. */
  constructor({ first = 500, most = 30_000, lasting = 5000, random = Math.random } = {}) {
    this.first = first;
    this.most = most;
    this.lasting = lasting;
    this.random = random;
  }

  /** The next wait, after something that was open for `lasted` milliseconds; at least `floor`. */
  next(lasted = 0, floor = 0) {
    if (lasted >= this.lasting) this.attempt = 0;
    const most = Math.min(this.most, this.first * 2 ** Math.min(20, this.attempt));
    this.attempt += 1;
    return Math.round(floor + this.random() * most);
  }
}

/**
 * An EventTarget that knows its events; what they tell stands in them as fields.
 * @template {Record<string, object>} Events
 */
class Target extends EventTarget {
  /**
   * Listens; the function that comes back ends that.
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(event: Event & Events[Type]) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  on(type, listener, options) {
    const typed = /** @type {EventListener} */ (/** @type {unknown} */ (listener));
    this.addEventListener(type, typed, options);
    return () => this.removeEventListener(type, typed, options);
  }
}

/** @param {EventTarget} target @param {string} type @param {object} fields */
const tell = (target, type, fields) => target.dispatchEvent(Object.assign(new Event(type), fields));

/** Whether this machine itself is meant, which answers without a network too. @param {URL} url */
const isLoopback = ({ hostname }) => /^(localhost|.*\.localhost|127\..*|\[::1\])$/.test(hostname);

/** Keeps something open: tries, waits, and tries again, until an end is final. */
class Keeper {
  #abort = new AbortController();
  #over = new AbortController();
  #wake = () => {};
  #hasEnded = false;
  #attempt; #tell; #backoff; #isLocal;

  /**
   * @param {URL} url
   * @param {Backoff} backoff
   * @param {(opened: (more?: Partial<State>) => void, signal: AbortSignal) => Promise<End>} attempt
   * @param {(state: State) => void} tell
   */
  constructor(url, backoff, attempt, tell) {
    this.#attempt = attempt;
    this.#tell = tell;
    this.#backoff = backoff;
    this.#isLocal = isLoopback(url);
    // In node there is nobody to tell us.
    const { signal } = this.#over;
    globalThis.addEventListener?.("online", () => { if (!this.#hasEnded) this.now(); }, { signal });
    globalThis.addEventListener?.("offline", () => { if (this.#isOffline) this.#abort.abort(); }, { signal });
    this.done = this.#run();
  }

  get isOver() {
    return this.#over.signal.aborted;
  }

  get #isOffline() {
    return !this.#isLocal && globalThis.navigator?.onLine === false;
  }

  /** Tries again now, also after a refusal. */
  now() {
    this.#wake();
  }

  close() {
    this.#over.abort();
    this.#abort.abort();
    this.#wake();
  }

  async #run() {
    // Whoever has made this listens from the next line on.
    await null;
    /** @type {Partial<State>} */
    let last = {};
    while (!this.isOver) {
      this.#tell({ state: "connecting", attempt: this.#backoff.attempt });
      this.#abort = new AbortController();
      let began = 0;
      const { floor = 0, isFinal = false, ...end } = await this.#attempt((more) => {
        began = Date.now();
        this.#tell({ state: "open", attempt: this.#backoff.attempt, ...more });
      }, this.#abort.signal);
      last = end;
      if (this.isOver) break;
      const wait = this.#backoff.next(began === 0 ? 0 : Date.now() - began, floor);
      const { attempt } = this.#backoff;
      if (isFinal) this.#tell({ ...end, state: "ended", attempt });
      else if (this.#isOffline) this.#tell({ ...end, state: "waiting", attempt, words: "this device is offline" });
      else this.#tell({ ...end, state: "waiting", attempt, wait });
      this.#hasEnded = isFinal;
      await this.#pause(isFinal || this.#isOffline ? null : wait);
      this.#hasEnded = false;
    }
    this.#tell({ ...last, state: "closed", attempt: 0 });
  }

  /** @param {number | null} ms `null`: until somebody wakes it */
  #pause(ms) {
    return new Promise((/** @type {(value?: undefined) => void} */ done) => {
      const timer = ms === null ? undefined : setTimeout(done, ms);
      this.#wake = () => {
        clearTimeout(timer);
        done();
      };
      if (this.isOver) this.#wake();
    });
  }
}

/** Where this module came from, which is the server: `/wstap.js` stands at its root. */
const home = () => new URL(".", import.meta.url).href;

/** The address of something below a server's root. @param {string} base @param {string} path */
function below(base, path) {
  const url = new URL(base);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`${base} is no address of a wstap; http://localhost:8080 would be one`);
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return new URL(path, url);
}

/** A credential, or what fetches a fresh one. @typedef {string | (() => string | Promise<string>)} Token */

/** Fetches a credential, if there is one to fetch; `null` if that fails. @param {Token} [token] */
async function fresh(token) {
  try {
    return typeof token === "function" ? await token() : token;
  } catch {
    return null;
  }
}

/** Waits; in node this alone keeps no program running. @param {number} ms */
const pause = (ms) => new Promise((done) => { /** @type {any} */ (setTimeout(done, ms)).unref?.(); });

/** How an attempt without credential ends: whoever gives them may be there again later. @type {End} */
const NO_TOKEN = { code: "unauthorized", words: "no token could be fetched" };

/** Twelve random bytes; node 18 has no `crypto`. */
const random = () => globalThis.crypto?.getRandomValues(new Uint8Array(12)) ?? Uint8Array.from({ length: 12 }, () => Math.random() * 256);

/** A name that nobody else has. `crypto.randomUUID` is missing on pages without TLS. */
const makeId = () => [...random()].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {string} text */
const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

/** @param {string} text @returns {any} the object, or null */
function objectIn(text) {
  if (!text.startsWith("{")) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * A frame that waits for the connection or for its answer. When a break comes before the answer,
 * what can be sent twice is repeated, and what the next connection makes anew is dropped.
 * @typedef {{ data: string | Uint8Array, onBreak: "fail" | "repeat" | "drop", done: (id: string | null) => void, fail: (error: WstapError) => void }} Frame
 */

/** What a channel asks for: `return` is a subscription that was there before. @typedef {"subscribe" | "return" | "unsubscribe" | "publish"} Order */

/**
 * What a connection tells. `frame` is every data frame as it stands on the wire, for logs; `message`
 * is what somebody sent to this connection itself; `error` answers nothing that we know of.
 * @typedef {object} ConnectionEvents
 * @property {State} state
 * @property {{ data: string | Uint8Array }} message
 * @property {{ data: string | Uint8Array, direction: "in" | "out" }} frame
 * @property {{ error: WstapError }} error
 */

/**
 * A WebSocket that registers, subscribes, and does both again after a break.
 * @extends {Target<ConnectionEvents>}
 */
export class Connection extends Target {
  /** @type {any} */
  #socket = null;
  #isOpen = false;
  /** The socket that what waits may go to. @type {any} */
  #ready = null;
  /** @type {Frame[]} */
  #waiting = [];
  /** @type {Frame[]} */
  #sent = [];
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** Why nothing is taken any more. @type {WstapError | null} */
  #end = null;
  #url; #token; #ack; #protocols; #isKept; #backoff; #WebSocket; #keeper;

  /**
   * `url` is the root of a wstap (`http://localhost:8080`) or the address of a WebSocket
   * (`ws://localhost:8080/ws`). `id`: the connectionId, made if there is none; `null` registers
   * nothing, for an upstream behind wstap. `ack: false` asks for no answers: a promise is kept as
   * soon as its frame has gone. `retry: false`: one attempt. `WebSocket`: where there is none.
   * @param {string} [url]
   * @param {object} [options]
   * @param {string | null} [options.id]
   * @param {Token} [options.token]
   * @param {boolean} [options.ack]
   * @param {string[]} [options.protocols]
   * @param {boolean} [options.retry]
   * @param {Backoff} [options.backoff]
   * @param {new (url: string, protocols?: string[]) => any} [options.WebSocket]
   */
  constructor(url = home(), { id = makeId(), token, ack = true, protocols = [], retry = true, backoff = new Backoff(), WebSocket = globalThis.WebSocket } = {}) {
    super();
    if (!WebSocket) throw new TypeError("there is no WebSocket here; pass one, such as that of npm's ws: { WebSocket }");
    this.id = id;
    this.#url = /^wss?:/.test(url) ? new URL(url) : below(url, "ws");
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    if (ack) this.#url.searchParams.set("ack", "1");
    this.#ack = this.#url.searchParams.get("ack") === "1";
    this.#token = token;
    this.#protocols = protocols;
    this.#isKept = retry;
    this.#backoff = backoff;
    this.#WebSocket = WebSocket;
    this.#keeper = new Keeper(this.#url, backoff, (opened, signal) => this.#once(opened, signal), (state) => this.#became(state));
  }

  /** Bytes that wait to go out. @returns {number} */
  get buffered() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** A channel, the same one for the same name. Nothing is subscribed yet. @param {string} name */
  channel(name) {
    const known = this.#channels.get(name);
    if (known) return known;
    const made = new Channel(name, (type, params) => {
      if (type === "return") return this.#resubscribe(JSON.stringify({ type: "subscribe", params }));
      if (type === "subscribe") this.#channels.set(name, made);
      const answer = this.#enqueue(JSON.stringify({ type, params }), type === "publish" ? "fail" : "repeat");
      const wish = wishOf(made);
      const forget = () => { if (wishOf(made) === wish) this.#channels.delete(name); };
      if (type === "unsubscribe") answer.then(forget, forget);
      return answer;
    }, this.#backoff);
    this.#channels.set(name, made);
    return made;
  }

  /**
   * Sends text or bytes as they are, and anything else as JSON. Resolves with the id of the event
   * that it became. What has not gone out yet waits for the next connection; what has gone out and
   * was not answered before a break fails as "unsure", and is not sent twice.
   * @param {any} data
   */
  send(data) {
    if (data instanceof ArrayBuffer) return this.#enqueue(new Uint8Array(data));
    if (ArrayBuffer.isView(data)) return this.#enqueue(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return this.#enqueue(typeof data === "string" ? data : JSON.stringify(data ?? null));
  }

  /** Tries again now, also when it has ended. */
  now() {
    if (!this.#keeper.isOver) this.#end = null;
    this.#keeper.now();
  }

  /** Says goodbye; a page may with 1000 and 3000 to 4999. Throws if that is no code. */
  close(code = 1000, reason = "") {
    if (this.#isOpen) this.#socket.close(code, reason);
    this.#keeper.close();
  }

  /** @param {string | Uint8Array} data @param {"fail" | "repeat"} [onBreak] @returns {Promise<string | null>} */
  #enqueue(data, onBreak = "fail") {
    return new Promise((done, fail) => {
      if (this.#end) return fail(this.#end);
      if (this.#waiting.length >= MOST_WAITING) return fail(new WstapError("full", `${MOST_WAITING} frames wait for the connection already`));
      this.#waiting.push({ data, onBreak, done, fail });
      return this.#flush();
    });
  }

  /** Sends at once, before all that waits, or not at all: the next connection asks anew. @param {string} data @returns {Promise<string | null>} */
  #resubscribe(data) {
    return new Promise((done, fail) => { if (this.#takes) this.#put({ data, onBreak: "drop", done, fail }); });
  }

  /** What is sent while it closes would be gone without a word. */
  get #takes() {
    return this.#isOpen && this.#socket.readyState === 1;
  }

  #flush() {
    while (this.#takes && this.#ready === this.#socket && this.#waiting.length > 0) this.#put(/** @type {Frame} */ (this.#waiting.shift()));
  }

  /** @param {Frame} frame */
  #put(frame) {
    this.#transmit(frame.data);
    // Frames are answered in their order: the next answer is that of the oldest.
    if (this.#ack && !this.#isRegistration(frame.data)) this.#sent.push(frame);
    else frame.done(null);
  }

  /** Whether it only says who we are: that is no event, and the one frame without answer. @param {string | Uint8Array} data */
  #isRegistration(data) {
    const value = typeof data === "string" && data.includes('"connectionId"') ? objectIn(data.trim()) : null;
    return value !== null && Object.keys(value).length === 1 && (this.id === null || String(value.connectionId) === this.id);
  }

  /** @param {string | Uint8Array} data */
  #transmit(data) {
    this.#socket.send(data);
    tell(this, "frame", { data, direction: "out" });
  }

  /** @param {(more: Partial<State>) => void} opened @param {AbortSignal} signal @returns {Promise<End>} */
  async #once(opened, signal) {
    const token = await fresh(this.#token);
    if (signal.aborted) return {};
    if (token === null) return NO_TOKEN;
    if (token !== undefined) this.#url.searchParams.set("access_token", token);
    return new Promise((end) => {
      let socket;
      try {
        socket = new this.#WebSocket(this.#url.href, this.#protocols);
      } catch (error) {
        return end({ isFinal: true, code: "malformed", words: String(/** @type {Error} */ (error).message) });
      }
      this.#socket = socket;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        opened({ protocol: socket.protocol });
        this.#begin(socket);
      };
      socket.onmessage = (/** @type {{ data: any }} */ { data }) => this.#heard(typeof data === "string" ? data : new Uint8Array(data));
      // An error says nothing, and is followed by the close.
      socket.onerror = () => {};
      socket.onclose = (/** @type {{ code: number, reason: string }} */ { code, reason }) => end(this.#ended(code, reason));
      signal.addEventListener("abort", () => {
        // Without a network nobody answers the goodbye.
        if (!this.#keeper.isOver) {
          socket.onopen = socket.onmessage = socket.onclose = null;
          end(this.#ended(1006, ""));
        }
        socket.close();
      });
      return undefined;
    });
  }

  /** Registers, subscribes again, and then, when no token is outstanding, sends what has waited. @param {any} socket */
  async #begin(socket) {
    this.#isOpen = true;
    if (this.id !== null) this.#transmit(JSON.stringify({ connectionId: this.id }));
    await Promise.all([...this.#channels.values()].map(again));
    if (socket === this.#socket) this.#ready = socket;
    this.#flush();
  }

  /** @param {number} code @param {string} reason @returns {End} */
  #ended(code, reason) {
    const isFinal = !this.#isKept || !comesBack(code);
    const name = CODES.get(code) ?? (code === 1000 ? "closed" : "broken");
    const words = reason || (this.#isOpen ? "the connection broke" : "the server did not accept the connection");
    this.#isOpen = false;
    const sent = this.#sent.splice(0);
    // It waits again, before all others.
    this.#waiting.unshift(...sent.filter(({ onBreak }) => onBreak === "repeat"));
    for (const { onBreak, fail } of sent) if (onBreak === "fail") fail(new WstapError("unsure", "the connection ended before the answer came: nobody knows whether it arrived"));
    return { status: code, code: name, words, reason, isFinal, floor: name === "full" || name === "slow_down" ? LATER : 0 };
  }

  /** @param {State} state */
  #became(state) {
    const isOver = state.state === "closed" || state.state === "ended";
    if (isOver) this.#end = state.state === "closed" ? new WstapError("closed", "the connection is closed") : new WstapError(state.code ?? "closed", state.words ?? "the connection has ended");
    if (isOver) for (const { fail } of this.#waiting.splice(0)) fail(/** @type {WstapError} */ (this.#end));
    tell(this, "state", state);
  }

  /** @param {string | Uint8Array} data */
  #heard(data) {
    tell(this, "frame", { data, direction: "in" });
    const value = typeof data === "string" ? objectIn(data) : null;
    const channel = typeof value?.channel === "string" ? this.#channels.get(value.channel) : undefined;
    if (channel) hear(channel, value);
    else if (typeof value?.ack === "string" && this.#sent.length > 0) this.#sent.shift()?.done(value.ack);
    else if (typeof value?.error?.code === "string" && value.channel === undefined) this.#failed(new WstapError(value.error.code, String(value.error.message)));
    else tell(this, "message", { data });
  }

  /** @param {WstapError} error */
  #failed(error) {
    const frame = this.#sent.shift();
    if (frame) frame.fail(error);
    else tell(this, "error", { error });
  }
}

/** Hands a channel a frame of its own. @type {(channel: Channel, frame: any) => void} */
let hear;

/** Subscribes again after a break; resolves when that has gone out, or cannot go out now. @type {(channel: Channel) => Promise<void>} */
let again;

/** Which of its wishes a channel has now. @type {(channel: Channel) => number} */
let wishOf;

/**
 * What a channel tells. `presence`: all users at once, to those who are new. `gap`: the connection
 * was away, and what was published meanwhile did not come. `end`: out, or not let in again.
 * @typedef {object} ChannelEvents
 * @property {{ data: any }} message JSON as it was published, or a Uint8Array
 * @property {{ user: string }} join
 * @property {{ user: string }} leave
 * @property {{ users: string[] }} presence
 * @property {{}} gap
 * @property {{ error: WstapError }} end
 */

/**
 * A channel of a connection.
 * @extends {Target<ChannelEvents>}
 */
export class Channel extends Target {
  #order; #backoff;
  /** @type {Set<string>} */
  #users = new Set();
  /** @type {Token | undefined} */
  #token;
  #isSubscribed = false;
  /** Counts entering (odd) and leaving (even) as they are asked for: the answer to an older wish changes nothing. */
  #wish = 0;
  /** The way back that is under way. @type {object | null} */
  #way = null;

  static {
    hear = (channel, frame) => channel.#hear(frame);
    again = (channel) => channel.#again();
    wishOf = (channel) => channel.#wish;
  }

  /** @param {string} name @param {(type: Order, params: object) => Promise<string | null>} order @param {Backoff} backoff */
  constructor(name, order, backoff) {
    super();
    this.name = name;
    this.#order = order;
    this.#backoff = backoff;
  }

  get isSubscribed() {
    return this.#isSubscribed;
  }

  /** Who is here, as far as the channel tells. */
  get users() {
    return [...this.#users];
  }

  /**
   * Enters; resolves when the server has said yes, rejects with its no, or as "left" if it was left
   * before its token came. `last`: so many messages of before come first. `token` is for private
   * channels.
   * @param {{ token?: Token, last?: number }} [options]
   */
  async subscribe({ token = this.#token, last } = {}) {
    this.#token = token;
    const wish = this.#wish |= 1;
    // Not a tick is lost where there is nothing to fetch: what is sent next comes behind it.
    const credential = typeof token === "function" ? await token() : token;
    if (wish !== this.#wish) throw new WstapError("left", "the channel was left before its token came");
    const id = await this.#order("subscribe", { channels: [this.name], token: credential, last });
    if (wish === this.#wish) this.#isSubscribed = true;
    return id;
  }

  /** Goes. */
  unsubscribe() {
    this.#wish += this.#wish & 1;
    this.#way = null;
    this.#isSubscribed = false;
    this.#users.clear();
    return this.#order("unsubscribe", { channels: [this.name] });
  }

  /** Publishes JSON to everybody here; resolves with the id of the event. @param {any} message */
  publish(message) {
    return this.#order("publish", { channel: this.name, message });
  }

  /** @param {{ type?: string, user?: string, users?: string[], data?: any, encoding?: string, error?: { code: string, message: string } }} frame */
  #hear({ type, user = "", users = [], data, encoding, error }) {
    if (data !== undefined) return tell(this, "message", { data: encoding === "base64" ? fromBase64(data) : data });
    if (type === "join") this.#users.add(user);
    else if (type === "leave") this.#users.delete(user);
    else if (type === "presence") this.#users = new Set(users);
    else if (error) return this.#expelled(new WstapError(error.code, error.message));
    else return undefined;
    return tell(this, type, type === "presence" ? { users } : { user });
  }

  /** Subscribes with a fresh token; one that cannot be fetched now is fetched later. */
  async #again(backoff = new Backoff(this.#backoff)) {
    if (!this.#isSubscribed) return;
    const way = this.#way = {};
    /** Unless it was left, or a newer break has made a newer way. @param {() => void} act */
    const still = (act) => { if (way === this.#way) act(); };
    const token = await fresh(this.#token);
    still(() => {
      if (token === null) pause(backoff.next()).then(() => still(() => this.#again(backoff)));
      else this.#order("return", { channels: [this.name], token }).then(() => still(() => tell(this, "gap", {})), (error) => still(() => this.#out(error)));
    });
  }

  /** A token has run out while we were here; who can fetch another comes back with it. @param {WstapError} error */
  #expelled(error) {
    if (typeof this.#token === "function") this.#again();
    else this.#out(error);
  }

  /** @param {WstapError} error */
  #out(error) {
    this.#isSubscribed = false;
    this.#users.clear();
    tell(this, "end", { error });
  }
}

/**
 * What the event stream tells: events by their kinds, each as the object of the full form. `line`
 * instead of them all with `raw: true`: their JSON, with every digit as it was sent.
 * @typedef {Record<Kind, { data: any }> & {
 *   state: State, line: { data: string },
 *   gap: { missed: number | null, after: string | null, before: string | null } }} StreamEvents
 */

/**
 * The event stream, by `fetch`, since node has no EventSource and EventSource has no headers. It
 * resumes where it was; what the server has forgotten meanwhile is told as a `gap`.
 * @extends {Target<StreamEvents>}
 */
export class EventStream extends Target {
  #url; #token; #start; #isRaw; #silence; #fetch; #keeper;

  /**
   * `url` is the root of a wstap. The selection: `connection`, `channel`, `kind`, `direction`, each
   * one or several, and `filter`, an expression. The beginning: `last` so many, `since` a time or
   * `5m`, or everything after `lastEventId`.
   * @param {string} [url]
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
    this.#isRaw = raw;
    this.#silence = silence;
    this.#fetch = fetch;
    /** The event to resume after. */
    this.lastEventId = lastEventId;
    this.#keeper = new Keeper(this.#url, backoff, (opened, signal) => this.#once(opened, signal), (state) => tell(this, "state", state));
  }

  /** Tries again now, also when it has ended. */
  now() {
    this.#keeper.now();
  }

  close() {
    this.#keeper.close();
  }

  /** @param {() => void} opened @param {AbortSignal} signal @returns {Promise<End>} */
  async #once(opened, signal) {
    const url = new URL(this.#url);
    if (this.lastEventId) url.searchParams.set("last_event_id", this.lastEventId);
    else for (const [name, value] of this.#start) url.searchParams.set(name, String(value));
    let isOpen = false;
    const token = await fresh(this.#token);
    if (signal.aborted) return {};
    if (token === null) return NO_TOKEN;
    // An EventSource that is refused gives up; so it is told less. We can bear the truth.
    const headers = { accept: "text/plain, application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) };
    const silence = new Silence(this.#silence, signal);
    try {
      const response = await this.#fetch(url, { signal: silence.signal, cache: "no-store", headers });
      if (!response.ok) return await refusal(response);
      const isStream = /text\/event-stream/.test(response.headers.get("content-type") ?? "");
      if (!isStream || !response.body) return { isFinal: true, words: "what answers there is no event stream", status: response.status };
      opened();
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
      parser.feed(decoder.decode(value, { stream: true }), (name, data) => this.#event(name, data));
      this.lastEventId = parser.lastId;
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

/** Aborts what has been silent for too long, and at its end whatever is left of it. */
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

/** What an answer that is no stream says. @param {Response} response @returns {Promise<End>} */
async function refusal(response) {
  const { status, headers } = response;
  const { code, detail, position } = await response.json().catch(() => ({}));
  const words = detail ?? `the server answers ${status}`;
  const floor = Number(headers.get("retry-after")) * 1000 || (status === 429 || status === 503 ? LATER : 0);
  return { status, code, words, position, isFinal: !mayAskAgain(status), floor };
}

/** Server-Sent Events out of chunks of text, as HTML section 9.2.6 has them. */
export class SseParser {
  /** @type {string[]} */
  #pieces = [];
  #name = "";
  #data = "";
  #hasData = false;
  #id = "";
  /** The id to resume from: the last that came with a completed event. */
  lastId = "";
  /** How long the server wants its readers to wait, in milliseconds. @type {number | null} */
  retry = null;

  constructor(lastId = "") {
    this.lastId = lastId;
    this.#id = lastId;
  }

  /**
   * Reads a chunk; `each` is called for every event that it completes.
   * @param {string} chunk
   * @param {(name: string, data: string) => void} each
   */
  feed(chunk, each) {
    // A long line comes in many chunks; they are joined once, at its end.
    if (!chunk.includes("\n")) {
      this.#pieces.push(chunk);
      return;
    }
    const text = this.#pieces.length > 0 ? this.#pieces.join("") + chunk : chunk;
    let from = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", from)) {
      const stop = text.charCodeAt(end - 1) === 13 && end > from ? end - 1 : end;
      this.#line(text, from, stop, each);
      from = end + 1;
    }
    this.#pieces = from < text.length ? [text.slice(from)] : [];
  }

  /** @param {string} text @param {number} from @param {number} end @param {(name: string, data: string) => void} each */
  #line(text, from, end, each) {
    if (from === end) return this.#dispatch(each);
    if (text.startsWith("data: ", from)) return this.#append(text.slice(from + 6, end));
    const line = text.slice(from, end);
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#append(value);
    else if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  /** @param {string} value */
  #append(value) {
    this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
    this.#hasData = true;
  }

  /** @param {(name: string, data: string) => void} each */
  #dispatch(each) {
    this.lastId = this.#id;
    if (this.#hasData) each(this.#name || "message", this.#data);
    this.#name = "";
    this.#data = "";
    this.#hasData = false;
  }
}
