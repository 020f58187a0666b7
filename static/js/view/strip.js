// View: events over time, as bars; a part of it can be brushed.

import { clock, duration, moment, number, short } from "../model/text.js";
import { at } from "./dom.js";

const SPANS = { "1m": 60_000, "10m": 600_000, "1h": 3_600_000, all: 0 };

/** Steps of the axis, in milliseconds. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800, 2_592_000, 7_776_000, 31_536_000].map((s) => s * 1000);

/** Pixels of a column at least: two of the bar, and one that separates it from the next. */
const COLUMN = 3;

/** Pixels below the bars. */
const AXIS = 16;

const events = (n) => number(n, "event");

/** A length of time in words: "0.25 s", "2 s", "5 min". */
function lengthOf(ms) {
  return ms < 60_000 ? `${ms / 1000} s` : duration(ms / 1000);
}

/** Pixels that a drag must be long to be one. */
const DRAG = 4;

export class Strip {
  #density;
  #canvas = at("strip");
  #span = "";
  #from = 0;
  #to = 1;
  #drawn = { from: 0, to: 1, step: 1, values: [0] };
  #drag = null;
  #range = { since: null, until: null };
  #size = { width: 0, height: 0 };
  #colours = null;
  /** Called with the range that was brushed, in milliseconds. */
  onbrush = () => {};
  /** Returns the end of the time that is shown; a file ends with its last event. */
  now = () => Date.now();

  constructor(density) {
    this.#density = density;
    new ResizeObserver(([{ contentRect }]) => {
      this.#size = { width: contentRect.width, height: contentRect.height };
      this.#canvas.width = Math.round(contentRect.width * devicePixelRatio);
      this.#canvas.height = Math.round(contentRect.height * devicePixelRatio);
      this.draw();
    }).observe(this.#canvas);
    this.#canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.#canvas.addEventListener("pointermove", (event) => this.#move(event));
    this.#canvas.addEventListener("pointerup", (event) => this.#up(event));
    this.#canvas.addEventListener("pointercancel", () => { this.#drag = null; });
    this.#canvas.addEventListener("pointerleave", () => { at("strip-tip").hidden = true; });
    for (const button of document.querySelectorAll("#spans button")) button.addEventListener("click", () => this.span(button.dataset.span));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  /** The theme has changed. */
  recolour() {
    this.#colours = null;
    this.draw();
  }

  /** Shows so much time. */
  span(name) {
    this.#span = name;
    this.#press(name);
    this.draw();
  }

  #press(name) {
    for (const button of document.querySelectorAll("#spans button")) button.setAttribute("aria-pressed", String(button.dataset.span === name));
  }

  /** Marks the range that the events are of. */
  range(since, until) {
    this.#range = { since, until };
    if (since !== null && since < this.#from) this.span("all");
    this.draw();
  }

  draw() {
    const { width, height } = this.#size;
    if (width < 10) return;
    // Events of a server whose clock is ahead are in the future of this browser.
    const end = Math.max(this.now(), this.#density.end ?? 0);
    const begin = this.#density.begin ?? end - 60_000;
    const span = this.#span || (end - begin <= SPANS["1m"] ? "1m" : "10m");
    if (!this.#span) this.#press(span);
    const start = SPANS[span] > 0 ? end - SPANS[span] : Math.min(begin, end - 1000);
    this.#drawn = this.#density.columns(start, end, Math.max(1, Math.floor(width / COLUMN)));
    const { from, to, values } = this.#drawn;
    [this.#from, this.#to] = [from, to];
    const peak = values.reduce((most, n) => Math.max(most, n), 0);
    const paint = this.#canvas.getContext("2d");
    paint.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    paint.clearRect(0, 0, width, height);
    this.#axis(paint, width, height);
    this.#band(paint, height);
    this.#bars(paint, width, height - AXIS, peak);
    this.#say(values, peak);
  }

  #bars(paint, width, room, peak) {
    const { values } = this.#drawn;
    paint.fillStyle = this.#colour("--bar");
    const edge = (n) => Math.round((n * width) / values.length);
    for (let n = 0; n < values.length; n += 1) {
      if (values[n] === 0) continue;
      const tall = Math.max(1, Math.round((values[n] / peak) * (room - 4)));
      paint.fillRect(edge(n), room - tall, Math.max(1, edge(n + 1) - edge(n) - 1), tall);
    }
  }

  #say(values, peak) {
    const { from, to, step } = this.#drawn;
    const words = peak === 0 ? "no events in this time" : `peak ${short(peak)} in ${lengthOf(step)}`;
    if (at("strip-peak").textContent !== words) at("strip-peak").textContent = words;
    const total = values.reduce((sum, n) => sum + n, 0);
    const label = `Events over time, from ${moment(new Date(from))} to ${moment(new Date(to))}: ${total === 0 ? words : `${events(total)}, ${words}`}`;
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
  }

  #axis(paint, width, height) {
    const days = this.#to - this.#from > 36 * 3_600_000;
    const step = STEPS.find((size) => (width * size) / (this.#to - this.#from) >= (days ? 110 : 90)) ?? STEPS.at(-1);
    paint.strokeStyle = this.#colour("--line");
    paint.fillStyle = this.#colour("--dim");
    paint.font = "10px system-ui, sans-serif";
    const zone = new Date(this.#to).getTimezoneOffset() * 60_000;
    paint.beginPath();
    for (let time = Math.ceil((this.#from - zone) / step) * step + zone; time < this.#to; time += step) {
      const x = Math.round(this.#x(time)) + 0.5;
      paint.moveTo(x, 0);
      paint.lineTo(x, height - 13);
      const date = new Date(time);
      const words = clock(date).slice(0, step < 60_000 ? 8 : 5);
      if (x < width - 50) paint.fillText(days ? `${date.getDate()}.${date.getMonth() + 1}. ${words}` : words, x + 3, height - 3);
    }
    paint.moveTo(0, height - AXIS + 0.5);
    paint.lineTo(width, height - AXIS + 0.5);
    paint.stroke();
  }

  #band(paint, height) {
    const { since, until } = this.#drag?.moved ? this.#drag : this.#range;
    if (since === null && until === null) return;
    const [a, b] = [this.#x(since ?? this.#from), this.#x(until ?? this.#to)];
    paint.fillStyle = this.#colour("--select");
    paint.fillRect(a, 0, Math.max(2, b - a), height - AXIS);
    paint.fillStyle = this.#colour("--accent");
    paint.fillRect(a, 0, 1, height - AXIS);
    paint.fillRect(b - 1, 0, 1, height - AXIS);
  }

  #x(time) {
    return ((time - this.#from) / (this.#to - this.#from)) * this.#size.width;
  }

  #time(event) {
    const { left } = this.#canvas.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - left) / this.#size.width));
    return this.#from + share * (this.#to - this.#from);
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, start: this.#time(event), since: null, until: null, moved: false };
  }

  #move(event) {
    const time = this.#time(event);
    this.#tip(event, time);
    if (!this.#drag) return;
    this.#drag.moved ||= Math.abs(event.clientX - this.#drag.x) >= DRAG;
    this.#drag.since = Math.min(this.#drag.start, time);
    this.#drag.until = Math.max(this.#drag.start, time);
    this.draw();
  }

  #up() {
    const drag = this.#drag;
    this.#drag = null;
    if (drag?.moved) this.onbrush(Math.floor(drag.since), Math.ceil(drag.until));
    this.draw();
  }

  #tip(event, time) {
    const tip = at("strip-tip");
    const { left } = this.#canvas.getBoundingClientRect();
    const { from, step, values } = this.#drawn;
    const column = Math.min(values.length - 1, Math.max(0, Math.floor((time - from) / step)));
    const begin = moment(new Date(from + column * step)).slice(0, step < 1000 ? undefined : -4);
    tip.hidden = false;
    tip.textContent = `${begin} · ${events(values[column])} in ${lengthOf(step)}`;
    tip.style.left = `${Math.max(0, Math.min(this.#size.width - tip.offsetWidth, event.clientX - left + 10))}px`;
  }

  #colour(name) {
    this.#colours ??= new Map();
    if (!this.#colours.has(name)) {
      // A variable is text; a property of an element is a colour.
      const probe = at("strip-tip");
      const kept = probe.style.color;
      probe.style.color = `var(${name})`;
      this.#colours.set(name, getComputedStyle(probe).color);
      probe.style.color = kept;
    }
    return this.#colours.get(name);
  }
}
