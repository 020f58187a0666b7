// View: the log of one WebSocket, line by line.

import { clock, count, number, visible } from "../model/text.js";
import { at, make, stamp } from "./dom.js";
import { markChannel } from "./names.js";

/** Lines that the log keeps. */
const MOST = 500;

/** Characters of a line. */
const LONGEST = 4000;

const SIGNS = { sent: "→", received: "←", state: "·", error: "!", join: "+", leave: "−" };

export class Log {
  #dropped = 0;
  #waiting = [];
  #only = "";

  constructor() {
    at("clear").addEventListener("click", () => this.clear());
  }

  /** Adds a line, and returns it; many at a time are drawn at once. */
  add(kind, text, channel = "") {
    if (this.#waiting.length === 0) requestAnimationFrame(() => this.#draw());
    const line = { kind, text: text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${count(text.length)} characters)` : text, channel, time: new Date(), answer: null, entry: null };
    this.#waiting.push(line);
    if (this.#waiting.length > MOST) {
      this.#waiting.shift();
      this.#dropped += 1;
    }
    return line;
  }

  /** Marks a line that was sent: the server has made this event of it, or did not take it. */
  answer(line, id) {
    line.answer = { id };
    if (line.entry) this.#mark(line);
  }

  /** Shows the lines of a channel alone, or with "" all. */
  set only(channel) {
    this.#only = channel;
    for (const entry of at("log").children) entry.hidden = !this.#isShown(entry);
    at("log").scrollTop = at("log").scrollHeight;
  }

  clear() {
    at("log").replaceChildren();
    at("log").hidden = true;
    at("empty").hidden = false;
    at("dropped").textContent = "";
    this.#dropped = 0;
  }

  #isShown(entry) {
    return this.#only === "" || entry.dataset.channel === this.#only;
  }

  #mark({ entry, answer: { id } }) {
    const isTaken = id !== null;
    const mark = isTaken
      ? make("a", "answer", "✓", { href: `es-client?event=${encodeURIComponent(id)}`, target: "_blank", rel: "noopener", title: `Event ${id}`, "aria-label": `Taken: event ${id}` })
      : make("span", "answer", "✗", { role: "img", "aria-label": "not taken" });
    entry.querySelector(".answer")?.remove();
    entry.append(mark);
  }

  #draw() {
    const box = at("log");
    const following = box.hidden || box.scrollHeight - box.clientHeight - box.scrollTop < 30;
    box.append(...this.#waiting.map((line) => this.#entry(line)));
    this.#waiting = [];
    while (box.children.length > MOST) {
      box.firstElementChild.remove();
      this.#dropped += 1;
    }
    at("dropped").textContent = this.#dropped > 0 ? `(${number(this.#dropped, "older line")} dropped)` : "";
    at("empty").hidden = true;
    box.hidden = false;
    if (following) box.scrollTop = box.scrollHeight;
  }

  #entry(line) {
    const entry = stamp("entry");
    const [when, sign, words] = entry.children;
    entry.dataset.kind = line.kind;
    entry.dataset.channel = line.channel;
    when.textContent = clock(line.time);
    sign.textContent = SIGNS[line.kind];
    if (line.channel !== "") {
      const pill = make("span", "channel", visible(line.channel));
      markChannel(pill, line.channel);
      words.append(pill);
    }
    words.append(line.text.split("\n").map(visible).join("\n"));
    entry.hidden = !this.#isShown(entry);
    line.entry = entry;
    if (line.answer) this.#mark(line);
    return entry;
  }
}
