// The messages of one connection, decoded in order: which decoder they belong to, the state of each
// direction, and requests that wait for an answer. Pure; no DOM.

import { LIKELY, decode, fitsOf, forget, owns, pending, result as fit } from "./index.js";

/** The fit from which one message settles the decoder of its connection. */
const CERTAIN = 85;

/** Messages in a row that one decoder fits best settle it too, from this fit on. */
const STEADY = { fit: 30, messages: 4 };

/** Messages in a row that no decoder fits, after which a connection is left alone. */
const DORMANT = 24;

/** Requests of a connection that wait for an answer. */
const OPEN = 1000;

const OTHER = { in: "out", out: "in" };

export class Track {
  #states;
  #open = new Map();
  #misses = 0;
  #streak = { name: "", count: 0 };
  /** The decoder of the connection, once it is settled. */
  decoder = null;

  /** `forced` is a decoder that the reader chose, or "off". */
  constructor({ path, subprotocol, forced = null } = {}) {
    this.path = path;
    this.subprotocol = subprotocol;
    this.forced = forced;
    this.#states = { in: {}, out: {} };
    this.#states.in.peer = this.#states.out;
    this.#states.out.peer = this.#states.in;
  }

  /** Whether no decoder has fit for so long that messages need not be looked at. */
  get isDormant() {
    return this.decoder === null && this.forced === null && this.#misses >= DORMANT;
  }

  /** Whether the decoder of the connection is known or chosen. */
  get isSettled() {
    return this.decoder !== null || this.forced !== null;
  }

  wake() {
    this.#misses = 0;
  }

  /** A copy with the facts of this one, without unfinished packets and open requests. */
  fork() {
    const copy = new Track(this);
    copy.decoder = this.decoder;
    for (const way of ["in", "out"]) {
      for (const [name, value] of Object.entries(this.#states[way])) {
        if (name !== "peer") copy.#states[way][name] = isPlain(value) ? { ...value } : value;
      }
      forget(copy.#states[way]);
    }
    return copy;
  }

  /** Drops unfinished packets and open requests, since messages were lost. */
  lose() {
    forget(this.#states.in);
    forget(this.#states.out);
    this.#open.clear();
  }

  /**
   * Decodes the next message, of the event `id` at `time`, without `path` and `subprotocol`. Returns
   * the result of its decoder with `fits`, `likely`, and of an answer `of: { id, ms, more }`, where
   * `more` says that an earlier answer counts as such; `asks` says that an answer is expected. Returns null if no decoder fits.
   */
  read(event, id = "", time = 0) {
    const message = { ...event, path: this.path, subprotocol: this.subprotocol };
    const state = this.#states[message.direction === "out" ? "out" : "in"];
    const fits = this.forced === "off" ? [] : fitsOf(message);
    const chosen = this.forced === "off" ? null : this.forced ?? this.#choose(fits, state);
    if (chosen === null) {
      this.#misses += 1;
      this.#streak.count = 0;
      return null;
    }
    const result = decode(chosen, message, state);
    const likely = this.forced !== null || this.decoder === chosen || (fits[0]?.name === chosen && fits[0].fit >= LIKELY);
    this.#misses = likely ? 0 : this.#misses + 1;
    return { ...result, fits: fits.map(({ name }) => name), likely, ...this.#linked(result.links, message.direction, id, time) };
  }

  /** The output of a decoder of the reader's own for an event, bounded and linked as that of others. */
  adopt(output, direction, id, time) {
    const made = fit(output.name, output);
    return { ...made, fits: [made.name], likely: true, ...this.#linked(made.links, direction, id, time) };
  }

  #choose(fits, state) {
    const [best] = fits;
    if (this.decoder !== null) {
      if (pending(this.decoder, state)) return this.decoder;
      const own = fits.find(({ name }) => name === this.decoder);
      const replaced = best && best.name !== this.decoder && best.fit >= CERTAIN && best.fit > (own?.fit ?? 0) + 30;
      if (!replaced && (own || owns(this.decoder))) return this.decoder;
    }
    if (!best) return null;
    const again = this.#streak.name === best.name && best.fit >= STEADY.fit;
    this.#streak = { name: best.name, count: again ? this.#streak.count + 1 : 1 };
    if (best.fit >= CERTAIN || this.#streak.count >= STEADY.messages) this.decoder = best.name;
    return best.name;
  }

  #linked(links, direction, id, time) {
    const found = {};
    if (!links || !OTHER[direction]) return found;
    for (const { ask, answer, more = false, end = false } of links) {
      if (ask !== undefined) {
        if (this.#open.size >= OPEN) this.#open.delete(this.#open.keys().next().value);
        this.#open.set(`${direction} ${ask}`, { id, time });
        found.asks = true;
      } else {
        const key = `${OTHER[direction]} ${answer}`;
        const request = this.#open.get(key);
        if (!request) continue;
        if (!more) this.#open.delete(key);
        found.of ??= { id: request.id, ms: Math.max(0, time - request.time), more: more || end };
      }
    }
    return found;
  }
}

function isPlain(value) {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** The part of a result that a row shows, or null: a mere guess is not shown. */
export function brief(result) {
  if (!result?.likely || (result.error !== undefined && result.fields === null)) return null;
  return {
    by: result.name,
    row: result.row ?? result.summary,
    ...(result.error === undefined ? {} : { error: result.error }),
    ...(result.part ? { part: true } : {}),
    ...(result.asks ? { asks: true } : {}),
    ...(result.of ? { of: result.of } : {}),
  };
}
