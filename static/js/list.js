// View: a long list of lines of equal height, of which only those in sight are in the document.

const ROW = 28;

export class List {
  #box;
  #space;
  #make;
  #fill;
  #rows = [];
  #items = [];
  #gone = 0;
  #asked = false;
  /** Whether the newest line stays in sight. */
  following = true;
  /** Called when `following` changes. */
  onfollow = () => {};
  /** `seq` of the selected item, or null. */
  selected = null;

  /** `make()` returns an empty row; `fill(row, item)` writes an item into it. */
  constructor(box, space, make, fill) {
    this.#box = box;
    this.#space = space;
    this.#make = make;
    this.#fill = fill;
    box.addEventListener("scroll", () => {
      const bottom = box.scrollHeight - box.clientHeight - box.scrollTop;
      this.#follow(bottom < ROW);
      this.#draw();
    }, { passive: true });
    new ResizeObserver(() => this.show(this.#items)).observe(box);
  }

  /**
   * Shows items. `gone` counts all that ever went from the front, so that what was in sight stays
   * there, unless the newest is followed.
   */
  show(items, gone = this.#gone) {
    const shift = gone - this.#gone;
    this.#items = items;
    this.#gone = gone;
    this.#space.style.height = `${items.length * ROW}px`;
    if (this.following) this.#box.scrollTop = this.#box.scrollHeight;
    else if (shift > 0) this.#box.scrollTop = Math.max(0, this.#box.scrollTop - shift * ROW);
    this.#draw();
  }

  /** Goes to the newest line and stays there. */
  toNewest() {
    this.#follow(true);
    this.show(this.#items);
  }

  /** Moves the selection by some lines and brings it into sight. */
  move(by) {
    if (this.#items.length === 0) return null;
    const at = this.#items.findIndex((item) => item.seq === this.selected);
    const to = Math.min(this.#items.length - 1, Math.max(0, at === -1 ? this.#items.length - 1 : at + by));
    this.selected = this.#items[to].seq;
    const top = to * ROW;
    if (top < this.#box.scrollTop) this.#box.scrollTop = top;
    else if (top + ROW > this.#box.scrollTop + this.#box.clientHeight) this.#box.scrollTop = top + ROW - this.#box.clientHeight;
    this.#draw();
    return this.#items[to];
  }

  /** The item of a row that was clicked. */
  itemOf(row) {
    return this.#items.find((item) => String(item.seq) === row.dataset.seq) ?? null;
  }

  #follow(following) {
    if (this.following === following) return;
    this.following = following;
    this.onfollow(following);
  }

  #draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const first = Math.max(0, Math.floor(this.#box.scrollTop / ROW) - 2);
    const room = Math.ceil(this.#box.clientHeight / ROW) + 4;
    const last = Math.min(this.#items.length, first + room);
    while (this.#rows.length < last - first) {
      const row = this.#make();
      this.#rows.push(row);
      this.#box.append(row);
    }
    let active = "";
    this.#rows.forEach((row, n) => {
      const item = this.#items[first + n];
      row.hidden = first + n >= last;
      if (row.hidden) return;
      row.style.transform = `translateY(${(first + n) * ROW}px)`;
      row.style.top = "0";
      if (row.dataset.seq !== String(item.seq)) {
        row.dataset.seq = String(item.seq);
        row.id = `row-${item.seq}`;
        this.#fill(row, item);
      }
      const selected = item.seq === this.selected;
      row.setAttribute("aria-selected", String(selected));
      row.setAttribute("aria-posinset", String(first + n + 1));
      row.setAttribute("aria-setsize", String(this.#items.length));
      if (selected) active = row.id;
    });
    if (active) this.#box.setAttribute("aria-activedescendant", active);
    else this.#box.removeAttribute("aria-activedescendant");
  }
}
