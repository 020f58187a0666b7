// View: events over time, as bars; a part of it can be brushed.

import { clock, count, rate, short } from "../model/text.js";
import { at } from "./dom.js";

const SPANS = { "1m": 60_000, "10m": 600_000, "1h": 3_600_000, all: 0 };

/** Steps of the axis, in milliseconds. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800, 2_592_000, 7_776_000, 31_536_000].map((s) => s * 1000);

/** Pixels that a drag must be long to be one. */
const DRAG = 4;

export class Strip {
  #density;
  #canvas = at("strip");
  #span = "";
  #from = 0;
  #to = 1;
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
    const end = this.now();
    const begin = this.#density.begin ?? end - 60_000;
    this.#to = end;
    const span = this.#span || (end - begin <= SPANS["1m"] ? "1m" : "10m");
    if (!this.#span) this.#press(span);
    this.#from = SPANS[span] > 0 ? end - SPANS[span] : Math.min(begin, end - 1000);
    const bar = 3;
    const columns = Math.max(1, Math.floor(width / bar));
    const values = this.#density.columns(this.#from, this.#to, columns);
    const seconds = (this.#to - this.#from) / columns / 1000;
    const peak = values.reduce((most, n) => Math.max(most, n), 0);
    const paint = this.#canvas.getContext("2d");
    paint.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    paint.clearRect(0, 0, width, height);
    this.#axis(paint, width, height);
    this.#band(paint, height);
    paint.fillStyle = this.#colour("--bar");
    const room = height - 16;
    for (let n = 0; n < columns; n += 1) {
      if (values[n] === 0) continue;
      const tall = Math.max(1, (values[n] / peak) * (room - 4));
      paint.fillRect(n * bar, room - tall, bar - 1, tall);
    }
    const words = peak === 0 ? "no events in this time" : `peak ${rate(peak / Math.max(seconds, 0.001))}/s`;
    at("strip-peak").textContent = words;
    this.#canvas.setAttribute("aria-label", `Events over time, from ${clock(new Date(this.#from))} to ${clock(new Date(this.#to))}: ${words}`);
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
    paint.moveTo(0, height - 15.5);
    paint.lineTo(width, height - 15.5);
    paint.stroke();
  }

  #band(paint, height) {
    const { since, until } = this.#drag?.moved ? this.#drag : this.#range;
    if (since === null && until === null) return;
    const [a, b] = [this.#x(since ?? this.#from), this.#x(until ?? this.#to)];
    paint.fillStyle = this.#colour("--select");
    paint.fillRect(a, 0, Math.max(2, b - a), height - 16);
    paint.fillStyle = this.#colour("--accent");
    paint.fillRect(a, 0, 1, height - 16);
    paint.fillRect(b - 1, 0, 1, height - 16);
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
    const [n] = this.#density.columns(time - 500, time + 500, 1);
    tip.hidden = false;
    tip.textContent = `${clock(new Date(time)).slice(0, 8)} · ${n < 10 ? count(Math.round(n)) : short(n)}/s`;
    tip.style.left = `${Math.min(this.#size.width - 120, Math.max(0, event.clientX - left + 10))}px`;
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
