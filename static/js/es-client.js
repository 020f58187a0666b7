// The event stream: wires the models (journal, roster) to the link (stream) and the views.

import { Journal, entry, preview } from "./journal.js";
import { List } from "./list.js";
import { Roster } from "./roster.js";
import { ask, socketAddress } from "./server.js";
import { Stream } from "./stream.js";
import { bytes, clock, count, visible } from "./text.js";

const at = (id) => document.getElementById(id);
const journal = new Journal();
const roster = new Roster();
const hidden = new Set();
let who = null;
let seq = 0;
let rate = 0;
let since = 0;
let stale = false;

// ---------------------------------------------------------------- the list of events

const SIGNS = { connect: "+", in: "→", out: "←", close: "×", gap: "!" };
const WORDS = { connect: "connect", in: "message", out: "to client", close: "close", gap: "gap" };

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

const list = new List(at("events"), at("space"), () => at("event").content.firstElementChild.cloneNode(true), (row, item) => {
  const [time, kind, whose, what, size] = row.children;
  row.dataset.kind = item.name;
  const [seconds, ms] = item.time ? clock(item.time).split(".") : [""];
  time.textContent = seconds;
  if (ms) time.append(span("ms", `.${ms}`));
  kind.replaceChildren(SIGNS[item.name] ?? "·", span("word", ` ${WORDS[item.name] ?? item.name}`));
  whose.textContent = visible(item.who);
  what.textContent = visible(preview(item));
  size.textContent = item.value?.size === undefined ? "" : bytes(item.value.size);
});
list.onfollow = (following) => { at("follow").hidden = following; };

function show(item) {
  at("detail").hidden = item === null;
  at("panes").classList.toggle("detailed", item !== null);
  if (item) at("json").textContent = item.value === null ? item.raw : JSON.stringify(item.value, null, 2);
}

at("events").addEventListener("click", (event) => {
  const row = event.target.closest(".event");
  if (!row) return;
  const item = list.itemOf(row);
  list.selected = item?.seq ?? null;
  update();
  show(item);
});

at("events").addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(at("events").clientHeight / 28) - 1);
  const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity };
  if (event.key in steps) {
    const item = list.move(Math.max(-1e9, steps[event.key]));
    if (!at("detail").hidden) show(item);
  } else if (event.key === "End") {
    list.move(1e9);
    list.toNewest();
  } else if (event.key === "Enter") {
    show(list.move(0));
  } else return;
  event.preventDefault();
});

// ---------------------------------------------------------------- what is shown

function update() {
  if (stale) return;
  stale = true;
  requestAnimationFrame(() => {
    stale = false;
    list.show(journal.shown, journal.gone);
    drawCounts();
    drawBlank();
  });
}

function drawCounts() {
  const parts = [journal.total === 0 ? "no events yet" : `${count(journal.total)} events`];
  if (rate > 0) parts.push(`${count(rate)}/s`);
  if (journal.isFiltered) parts.push(`${count(journal.shown.length)} shown`);
  if (journal.dropped > 0) parts.push(`${count(journal.dropped)} older dropped`);
  at("counts").textContent = parts.join(" · ");
  at("pause").textContent = journal.paused ? `Resume (${count(journal.waiting)} new)` : "Pause";
}

function drawBlank() {
  at("blank").hidden = journal.shown.length > 0;
  const filtered = journal.length > 0;
  at("blank-text").textContent = filtered ? "No event here passes the filter." : "Nothing has happened yet.";
  at("blank-hint").hidden = filtered;
  at("blank-address").hidden = filtered || at("blank-address").textContent === "";
}

function drawConnections() {
  const known = roster.list();
  const box = at("connections");
  while (box.children.length > known.length) box.lastElementChild.remove();
  while (box.children.length < known.length) box.append(at("connection").content.firstElementChild.cloneNode(true));
  known.forEach((connection, n) => {
    const button = box.children[n].firstElementChild;
    const [, name, messages, more] = button.children;
    button.dataset.id = connection.id;
    button.dataset.open = String(connection.open);
    button.setAttribute("aria-pressed", String(connection.id === who));
    name.textContent = visible(connection.id);
    messages.textContent = count(connection.messages);
    more.textContent = visible(connection.about);
    button.title = connection.open ? "open" : connection.about;
  });
  const unlisted = roster.unlisted > 0 ? `, ${count(roster.unlisted)} not listed` : "";
  at("who-count").textContent = known.length === 0 ? "none yet" : `${count(roster.open)} open${unlisted}`;
}

at("connections").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  who = who === button.dataset.id ? null : button.dataset.id;
  journal.filter({ who });
  drawConnections();
  list.toNewest();
  update();
});

at("text").addEventListener("input", () => {
  journal.filter({ text: at("text").value });
  list.toNewest();
  update();
});

for (const kind of ["connect", "message", "close"]) {
  at(kind).addEventListener("click", () => {
    if (!hidden.delete(kind)) hidden.add(kind);
    at(kind).setAttribute("aria-pressed", String(!hidden.has(kind)));
    journal.filter({ hidden });
    update();
  });
}

function togglePause() {
  if (journal.paused) journal.resume();
  else journal.pause();
  at("pause").setAttribute("aria-pressed", String(journal.paused));
  update();
}

function clear() {
  journal.clear();
  roster.clear();
  show(null);
  drawConnections();
  list.toNewest();
  update();
}

at("pause").addEventListener("click", togglePause);
at("clear").addEventListener("click", clear);
at("follow").addEventListener("click", () => list.toNewest());
at("detail-close").addEventListener("click", () => show(null));
at("notice-close").addEventListener("click", () => { at("notice").hidden = true; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, textarea");
  if (event.key === "Escape") {
    if (!at("detail").hidden) show(null);
    else if (typing) {
      at("text").value = "";
      at("text").dispatchEvent(new Event("input"));
      at("events").focus();
    }
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    at("text").focus();
    event.preventDefault();
  } else if (event.key === "p") {
    togglePause();
  } else if (event.key === "c") {
    clear();
  }
});

// ---------------------------------------------------------------- what comes

function notice(words, bad = false) {
  at("notice").hidden = false;
  at("notice").classList.toggle("bad", bad);
  at("notice-text").textContent = words;
}

let opened = 0;
new Stream(200, {
  event(kind, raw) {
    seq += 1;
    const item = entry(seq, kind, raw);
    journal.push(item);
    roster.see(item);
    // What is caught up with is no rate.
    if (item.time && Date.now() - item.time < 2000) since += 1;
    if (kind === "gap") {
      notice(item.value?.missed == null
        ? "There is a gap in the stream: what happened while it was interrupted, or before the server started again, may be missing."
        : `There is a gap in the stream: ${count(item.value.missed)} events were lost because this page was too slow.`, true);
    }
    update();
  },
  state(state, words) {
    at("status").dataset.state = state;
    at("status").textContent = words;
    if (state === "open") {
      opened += 1;
      if (opened > 1) notice("The stream was interrupted and is back; what happened meanwhile has been caught up, unless a gap is told.");
      snapshot();
    }
  },
});

async function snapshot() {
  try {
    const [info, live] = await Promise.all([ask("api/info"), ask("api/connections")]);
    at("blank-address").textContent = socketAddress(info);
    roster.snapshot(live);
    drawConnections();
    drawBlank();
  } catch {
    // The status says what is wrong.
  }
}

setInterval(() => {
  rate = since;
  since = 0;
  drawConnections();
  drawCounts();
}, 1000);

drawConnections();
update();
