// A frame of a protocol that a WebSocket message ends within, kept until its rest comes. Bounded: a
// frame larger than the limit is counted, not kept.

import { LIMITS, amount } from "./bounded.js";

/** A frame that is not complete. */
export class Unfinished {
  #kept = new Uint8Array(256);
  /** Bytes so far. */
  have = 0;
  /** Messages so far. */
  messages = 0;

  /** `need`: its length, or null if it is not known yet; `what` names it. */
  constructor(need, what) {
    this.need = need;
    this.what = what;
  }

  /** Whether it is too large to be kept. */
  get dropped() { return Math.max(this.need ?? 0, this.have) > LIMITS.bytes; }

  push(bytes) {
    this.messages += 1;
    const end = this.have + bytes.length;
    if (!this.dropped && end <= LIMITS.bytes) {
      if (end > this.#kept.length) {
        const larger = new Uint8Array(Math.max(end, 2 * this.#kept.length));
        larger.set(this.#kept.subarray(0, this.have));
        this.#kept = larger;
      }
      this.#kept.set(bytes, this.have);
    }
    this.have = end;
  }

  /** The bytes that were kept. */
  get bytes() { return this.#kept.slice(0, this.have); }

  /** "1,000 of 4,096 bytes", for people. */
  get progress() {
    return this.need === null ? amount(this.have) : `${this.have.toLocaleString("en")} of ${amount(this.need)}`;
  }
}
