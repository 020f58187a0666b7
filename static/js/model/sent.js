// Model: messages that were sent before, and templates under a name. Bounded; no DOM.

/** Messages that are remembered. */
const MOST = 50;

/** Characters of a message that is remembered; a longer one is not. */
const LONGEST = 100_000;

export class Sent {
  #store;
  #at = -1;

  /** `store` is such as `localStorage`. */
  constructor(store) {
    this.#store = store;
  }

  /** Messages `{ kind, text }`, the newest first. */
  get history() {
    return this.#read("wstap.sent").filter((one) => typeof one?.text === "string");
  }

  /** Messages `{ name, kind, text }` by name. */
  get templates() {
    return this.#read("wstap.templates").filter((one) => typeof one?.name === "string" && typeof one?.text === "string").sort((a, b) => a.name.localeCompare(b.name));
  }

  /** Remembers a message. */
  add(kind, text) {
    this.#at = -1;
    if (text.length > LONGEST) return;
    const others = this.history.filter((one) => one.kind !== kind || one.text !== text);
    this.#write("wstap.sent", [{ kind, text }, ...others].slice(0, MOST));
  }

  /** The message before the last one asked for, or after it; null at the ends. */
  step(by) {
    const all = this.history;
    const to = this.#at + by;
    if (to < 0 || to >= all.length) return null;
    this.#at = to;
    return all[to];
  }

  /** Keeps a message under a name; an older one of that name goes. Returns whether there was room. */
  keep(name, kind, text) {
    return this.#write("wstap.templates", [...this.templates.filter((one) => one.name !== name), { name, kind, text }]);
  }

  forget(name) {
    return this.#write("wstap.templates", this.templates.filter((one) => one.name !== name));
  }

  #read(key) {
    try {
      const list = JSON.parse(this.#store.getItem(key) ?? "[]");
      return Array.isArray(list) ? list : [];
    } catch {
      return [];
    }
  }

  #write(key, list) {
    try {
      this.#store.setItem(key, JSON.stringify(list));
      return true;
    } catch {
      return false;
    }
  }
}
