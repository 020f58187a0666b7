// View: the conditions of a view, each with a button that drops it.

import { conditions } from "../model/query.js";
import { moment } from "../model/text.js";
import { at, button, make } from "./dom.js";
import { nameOf } from "./names.js";

/** Draws the conditions. `apply(view)` shows another view, `clear()` the one without conditions; `more` stands behind a search. */
export function drawConditions(view, { apply, clear, more }) {
  const held = conditions(view, (ms) => moment(new Date(ms)), nameOf);
  const chips = held.map(({ words, without }) => {
    const chip = button("", "", () => apply(without), { "aria-label": `Without ${words}` });
    chip.append(make("span", "words", words), make("span", "", "×", { "aria-hidden": "true" }));
    return chip;
  });
  if (held.length > 1) chips.push(button("Clear all", "none", clear));
  at("conditions").replaceChildren(...chips, ...(view.text === "" ? [] : [more]));
  at("conditions").hidden = held.length === 0;
}
