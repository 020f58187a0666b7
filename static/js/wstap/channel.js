// A channel of a connection.

import { Backoff } from "./backoff.js";
import { fromBase64, publication } from "./payload.js";
import { Target, tell } from "./target.js";
import { fetchToken, pause } from "./token.js";

/** @typedef {import("./codes.js").WstapError} WstapError */
/** @typedef {import("./token.js").Token} Token */

/**
 * A frame of the server about a channel.
 * @typedef {object} ChannelFrame
 * @property {string} [type]
 * @property {string} [id]
 * @property {any} [data]
 * @property {string} [encoding]
 * @property {string} [user]
 * @property {string[]} [users]
 * @property {boolean} [complete]
 * @property {{ id: string, data: any, encoding?: string }[]} [messages]
 * @property {{ code: string, message: string }} [error]
 */

/**
 * What a channel needs of its connection.
 * @typedef {object} Line
 * @property {Backoff} backoff
 * @property {number} timeout for tokens
 * @property {(command: string | Promise<string>, onBreak: "fail" | "repeat") => Promise<string | null>} order sends in turn
 * @property {(command: string) => Promise<string | null>} first sends at once, or never
 * @property {(isHeld: boolean) => void} hold holds the frames of the channel back, or sends them
 * @property {(wish: "enter" | "leave", answer?: Promise<unknown>) => void} wish
 * @property {() => boolean} isOver whether events are over
 * @property {(promise: Promise<string | null>) => Promise<string | null>} answer makes a promise that may be refused unobserved
 * @property {(error: { code: string, message: string }) => WstapError} error
 */

/** Returns whether an event comes after another; an empty id comes before all. @param {string} one @param {string} other */
function isAfter(one, other) {
  const [[a, b = 0], [c, d = 0]] = [one, other].map((id) => id.split("-").map(Number));
  return a > c || (a === c && b > d);
}

/**
 * The events of a channel. `presence`: all users, for a new member. `resumed`: joined again after a
 * break. `gap`: messages of the break are lost. `end`: removed, and not admitted again.
 * @typedef {object} ChannelEvents
 * @property {{ data: any, id: string | null }} message JSON as it was published, or a Uint8Array
 * @property {{ user: string }} join
 * @property {{ user: string }} leave
 * @property {{ users: string[] }} presence
 * @property {{ complete: boolean }} resumed
 * @property {{}} gap
 * @property {{ error: WstapError }} end
 */

/** Hands a channel a frame of its own. @type {(channel: Channel, frame: ChannelFrame) => void} */
export let hear;

/** Joins again after a break. @type {(channel: Channel) => void} */
export let again;

/** Returns the current wish of a channel. @type {(channel: Channel) => number} */
export let wishOf;

/** @extends {Target<ChannelEvents>} */
export class Channel extends Target {
  #line;
  /** @type {Set<string>} */
  #users = new Set();
  /** @type {Token | undefined} */
  #token;
  #isSubscribed = false;
  /** The newest event of this channel that has been seen. */
  #position = "";
  /** Counts joining (odd) and leaving (even) as they are requested: the answer to an older wish changes nothing. */
  #wish = 0;
  /** The attempt to join again that counts. @type {object | null} */
  #way = null;

  static {
    hear = (channel, frame) => channel.#hear(frame);
    again = (channel) => { channel.#again(new Backoff(channel.#line.backoff)); };
    wishOf = (channel) => channel.#wish;
  }

  /** @param {string} name @param {Line} line */
  constructor(name, line) {
    super();
    this.name = name;
    this.#line = line;
  }

  get isSubscribed() {
    return this.#isSubscribed;
  }

  /** The users that are present, as far as the channel tells. */
  get users() {
    return [...this.#users];
  }

  /** The id of the newest message seen, from which the channel resumes. */
  get position() {
    return this.#position;
  }

  /**
   * Joins. Resolves when the server has admitted the connection, rejects with its refusal, or as "left"
   * if the channel was left before its token came. `last` requests that many kept messages first,
   * `after` those after an event. `token` is for private channels.
   * @param {{ token?: Token, last?: number, after?: string }} [options]
   * @returns {Promise<string | null>}
   */
  subscribe(options = {}) {
    return this.#answer(this.#subscribe(options));
  }

  /** @param {{ token?: Token, last?: number, after?: string }} options */
  async #subscribe({ token = this.#token, last, after }) {
    this.#token = token;
    const wish = this.#wish |= 1;
    if (after !== undefined) this.#position = after;
    // Not a tick is lost where there is nothing to fetch: what is sent next comes behind it.
    const credential = typeof token === "function" ? await token() : token;
    if (wish !== this.#wish) throw this.#line.error({ code: "left", message: "the channel was left before its token came" });
    this.#line.wish("enter");
    const id = await this.#line.order(this.#command("subscribe", { token: credential, last, after }), "repeat");
    if (wish === this.#wish) {
      this.#isSubscribed = true;
      this.#advance(id);
    }
    return id;
  }

  /** Leaves. @returns {Promise<string | null>} */
  unsubscribe() {
    this.#wish += this.#wish & 1;
    this.#way = null;
    this.#isSubscribed = false;
    this.#position = "";
    this.#users.clear();
    this.#line.hold(false);
    const answer = this.#line.order(this.#command("unsubscribe", {}), "repeat");
    this.#line.wish("leave", answer);
    return this.#answer(answer);
  }

  /** Publishes JSON, bytes or a Blob to all members. Resolves with the id of the event. @param {any} message @returns {Promise<string | null>} */
  publish(message) {
    try {
      return this.#answer(this.#line.order(publication(this.name, message), "fail"));
    } catch (error) {
      return this.#answer(Promise.reject(error));
    }
  }

  /** @param {Promise<string | null>} promise @returns {Promise<string | null>} */
  #answer(promise) {
    return this.#line.answer(promise);
  }

  /** @param {string} type @param {object} params */
  #command(type, params) {
    return JSON.stringify({ type, params: { channels: [this.name], ...params } });
  }

  /** @param {string | null | undefined} id */
  #advance(id) {
    if (typeof id === "string" && isAfter(id, this.#position)) this.#position = id;
  }

  /** @param {ChannelFrame} frame */
  #hear({ type, id, user = "", users = [], data, encoding, complete = false, messages, error }) {
    if (type === "resumed" && Array.isArray(messages)) return this.#resumed(complete, messages);
    if (data !== undefined) return this.#message({ id, data, encoding });
    if (type === "join") this.#users.add(user);
    else if (type === "leave") this.#users.delete(user);
    else if (type === "presence") this.#users = new Set(users);
    else if (error) return this.#expelled(this.#line.error(error));
    else return undefined;
    return tell(this, type, type === "presence" ? { users } : { user });
  }

  /** @param {{ id?: string, data: any, encoding?: string }} message */
  #message({ id, data, encoding }) {
    this.#advance(id);
    tell(this, "message", { data: encoding === "base64" ? fromBase64(data) : data, id: id ?? null });
  }

  /** @param {boolean} complete @param {{ id: string, data: any, encoding?: string }[]} messages */
  #resumed(complete, messages) {
    if (!complete) tell(this, "gap", {});
    for (const message of messages) if (!this.#line.isOver()) this.#message(message);
    if (!this.#line.isOver()) tell(this, "resumed", { complete });
  }

  /** Joins with a fresh token. If it cannot be fetched now it is fetched later. @param {Backoff} backoff */
  async #again(backoff) {
    if (!this.#isSubscribed) return;
    this.#line.hold(true);
    const way = this.#way = {};
    // A channel with a fixed token, or none, joins before anything else is sent.
    const token = typeof this.#token === "function" ? await fetchToken(this.#token, this.#line.timeout) : this.#token;
    // It may have been left, or a newer break has made a newer way.
    if (way !== this.#way) return;
    if (token === null) {
      await pause(backoff.next());
      if (way === this.#way) this.#again(backoff);
      return;
    }
    const answer = this.#line.first(this.#command("subscribe", { token, after: this.#position || undefined }));
    this.#line.hold(false);
    answer.then(() => { if (way === this.#way) this.#way = null; }, (error) => { if (way === this.#way) this.#out(error); });
  }

  /** The token has expired; a token that can be fetched is fetched anew. @param {WstapError} error */
  #expelled(error) {
    if (typeof this.#token === "function") this.#again(new Backoff(this.#line.backoff));
    else this.#out(error);
  }

  /** @param {WstapError} error */
  #out(error) {
    this.#isSubscribed = false;
    this.#position = "";
    this.#users.clear();
    this.#line.hold(false);
    tell(this, "end", { error });
  }
}
