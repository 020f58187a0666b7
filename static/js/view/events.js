// View: the list of events, from the journal of the page or from the server's history.

import { connectionOf, idOf } from "../model/event.js";
import { Folding } from "../model/folding.js";
import { count } from "../model/text.js";
import { announce, at } from "./dom.js";
import { List } from "./list.js";
import { fillRow, makeRow } from "./rows.js";

/** Lines of a batch from which on the list is drawn less often: too many to be read. */
const FLOOD = 20;

/** How often it is drawn then, in milliseconds. */
const SLOWLY = 80;

/** Lists of this width have room for dates beside the times. */
const WIDE = 821;

export class Events {
  #journal;
  #decoded;
  #showDecoded = true;
  #folding;
  #isFolded = false;
  #archive = null;
  #timer = 0;
  #since = 0;
  #text = "";
  #marked = "";
  /** Whether the pointer is over the list, and whether the list stands still for that alone. */
  #isUnder = false;
  #isHeld = false;
  deltas = false;
  #dates = false;
  #sized = null;
  /** Called with the line of an event that was chosen, and whether it is to be shown. */
  onselect = () => {};
  /** Called with a cell's name and the line, when a cell was clicked with Alt. */
  oncell = () => {};
  /** Called with the line of a request or answer, to go to the other. */
  onlinked = () => {};
  /** Called when the list is held or goes on. */
  onhold = () => {};

  /** Called with lines whose decoded form is wanted, and whether they are no part of the stream. */
  onask = () => {};

  constructor(journal, decoded) {
    this.#journal = journal;
    this.#decoded = decoded;
    this.#folding = new Folding(journal, (line) => decoded.isFolded(line, (id) => journal.has(id)));
    const box = at("events");
    this.list = new List(box, at("space"), { make: makeRow, fill: (row, index) => this.#fill(row, index) });
    this.list.source = journal;
    this.list.onfollow = (following) => this.#followed(following);
    this.list.ondraw = () => {
      this.#mark();
      const wanted = this.#decoded.wanted();
      if (wanted.length > 0) this.onask(wanted, this.#archive !== null);
    };
    box.addEventListener("click", (event) => this.#click(event));
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("pointerenter", (event) => this.#enter(event));
    box.addEventListener("pointerleave", () => this.#leave());
    this.list.onscroll = () => { this.#isHeld = false; };
    at("follow").addEventListener("click", () => this.toNewest());
  }

  /** Where the lines come from now. */
  get source() {
    return this.#archive ?? (this.#isFolded ? this.#folding : this.#journal);
  }

  /** All lines, folded ones included. */
  get all() {
    return this.#archive ?? this.#journal;
  }

  /** The history that is shown, or null. */
  get archive() {
    return this.#archive;
  }

  /** Shows the events that the page holds, or a history. */
  use(archive) {
    this.#archive = archive;
    this.list.selected = null;
    if (archive) {
      archive.onload = (lines) => this.#loaded(lines);
      archive.first = 0;
      if (this.#isFolded) archive.fold((line) => this.#isFoldedIn(archive, line));
    }
    this.list.source = this.source;
    this.list.toNewest();
  }

  #isFoldedIn(archive, line) {
    return this.#decoded.isFolded(line, (id) => archive.lineOf(id) !== null);
  }

  /** Decodes all of a part of the history: answers to what is in sight may stand below it. */
  #loaded(lines) {
    const wanted = this.#showDecoded || this.#isFolded ? this.#decoded.unknown(lines) : [];
    if (wanted.length > 0) this.onask(wanted, true);
    // Parts that are loaded again may have fewer rows now.
    if (this.#isFolded) this.#keepPlace((archive) => archive.foldAgain(lines.map(idOf)));
    this.list.refresh();
  }

  /** Changes the rows of the history, and shows those that were in sight. */
  #keepPlace(change) {
    const { list } = this;
    const archive = this.#archive;
    if (archive.length === 0) {
      change(archive);
      return list.refresh();
    }
    const top = archive.placeOf(list.top);
    const selected = list.selected === null ? null : archive.placeOf(list.selected);
    change(archive);
    return list.resume(archive.indexOfPlace(top), selected && archive.indexOfPlace(selected));
  }

  /** Adds lines that were found to the history that is shown. Returns whether there was room. */
  insert(lines) {
    let hasRoom = true;
    this.#keepPlace((archive) => { hasRoom = archive.insert(lines); });
    return hasRoom;
  }

  /** Takes lines as they came. */
  push(lines) {
    this.#journal.push(lines);
    if (this.#archive) return;
    if (lines.length <= FLOOD) this.#draw();
    else this.#timer ||= setTimeout(() => { this.#timer = 0; this.#draw(); }, SLOWLY);
  }

  /** Draws new lines, and the others again if a request in sight may have got its answer. */
  #draw() {
    if (this.#decoded.takeStale()) this.list.refresh();
    else this.list.draw();
  }

  /** Starts again with an empty list. */
  clear() {
    this.#journal.clear();
    this.#journal.release();
    this.list.selected = null;
    this.list.source = this.source;
    this.list.toNewest();
  }

  /** Marks a text where it occurs. */
  set text(text) {
    this.#text = text.toLowerCase();
    this.#marked = "";
    this.list.draw();
  }

  set showDeltas(deltas) {
    this.deltas = deltas;
    this.list.refresh();
  }

  /** Whether times of other days have their date. */
  set showDates(dates) {
    at("main").classList.toggle("dated", dates);
    this.#sized?.disconnect();
    this.#sized = new ResizeObserver(([{ contentRect }]) => {
      const shown = dates && contentRect.width >= WIDE;
      if (shown === this.#dates) return;
      this.#dates = shown;
      this.list.refresh();
    });
    this.#sized.observe(at("main"));
  }

  /** Whether rows show the decoded form. */
  get showDecoded() {
    return this.#showDecoded;
  }

  set showDecoded(shown) {
    this.#showDecoded = shown;
    this.list.refresh();
  }

  get isFolded() {
    return this.#isFolded;
  }

  /** Shows requests and their answers in one row, or each message in its own. */
  set isFolded(folded) {
    const raw = this.#selected;
    this.#isFolded = folded;
    this.#folding.renew();
    if (!this.#archive) return this.#selectAgain(raw);
    if (folded) this.onask(this.#decoded.unknown(this.#archive.heldLines), true);
    return this.#keepPlace((archive) => archive.fold(folded ? (line) => this.#isFoldedIn(archive, line) : null));
  }

  get #selected() {
    return this.list.selected === null ? null : this.source.at(this.list.selected - this.source.first) ?? null;
  }

  #selectAgain(raw) {
    const { following } = this.list;
    this.list.selected = null;
    this.list.source = this.source;
    const index = raw === null ? -1 : this.indexOf(idOf(raw));
    if (index !== -1) this.list.selected = this.source.first + index;
    if (index !== -1 && !following) this.list.reveal(index);
    if (following) this.list.toNewest();
  }

  /** The line of an event that the page holds, or null. */
  lineOf(id) {
    if (this.#archive) return this.#archive.lineOf(id);
    const index = this.#journal.indexOf(id);
    return index === -1 ? null : this.#journal.at(index);
  }

  /** The id of the answer of a request, or of the request of an answer, or null. */
  linkedWith(raw) {
    const brief = this.#decoded.of(raw);
    return brief?.of?.id ?? brief?.answered?.id ?? null;
  }

  /** Takes decoded forms that were asked for. */
  takeBriefs(pairs) {
    if (!this.#decoded.put(pairs)) return;
    if (!this.#isFolded) return this.list.refresh();
    if (this.#archive) return this.#keepPlace((archive) => archive.foldAgain(pairs.map(([id]) => id)));
    // Lines that are shown may be folded now.
    const raw = this.#selected;
    this.#folding.renew();
    this.#selectAgain(raw);
  }

  /** Decodes all rows again, since another decoder was chosen. */
  decodeAgain() {
    this.#decoded.clear();
    if (this.#archive && this.#isFolded) this.isFolded = true;
    this.list.refresh();
  }

  /** Holds the list, or goes on. */
  togglePause() {
    if (this.#journal.holding === "paused") {
      this.#journal.release();
      this.list.toNewest();
    } else {
      this.#journal.hold("paused");
    }
    this.onhold();
  }

  toNewest() {
    if (this.#journal.holding !== "") this.#journal.release();
    this.list.toNewest();
    this.list.draw();
    this.onhold();
  }

  /** A line under the pointer does not move away from it. */
  #enter({ pointerType }) {
    this.#isUnder = pointerType !== "touch";
    if (this.#isUnder) this.#isHeld = this.list.hold();
  }

  /** Goes on, unless the reader has scrolled or chosen a line meanwhile. */
  #leave() {
    this.#isUnder = false;
    if (this.#isHeld && this.list.selected === null && this.#journal.holding !== "paused") this.toNewest();
    this.#isHeld = false;
  }

  /** Selects a line by its index; `middle` where it should stand. */
  select(index, { show = true, middle = true } = {}) {
    this.list.select(index, middle);
    const raw = this.source.at(index);
    if (raw) this.onselect(raw, show);
  }

  /** Lines that came since the reader has looked away from the newest. */
  get unseen() {
    return this.#archive || this.list.following ? 0 : this.#journal.total - this.#since;
  }

  drawNewest() {
    const { unseen } = this;
    const hasMore = !this.list.isAtEnd || (!this.#archive && this.#journal.waiting > 0);
    at("follow").hidden = this.list.following || !hasMore || this.#journal.holding === "paused";
    at("follow").textContent = this.#archive ? "↓ To the last" : unseen > 0 ? `↓ ${count(unseen)} new` : "↓ Newest";
  }

  #followed(following) {
    if (!this.#archive) {
      if (!following) {
        this.#journal.hold("scrolled");
        this.#since = this.#journal.total;
      } else if (this.#journal.holding === "scrolled") {
        this.#journal.release();
      }
    }
    if (following && this.#isUnder) this.#isHeld = this.list.hold();
    this.onhold();
  }

  #fill(row, index) {
    const { source } = this;
    const raw = source.at(index);
    const brief = this.#showDecoded && raw ? this.#decoded.of(raw) : null;
    fillRow(row, raw, { brief, folded: this.#isFolded, deltas: this.deltas, dates: this.#dates, before: this.deltas && index > 0 ? source.at(index - 1) : null });
  }

  #click(event) {
    const row = event.target.closest(".event");
    const index = row ? this.list.indexOf(row) : -1;
    if (index === -1) return;
    const cell = event.target.closest(".event > *, .event .channel");
    const raw = this.source.at(index);
    if (event.altKey && cell && raw) this.oncell(cell.className, raw);
    else if (cell?.className === "took" && raw && this.linkedWith(raw) !== null) this.onlinked(raw);
    else this.select(index, { middle: false });
  }

  /** Moves by a key. */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowUp: -1, ArrowDown: 1, j: 1, k: -1, PageUp: 1 - this.list.page, PageDown: this.list.page - 1, Home: -1e12 };
    if (event.key in steps) this.#move(steps[event.key]);
    else if (event.key === "End") {
      this.#move(1e12);
      this.toNewest();
    } else if (event.key === "Enter") this.#move(0, true);
    else return;
    event.preventDefault();
  }

  /** Moves the selection, and with it the event that is shown in full. */
  #move(by, show = false) {
    const index = this.list.move(by);
    const raw = index === -1 ? null : this.source.at(index);
    if (raw) this.onselect(raw, show);
    if (raw) announce(`${index + 1} of ${this.source.length}`);
  }

  /** Marks the text in the lines in sight, without touching the document. */
  #mark() {
    if (!globalThis.CSS?.highlights) return;
    if (this.#text === "") {
      if (this.#marked !== "") CSS.highlights.delete("found");
      this.#marked = "";
      return;
    }
    this.#marked = this.#text;
    const ranges = [];
    for (const row of at("events").querySelectorAll(".event:not([hidden])")) {
      for (const node of [row.texts.what, row.texts.who]) {
        const text = node.data.toLowerCase();
        if (text.length !== node.data.length) continue;
        for (let from = text.indexOf(this.#text); from !== -1 && ranges.length < 500; from = text.indexOf(this.#text, from + 1)) {
          const range = new Range();
          range.setStart(node, from);
          range.setEnd(node, from + this.#text.length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  /** The index of an event among those shown, or -1. */
  indexOf(id) {
    if (this.#archive) return this.#archive.indexOf(id);
    const index = this.#journal.indexOf(id);
    return index === -1 || !this.#isFolded ? index : this.#folding.indexOf(index);
  }

  /** The connections of the lines in sight. */
  get connectionsInSight() {
    return this.list.shown.map((index) => this.source.at(index)).filter(Boolean).map(connectionOf);
  }

  /** The id of the first line in sight. */
  get firstInSight() {
    return idOf(this.source.at(this.list.top) ?? "");
  }
}
