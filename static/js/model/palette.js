// Model: deals colours and shapes to ids in the order in which they appear. Ids that are in sight at the
// same time have different ones, as long as there are enough; no DOM.

export const COLOURS = 12;

/** Shapes, a number without a divisor in common with that of the colours: neighbours differ in both. */
export const SHAPES = 7;

export class Palette {
  #size;
  /** The place of each id, the one that was used longest ago first. */
  #places = new Map();
  #free;
  /** Returns the ids that are in sight: their places are not dealt again. */
  inSight = () => new Set();

  constructor(size = COLOURS * SHAPES) {
    this.#size = size;
    this.#free = Array.from({ length: size }, (_, n) => n);
  }

  /** The colour and the shape of an id: `{ colour, shape }`. */
  of(id) {
    const place = this.#places.get(id) ?? this.#deal();
    this.#places.delete(id);
    this.#places.set(id, place);
    return { colour: place % COLOURS, shape: place % SHAPES };
  }

  #deal() {
    if (this.#free.length > 0) return this.#free.shift();
    const inSight = this.inSight();
    let oldest = null;
    for (const id of this.#places.keys()) {
      oldest ??= id;
      if (inSight.has(id)) continue;
      oldest = id;
      break;
    }
    const place = this.#places.get(oldest);
    this.#places.delete(oldest);
    return place;
  }

  get size() {
    return this.#size;
  }
}
