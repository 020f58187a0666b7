// Model: the decoded form of messages for their rows, by the id of the event. Bounded; no DOM.

import { idOf, kindOf } from "./event.js";

/** Messages whose decoded form is held: more than the page holds events. */
const MOST = 60_000;

/** Lines that are asked for at a time; more are not in sight. */
const ASKED = 200;

export class Decoded {
  #briefs = new Map();
  #most;
  #wanted = [];
  #asked = new Set();
  #isStale = false;

  constructor(most = MOST) {
    this.#most = most;
  }

  /**
   * The decoded form of the message of a line, or null. If it is not known it is wanted. Of a request,
   * `answered` is `{ id, ms, row, count }` once an answer has come.
   */
  of(line) {
    if (kindOf(line) !== "message") return null;
    const id = idOf(line);
    const found = this.#briefs.get(id);
    if (found !== undefined) return found;
    if (id !== "" && !this.#asked.has(id) && this.#wanted.length < ASKED) this.#wanted.push(line);
    return null;
  }

  /**
   * Whether a line is folded into another: an answer into its request, if `isListed(id)` says that the
   * list has that, and a part of a packet into the message that completes it.
   */
  isFolded(line, isListed) {
    if (kindOf(line) !== "message") return false;
    const brief = this.#briefs.get(idOf(line));
    if (brief?.part) return true;
    return Boolean(brief?.of) && !brief.asks && this.#briefs.has(brief.of.id) && isListed(brief.of.id);
  }

  /** The messages of some lines that are neither known nor asked for. They count as asked for then. */
  unknown(lines) {
    const found = lines.filter((line) => kindOf(line) === "message" && idOf(line) !== "" && !this.#briefs.has(idOf(line)) && !this.#asked.has(idOf(line)));
    return this.#ask(found);
  }

  /** The lines that were looked for and are not known. Each is returned once. */
  wanted() {
    const lines = this.#wanted;
    if (lines.length === 0) return lines;
    this.#wanted = [];
    return this.#ask(lines);
  }

  #ask(lines) {
    // An answer comes for each; the set is only for those under way.
    if (this.#asked.size > 10 * ASKED) this.#asked.clear();
    for (const line of lines) this.#asked.add(idOf(line));
    return lines;
  }

  /** Whether rows of requests may show another time than at the last call. */
  takeStale() {
    const was = this.#isStale;
    this.#isStale = false;
    return was;
  }

  /** Takes `[id, brief]`. Returns whether a row may show something else now. */
  put(pairs) {
    let changed = false;
    for (const [id, brief] of pairs) {
      const known = this.#briefs.get(id);
      // A line of the stream that was not decoded may have been decoded since.
      if (brief === null && known) continue;
      if (known?.answered && brief) brief.answered = known.answered;
      // What was decoded again is dropped last.
      if (known !== undefined) this.#briefs.delete(id);
      this.#briefs.set(id, brief);
      this.#asked.delete(id);
      if (brief === null) continue;
      changed = true;
      if (brief?.of) this.#answer(id, brief);
    }
    if (this.#briefs.size > this.#most) this.#trim();
    return changed;
  }

  /** The last answer of a request counts, and its first as long as more may follow. */
  #answer(id, { row, of: { id: request, ms, more } }) {
    const asked = this.#briefs.get(request);
    if (!asked) return;
    const { answered } = asked;
    this.#isStale = true;
    if (!answered) asked.answered = { id, ms, more, row, count: 1 };
    else if (answered.id !== id) asked.answered = { ...(answered.more && !more ? { id, ms, more, row } : answered), count: answered.count + 1 };
  }

  #trim() {
    let left = Math.ceil(this.#most / 10);
    for (const id of this.#briefs.keys()) {
      if (left === 0) break;
      this.#briefs.delete(id);
      left -= 1;
    }
  }

  clear() {
    this.#briefs.clear();
    this.#asked.clear();
    this.#wanted = [];
  }
}
