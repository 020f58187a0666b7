// Model: many messages at a rate. A clock and a sender are given; no DOM.

/** How many messages a burst has at most, and how many a second. */
export const MOST = 1_000_000;
export const FASTEST = 50_000;

/** A message with its number and time put in. */
export function filled(text, n, now) {
  return text.replaceAll("{{n}}", String(n)).replaceAll("{{time}}", String(now));
}

/** Reads the size and rate of a burst, or returns `{ fault }`. */
export function read(count, rate) {
  const [many, fast] = [Number(count), Number(rate)];
  if (!Number.isInteger(many) || many < 1 || many > MOST) return { fault: `A burst has 1 to ${MOST.toLocaleString("en")} messages.` };
  if (!(fast > 0) || fast > FASTEST) return { fault: `A burst sends up to ${FASTEST.toLocaleString("en")} messages a second.` };
  return { count: many, rate: fast };
}

export class Burst {
  #count;
  #rate;
  #began;
  sent = 0;

  constructor({ count, rate }, now) {
    this.#count = count;
    this.#rate = rate;
    this.#began = now;
  }

  get isDone() {
    return this.sent >= this.#count;
  }

  /** Sends the messages that are due by now; `send(n)` returns whether there was room for it. */
  tick(now, send) {
    const due = Math.min(this.#count, 1 + Math.floor(((now - this.#began) * this.#rate) / 1000));
    while (this.sent < due) {
      if (!send(this.sent + 1)) return;
      this.sent += 1;
    }
  }
}
