// View: the field for an expression, with completion and the server's answer. An expression that is valid
// applies itself when the reader pauses; until then the field says that the list does not follow it.

import { at, make } from "./dom.js";

/** Milliseconds without a key before the server is asked, and the expression applied. */
const PAUSE = 400;

/** What is typed on the way to a condition: the name of a field. It does not apply itself. */
const NAME = /^[\w.]+$/;

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
  /** The text that the list follows. */
  #applied = "";
  /** Called with the expression to apply. */
  onapply = () => {};

  /**
   * `names.complete(expression, caret)` offers; `check(text)` resolves with the expression of a text, and
   * rejects with its fault.
   */
  constructor(names, check) {
    this.#names = names;
    this.#check = check;
    const input = this.#input;
    input.addEventListener("input", () => {
      this.#complete();
      this.#later();
      this.#state();
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

  /** Shows an expression that is applied. */
  set value(value) {
    clearTimeout(this.#timer);
    this.#asked += 1;
    if (this.#input.value !== value) this.#input.value = value;
    this.#applied = value;
    this.fault(null);
  }

  /** Whether the list follows the text in the field. */
  get isApplied() {
    return this.#input.value.trim() === this.#applied.trim();
  }

  /** Says whether the list follows the text in the field. */
  #state() {
    const box = at("filter-state");
    const typed = this.#input.value.trim();
    const isApplied = this.isApplied && this.#fault.hidden;
    box.hidden = isApplied && typed === "";
    box.dataset.state = isApplied ? "applied" : this.#fault.hidden ? "waiting" : "wrong";
    const words = isApplied ? "applied" : "not applied";
    if (box.textContent !== words) box.textContent = words;
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  /** Shows the server's fault at its place in the expression; null removes it. */
  fault(problem) {
    const box = this.#fault;
    box.hidden = problem === null;
    this.#input.setAttribute("aria-invalid", String(problem !== null));
    box.replaceChildren();
    this.#state();
    if (problem === null) return;
    const text = problem.expression ?? this.#input.value;
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
    this.#timer = setTimeout(() => this.#apply(NAME.test(this.#input.value.trim())), PAUSE);
  }

  /** Asks the server about the text; resolves with its expression, or null if it has a fault or is old. */
  async #ask() {
    const mine = this.#asked += 1;
    const text = this.#input.value.trim();
    try {
      const expression = text === "" ? "" : await this.#check(text);
      if (mine !== this.#asked) return null;
      this.fault(null);
      return expression;
    } catch (error) {
      if (mine === this.#asked) this.fault(error);
      return null;
    }
  }

  /** Applies the text if it has no fault; `checkOnly` shows its fault alone. */
  async #apply(checkOnly = false) {
    clearTimeout(this.#timer);
    const text = this.#input.value.trim();
    const expression = await this.#ask();
    if (expression === null || checkOnly) return;
    const isNew = !this.isApplied;
    this.#applied = text;
    this.#state();
    if (isNew) this.onapply(expression);
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
    this.#state();
  }

  #key(event) {
    const isOpen = !this.#list.hidden;
    if (event.key === "ArrowDown" && !isOpen) this.#complete();
    else if (event.key === "ArrowDown") this.#choose(this.#chosen + 1);
    else if (event.key === "ArrowUp" && isOpen) this.#choose(this.#chosen === -1 ? -1 : this.#chosen - 1);
    else if (event.key === "Tab" && isOpen && this.#chosen >= 0) this.#take(this.#chosen);
    else if (event.key === "Enter" && isOpen && this.#chosen >= 0) this.#take(this.#chosen);
    else if (event.key === "Enter") {
      this.#close();
      this.#apply();
    }
    else if (event.key === "Escape" && isOpen) this.#close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
