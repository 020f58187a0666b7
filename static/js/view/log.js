// View: what happened at one WebSocket, line by line.

import { clock, count, visible } from "../model/text.js";
import { at, stamp } from "./dom.js";

/** Lines that the log keeps. */
const MOST = 500;

/** Characters of a line. */
const LONGEST = 4000;

const SIGNS = { sent: "→", received: "←", state: "·", error: "!" };

export class Log {
  #dropped = 0;
  #waiting = [];

  constructor() {
    at("clear").addEventListener("click", () => this.clear());
  }

  /** Adds a line; many at a time are drawn at once. */
  add(kind, text) {
    if (this.#waiting.length === 0) requestAnimationFrame(() => this.#draw());
    this.#waiting.push({ kind, text: text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${count(text.length)} characters)` : text, time: new Date() });
    if (this.#waiting.length > MOST) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
  }

  clear() {
    at("log").replaceChildren();
    at("log").hidden = true;
    at("empty").hidden = false;
    at("dropped").textContent = "";
    this.#dropped = 0;
  }

  #draw() {
    const box = at("log");
    const following = box.hidden || box.scrollHeight - box.clientHeight - box.scrollTop < 30;
    box.append(...this.#waiting.map(({ kind, text, time }) => {
      const entry = stamp("entry");
      const [when, sign, words] = entry.children;
      entry.dataset.kind = kind;
      when.textContent = clock(time);
      sign.textContent = SIGNS[kind];
      words.textContent = text.split("\n").map(visible).join("\n");
      return entry;
    }));
    this.#waiting = [];
    while (box.children.length > MOST) {
      box.firstElementChild.remove();
      this.#dropped += 1;
    }
    at("dropped").textContent = this.#dropped > 0 ? `(${count(this.#dropped)} older lines dropped)` : "";
    at("empty").hidden = true;
    box.hidden = false;
    if (following) box.scrollTop = box.scrollHeight;
  }
}
