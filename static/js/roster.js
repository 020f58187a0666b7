// Model: the connections, as the events tell of them. Bounded; no DOM.

export class Roster {
  #most;
  #byId = new Map();
  /** Connections that did not fit. */
  unlisted = 0;

  constructor(most = 500) {
    this.#most = most;
  }

  /** Takes the list of live connections, as `/api/connections` has it. */
  snapshot(live) {
    const there = new Set(live.map((connection) => connection.connectionId));
    for (const known of this.#byId.values()) {
      if (known.open && !there.has(known.id)) known.open = false;
    }
    for (const connection of live) {
      const known = this.#at(connection.connectionId);
      if (!known) continue;
      known.open = true;
      known.about = connection.path;
      known.messages = connection.messages.in + connection.messages.out;
    }
  }

  /** Takes an entry of the journal. */
  see(entry) {
    if (entry.name === "gap" || entry.who === "") return;
    const known = this.#at(entry.who);
    if (!known) return;
    switch (entry.name) {
      case "connect":
        known.open = true;
        known.messages = 0;
        known.about = entry.value.path;
        break;
      case "close":
        known.open = false;
        known.about = `closed ${entry.value.close.code} by the ${entry.value.close.by}`;
        break;
      default:
        known.messages += 1;
    }
  }

  /** All that are known: the open ones first, then as they came. */
  list() {
    const all = [...this.#byId.values()];
    return [...all.filter((known) => known.open), ...all.filter((known) => !known.open)];
  }

  get open() {
    let open = 0;
    for (const known of this.#byId.values()) open += known.open ? 1 : 0;
    return open;
  }

  clear() {
    for (const known of this.#byId.values()) if (!known.open) this.#byId.delete(known.id);
    this.unlisted = 0;
  }

  #at(id) {
    const known = this.#byId.get(id);
    if (known) return known;
    if (this.#byId.size >= this.#most && !this.#forgetOne()) {
      this.unlisted += 1;
      return null;
    }
    const fresh = { id, open: true, messages: 0, about: "" };
    this.#byId.set(id, fresh);
    return fresh;
  }

  /** Forgets the connection that has been closed for longest. */
  #forgetOne() {
    for (const known of this.#byId.values()) {
      if (!known.open) {
        this.#byId.delete(known.id);
        return true;
      }
    }
    return false;
  }
}
