// View: the list of addresses and frames at the side, and the search in it.

import { matches } from "../model/description.js";
import { at, make } from "./dom.js";

/** Draws the list; `groups` are `{ title, entries }`. */
export function drawContents(groups) {
  const list = at("list");
  list.replaceChildren();
  for (const { title, entries } of groups) {
    const part = make("section", "", "", { "aria-label": title });
    const lines = make("ul");
    for (const entry of entries) {
      const link = make("a", "", "", { href: `#${entry.id}` });
      if (entry.method) link.append(make("span", "method", entry.method, { "data-method": entry.method }), path(entry.path));
      else link.append(make("span", "path words", entry.title));
      if (entry.summary) link.title = entry.summary;
      const line = make("li");
      line.entry = entry;
      line.append(link);
      lines.append(line);
    }
    part.append(make("h2", "", title), lines);
    list.append(part);
  }
}

/** A path that may break at its slashes. */
function path(text) {
  const box = make("span", "path");
  for (const part of text.split(/(?=\/)/)) box.append(make("wbr"), part);
  return box;
}

/** Shows only what a text asks for. */
export function search(text) {
  let found = 0;
  for (const part of at("list").children) {
    let some = 0;
    for (const line of part.querySelectorAll("li")) {
      line.hidden = !matches(line.entry, text);
      some += line.hidden ? 0 : 1;
    }
    part.hidden = some === 0;
    found += some;
  }
  at("none").hidden = found > 0;
}

/** The links that are shown. */
const shown = () => [...at("list").querySelectorAll("li:not([hidden]) a")].filter((link) => !link.closest("section[hidden]"));

/** Marks where the reader is. */
export function mark(id) {
  for (const link of at("list").querySelectorAll("a")) {
    if (link.getAttribute("href") === `#${id}`) {
      link.setAttribute("aria-current", "true");
      link.scrollIntoView({ block: "nearest" });
    } else link.removeAttribute("aria-current");
  }
}

/** `/` goes to the search, arrows walk the list, Enter in the search opens the first. */
export function wireSearch() {
  const field = at("search");
  field.addEventListener("input", () => search(field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") shown()[0]?.click();
    else if (event.key === "ArrowDown") shown()[0]?.focus();
    else if (event.key === "Escape" && field.value !== "") {
      field.value = "";
      search("");
    } else return;
    event.preventDefault();
  });
  at("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = shown();
    const next = links.indexOf(document.activeElement) + step;
    (next < 0 ? field : links[next])?.focus();
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    document.getElementById("docs").dataset.view = "list";
    field.focus();
    event.preventDefault();
  });
}
