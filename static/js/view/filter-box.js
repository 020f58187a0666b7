// View: the field for an expression, with names that could go on, and the server's word on it.

import { at, make } from "./dom.js";

/** How long the reader must pause before the server is asked. */
const PAUSE = 250;

export class FilterBox {
  #input = at("filter");
  #list = at("filter-list");
  #fault = at("filter-fault");
  #names;
  #check;
  #offer = { from: 0, to: 0, items: [] };
  #chosen = -1;
  #timer = 0;
  #asked = 0;
  /** Called with an expression that is to hold. */
  onapply = () => {};

  /** `names.complete(expression, caret)` offers; `check(expression)` rejects with what is wrong. */
  constructor(names, check) {
    this.#names = names;
    this.#check = check;
    const input = this.#input;
    input.addEventListener("input", () => {
      this.#complete();
      this.#later();
    });
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("focus", () => this.#complete());
    input.addEventListener("click", () => this.#complete());
    input.addEventListener("blur", () => this.#close());
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const item = event.target.closest("[role=option]");
      if (item) this.#take([...this.#list.children].indexOf(item));
    });
  }

  get value() {
    return this.#input.value;
  }

  set value(value) {
    if (this.#input.value !== value) this.#input.value = value;
    this.fault(null);
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  /** Shows what the server says is wrong, at its place; null takes it away. */
  fault(problem) {
    const box = this.#fault;
    box.hidden = problem === null;
    this.#input.setAttribute("aria-invalid", String(problem !== null));
    box.replaceChildren();
    if (problem === null) return;
    const text = this.#input.value;
    if (Number.isInteger(problem.position)) {
      // The server counts characters, and JavaScript counts halves of some.
      const chars = [...text];
      const place = Math.min(problem.position - 1, chars.length);
      const line = make("code", "fault-line");
      const hit = chars[place] ?? " ";
      line.append(chars.slice(0, place).join(""), make("mark", "", hit), chars.slice(place + 1).join(""));
      box.append(line);
    }
    box.append(make("span", "bad", problem.message));
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), PAUSE);
  }

  /** Asks the server about what stands there now. */
  async #ask() {
    const mine = this.#asked += 1;
    const text = this.#input.value.trim();
    try {
      if (text !== "") await this.#check(text);
      if (mine === this.#asked) this.fault(null);
      return mine === this.#asked;
    } catch (error) {
      if (mine === this.#asked) this.fault(error);
      return false;
    }
  }

  async #apply() {
    clearTimeout(this.#timer);
    this.#close();
    if (await this.#ask()) this.onapply(this.#input.value.trim());
  }

  #complete() {
    const { value, selectionStart } = this.#input;
    this.#offer = this.#names.complete(value, selectionStart ?? value.length);
    this.#chosen = -1;
    this.#list.replaceChildren(...this.#offer.items.map(({ text, about }, n) => {
      const item = make("li", "", "", { role: "option", id: `offer-${n}`, "aria-selected": "false" });
      item.append(make("code", "", text), make("span", "dim", about));
      return item;
    }));
    const isOpen = this.#offer.items.length > 0 && document.activeElement === this.#input;
    this.#list.hidden = !isOpen;
    this.#input.setAttribute("aria-expanded", String(isOpen));
    this.#input.removeAttribute("aria-activedescendant");
  }

  #close() {
    this.#list.hidden = true;
    this.#chosen = -1;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
  }

  #choose(to) {
    const items = this.#list.children;
    items[this.#chosen]?.setAttribute("aria-selected", "false");
    this.#chosen = (to + items.length) % items.length;
    items[this.#chosen].setAttribute("aria-selected", "true");
    items[this.#chosen].scrollIntoView({ block: "nearest" });
    this.#input.setAttribute("aria-activedescendant", items[this.#chosen].id);
  }

  #take(at) {
    const { from, to, items } = this.#offer;
    const { text } = items[at];
    this.#input.setRangeText(text, from, to, "end");
    this.#complete();
    this.#later();
  }

  #key(event) {
    const isOpen = !this.#list.hidden;
    if (event.key === "ArrowDown" && !isOpen) this.#complete();
    else if (event.key === "ArrowDown") this.#choose(this.#chosen + 1);
    else if (event.key === "ArrowUp" && isOpen) this.#choose(this.#chosen === -1 ? -1 : this.#chosen - 1);
    else if (event.key === "Tab" && isOpen && this.#chosen >= 0) this.#take(this.#chosen);
    else if (event.key === "Enter" && isOpen && this.#chosen >= 0) this.#take(this.#chosen);
    else if (event.key === "Enter") this.#apply();
    else if (event.key === "Escape" && isOpen) this.#close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
