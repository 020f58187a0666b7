// Model: the events that the page holds. Bounded by number and by size, filtered, pausable; no DOM.

/** One event or gap, as the stream told it. */
export function entry(seq, kind, raw) {
  const value = parse(raw);
  const name = kind === "gap" ? "gap" : value?.kind === "message" ? value.direction : (value?.kind ?? "message");
  return { seq, name, raw, value, who: value?.connectionId ?? "", time: value?.time ? new Date(value.time) : null };
}

function parse(raw) {
  try {
    return JSON.parse(raw);
  } catch {
    return null;
  }
}

/** What stands in the line of an entry: its content in short. */
export function preview(entry) {
  const value = entry.value;
  switch (entry.name) {
    case "gap":
      return value?.missed == null ? "events were lost here; nobody knows how many" : `${value.missed.toLocaleString("en")} events were lost here`;
    case "connect":
      return [value.remote, value.path, value.headers?.["user-agent"]].filter(Boolean).join("  ");
    case "close": {
      const { code, reason, clean, by } = value.close;
      return `${code} by the ${by}${clean ? "" : ", not clean"}${reason ? `: ${reason}` : ""}`;
    }
    default:
      if (value == null) return entry.raw.slice(0, 400);
      if (typeof value.message === "string") return value.message.slice(0, 400);
      return JSON.stringify(value.message ?? value.fields ?? null).slice(0, 400);
  }
}

export class Journal {
  #most;
  #chars;
  #held = 0;
  #all = [];
  #waiting = null;
  #filter = { text: "", hidden: new Set(), who: null };
  /** The entries that pass the filter, oldest first. */
  shown = [];
  /** Events that came, those that are gone included. */
  total = 0;
  /** Entries that are gone because there were too many. */
  dropped = 0;
  /** How many of those were shown; only grows. */
  gone = 0;

  constructor(most = 5000, chars = 32_000_000) {
    this.#most = most;
    this.#chars = chars;
  }

  /** Takes an entry; while paused it waits. */
  push(entry) {
    if (entry.name !== "gap") this.total += 1;
    if (this.#waiting) {
      this.#waiting.push(entry);
      this.#held += entry.raw.length;
      while (this.#waiting.length > this.#most || (this.#held > this.#chars && this.#waiting.length > 1)) {
        this.#held -= this.#waiting.shift().raw.length;
        this.dropped += 1;
      }
      return;
    }
    this.#append(entry);
    this.#trim();
  }

  get paused() {
    return this.#waiting !== null;
  }

  /** Entries that wait for the end of the pause. */
  get waiting() {
    return this.#waiting?.length ?? 0;
  }

  pause() {
    this.#waiting ??= [];
  }

  resume() {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    // What waited is counted already.
    for (const entry of waiting) {
      this.#held -= entry.raw.length;
      this.#append(entry);
    }
    this.#trim();
  }

  clear() {
    this.#all = [];
    this.shown = [];
    this.#held = 0;
    this.total = 0;
    this.dropped = 0;
    if (this.#waiting) this.#waiting = [];
  }

  /** Shows only what holds `text`, is no `hidden` kind, and is of connection `who` (null: all). */
  filter(change) {
    this.#filter = { ...this.#filter, ...change };
    this.shown = this.#all.filter((entry) => this.#passes(entry));
  }

  get isFiltered() {
    const { text, hidden, who } = this.#filter;
    return text !== "" || hidden.size > 0 || who !== null;
  }

  get length() {
    return this.#all.length;
  }

  #append(entry) {
    this.#all.push(entry);
    this.#held += entry.raw.length;
    if (this.#passes(entry)) this.shown.push(entry);
  }

  /** Lets the oldest go, a good many at a time, so that this costs nothing for each. */
  #trim() {
    if (this.#all.length <= this.#most && this.#held <= this.#chars) return;
    const slack = Math.floor(this.#most / 10);
    let gone = 0;
    while (gone < this.#all.length - 1 && (this.#all.length - gone > this.#most - slack || this.#held > this.#chars)) {
      this.#held -= this.#all[gone].raw.length;
      gone += 1;
    }
    this.dropped += gone;
    this.#all.splice(0, gone);
    const first = this.#all[0].seq;
    let cut = this.shown.findIndex((entry) => entry.seq >= first);
    if (cut === -1) cut = this.shown.length;
    this.shown.splice(0, cut);
    this.gone += cut;
  }

  #passes(entry) {
    if (entry.name === "gap") return true;
    const { text, hidden, who } = this.#filter;
    const kind = entry.name === "in" || entry.name === "out" ? "message" : entry.name;
    return !hidden.has(kind)
      && (who === null || entry.who === who)
      && (text === "" || entry.raw.toLowerCase().includes(text.toLowerCase()));
  }
}
