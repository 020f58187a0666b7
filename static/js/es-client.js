// The inspector: wires the models to the worker that reads and to the views. What is shown is a
// view (model/query.js), which stands in the address too.

import { Feed, json } from "./link/feed.js";
import { here } from "./link/server.js";
import { Archive, spacing } from "./model/archive.js";
import { Names } from "./model/complete.js";
import { Density } from "./model/density.js";
import { connectionOf, describe, idOf, kindOf, timeOf, valueOf } from "./model/event.js";
import { Journal } from "./model/journal.js";
import { SavedViews, all, both, conditions, fromQuery, isAll, literal, toQuery } from "./model/query.js";
import { clock, count, rate as inShort } from "./model/text.js";
import { Acting } from "./view/act.js";
import { extent, saveDialog, timeDialog, viewsDialog, wireDialogs } from "./view/ask.js";
import { Banner } from "./view/banner.js";
import { drawBlank } from "./view/blank.js";
import { Connections } from "./view/connections.js";
import { Detail } from "./view/detail.js";
import { at, button, copy, make, toast } from "./view/dom.js";
import { Events } from "./view/events.js";
import { FilterBox } from "./view/filter-box.js";
import { MOST, saveHar, saveNdjson, takeFiles } from "./view/keep.js";
import { drawKeys, wireKeys } from "./view/keys.js";
import { part, wireLayout } from "./view/layout.js";
import { Strip } from "./view/strip.js";
import { themeSwitch } from "./view/theme.js";

/** Events and characters of a file that is looked at. */
const FILE = [1_000_000, 1_000_000_000];

let view = fromQuery(new URLSearchParams(location.search));
let mode = "live";
let link = "connecting";
let info = null;
let first = "";
let cleared = false;
let opened = 0;
let recent = 0;
let perSecond = 0;
let stale = false;
let later = 0;

const journal = new Journal();
const density = new Density();
const names = new Names();
const events = new Events(journal);
const detail = new Detail();
const banner = new Banner();
const strip = new Strip(density);
const feed = new Feed({ batch, state, roster: (part) => connections.show(part) });
const connections = new Connections((wanted) => feed.roster(wanted));
const acting = new Acting(() => info?.mode === "proxy");
let typing = 0;
const filterBox = new FilterBox(names, async (expression) => {
  if (mode === "file") throw new Error("An expression is the server's work; a file is selected by text, kind and connection.");
  await json(`api/events?${new URLSearchParams({ limit: 0, filter: expression })}`);
});

/** Draws the counts a few times a second, however much comes: nobody reads them faster. */
function soon() {
  later ||= setTimeout(() => {
    later = 0;
    update();
  }, 150);
}

/** Draws what has changed, once a frame. */
function update() {
  if (stale) return;
  stale = true;
  requestAnimationFrame(() => {
    stale = false;
    drawCounts();
    events.drawNewest();
    const isEmpty = events.source.length === 0;
    at("blank").hidden = !isEmpty;
    if (isEmpty) drawBlank({ mode, link, info, isFiltered: !isAll(view), ended: cleared }, act);
  });
}

function drawCounts() {
  const { archive } = events;
  const shown = archive ? `${count(archive.length)} events of the history` : journal.total === 0 ? "no events yet" : `${count(journal.total)} events`;
  const parts = [shown];
  if (perSecond > 0) parts.push(`${inShort(perSecond)}/s`);
  if (journal.dropped > 0) parts.push(`${count(journal.length)} held, ${count(journal.dropped)} older dropped`);
  if (journal.missed > 0) parts.push(`${count(journal.missed)} came faster than this page could take them`);
  const { waiting } = journal;
  const text = parts.join(" · ");
  if (at("counts").textContent !== text) at("counts").textContent = text;
  const paused = journal.holding === "paused";
  const label = paused ? `Resume (${count(waiting)} new)` : "Pause";
  if (at("pause").textContent !== label) at("pause").textContent = label;
  at("pause").setAttribute("aria-pressed", String(paused));
  at("older").hidden = mode !== "live" || first === "" || journal.length === 0 || idOf(journal.at(0)) === first;
  at("older").textContent = "Older events…";
  if (archive?.fault) at("mode").textContent = `history cannot be read: ${archive.fault}`;
}

/** Takes what the worker hands over. */
function batch(lines, counts) {
  events.push(lines);
  density.add(counts);
  const now = Date.now() / 1000;
  // What is caught up with is no rate.
  for (const [second, n] of counts) if (now - second < 3) recent += n;
  const lost = lines.find((line) => line.startsWith('{"kind":"'));
  if (lost) gap(valueOf(lost));
  const last = lines.at(-1);
  if (last && last.length < 4096 && kindOf(last) === "message") names.learn(valueOf(last)?.message);
  soon();
}

function gap(event) {
  const act = ["Look at the server's history", () => openHistory({ id: event.after })];
  if (event.kind === "hole") notice(`This page fell behind: ${count(event.missed)} events came faster than it could take them. They are counted, and marked in the list.`, true, ...act);
  else if (event.missed == null) notice("There is a gap in the stream: what happened while it was interrupted, or before the server started again, may be missing.", true);
  else notice(`There is a gap in the stream: ${count(event.missed)} events were forgotten by the server before this page could read them. A longer --history-events keeps more.`, true);
}

function notice(words, bad = false, label = "", run = null) {
  at("notice").hidden = false;
  at("notice").classList.toggle("bad", bad);
  at("notice-text").textContent = words;
  at("notice-act").hidden = run === null;
  at("notice-act").textContent = label;
  at("notice-act").onclick = run;
}

/** Takes what becomes of the stream. */
function state(now) {
  if (now.state !== "reconnecting") link = now.state;
  banner.show(now);
  if (now.state === "open") {
    opened += 1;
    if (opened > 1 && !cleared) notice("The stream was interrupted and is back; what happened meanwhile has been caught up, unless a gap is told.");
    json("api/info").then((told) => { info = told; update(); }, () => {});
  }
  if (now.state === "file") feed.select(view);
  if (now.state === "refused" && now.status === 400 && view.filter !== "") filterBox.fault({ message: now.words, position: now.position });
  update();
}

/** The question to the server that a view is, without its time. */
function timeless() {
  return toQuery({ ...view, since: null, until: null });
}

/** Shows another view. */
async function apply(next, { history = mode === "history" } = {}) {
  const moved = next.since !== view.since || next.until !== view.until;
  const others = toQuery({ ...next, since: null, until: null }).toString() !== timeless().toString();
  view = next;
  drawView();
  if (mode === "file") {
    events.clear();
    density.clear();
    return feed.select(view);
  }
  if (others) start();
  if (history || view.since !== null || view.until !== null) {
    if (others || moved || mode !== "history") await openHistory();
  } else {
    live();
  }
  return undefined;
}

/** Follows the stream from the beginning. */
function start() {
  opened = 0;
  cleared = false;
  link = "connecting";
  at("notice").hidden = true;
  events.clear();
  density.clear();
  feed.follow(view);
  marks().then((told) => { if (told) density.marks(told); strip.draw(); }, () => {});
  update();
}

/** Asks how much there is, and where. */
async function marks(range = false) {
  const asked = timeless().toString();
  const told = await json("api/info");
  const query = range ? toQuery(view) : timeless();
  query.set("format", "marks");
  query.set("every", String(spacing(told.now.history.events)));
  const answer = await json(`api/events?${query}`);
  info = told;
  if (!range) first = answer.first ?? "";
  return asked === timeless().toString() ? answer : null;
}

/** Shows the server's history: from an event on, from a time on, or its end. */
async function openHistory({ id = "", time = 0 } = {}) {
  if (mode === "file") return;
  mode = "history";
  let told;
  try {
    told = await marks(true);
  } catch (error) {
    toast(error.message);
    return live();
  }
  if (!told || mode !== "history") return;
  const query = toQuery(view);
  const archive = new Archive((params) => {
    const asked = new URLSearchParams(query);
    for (const [name, value] of params) asked.set(name, value);
    return feed.lines(asked);
  }, told);
  events.use(archive);
  drawView();
  try {
    if (id && archive.length > 0) events.select(await archive.indexOfId(id), { show: false });
    else if (time && archive.length > 0) events.select(Math.min(archive.length - 1, await archive.indexOfTime(time)), { show: false });
  } catch (error) {
    toast(error.message);
  }
  update();
}

/** Shows the live stream. */
function live() {
  if (mode === "history") {
    mode = "live";
    events.use(null);
    if (view.since !== null || view.until !== null) view = { ...view, since: null, until: null };
  }
  drawView();
  update();
}

/** Draws everything that says what is shown, the address included. */
function drawView() {
  const query = toQuery(view);
  if (mode === "history" && view.since === null && view.until === null) query.set("history", "1");
  const address = query.size > 0 ? `?${query}` : location.pathname;
  if (mode !== "file") history.replaceState(null, "", address);
  if (document.activeElement !== at("text")) at("text").value = view.text;
  filterBox.value = view.filter;
  for (const one of document.querySelectorAll("[data-kind][aria-pressed]")) one.setAttribute("aria-pressed", String(view.kinds.includes(one.dataset.kind)));
  for (const one of document.querySelectorAll("[data-direction]")) one.setAttribute("aria-pressed", String(view.direction === one.dataset.direction));
  const held = conditions(view, (ms) => clock(new Date(ms)));
  const chips = held.map(({ words, without }) => {
    const chip = button("", "", () => apply(without), { "aria-label": `Without ${words}` });
    chip.append(make("span", "words", words), make("span", "", "×", { "aria-hidden": "true" }));
    return chip;
  });
  if (held.length > 1) chips.push(button("Clear all", "none", () => act("clear")));
  at("conditions").replaceChildren(...chips);
  at("conditions").hidden = held.length === 0;
  at("history").setAttribute("aria-pressed", String(mode === "history"));
  at("live").hidden = mode === "live";
  at("mode").textContent = { live: "", history: "the server's history", file: "a file" }[mode];
  connections.choose(view.connections);
  events.text = view.text;
  strip.range(view.since, view.until);
}

/** Leaves the live stream for a file. */
function openFile(file) {
  mode = "file";
  link = "file";
  view = all();
  journal.bounds(...FILE);
  events.use(null);
  events.clear();
  density.clear();
  detail.show(null);
  strip.now = () => extent(journal).last || Date.now();
  strip.span("all");
  drawView();
  feed.file(file);
  update();
}

async function before(event) {
  const time = Date.parse(event.time);
  if (mode === "file") {
    const { source } = events;
    const found = [];
    for (let n = source.length - 1; n >= 0 && found.length < 20; n -= 1) {
      if (timeOf(source.at(n)) <= time && connectionOf(source.at(n)) === event.connectionId) found.unshift(valueOf(source.at(n)));
    }
    return found;
  }
  const query = new URLSearchParams({ connection: event.connectionId, kind: "message", order: "desc", limit: 20, until: event.time, format: "ndjson" });
  return (await feed.lines(query)).reverse().map(valueOf).filter(Boolean);
}

const known = new Map();

/** What is known of the connection of an event: path and subprotocol. */
async function about(id, event) {
  if (mode === "file") return {};
  if (!known.has(id)) {
    const query = new URLSearchParams({ connection: id, kind: "connect", order: "desc", limit: 1, until: event.time, format: "ndjson" });
    known.set(id, feed.lines(query).then(([line]) => valueOf(line ?? "") ?? {}, () => ({})));
    if (known.size > 500) known.delete(known.keys().next().value);
  }
  const { path, subprotocol, headers = {} } = await known.get(id);
  return { path, subprotocol: subprotocol ?? headers["sec-websocket-protocol"] };
}

/** Narrows the view to what a value says. */
function narrow({ connection, kind, direction, condition }) {
  if (connection !== undefined) apply({ ...view, connections: [connection] });
  else if (kind) apply({ ...view, kinds: view.kinds.length === 1 && view.kinds[0] === kind ? [] : [kind] });
  else if (direction) apply({ ...view, direction: view.direction === direction ? "" : direction });
  else if (mode === "file") toast("An expression needs the server.");
  else apply({ ...view, filter: both(view.filter, condition) });
}

function cell(name, raw) {
  const event = describe(raw);
  if (name === "who") narrow({ connection: event.who });
  else if (name === "sign" && (event.name === "in" || event.name === "out")) narrow({ direction: event.name });
  else if (name === "kind" && event.opcode) narrow({ condition: `opcode == ${literal(event.opcode)}` });
  else if (name === "kind") narrow({ kind: event.name });
  else if (name === "size") narrow({ condition: `size >= ${event.size}` });
  else if (name === "time") apply({ ...view, since: event.time - 5000, until: event.time + 5000 });
}

function linkTo(id) {
  const query = toQuery(view);
  if (id) query.set("event", id);
  return here(`es-client?${query}`).href;
}

/** Does what a key or a button says. */
function act(name, typing = false) {
  const raw = detail.raw ?? (events.list.selected === null ? null : events.source.at(events.list.selected - events.source.first) ?? null);
  const event = raw === null ? null : valueOf(raw);
  const acts = {
    pause: () => events.togglePause(),
    deltas: () => at("deltas").click(),
    history: () => (mode === "history" ? apply({ ...view, since: null, until: null }, { history: false }) : openHistory({ id: events.list.following ? "" : events.firstInSight })),
    live: () => (mode === "file" ? location.assign(here("es-client")) : apply({ ...view, since: null, until: null }, { history: false })),
    time: askTime, views: askViews, save: askSave, keys: () => { drawKeys(); at("keys-dialog").showModal(); },
    text: () => at("text").focus(), filter: () => filterBox.focus(), connections: () => { part("who"); at("connections").focus(); },
    clear: () => apply(all()), forget, now: () => feed.now(),
    same: () => event?.connectionId !== undefined && narrow({ connection: String(event.connectionId) }),
    context: () => event?.id && context(event.id),
    compare: () => raw !== null && detail.compare(raw),
    link: () => event?.id && copy(linkTo(event.id), "Link copied"),
    copy: () => raw !== null && copy(raw, "Event copied"),
    send: () => event?.connectionId && acting.send(event.connectionId),
    again: () => event?.kind === "message" && acting.send(event.connectionId, raw, event),
    close: () => event?.connectionId && acting.end(event.connectionId),
    part: () => event?.after && openHistory({ id: event.after }),
    back: () => back(typing),
  };
  if (name.startsWith("kind ")) return narrow({ kind: name.slice(5) });
  if (name.startsWith("direction ")) return narrow({ direction: name.slice(10) });
  return acts[name]?.();
}

function back(typing) {
  if (typing) {
    if (document.activeElement === at("text")) {
      at("text").value = "";
      if (view.text !== "") apply({ ...view, text: "" });
    }
    at("events").focus();
  } else if (detail.raw !== null) {
    detail.show(null);
    at("events").focus();
  } else if (detail.compared !== null) detail.compare(null);
}

async function context(id) {
  view = { ...all() };
  start();
  await openHistory({ id });
}

function forget() {
  events.clear();
  detail.show(null);
  feed.forget();
  cleared = true;
  update();
}

const askTime = timeDialog({
  go: (time) => (mode === "file" ? goInFile(time) : openHistory({ time })),
  range: (since, until) => apply({ ...view, since, until }),
  known: () => ({ ...extent(events.source), first: parseInt(first, 10) || extent(events.source).first, at: timeOf(events.source.at(events.list.top) ?? "") }),
});

function goInFile(time) {
  for (let n = 0; n < events.source.length; n += 1) if (timeOf(events.source.at(n)) >= time) return events.select(n, { show: false });
  return undefined;
}

const askViews = viewsDialog(new SavedViews({ getItem: (key) => localStorage.getItem(key), setItem: (key, value) => localStorage.setItem(key, value) }), {
  current: () => toQuery(view).toString(),
  apply: (query) => apply(fromQuery(new URLSearchParams(query)), { history: new URLSearchParams(query).has("history") }),
  link: () => copy(linkTo(""), "Link copied"),
});

const askSave = saveDialog({
  size: () => ({ shown: events.source.length, most: MOST }),
  lines: async () => {
    if (events.archive) return feed.lines(`${toQuery(view)}&format=ndjson&limit=${MOST}`);
    return Array.from({ length: Math.min(MOST, events.source.length) }, (_, n) => events.source.at(n));
  },
  save: (kind, lines) => {
    if (kind === "har") saveHar(lines, here("").origin.replace("http", "ws"), info?.version);
    else saveNdjson(lines);
  },
});

detail.about = about;
detail.before = before;
detail.canAct = () => mode !== "file";
detail.onfilter = narrow;
detail.onact = (name) => act(name);
events.onselect = (raw, show) => { if (show || detail.raw !== null) detail.show(raw); };
events.oncell = cell;
events.onhold = update;
connections.onchoose = (id, beside) => {
  const others = view.connections.filter((other) => other !== id);
  const chosen = view.connections.includes(id) ? (beside ? others : []) : beside ? [...others, id] : [id];
  apply({ ...view, connections: chosen });
  part("main");
};
filterBox.onapply = (filter) => apply({ ...view, filter });
strip.onbrush = (since, until) => apply({ ...view, since, until });
banner.onact = (name) => act(name);

at("text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => apply({ ...view, text: at("text").value }), 150);
});
at("text").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") at("events").focus();
});
for (const one of document.querySelectorAll(".tools [data-kind], .tools [data-direction]")) one.addEventListener("click", () => narrow(one.dataset));
for (const name of ["pause", "history", "time", "views", "save", "live"]) at(name).addEventListener("click", () => act(name));
at("clear").addEventListener("click", forget);
at("help").addEventListener("click", () => act("keys"));
at("older").addEventListener("click", () => openHistory({ id: idOf(journal.at(0) ?? "") }));
at("notice-close").addEventListener("click", () => { at("notice").hidden = true; });
at("deltas").addEventListener("click", () => {
  events.showDeltas = !events.deltas;
  at("deltas").setAttribute("aria-pressed", String(events.deltas));
});

setInterval(() => {
  perSecond = recent;
  recent = 0;
  if (!document.hidden) strip.draw();
  update();
}, 1000);

wireDialogs();
wireKeys(act, (event) => events.key(event));
wireLayout();
takeFiles(openFile);
themeSwitch(() => strip.recolour());

const asked = new URLSearchParams(location.search);
const linked = asked.get("event");
start();
if (asked.has("history") || view.since !== null || view.until !== null) openHistory({ id: linked ?? "" });
drawView();
if (linked) feed.one(linked).then((raw) => detail.show(raw), (error) => toast(error.message));
