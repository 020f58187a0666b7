// Model: the lines of a journal without those that are folded into others. Lines keep their order; as
// in a journal, `first` counts the lines that were shown and are gone. No DOM.

/** Lines that are gone before the list of numbers is cut. */
const SLACK = 4096;

export class Folding {
  #journal;
  #isFolded;
  #shown = [];
  #start = 0;
  #seen = 0;
  #first = 0;

  /** `isFolded(line)` says whether a line is shown within another. */
  constructor(journal, isFolded) {
    this.#journal = journal;
    this.#isFolded = isFolded;
  }

  /** Looks at lines that came, and forgets those that the journal has dropped. */
  #sync() {
    const { first } = this.#journal;
    const end = first + this.#journal.length;
    while (this.#start < this.#shown.length && this.#shown[this.#start] < first) {
      this.#start += 1;
      this.#first += 1;
    }
    if (this.#start > SLACK) {
      this.#shown = this.#shown.slice(this.#start);
      this.#start = 0;
    }
    for (this.#seen = Math.max(this.#seen, first); this.#seen < end; this.#seen += 1) {
      if (!this.#isFolded(this.#journal.at(this.#seen - first))) this.#shown.push(this.#seen);
    }
  }

  /** Looks at all lines again, as others may be folded now. */
  renew() {
    this.#shown = [];
    this.#start = 0;
    this.#seen = 0;
  }

  get length() {
    this.#sync();
    return this.#shown.length - this.#start;
  }

  get first() {
    this.#sync();
    return this.#first;
  }

  at(index) {
    const number = this.#shown[this.#start + index];
    return number === undefined ? undefined : this.#journal.at(number - this.#journal.first);
  }

  /** The index of the line that is at an index of the journal, or -1 if it is folded. */
  indexOf(index) {
    this.#sync();
    const number = this.#journal.first + index;
    let low = this.#start;
    let high = this.#shown.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#shown[middle] < number) low = middle + 1;
      else high = middle;
    }
    return this.#shown[low] === number ? low - this.#start : -1;
  }
}
