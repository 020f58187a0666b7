// View: widths of the parts, and which part a narrow window shows.

import { at } from "./dom.js";

/** A divider that is dragged, or moved by the arrow keys, sets the width of a part. */
function divider(id, name, sign) {
  const line = at(id);
  const panes = at("panes");
  const [least, most] = [Number(line.getAttribute("aria-valuemin")), Number(line.getAttribute("aria-valuemax"))];
  const key = `wstap.width.${name}`;
  const set = (width) => {
    const value = Math.round(Math.min(most, Math.max(least, width)));
    panes.style.setProperty(`--${name}`, `${value}px`);
    line.setAttribute("aria-valuenow", String(value));
    try {
      localStorage.setItem(key, String(value));
    } catch {
      // Without storage the width holds for this page.
    }
  };
  const now = () => Number(line.getAttribute("aria-valuenow"));
  let start = null;
  line.addEventListener("pointerdown", (event) => {
    line.setPointerCapture(event.pointerId);
    start = { x: event.clientX, width: parseFloat(getComputedStyle(panes).getPropertyValue(`--${name}`)) || now() };
  });
  line.addEventListener("pointermove", (event) => { if (start) set(start.width + sign * (event.clientX - start.x)); });
  line.addEventListener("pointerup", () => { start = null; });
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -sign, ArrowRight: sign }[event.key];
    if (!step) return;
    set(now() + step * 20);
    event.preventDefault();
  });
  try {
    const kept = Number(localStorage.getItem(key));
    if (kept > 0) set(kept);
  } catch {
    // The style's own width holds.
  }
}

/** Shows a part where there is room for one only. */
export function part(name) {
  at("panes").dataset.part = name;
  for (const tab of document.querySelectorAll(".tabs button")) tab.setAttribute("aria-pressed", String(tab.dataset.part === name));
}

export function wireLayout() {
  divider("divider-who", "who", 1);
  divider("divider-detail", "detail", -1);
  for (const tab of document.querySelectorAll(".tabs button")) tab.addEventListener("click", () => part(tab.dataset.part));
}
