// Model: the number of events over time, for the strip. A count belongs to a bucket of known length,
// and a column of the strip is a whole number of buckets: nothing is spread, so that a column shows
// what happened in its time and silence stays empty. Bounded; no DOM.

/** The shortest bucket, in milliseconds. Longer ones are this times a power of two, so that they nest. */
export const BUCKET = 250;

/** Buckets that a layer keeps. The last hour fits in the shortest ones. */
const MOST = 16_384;

/** Lengths of a column that people read well, in milliseconds. */
const COLUMNS = [250, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000];

/** Buckets of one length. */
class Layer {
  counts = new Map();

  constructor(step) {
    this.step = step;
  }

  add(ms, n) {
    const key = Math.floor(ms / this.step);
    this.counts.set(key, (this.counts.get(key) ?? 0) + n);
  }

  /** Makes one bucket of each two until there are few enough. */
  bound() {
    while (this.counts.size > MOST) {
      const fine = this.counts;
      this.step *= 2;
      this.counts = new Map();
      for (const [key, n] of fine) this.add((key * this.step) / 2, n);
    }
  }
}

export class Density {
  /** Buckets that the server has counted: of its whole history, and finer ones of its end. */
  #past = [];
  #old = new Layer(64 * BUCKET);
  #recent = new Layer(BUCKET);
  #total = 0;

  get isEmpty() {
    return this.#total === 0;
  }

  get #layers() {
    return [...this.#past, this.#old, this.#recent];
  }

  /** The beginning of the first bucket, in milliseconds, or null. */
  get begin() {
    return this.#edge(Math.min, 0);
  }

  /** The end of the last bucket, in milliseconds, or null. */
  get end() {
    return this.#edge(Math.max, 1);
  }

  #edge(choose, shift) {
    if (this.isEmpty) return null;
    let edge = null;
    for (const { step, counts } of this.#layers) {
      for (const key of counts.keys()) edge = edge === null ? (key + shift) * step : choose(edge, (key + shift) * step);
    }
    return edge;
  }

  /**
   * Takes the server's counts `{ step, counts: [[ms, n], …] }` of its history, and optionally finer ones
   * that replace those from a time on. That time is a multiple of the coarse step.
   */
  past({ step, counts }, fine = null, from = Infinity) {
    const layer = (size, pairs) => {
      const made = new Layer(size);
      for (const [ms, n] of pairs) made.add(ms, n);
      return made;
    };
    this.#past = [layer(step, counts.filter(([ms]) => ms < from))];
    if (fine) this.#past.push(layer(fine.step, fine.counts));
    this.#sum();
  }

  /** Takes counts `[ms, n]` of events that the server's counts do not contain. */
  add(counts) {
    for (const [ms, n] of counts) {
      this.#recent.add(ms, n);
      this.#total += n;
    }
    if (this.#recent.counts.size > MOST) this.#age();
  }

  /** Moves the oldest quarter to longer buckets. */
  #age() {
    const keys = [...this.#recent.counts.keys()].sort((a, b) => a - b);
    for (const key of keys.slice(0, MOST / 4)) {
      this.#old.add(key * BUCKET, this.#recent.counts.get(key));
      this.#recent.counts.delete(key);
    }
    this.#old.bound();
  }

  #sum() {
    this.#total = 0;
    for (const { counts } of this.#layers) for (const n of counts.values()) this.#total += n;
  }

  /** The longest bucket with events in a time. */
  #coarsest(from, to) {
    let coarsest = BUCKET;
    for (const { step, counts } of this.#layers) {
      if (step <= coarsest) continue;
      for (const key of counts.keys()) {
        if ((key + 1) * step > from && key * step < to) {
          coarsest = step;
          break;
        }
      }
    }
    return coarsest;
  }

  /**
   * The numbers of events in columns of equal length that together contain a time:
   * `{ from, to, step, values }`, at most `most` of them.
   */
  columns(from, to, most) {
    let resolution = BUCKET;
    for (;;) {
      const step = columnOf((to - from) / most, resolution);
      const end = Math.ceil(to / step) * step;
      const count = Math.max(1, Math.min(most, Math.ceil((end - from) / step)));
      const begin = end - count * step;
      const coarsest = this.#coarsest(begin, end);
      if (coarsest <= resolution) return { from: begin, to: end, step, values: this.#values(begin, step, count) };
      resolution = coarsest;
    }
  }

  #values(begin, step, count) {
    const values = new Float64Array(count);
    for (const layer of this.#layers) {
      for (const [key, n] of layer.counts) {
        const at = Math.floor((key * layer.step - begin) / step);
        if (at >= 0 && at < count) values[at] += n;
      }
    }
    return values;
  }

  clear() {
    this.#past = [];
    this.#old = new Layer(64 * BUCKET);
    this.#recent = new Layer(BUCKET);
    this.#total = 0;
  }
}

/** A length of at least `least` that is a multiple of `resolution`. */
function columnOf(least, resolution) {
  return COLUMNS.find((step) => step >= least && step % resolution === 0) ?? Math.max(1, Math.ceil(least / resolution)) * resolution;
}
