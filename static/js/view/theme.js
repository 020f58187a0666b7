// View: light and dark, by the system or by the reader's choice. theme-early.js applies the choice before
// anything is drawn.

import { at } from "./dom.js";

const NEXT = { "": "light", light: "dark", dark: "" };
const WORDS = { "": "as the system", light: "light", dark: "dark" };
const SIGNS = { "": "◐", light: "☀", dark: "☾" };

/** Wires the switch; `onchange` is called after each change. */
export function themeSwitch(onchange = () => {}) {
  const button = at("theme");
  const draw = () => {
    const now = document.documentElement.dataset.theme ?? "";
    button.textContent = SIGNS[now];
    button.title = `Theme: ${WORDS[now]}`;
    button.setAttribute("aria-label", `Theme: ${WORDS[now]}. Change to ${WORDS[NEXT[now]]}`);
  };
  button.addEventListener("click", () => {
    const next = NEXT[document.documentElement.dataset.theme ?? ""];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    try {
      if (next) localStorage.setItem("wstap.theme", next);
      else localStorage.removeItem("wstap.theme");
    } catch {
      // Without storage the choice holds for this page.
    }
    draw();
    onchange();
  });
  draw();
}
