// View: the state of the connection to the server, and the next step of the reader.

import { duration, number } from "../model/text.js";
import { at, button, make } from "./dom.js";

/** A reconnection that is quicker than this needs no banner. */
const QUIET = 1500;

/** The name of each state, its meaning, and its remedy. */
function words(state) {
  switch (state.state) {
    case "full":
      return {
        status: "server full", title: state.code === "stopping" ? "The server is stopping." : "The server takes no more listeners.",
        next: state.code === "stopping" ? "This page comes back when the server does." : "Close another page that listens, or start the server with a higher --max-listeners.",
      };
    case "refused":
      if (state.status === 401) return { status: "not signed in", title: "The server wants to know who you are.", next: "Open this page with a token that may observe, then try again." };
      if (state.status === 403) return { status: "refused", title: "The server does not let this page listen.", next: "It says what would let it in. The address in the browser has to be one that the server knows (--host)." };
      return { status: "refused", title: "The server cannot answer that.", next: "Change the filter, or clear it." };
    case "broken":
      return { status: "stopped", title: "This does not work.", next: "" };
    default:
      return { status: "reconnecting…", title: "The stream is interrupted.", next: "Nothing is lost yet: the page resumes where it was, and tells what the server has forgotten meanwhile." };
  }
}

export class Banner {
  #timer = 0;
  #tick = 0;
  #state = { state: "connecting" };
  /** Called with "now", "clear" or "live". */
  onact = () => {};

  /** Shows a state of the link. */
  show(state) {
    clearTimeout(this.#timer);
    clearInterval(this.#tick);
    const last = this.#state;
    // An attempt that is under way leaves the words of the last one.
    if (state.state === "reconnecting") return this.#status("waiting", "reconnecting…");
    this.#state = { ...state, until: Date.now() + (state.wait ?? 0) };
    if (state.state === "open") {
      this.hide();
      return state.recording === undefined ? this.#status("open", "live") : this.#status("file", `Recording: ${state.recording}`);
    }
    if (state.state === "file") {
      this.hide();
      return this.#status("file", `a file: ${number(state.total, "event")}${state.skipped ? `; ${state.skipped} could not be read` : ""}`);
    }
    if (state.state === "connecting") {
      this.hide();
      return this.#status("waiting", state.words ?? "connecting…");
    }
    this.#status(state.state === "waiting" ? "waiting" : "failed", words(state).status);
    const draw = () => {
      this.#draw();
      this.#tick = setInterval(() => this.#countdown(), 500);
    };
    if (state.state === "waiting" && state.attempt === 1 && (state.wait ?? 0) < QUIET && last.state === "open") this.#timer = setTimeout(draw, QUIET);
    else draw();
    return undefined;
  }

  hide() {
    at("banner").hidden = true;
  }

  #status(state, text) {
    at("status").dataset.state = state;
    at("status").textContent = text;
  }

  #draw() {
    const { title, next } = words(this.#state);
    const said = this.#state.words ? `${this.#state.words[0].toUpperCase()}${this.#state.words.slice(1)}.`.replace(/\.\.$/, ".") : "";
    const text = make("div", "grow");
    text.append(make("strong", "", title), " ", make("span", "", said), " ", make("span", "dim", next));
    const acts = make("div", "acts");
    if (this.#state.wait !== undefined) acts.append(make("span", "dim countdown", ""));
    if (this.#state.state !== "broken") acts.append(button("Try now", "small", () => this.onact("now")));
    if (this.#state.state === "refused" && this.#state.status === 400) acts.append(button("Clear the filter", "small", () => this.onact("clear")));
    if (this.#state.state === "broken") acts.append(button("Back to the live stream", "small", () => this.onact("live")));
    const box = at("banner");
    box.replaceChildren(text, acts);
    box.dataset.state = this.#state.state;
    box.hidden = false;
    this.#countdown();
  }

  #countdown() {
    const place = at("banner").querySelector(".countdown");
    if (!place) return;
    const left = (this.#state.until - Date.now()) / 1000;
    place.textContent = left > 0.5 ? `again in ${duration(Math.ceil(left)).replace(".0", "")}` : "trying…";
  }
}
