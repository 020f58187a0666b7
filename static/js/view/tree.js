// View: JSON as a foldable tree. Each level is read when it is opened, a part at a time, so that
// deep and long documents cost only their visible part.

import { members, skipSpace, step, typeAt, unquote } from "../model/json.js";
import { count, visible } from "../model/text.js";
import { button, copy, make } from "./dom.js";

/** Members that are shown at a time. */
const PART = 100;

/** Lines that a tree opens with. */
const OPENED = 60;

/** Characters of a value that its line shows. */
const VALUE = 1000;

export class Tree {
  #text;
  #root;
  /** Called with the path of a value and the value, as JSON text, to filter by. */
  onfilter = null;

  /** A tree of the JSON `text`; paths begin with `root`. */
  constructor(text, root = "message", label = "The message as a tree") {
    this.#text = text;
    this.#root = root;
    this.element = make("div", "tree", "", { role: "tree", "aria-label": label });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    const start = skipSpace(text, 0);
    const first = this.#line({ key: null, start, end: text.length, path: root, level: 1 });
    this.element.append(first);
    first.tabIndex = 0;
    this.#openSome(first);
  }

  /** Opens lines level by level, until there are enough. */
  #openSome(first) {
    const queue = [first];
    while (queue.length > 0 && this.element.children.length < OPENED) {
      const line = queue.shift();
      if (line.dataset.type !== "object" && line.dataset.type !== "array") continue;
      const before = this.element.children.length;
      if (line !== first && before > OPENED / 2) break;
      queue.push(...this.#open(line));
    }
  }

  #line({ key, start, end, path, level }) {
    const type = typeAt(this.#text, start);
    const line = make("div", "node", "", { role: "treeitem", "aria-level": String(level), tabindex: "-1", "data-type": type });
    line.node = { start, end, path, level };
    line.style.setProperty("--level", String(Math.min(level - 1, 30)));
    const isTree = type === "object" || type === "array";
    if (isTree) line.setAttribute("aria-expanded", "false");
    line.append(make("span", "fold", isTree ? "▸" : "", { "aria-hidden": "true" }));
    if (key !== null) line.append(make("span", "key", visible(String(key)).slice(0, 200)), make("span", "colon", ":"));
    line.append(this.#value(type, start, end), this.#actions(line));
    line.addEventListener("click", (event) => {
      if (event.target.closest("button")) return;
      this.#focus(line);
      if (isTree && getSelection().isCollapsed) this.#toggle(line);
    });
    return line;
  }

  #value(type, start, end) {
    if (type === "object" || type === "array") {
      const { found, next } = members(this.#text, start, 1000);
      const many = next === -1 ? count(found.length) : "more than 1,000";
      const words = type === "object" ? `{ ${many} }` : `[ ${many} ]`;
      return make("span", "value fold-size", found.length === 0 ? (type === "object" ? "{ }" : "[ ]") : words);
    }
    const raw = this.#text.slice(start, Math.min(end, start + VALUE));
    const cut = end - start > VALUE ? ` … ${count(end - start)} characters` : "";
    const shown = type === "string" ? `"${visible(unquote(raw))}"` : raw.trim();
    return make("span", `value ${type}`, shown + cut);
  }

  #actions(line) {
    const box = make("span", "actions");
    const { path } = line.node;
    box.append(button("path", "tiny", () => this.#copyPath(line), { tabindex: "-1", title: `Copy ${visible(path)}`, "aria-label": `Copy the path ${visible(path)}` }));
    if (line.dataset.type !== "object" && line.dataset.type !== "array") {
      box.append(button("filter", "tiny only-with-filter", () => this.#filter(line), { tabindex: "-1", "aria-label": `Filter by ${visible(path)}` }));
    }
    return box;
  }

  #copyPath(line) {
    copy(line.node.path, "Path copied");
  }

  #filter(line) {
    const { path, start, end } = line.node;
    if (line.dataset.type !== "object" && line.dataset.type !== "array") this.onfilter?.(path, this.#text.slice(start, end).trim());
  }

  #toggle(line) {
    if (line.getAttribute("aria-expanded") === "true") this.#close(line);
    else this.#open(line);
  }

  /** Opens a line; returns those of its members. */
  #open(line, from, index, behind = line) {
    const { start, path, level } = line.node;
    const part = members(this.#text, start, PART, from, index);
    const lines = part.found.map(({ key, start: at, end }) => this.#line({ key, start: at, end, path: path + step(key), level: level + 1 }));
    if (part.next !== -1) lines.push(this.#more(line, part));
    behind.after(...lines);
    line.setAttribute("aria-expanded", "true");
    line.firstElementChild.textContent = "▾";
    return lines;
  }

  #more(line, part) {
    const more = make("div", "node", "", { role: "treeitem", "aria-level": String(line.node.level + 1), tabindex: "-1", "data-type": "more" });
    more.node = { level: line.node.level + 1, path: line.node.path, start: 0, end: 0 };
    more.style.setProperty("--level", String(Math.min(line.node.level, 30)));
    more.append(make("span", "fold", ""), make("span", "more", `${count(part.index)} shown; show more`));
    more.addEventListener("click", () => {
      const lines = this.#open(line, part.next, part.index, more.previousElementSibling);
      more.remove();
      this.#focus(lines[0]);
    });
    return more;
  }

  #close(line) {
    while (line.nextElementSibling?.node.level > line.node.level) line.nextElementSibling.remove();
    line.setAttribute("aria-expanded", "false");
    line.firstElementChild.textContent = "▸";
  }

  #focus(line) {
    if (!line) return;
    for (const other of this.element.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    line.tabIndex = 0;
    line.focus({ preventScroll: false });
  }

  #parent(line) {
    let before = line;
    while (before && before.node.level >= line.node.level) before = before.previousElementSibling;
    return before;
  }

  #key(event) {
    const line = event.target.closest(".node");
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = line.getAttribute("aria-expanded");
    switch (event.key) {
      case "ArrowDown": this.#focus(line.nextElementSibling); break;
      case "ArrowUp": this.#focus(line.previousElementSibling); break;
      case "ArrowRight": open === "false" ? this.#open(line) : this.#focus(line.nextElementSibling); break;
      case "ArrowLeft": open === "true" ? this.#close(line) : this.#focus(this.#parent(line)); break;
      case "Enter": case " ": line.dataset.type === "more" ? line.click() : open !== null && this.#toggle(line); break;
      case "y": this.#copyPath(line); break;
      case "f": this.#filter(line); break;
      default: return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
