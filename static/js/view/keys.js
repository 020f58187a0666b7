// View: the keys and what they do. `?` shows the same table.

import { at, make } from "./dom.js";

/** Keys, what they do, and the name of that. */
export const KEYS = [
  ["Look", [
    ["↑ ↓ j k", "the event before, the next", ""],
    ["PgUp PgDn", "a page", ""],
    ["Home", "the oldest here", ""],
    ["End", "the newest, and follow", ""],
    ["Enter", "the event in full", ""],
    ["Esc", "back", ""],
    ["p", "pause, go on", "pause"],
    ["d", "time of day, or time between events", "deltas"],
    ["g", "decoded messages, or as they were sent", "decoded"],
    ["b", "answers in the rows of their requests", "fold"],
    ["h", "the server's whole history, and back", "history"],
    ["t", "go to a time", "time"],
  ]],
  ["Select", [
    ["/", "text in the content", "text"],
    ["n", "search anywhere in the event, or in its content", "within"],
    ["e", "filter expression", "filter"],
    ["o", "connections", "connections"],
    ["1 2 3 4 5", "only connects, messages, closes, joins, leaves", ""],
    ["i u", "only to the server, only to the client", ""],
    ["f", "only the connection of this event", "same"],
    ["Alt click", "only events like that cell", ""],
    ["0", "everything again", "clear"],
    ["v", "saved views", "views"],
  ]],
  ["Do", [
    ["a", "the answer of this message, or its request", "linked"],
    ["x", "this event among all others", "context"],
    ["m", "compare with the next event", "compare"],
    ["l", "copy a link to this event", "link"],
    ["y", "copy the event", "copy"],
    ["s", "send to its connection", "send"],
    ["r", "edit and send again", "again"],
    ["w", "save the events that are shown", "save"],
    ["O", "open a file", "file"],
    ["c", "clear the list", "forget"],
    ["?", "these keys", "keys"],
  ]],
  ["In a tree", [
    ["→ ←", "open, close", ""],
    ["y", "copy the path", ""],
    ["f", "filter by the value", ""],
  ]],
];

const ACTS = new Map([...KEYS.slice(0, 3).flatMap(([, keys]) => keys)].filter(([key, , act]) => act && key.length === 1).map(([key, , act]) => [key, act]));
for (const [key, act] of [["1", "kind connect"], ["2", "kind message"], ["3", "kind close"], ["4", "kind join"], ["5", "kind leave"], ["i", "direction in"], ["u", "direction out"], ["Escape", "back"]]) ACTS.set(key, act);

/** Calls `act(name)` for keys that mean something where nothing is typed; `move` has the rest. */
export function wireKeys(act, move) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, textarea, select");
    const name = ACTS.get(event.key);
    if (typing && event.key !== "Escape") return;
    if (name) {
      act(name, typing);
      event.preventDefault();
    } else if (event.target === document.body) {
      move(event);
    }
  });
}

/** Fills the dialog that shows the keys. */
export function drawKeys() {
  const box = at("keys-body");
  if (box.children.length > 0) return;
  for (const [title, keys] of KEYS) {
    const part = make("section");
    part.append(make("h3", "", title));
    const list = make("dl");
    for (const [key, words] of keys) {
      const term = make("dt");
      for (const one of key === "Alt click" ? [key] : key.split(" ")) term.append(make("kbd", "", one), " ");
      list.append(term, make("dd", "", words));
    }
    part.append(list);
    box.append(part);
  }
}
