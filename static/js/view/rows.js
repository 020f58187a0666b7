// View: one event as one line.

import { describe } from "../model/event.js";
import { bytes, clock, delta, moment, visible } from "../model/text.js";
import { make, stamp } from "./dom.js";
import { markChannel, markConnection, nameOf } from "./names.js";

const SIGNS = { connect: "+", in: "→", out: "←", message: "·", close: "×", gap: "!", hole: "!", broken: "?", join: "⊕", leave: "⊖", request: "·" };
const WORDS = { in: "client to server", out: "server to client", join: "into a channel", leave: "out of a channel" };

const CELLS = ["time", "who", "sign", "kind", "size", "what", "took"];

/** An empty row. Its text nodes are kept and rewritten. */
export function makeRow() {
  const row = stamp("event");
  row.texts = Object.fromEntries(CELLS.map((name, at) => {
    const text = document.createTextNode("");
    row.children[at].append(text);
    return [name, text];
  }));
  row.route = make("span", "channel", "", { hidden: "" });
  row.children[5].prepend(row.route);
  row.badge = row.children[7];
  return row;
}

function write(node, text) {
  if (node.data !== text) node.data = text;
}

/** The time column: the time of day, or the time since the line before. */
function timeText(event, raw, before, deltas, dates) {
  if (!event.time) return "";
  if (!deltas) return (dates ? moment : clock)(new Date(event.time));
  const last = before === null || before === undefined ? 0 : describe(before).time;
  return last ? delta(event.time - last) : "–";
}

/**
 * Writes a line into a row. `raw` is null while it is loading, `brief` its decoded form if there is one;
 * `folded` puts the answer of a request into its row.
 */
export function fillRow(row, raw, { before = null, deltas = false, dates = false, brief = null, folded = false } = {}) {
  if (raw === null || raw === undefined) {
    row.dataset.kind = "loading";
    for (const name of CELLS) write(row.texts[name], "");
    write(row.texts.what, "loading…");
    markConnection(row.children[1], "");
    row.badge.hidden = true;
    row.route.hidden = true;
    row.title = "";
    return undefined;
  }
  const event = describe(raw);
  const { texts } = row;
  row.dataset.kind = event.name;
  write(texts.time, timeText(event, raw, before, deltas, dates));
  fillConnection(row.children[1], texts.who, event);
  write(texts.sign, SIGNS[event.name] ?? "·");
  row.children[2].title = WORDS[event.name] ?? "";
  write(texts.kind, event.opcode || event.name);
  write(texts.size, event.size === undefined ? "" : bytes(event.size));
  const answer = folded && brief?.answered ? `  ⇒ ${brief.answered.row}${brief.answered.count > 1 ? ` (${brief.answered.count})` : ""}` : "";
  write(texts.what, brief ? brief.row + answer : visible(event.preview));
  if (row.children[5].title !== (brief?.error ?? "")) row.children[5].title = brief?.error ?? "";
  fillTook(row.children[6], texts.took, brief);
  fillRoute(row.route, event);
  row.badge.hidden = event.badge === "";
  if (event.badge) row.badge.textContent = visible(event.badge.slice(0, 40));
  return undefined;
}

/** Writes the time between a request and its answer into the rows of both. */
function fillTook(cell, text, brief) {
  const { of, answered, asks } = brief ?? {};
  write(text, of ? `↪ ${took(of.ms)}` : answered ? `↩ ${took(answered.ms)}` : asks ? "↩ …" : "");
  const title = of ? "Answers an earlier message; go to it (a)" : answered ? "Answered; go to the answer (a)" : asks ? "No answer yet" : "";
  if (cell.title !== title) cell.title = title;
}

/** Milliseconds in few characters. */
export function took(ms) {
  return ms < 1 ? "<1 ms" : delta(ms).slice(1);
}

/** Writes the name of the connection. A message that was published over HTTP has none. */
function fillConnection(cell, node, { who, channel }) {
  const name = nameOf(who);
  write(node, who === "" && channel !== "" ? "–" : visible(name));
  const title = name === who ? "" : visible(who);
  if (cell.title !== title) cell.title = title;
  markConnection(cell, who);
}

/** Writes the channel or users of a message in front of its content. */
function fillRoute(pill, { route, channel }) {
  pill.hidden = route === "";
  if (route === "") return;
  const text = visible(route.slice(0, 80));
  if (pill.textContent !== text) pill.textContent = text;
  markChannel(pill, channel);
}
