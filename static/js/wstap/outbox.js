// Frames that wait for a connection, and frames that wait for their answers.

import { WstapError } from "./codes.js";

/** The number of frames that may wait for a connection. More are refused, so that a long break costs no memory. */
const MOST_WAITING = 1000;

/**
 * A frame. When the connection breaks before its answer, it fails, is sent again, or is dropped because
 * the next connection makes it anew. `lane` is what it waits behind, if that is not ready. `data` is
 * null while it is read.
 * @typedef {object} Frame
 * @property {string | Uint8Array | null} data
 * @property {"fail" | "repeat" | "drop"} onBreak
 * @property {object | null} lane
 * @property {(id: string | null) => void} done
 * @property {(error: WstapError) => void} fail
 */

export class Outbox {
  /** @type {Frame[]} */
  #waiting = [];
  /** Frames without an answer, by their numbers, in order. @type {{ number: number, frame: Frame }[]} */
  #sent = [];
  /** Lanes whose frames wait. */
  #held = new Set();
  #isFlushing = false;
  #transmit; #takes; #acks; #told;

  /**
   * @param {boolean} acks whether frames are answered
   * @param {() => boolean} takes whether a frame can be sent now
   * @param {(data: string | Uint8Array) => number} transmit sends a frame and returns its number
   * @param {(data: string | Uint8Array) => void} told called for each frame that was sent
   */
  constructor(acks, takes, transmit, told) {
    this.#acks = acks;
    this.#takes = takes;
    this.#transmit = transmit;
    this.#told = told;
  }

  /**
   * Adds a frame, and sends it as soon as it is its turn. Resolves with its answer.
   * @param {string | Uint8Array | Promise<string | Uint8Array>} data
   * @param {"fail" | "repeat"} onBreak
   * @param {object | null} lane
   * @returns {Promise<string | null>}
   */
  add(data, onBreak, lane) {
    return new Promise((done, fail) => {
      if (this.#waiting.length >= MOST_WAITING) return fail(new WstapError("full", `${MOST_WAITING} frames wait for the connection already`));
      /** @type {Frame} */
      const frame = { data: null, onBreak, lane, done, fail };
      this.#waiting.push(frame);
      if (typeof data === "string" || data instanceof Uint8Array) frame.data = data;
      else data.then((read) => { frame.data = read; }, (error) => this.#drop(frame, error)).then(() => this.flush());
      return this.flush();
    });
  }

  /** Sends a frame now, before all that wait, or not at all. Never settles if a break comes first. @param {string} data @returns {Promise<string | null>} */
  first(data) {
    return new Promise((done, fail) => { if (this.#takes()) this.#put({ data, onBreak: "drop", lane: null, done, fail }); });
  }

  /** Holds the frames of a lane back. @param {object} lane */
  hold(lane) {
    this.#held.add(lane);
  }

  /** @param {object} lane */
  release(lane) {
    if (this.#held.delete(lane)) this.flush();
  }

  /** Does what comes before all that waits, and then sends that. @param {() => void} first */
  after(first) {
    this.#isFlushing = true;
    first();
    this.#isFlushing = false;
    this.flush();
  }

  /** Sends what waits, in order, except the frames of lanes that are held. */
  flush() {
    // A listener that sends while this runs adds to the end.
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    for (let n = 0; n < this.#waiting.length && this.#takes();) {
      const frame = this.#waiting[n];
      if (frame.lane !== null && this.#held.has(frame.lane)) n += 1;
      else if (frame.data === null) break;
      else this.#put(/** @type {Frame} */ (this.#waiting.splice(n, 1)[0]));
    }
    this.#isFlushing = false;
  }

  /** @param {Frame} frame */
  #put(frame) {
    const data = /** @type {string | Uint8Array} */ (frame.data);
    const number = this.#transmit(data);
    if (this.#acks) this.#sent.push({ number, frame });
    else frame.done(null);
    // A listener may send in its turn.
    this.#told(data);
  }

  /** Takes the answer to a frame: the id of its event, or an error. Returns whether the frame waited for one. @param {number} number @param {string | null | WstapError} answer */
  answered(number, answer) {
    if (!this.#sent.some((one) => one.number === number)) return false;
    // Answers come in the order of the frames: those before this one made no event.
    for (let next = this.#sent.shift(); next; next = this.#sent.shift()) {
      if (next.number < number) next.frame.done(null);
      else {
        if (answer instanceof WstapError) next.frame.fail(answer);
        else next.frame.done(answer);
        break;
      }
    }
    return true;
  }

  /** Starts anew after the end of a connection. */
  broke() {
    const sent = this.#sent.splice(0).map(({ frame }) => frame);
    this.#held.clear();
    // They wait again, before all others.
    this.#waiting.unshift(...sent.filter(({ onBreak }) => onBreak === "repeat"));
    for (const { onBreak, fail } of sent) if (onBreak === "fail") fail(new WstapError("unsure", "the connection ended before the answer came: nobody knows whether it arrived"));
  }

  /** Refuses all that waits. @param {WstapError} error */
  refuse(error) {
    for (const { fail } of this.#waiting.splice(0)) fail(error);
  }

  /** @param {Frame} frame @param {any} error */
  #drop(frame, error) {
    const n = this.#waiting.indexOf(frame);
    if (n !== -1) this.#waiting.splice(n, 1);
    frame.fail(new WstapError("malformed", `the content cannot be read: ${error?.message ?? error}`));
  }
}
