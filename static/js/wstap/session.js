// One WebSocket of a connection: registration, heartbeat, end.

import { objectIn } from "./payload.js";

/** How long a close waits for the server, in milliseconds. */
const CLOSING = 2000;

/** How an open WebSocket ended. @typedef {{ code: number, reason: string, wasOpen: boolean }} Closed */

/**
 * What a session is made with. `registration` is the first frame, or null to register nothing; `on`
 * receives what happens, `end` once and last.
 * @typedef {object} SessionOptions
 * @property {any} socket
 * @property {string | null} registration
 * @property {number} timeout how long opening and answers to a heartbeat may take
 * @property {number} heartbeat how long the server may be silent before it is asked; 0 for ever
 * @property {{ open: (protocol: string) => void, frame: (data: string | Uint8Array, value: any) => void, end: (closed: Closed) => void }} on
 */

export class Session {
  #socket; #registration; #timeout; #heartbeat; #on;
  #isOpen = false;
  #hasEnded = false;
  /** Data frames after the registration, as the server counts them: heartbeats are some of them. */
  #frames = 0;
  #pings = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {SessionOptions} options */
  constructor({ socket, registration, timeout, heartbeat, on }) {
    this.#socket = socket;
    this.#registration = registration;
    this.#timeout = timeout;
    this.#heartbeat = registration === null ? 0 : heartbeat;
    this.#on = on;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { if (registration === null) this.#opened(); else socket.send(registration); };
    socket.onmessage = (/** @type {{ data: any }} */ { data }) => this.#heard(typeof data === "string" ? data : new Uint8Array(data));
    // An error says nothing, and is followed by the close.
    socket.onerror = () => {};
    socket.onclose = (/** @type {{ code: number, reason: string }} */ { code, reason }) => this.#end(code, reason);
    this.#after(timeout, () => this.abandon(`the server did not answer within ${timeout / 1000} s`));
  }

  /** Whether frames can be sent. A frame that is sent while the WebSocket closes would be lost. */
  get takes() {
    return this.#isOpen && this.#socket.readyState === 1;
  }

  get isOpen() {
    return this.#isOpen;
  }

  /** Bytes that wait to go out. @returns {number} */
  get buffered() {
    return this.#socket.bufferedAmount ?? 0;
  }

  /** Sends a frame. Returns its number, which its answer has. @param {string | Uint8Array} data */
  send(data) {
    this.#socket.send(data);
    this.#frames += 1;
    return this.#frames;
  }

  /** Closes the WebSocket; throws if the code is not one that a program may use. @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    this.#socket.close(...(code === undefined ? [] : [code, reason]));
    this.#after(CLOSING, () => this.abandon(reason ?? ""));
  }

  /** Ends the session without waiting for the server. @param {string} reason */
  abandon(reason) {
    const socket = this.#socket;
    this.#end(1006, reason);
    socket.onopen = socket.onmessage = socket.onclose = null;
    // The WebSocket of npm's ws waits for the answer of a dead peer otherwise.
    if (typeof socket.terminate === "function") socket.terminate();
    else socket.close();
  }

  #opened() {
    this.#isOpen = true;
    clearTimeout(this.#timer);
    this.#watch();
    this.#on.open(this.#socket.protocol);
  }

  /** @param {string | Uint8Array} data */
  #heard(data) {
    if (this.#hasEnded) return;
    const value = typeof data === "string" ? objectIn(data) : null;
    if (this.#isOpen) {
      if (this.#socket.readyState === 1) this.#watch();
      // Answers to heartbeats are no concern of anybody else.
      if (this.#registration !== null && value !== null && "pong" in value) return;
      this.#on.frame(data, value);
    } else if (value?.registered !== undefined) this.#opened();
    // A refusal is an error and then a close with the same words.
  }

  /** Asks the server for a sign of life after it has been silent for a while. */
  #watch() {
    if (this.#heartbeat === 0) return;
    this.#after(this.#heartbeat, () => {
      if (!this.takes) return;
      this.#pings += 1;
      this.send(`{"type":"ping","params":{"id":${this.#pings}}}`);
      const asked = Date.now();
      this.#after(this.#timeout, () => {
        // A device that was asleep has not waited: the answer may lie unread.
        if (Date.now() - asked > 2 * this.#timeout) this.#watch();
        else this.abandon("the server was silent for too long");
      });
    });
  }

  /** @param {number} ms @param {() => void} act */
  #after(ms, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, ms);
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#timer);
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.#on.end({ code, reason, wasOpen });
  }
}
