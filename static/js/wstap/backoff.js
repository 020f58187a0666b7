// Delays between attempts.

/**
 * The delay before the next attempt: a random part ("full jitter") of a bound that doubles with each
 * failure. Only a connection that lasted counts as a success; one that is cut off at once, again and
 * again, is a failure too.
 */
export class Backoff {
  /** Attempts that failed in a row. */
  attempt = 0;

  /** `new Backoff(backoff)` takes the delays of another one, without its failures. Milliseconds. */
  constructor({ first = 500, most = 30_000, lasting = 5000, random = Math.random } = {}) {
    this.first = first;
    this.most = most;
    this.lasting = lasting;
    this.random = random;
  }

  /** Returns the next delay, after a connection that was open for `lasted` milliseconds; at least `floor`. */
  next(lasted = 0, floor = 0) {
    if (lasted >= this.lasting) this.attempt = 0;
    const most = Math.min(this.most, this.first * 2 ** Math.min(20, this.attempt));
    this.attempt += 1;
    return Math.round(floor + this.random() * most);
  }
}
