// View: the list of connections. The worker holds it; the page has the part in sight.

import { codeInWords, endInShort } from "../model/forensics.js";
import { bytes, count, duration, number, rate, short, visible } from "../model/text.js";
import { at, make, stamp } from "./dom.js";
import { List } from "./list.js";
import { markConnection } from "./names.js";

/** Lines that are asked for beyond those in sight. */
const AHEAD = 20;

export class Connections {
  #list;
  #part = { total: 0, open: 0, from: 0, rows: [], unlisted: 0 };
  #ask;
  #asked = "";
  #chosen = new Set();
  /** Whether the connections are those of a recording or a file. */
  isRecording = false;
  /** Returns the time until which connections that are open have lasted. */
  now = () => Date.now();
  /** Called with the id of a connection that was chosen, and whether beside others. */
  onchoose = () => {};

  /** `ask({ sort, reverse, search, from, count })` asks for a part of the list. */
  constructor(ask) {
    this.#ask = ask;
    const box = at("connections");
    this.#list = new List(box, at("connections-space"), { make: () => stamp("connection"), fill: (row, index) => this.#fill(row, index), row: 44 });
    this.#list.following = false;
    this.#list.onscroll = () => this.#want();
    this.#list.onfollow = () => { this.#list.following = false; };
    new ResizeObserver(() => this.#want()).observe(box);
    box.addEventListener("click", (event) => {
      const row = event.target.closest(".connection");
      // The row decides, even if the list was sorted anew just now.
      if (row?.dataset.id !== undefined) this.#choose(row.dataset.id, this.#list.indexOf(row), event);
    });
    box.addEventListener("keydown", (event) => this.#key(event));
    at("connection-search").addEventListener("input", () => this.#want());
    at("connection-sort").addEventListener("change", () => this.#want());
  }

  /** Takes a part of the list. */
  show(part) {
    this.#part = part;
    this.#list.source = { length: part.total, first: 0 };
    const unlisted = part.unlisted > 0 ? `, ${count(part.unlisted)} not listed` : "";
    at("who-count").textContent = this.#counts(part) + unlisted;
    const searched = at("connection-search").value !== "";
    at("connections-blank").hidden = part.total > 0;
    const none = this.isRecording ? "No connection is recorded." : "Nobody is connected.";
    at("connections-blank").textContent = searched ? "No connection has that in its name, path, address, user or channels." : none;
    this.#want();
  }

  #counts({ open, total, all }) {
    if (!this.isRecording) return open + total === 0 ? "none yet" : `${count(open)} open`;
    if (all === 0) return "none";
    return open === 0 ? `${count(all)}, all closed` : `${count(all)}, ${count(open)} open at the end`;
  }

  /** The connections in sight. */
  get inSight() {
    return this.#list.shown.map((index) => this.#at(index)?.id).filter(Boolean);
  }

  /** Marks the connections that the events are of. */
  choose(ids) {
    this.#chosen = new Set(ids);
    this.#list.refresh();
  }

  #want() {
    const from = Math.max(0, this.#list.top - AHEAD);
    const view = { sort: at("connection-sort").value, search: at("connection-search").value.trim(), from, count: this.#list.page + 2 * AHEAD };
    const asked = JSON.stringify(view);
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.#ask(view);
  }

  #at(index) {
    return this.#part.rows[index - this.#part.from];
  }

  #choose(id, index, { ctrlKey, metaKey, shiftKey }) {
    this.#list.selected = index;
    this.onchoose(id, ctrlKey || metaKey || shiftKey);
  }

  #key(event) {
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -this.#list.page, PageDown: this.#list.page, Home: -1e9, End: 1e9 };
    if (event.key in steps) {
      this.#list.move(steps[event.key]);
      this.#want();
    } else if (event.key === "Enter" || event.key === " ") {
      const one = this.#list.selected === null ? undefined : this.#at(this.#list.selected);
      if (one) this.#choose(one.id, this.#list.selected, event);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #fill(row, index) {
    const one = this.#at(index);
    const [dot, name, figure, about] = row.children;
    row.hidden = false;
    row.classList.toggle("chosen", Boolean(one && this.#chosen.has(one.id)));
    if (!one) {
      name.textContent = "…";
      figure.textContent = about.textContent = "";
      return;
    }
    row.dataset.id = one.id;
    row.dataset.open = String(one.open);
    markConnection(dot, one.id);
    name.textContent = visible(one.name || one.id);
    const messages = one.messages.in + one.messages.out;
    const isBusy = one.rate.in + one.rate.out > 0;
    figure.replaceChildren(...(isBusy ? [make("span", "in", `→${rate(one.rate.in)}`), " ", make("span", "out", `←${rate(one.rate.out)}`), "/s"] : [short(messages)]));
    about.textContent = visible(one.open ? open(one, this.now()) : ended(one));
    row.title = visible(describe(one));
  }
}

function age(one, until) {
  return one.since > 0 ? duration(Math.max(0, until - one.since) / 1000) : "";
}

function open(one, now) {
  const channels = one.channels.length > 2 ? [...one.channels.slice(0, 2), `${one.channels.length - 2} more`] : one.channels;
  return [one.user, one.transport === "sse" && "event stream", channels.length > 0 && `in ${channels.join(", ")}`, one.path, bytes(one.bytes.in + one.bytes.out), age(one, now)].filter(Boolean).join(" · ");
}

function ended(one) {
  if (!one.closed) return "closed";
  return endInShort(one.closed, one.closed.status, one.transport);
}

/** All facts in words, for the tip of a row. */
function describe(one) {
  const known = [
    one.name,
    one.id,
    one.open ? "open" : `closed ${one.closed ? `${codeInWords(one.closed.code)} by the ${one.closed.by}` : ""}`,
    one.user && `user ${one.user}`,
    one.channels.length > 0 && `in ${one.channels.slice(0, 20).join(", ")}${one.channels.length > 20 ? ` and ${number(one.channels.length - 20, "more channel")}` : ""}`,
    one.path && `path ${one.path}`,
    one.remote && `from ${one.remote}`,
    `client to server: ${number(one.messages.in, "message")}, ${bytes(one.bytes.in)}`,
    `server to client: ${number(one.messages.out, "message")}, ${bytes(one.bytes.out)}`,
    one.roundTrip !== null && `round trip ${Math.round(one.roundTrip * 1000)} ms`,
  ];
  return known.filter(Boolean).join("\n");
}
