// View: the channels that a client has entered, a line each: number of messages, the last one, and the
// users.

import { count, visible } from "../model/text.js";
import { at, button, make, stamp } from "./dom.js";
import { markChannel } from "./names.js";

/** Names of users that a line shows. */
const NAMED = 6;

export class Channels {
  #lines = new Map();
  #only = "";
  /** Called with a channel to leave. */
  onleave = () => {};
  /** Called with the name of the channel that alone is of interest, or "". */
  ononly = () => {};

  constructor() {
    at("only").addEventListener("click", () => this.only(""));
  }

  get names() {
    return [...this.#lines.keys()];
  }

  /** Shows a channel that is being entered; `entered` says that it has been. */
  add(channel) {
    const line = stamp("joined-line");
    const [dot, name, figure, last, here, acts] = line.children;
    for (const element of [dot, name]) markChannel(element, channel.name);
    name.textContent = visible(channel.name);
    const only = button("Only these", "small", () => this.only(this.#only === channel.name ? "" : channel.name), { "aria-pressed": "false" });
    const leave = button("Leave", "small", () => this.onleave(channel));
    for (const one of [only, leave]) one.setAttribute("aria-label", `${one.textContent}: ${visible(channel.name)}`);
    acts.append(only, leave);
    line.dataset.state = "waiting";
    this.remove(channel.name);
    this.#lines.set(channel.name, { line, figure, last, here, only, leave, messages: 0 });
    at("joined").append(line);
    this.#draw();
    this.#count(channel.name);
  }

  entered(name) {
    const known = this.#lines.get(name);
    if (known) known.line.dataset.state = "open";
  }

  /** A message has arrived. */
  message(name, text) {
    const known = this.#lines.get(name);
    if (!known) return;
    known.messages += 1;
    known.last.textContent = visible(text.slice(0, 300));
    this.#count(name);
  }

  /** The users of a channel have changed. */
  users(name, users) {
    const known = this.#lines.get(name);
    if (!known) return;
    const others = users.length > NAMED ? ` and ${count(users.length - NAMED)} more` : "";
    known.here.textContent = users.length === 0 ? "" : `here: ${users.slice(0, NAMED).map(visible).join(", ")}${others}`;
  }

  remove(name) {
    this.#lines.get(name)?.line.remove();
    this.#lines.delete(name);
    if (this.#only === name) this.only("");
    this.#draw();
  }

  /** The connection has ended. The lines can still be read. */
  end() {
    for (const { line, leave } of this.#lines.values()) {
      line.dataset.state = "";
      leave.disabled = true;
    }
  }

  clear() {
    for (const name of this.names) this.remove(name);
  }

  /** Shows only the messages of a channel, or with "" everything. */
  only(name) {
    this.#only = name;
    for (const [one, { only }] of this.#lines) only.setAttribute("aria-pressed", String(one === name));
    at("only").hidden = name === "";
    at("only").replaceChildren(...(name === "" ? [] : [make("span", "words", `only ${visible(name)}`), make("span", "", "×", { "aria-hidden": "true" })]));
    this.ononly(name);
  }

  #count(name) {
    const { figure, messages } = this.#lines.get(name);
    figure.textContent = messages === 1 ? "1 message" : `${count(messages)} messages`;
  }

  #draw() {
    at("joined").hidden = this.#lines.size === 0;
    at("channel-names").replaceChildren(...this.names.map((name) => new Option(name, name)));
  }
}
