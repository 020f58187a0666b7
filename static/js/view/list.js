// View: a long list of lines of equal height, of which only those in sight are in the document.

/** Browsers stop at about 17 million pixels; a longer list is scrolled by shares. */
const TALLEST = 12_000_000;

/** Lines drawn beyond the edges. */
const MARGIN = 2;

export class List {
  #box;
  #space;
  #make;
  #fill;
  #row;
  #slots = [];
  #source = { length: 0, first: 0 };
  #top = 0;
  #height = 0;
  #tall = 0;
  #set = 0;
  /** Whether the page has moved the list since it was drawn: a scroll event that comes now is of before. */
  #moved = false;
  #asked = false;
  /** Whether the newest line stays in sight. */
  following = true;
  /** Called when `following` changes by the reader's hand. */
  onfollow = () => {};
  /** Called when other lines are in sight. */
  onscroll = () => {};
  /** Called after lines were drawn. */
  ondraw = () => {};
  /** Number of the selected line, counted as the source's `first` does, or null. */
  selected = null;

  /** `make()` returns an empty row; `fill(row, index)` writes a line into it. */
  constructor(box, space, { make, fill, row = 26 }) {
    this.#box = box;
    this.#space = space;
    this.#make = make;
    this.#fill = fill;
    this.#row = row;
    box.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    box.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    new ResizeObserver(([{ contentRect }]) => {
      this.#height = contentRect.height;
      this.draw();
    }).observe(box);
  }

  /** Whose `length` lines, the first of which has the number `first`, are shown. */
  set source(source) {
    this.#source = source;
    this.refresh();
  }

  /** Lines that fit. */
  get page() {
    return Math.max(1, Math.floor(this.#height / this.#row));
  }

  /** Index of the first line in sight. */
  get top() {
    return Math.floor(this.#top);
  }

  /** Whether the last line is in sight. */
  get isAtEnd() {
    return this.#most - this.#top < 0.5;
  }

  /** Draws every line anew: their contents have changed. */
  refresh() {
    for (const slot of this.#slots) slot.key = -1;
    this.draw();
  }

  /** Goes to the newest line and stays there. */
  toNewest() {
    this.#moved = true;
    this.#follow(true);
    this.draw();
  }

  /** Stops following, with the newest line where it is. Returns whether it followed. */
  hold() {
    if (!this.following) return false;
    this.#top = this.#most;
    this.#follow(false);
    return true;
  }

  /** Goes on where it was after lines have come or gone: at the index `top`, with the line `selected` or none. */
  resume(top, selected) {
    this.#moved = true;
    if (!this.following) this.#top = top + (this.#top - this.top);
    this.selected = selected;
    this.refresh();
  }

  /** Brings a line into sight: the middle of it, if it was not there. */
  reveal(index, middle = true) {
    this.#moved = true;
    this.#follow(false);
    const inSight = index >= this.#top && index + 1 <= this.#top + this.#height / this.#row;
    if (!inSight && middle) this.#top = index - this.page / 2;
    else if (index < this.#top) this.#top = index;
    else if (index + 1 > this.#top + this.#height / this.#row) this.#top = index + 1 - this.#height / this.#row;
    this.draw();
  }

  /** Selects a line by its index, and brings it into sight. */
  select(index, middle = false) {
    this.selected = this.#source.first + index;
    this.reveal(index, middle);
  }

  /** Moves the selection by some lines; returns its index, or -1 in an empty list. */
  move(by) {
    const { length, first } = this.#source;
    if (length === 0) return -1;
    const at = this.selected === null ? -1 : this.selected - first;
    // Without a selection it begins with a line in sight; a jump to an end is one all the same.
    const start = at >= 0 && at < length ? at + by : (this.following ? length - 1 : this.top) + (Math.abs(by) > length ? by : 0);
    const to = Math.min(length - 1, Math.max(0, start));
    this.select(to);
    return to;
  }

  /** The indexes of the lines that are drawn. */
  get shown() {
    return this.#slots.filter((slot) => slot.y !== null).map((slot) => slot.key - this.#source.first).filter((index) => index >= 0 && index < this.#source.length);
  }

  /** The index of a row that was clicked, or -1. */
  indexOf(row) {
    const slot = this.#slots.find((one) => one.row === row);
    const index = slot ? slot.key - this.#source.first : -1;
    return index >= 0 && index < this.#source.length ? index : -1;
  }

  /** Draws at the next frame. */
  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#drawNow();
    });
  }

  #follow(following) {
    if (this.following === following) return;
    this.following = following;
    this.onfollow(following);
  }

  get #most() {
    return Math.max(0, this.#source.length - this.#height / this.#row);
  }

  /** Pixels of scrolling for each line. */
  get #scale() {
    return this.#most === 0 ? this.#row : Math.min(this.#row, (TALLEST - this.#height) / this.#most);
  }

  #scrolled() {
    if (this.#moved) return;
    const top = this.#box.scrollTop;
    if (Math.abs(top - this.#set) < 2) return;
    this.#set = top;
    this.#go(top / this.#scale);
  }

  /** Where a pixel of scrolling is more than one line, the wheel goes by lines all the same. */
  #wheeled(event) {
    if (event.deltaY < 0 && this.following && this.#most > 0) this.#follow(false);
    if (this.#scale === this.#row || event.ctrlKey || event.deltaY === 0) return;
    event.preventDefault();
    this.#go(this.#top + event.deltaY * (event.deltaMode === 0 ? 1 / this.#row : 3));
  }

  #go(top) {
    this.#top = Math.min(this.#most, Math.max(0, top));
    this.#follow(this.#most - this.#top < 0.5);
    this.draw();
    this.onscroll();
  }

  #drawNow() {
    const { length, first } = this.#source;
    this.#moved = false;
    if (this.following) this.#top = this.#most;
    this.#top = Math.min(this.#most, Math.max(0, this.#top));
    const scale = this.#scale;
    const tall = Math.round(scale === this.#row ? length * this.#row : this.#most * scale + this.#height);
    if (tall !== this.#tall) {
      this.#tall = tall;
      this.#space.style.height = `${tall}px`;
    }
    const offset = Math.round(this.#top * scale);
    if (Math.abs(offset - this.#set) >= 1) {
      this.#set = offset;
      this.#box.scrollTop = offset;
    }
    const from = Math.max(0, Math.floor(this.#top) - MARGIN);
    const to = Math.min(length, Math.ceil(this.#top + this.#height / this.#row) + MARGIN);
    this.#slotsFor(Math.ceil(this.#height / this.#row) + 2 * MARGIN + 1);
    const used = new Set();
    let active = "";
    for (let index = from; index < to; index += 1) {
      const slot = this.#slots[(first + index) % this.#slots.length];
      used.add(slot);
      this.#place(slot, first + index, index, offset + (index - this.#top) * this.#row);
      if (first + index === this.selected) active = slot.row.id;
    }
    for (const slot of this.#slots) if (!used.has(slot) && slot.y !== null) this.#hide(slot);
    if (this.#box.getAttribute("aria-activedescendant") !== (active || null)) {
      if (active) this.#box.setAttribute("aria-activedescendant", active);
      else this.#box.removeAttribute("aria-activedescendant");
    }
    this.ondraw();
  }

  #place(slot, key, index, y) {
    if (slot.key !== key) {
      slot.key = key;
      slot.row.setAttribute("aria-posinset", String(key + 1));
      this.#fill(slot.row, index);
    }
    const top = Math.round(y);
    if (slot.y !== top) {
      if (slot.y === null) slot.row.hidden = false;
      slot.y = top;
      slot.row.style.transform = `translateY(${top}px)`;
    }
    const selected = key === this.selected;
    if (slot.selected !== selected) {
      slot.selected = selected;
      slot.row.setAttribute("aria-selected", String(selected));
    }
  }

  #hide(slot) {
    slot.y = null;
    slot.key = -1;
    slot.row.hidden = true;
  }

  /** Has so many rows, or more: a taller window needs more of them. */
  #slotsFor(count) {
    if (this.#slots.length >= count) return;
    for (const slot of this.#slots) this.#hide(slot);
    while (this.#slots.length < count) {
      const row = this.#make();
      row.id = `${this.#box.id}-${this.#slots.length}`;
      row.hidden = true;
      row.setAttribute("aria-selected", "false");
      row.setAttribute("aria-setsize", "-1");
      this.#slots.push({ row, key: -1, y: null, selected: false });
      this.#box.append(row);
    }
  }
}
