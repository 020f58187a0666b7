// Model: how many events there were when, for the strip. Seconds for what is new, pieces of any
// length for what is old; bounded; no DOM.

/** Seconds that are kept one by one. */
const SECONDS = 3600;

export class Density {
  /** Pieces `{ from, to, n }` in milliseconds, oldest first. */
  #pieces = [];
  /** Events of each second, oldest first. */
  #seconds = new Map();

  get isEmpty() {
    return this.#pieces.length === 0 && this.#seconds.size === 0;
  }

  /** When it begins, in milliseconds, or null. */
  get begin() {
    const second = this.#seconds.keys().next().value;
    return this.#pieces[0]?.from ?? (second === undefined ? null : second * 1000);
  }

  /** Takes marks of the server: every so-many-th event, and how many there are. */
  marks({ every, marks, count, first, last }) {
    const ms = (id) => parseInt(id, 10);
    this.#pieces = [];
    this.#seconds.clear();
    if (count === 0) return;
    let from = ms(first);
    for (const mark of marks) {
      const to = ms(mark);
      this.#pieces.push({ from, to, n: every });
      from = to;
    }
    const rest = count - marks.length * every;
    if (rest > 0) this.#pieces.push({ from, to: ms(last), n: rest });
  }

  /** Takes counts of seconds: `[second, n]`. Those that the marks have told are left out. */
  add(counts) {
    const told = this.#pieces.at(-1)?.to ?? 0;
    for (const [second, n] of counts) {
      if (second * 1000 + 999 > told) this.#seconds.set(second, (this.#seconds.get(second) ?? 0) + n);
    }
    while (this.#seconds.size > SECONDS) this.#age();
  }

  /** Makes one piece of the oldest minute. */
  #age() {
    const [first] = this.#seconds.keys();
    let n = 0;
    for (const [second, count] of this.#seconds) {
      if (second >= first + 60) break;
      n += count;
      this.#seconds.delete(second);
    }
    this.#pieces.push({ from: first * 1000, to: first * 1000 + 60_000, n });
    if (this.#pieces.length > 10_000) this.#pieces.splice(0, 1000);
  }

  /** Events in each of `columns` equal parts of a time. */
  columns(from, to, columns) {
    const found = new Float64Array(columns);
    const width = (to - from) / columns;
    for (const { from: a, to: b, n } of this.#pieces) if (b >= from && a <= to) spread(found, (a - from) / width, (b - from) / width, n);
    for (const [second, n] of this.#seconds) {
      const a = second * 1000;
      if (a + 1000 >= from && a <= to) spread(found, (a - from) / width, (a + 1000 - from) / width, n);
    }
    return found;
  }

  clear() {
    this.#pieces = [];
    this.#seconds.clear();
  }
}

/** Adds `n` to the columns from `a` to `b`, each by its share. */
function spread(columns, a, b, n) {
  if (b - a < 1e-9) {
    const at = Math.floor(a);
    if (at >= 0 && at < columns.length) columns[at] += n;
    return;
  }
  for (let at = Math.max(0, Math.floor(a)); at < Math.min(columns.length, Math.ceil(b)); at += 1) {
    columns[at] += n * Math.max(0, Math.min(b, at + 1) - Math.max(a, at)) / (b - a);
  }
}
