// Model: how many rows each part of a long list has, and where each part begins. No DOM.

export class Spans {
  #sizes;
  #starts = null;

  /** `sizes` are the numbers of rows, a part each. */
  constructor(sizes) {
    this.#sizes = sizes;
  }

  get length() {
    return this.start(this.#sizes.length);
  }

  get parts() {
    return this.#sizes.length;
  }

  /** The index of the first row of a part. */
  start(part) {
    if (this.#starts === null) {
      this.#starts = [0];
      for (const size of this.#sizes) this.#starts.push(this.#starts.at(-1) + size);
    }
    return this.#starts[part];
  }

  resize(part, size) {
    if (this.#sizes[part] === size) return;
    this.#sizes[part] = size;
    this.#starts = null;
  }

  /** The part of a row. */
  partOf(index) {
    let low = 0;
    let high = this.#sizes.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.start(middle + 1) > index) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
