// The inspector itself: the view that is shown (model/query.js), which the address contains too, and the
// source of its events: the live stream, the server's history, or a file.

import { expressionOf } from "./link/expression.js";
import { Feed, json } from "./link/feed.js";
import { Archive, spacing } from "./model/archive.js";
import { Names } from "./model/complete.js";
import { Decoded } from "./model/decoded.js";
import { BUCKET, Density } from "./model/density.js";
import { idOf, timeOf, valueOf } from "./model/event.js";
import { Journal } from "./model/journal.js";
import { all, fromQuery, isAll, toQuery } from "./model/query.js";
import { moment } from "./model/text.js";
import { Address } from "./view/address.js";
import { extent } from "./view/ask.js";
import { Banner } from "./view/banner.js";
import { drawBlank } from "./view/blank.js";
import { drawConditions } from "./view/conditions.js";
import { Connections } from "./view/connections.js";
import { drawCounts } from "./view/counts.js";
import { Detail } from "./view/detail.js";
import { at, hideClient, toast } from "./view/dom.js";
import { Events } from "./view/events.js";
import { connectionMarks, learnNames, nameOf } from "./view/names.js";
import { FilterBox } from "./view/filter-box.js";
import { gapNotice, notice } from "./view/notice.js";
import { Searching } from "./view/searching.js";
import { Strip } from "./view/strip.js";

/** Events and characters of a file. */
const FILE = [1_000_000, 1_000_000_000];

const HOUR = 3_600_000;
export let view = fromQuery(new URLSearchParams(location.search));
export let mode = "live";
let link = "connecting";
export let info = null;
/** The recording that the server shows in place of traffic: `{ name, first, last }`, or null. */
let recording = null;
export let first = "";
let cleared = false;
let opened = 0;
let recent = 0;
let perSecond = 0;
let stale = false;
let applied = null;
let later = 0;
let counting = 0;
let isSearched = true;
/** Events of a search that the server has not counted. */
const marked = new Set();

export const journal = new Journal();
const density = new Density();
const names = new Names();
const decoded = new Decoded();
export const events = new Events(journal, decoded);
export const detail = new Detail();
export const banner = new Banner();
export const strip = new Strip(density);
const searching = new Searching();
export const feed = new Feed({ batch, state, roster: (part) => connections.show(part), labels: named, briefs: (pairs) => events.takeBriefs(pairs), note: (words) => { notice(words, true); events.decodeAgain(); } });
events.onask = (lines, past) => feed.ask(lines, past);
searching.onstop = () => feed.stopScan();
export const connections = new Connections((wanted) => feed.roster(wanted));
export const filterBox = new FilterBox(names, (text) => {
  if (mode === "file") throw new Error("The server evaluates expressions. A file is selected by text, kind and connection.");
  return expressionOf(text);
});
filterBox.onapply = (filter) => {
  // The field keeps the short terms that were typed.
  applied = filter;
  apply({ ...view, filter }, { field: "filter" });
};

connectionMarks.inSight = () => new Set([...events.connectionsInSight, ...connections.inSight]);

/** Takes names of connections that the server has named itself. */
function named(pairs) {
  learnNames(pairs);
  events.list.refresh();
  if (view.connections.length > 0) drawView();
}

/** Performs the action of a button, by its name. */
export const on = { act() {} };

/** Draws the counts a few times a second, however many events arrive. */
function soon() {
  later ||= setTimeout(() => {
    later = 0;
    update();
  }, 150);
}

/** Asks again for the counts that an empty page shows. */
setInterval(() => {
  if (link !== "open" || info?.mode !== "proxy" || events.source.length > 0 || document.hidden) return;
  json("api/info").then((told) => { info = told; update(); }, () => {});
}, 3000);

/** Draws the changes, once a frame. */
export function update() {
  if (stale) return;
  stale = true;
  requestAnimationFrame(() => {
    stale = false;
    drawState();
    events.drawNewest();
    const isEmpty = events.source.length === 0;
    at("blank").hidden = !isEmpty;
    if (isEmpty) drawBlank({ mode, link, info, isFiltered: !isAll(view), ended: cleared }, on.act);
  });
}

function drawState() {
  const { archive } = events;
  drawCounts(journal, archive, { kind: recording ? "" : " of the history", perSecond, isSearched });
  at("redaction").hidden = !info?.redaction;
  at("older").hidden = mode !== "live" || first === "" || journal.length === 0 || idOf(journal.at(0)) === first;
  if (archive?.fault) at("mode").textContent = `history cannot be read: ${archive.fault}`;
}

/** Takes a batch of the worker. */
function batch(lines, counts, briefs) {
  decoded.put(briefs);
  events.push(lines);
  density.add(counts);
  const now = Date.now();
  // Events of the past that come now are no rate.
  for (const [ms, n] of counts) if (now - ms < 3000) recent += n;
  const lost = lines.find((line) => line.startsWith('{"kind":"'));
  if (lost) gapNotice(valueOf(lost), (id) => openHistory({ id }));
  const last = lines.at(-1);
  if (last && last.length < 4096) names.see(valueOf(last));
  soon();
}

/** Takes the server's description of itself. */
function learn(told) {
  info = told;
  hideClient(told);
  if (recording || !told.recording) return;
  recording = told.recording;
  const last = Date.parse(recording.last);
  strip.now = connections.now = () => last || Date.now();
  strip.span("all");
  connections.isRecording = events.showDates = true;
  document.title = `${recording.name} – wstap`;
  for (const name of ["pause", "history", "clear"]) at(name).hidden = true;
  if (mode === "live") openHistory();
}

/** Takes a state of the stream. */
function state(now) {
  if (now.state !== "reconnecting") link = now.state;
  const show = () => banner.show({ ...now, recording: recording?.name });
  // Whether events are live or recorded is known with the first answer of the server.
  if (now.state !== "open" || info !== null) show();
  if (now.state === "open") {
    opened += 1;
    if (opened > 1 && !cleared) notice("The stream was interrupted and is back; what happened meanwhile has been caught up, unless a gap is told.");
    json("api/info").then(learn).catch(() => {}).then(() => {
      if (link === "open") show();
      update();
    });
  }
  if (now.state === "file") feed.select(view);
  if (now.state === "refused" && now.status === 400 && view.filter !== "") filterBox.fault({ message: now.words, position: now.position });
  update();
}

/** The question to the server that a view is, without its time. */
function timeless() {
  return toQuery({ ...view, since: null, until: null });
}

/**
 * Shows another view. `field` is the one in which it was typed: the steps of typing are one step for the
 * back button of the browser.
 */
export async function apply(next, { history = mode === "history", field = "" } = {}) {
  addressBar.changes(field);
  // A recording has no live events.
  history ||= recording !== null && mode !== "file";
  const moved = next.since !== view.since || next.until !== view.until;
  const others = toQuery({ ...next, since: null, until: null }).toString() !== timeless().toString();
  view = next;
  describeView();
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
export function start() {
  opened = 0;
  cleared = false;
  isSearched = true;
  link = "connecting";
  at("notice").hidden = true;
  events.clear();
  density.clear();
  marked.clear();
  searching.none();
  const followed = timeless().toString();
  feed.follow(view).then(({ since, lines }) => {
    if (timeless().toString() !== followed || view.text === "") return;
    mark(lines);
    searching.searched(since, view.filter !== "", mode === "live");
  });
  countPast().catch(() => feed.countAfter(""));
  update();
}

/** Counts lines in the strip that the server has not counted, each once. */
function mark(lines) {
  density.add(lines.filter((line) => !marked.has(idOf(line))).map((line) => [timeOf(line), 1]));
  for (const line of lines) marked.add(idOf(line));
  strip.draw();
}

/** Looks for the text of the view in the decoded messages of the history that is shown. */
function searchDecoded(archive) {
  const searched = view;
  const last = info?.now.lastEventId;
  if (view.text === "" || !last) return undefined;
  const isCurrent = () => events.archive === archive && view === searched;
  return searching.history((report) => feed.scan({ view, last }, (told) => isCurrent() && report(told)), (lines, briefs) => {
    decoded.put(briefs);
    const hasRoom = lines.length === 0 || events.insert(lines);
    if (lines.length > 0) mark(lines);
    soon();
    return { found: archive.found, hasRoom };
  });
}

/** Asks for the number of events in the server's history, and when they happened. */
async function countPast() {
  const mine = counting += 1;
  const whole = await marks();
  if (mine !== counting) return;
  // The last hour is looked at most; a long history leaves it in few columns.
  const from = Math.floor((strip.now() - HOUR) / whole.step) * whole.step;
  const fine = whole.step > 1000 ? await marks({ since: new Date(from).toISOString() }) : null;
  if (mine !== counting) return;
  first = whole.first ?? "";
  isSearched = !whole.unfinished && !fine?.unfinished;
  density.past(whole, fine, fine ? from : Infinity);
  feed.countAfter(fine?.last ?? whole.last ?? "");
  strip.draw();
}

/** Asks how many events the view has, where to read on, and when they happened. */
async function marks(more = {}) {
  const told = await json("api/info");
  learn(told);
  const query = timeless();
  const asked = { format: "marks", every: spacing(told.now.history.events), step: `${BUCKET}ms`, ...more };
  for (const [name, value] of Object.entries(asked)) query.set(name, String(value));
  return json(`api/events?${query}`);
}

/** Shows the server's history: from an event on, from a time on, or its end. */
export async function openHistory({ id = "", time = 0 } = {}) {
  if (mode === "file") return;
  mode = "history";
  const asked = toQuery(view).toString();
  let told;
  try {
    const { since, until } = Object.fromEntries(toQuery(view));
    told = await marks({ ...(since && { since }), ...(until && { until }) });
  } catch (error) {
    toast(error.message);
    return recording ? undefined : live();
  }
  if (mode !== "history" || asked !== toQuery(view).toString()) return;
  const query = toQuery(view);
  const archive = new Archive((params) => {
    const part = new URLSearchParams(query);
    for (const [name, value] of params) part.set(name, value);
    return feed.lines(part);
  }, told);
  events.use(archive);
  drawView();
  searchDecoded(archive);
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
  searching.live();
  drawView();
  update();
}

/** The query of the page: the view, and whether it is of the history. */
export function address() {
  const query = toQuery(view);
  if (mode === "history" && !recording && view.since === null && view.until === null) query.set("history", "1");
  return query;
}

const addressBar = new Address((params) => {
  if (mode === "file") return location.reload();
  at("text").value = params.get("text") ?? "";
  return apply(fromQuery(params), { history: params.has("history") });
});

/** Draws everything that describes the view, the address included. */
export function drawView() {
  if (mode !== "file") addressBar.write(address());
  describeView();
}

function describeView() {
  // The field in which the reader types keeps its text.
  if (document.activeElement !== at("text")) at("text").value = view.text;
  if (view.filter !== applied) filterBox.value = applied = view.filter;
  at("within").setAttribute("aria-pressed", String(view.within === "event"));
  at("text").placeholder = view.within === "event" ? "Search anywhere" : "Search content";
  for (const one of document.querySelectorAll("[data-kind][aria-pressed]")) one.setAttribute("aria-pressed", String(view.kinds.includes(one.dataset.kind)));
  for (const one of document.querySelectorAll("[data-direction]")) one.setAttribute("aria-pressed", String(view.direction === one.dataset.direction));
  drawConditions(view, { apply, clear: () => on.act("clear"), more: searching.element });
  at("history").setAttribute("aria-pressed", String(mode === "history"));
  at("live").hidden = mode === "live" || (mode === "history" && recording !== null);
  at("mode").textContent = { live: "", history: recording ? recorded() : "the server's history", file: "a file" }[mode];
  connections.choose(view.connections);
  events.text = view.text;
  strip.range(view.since, view.until);
}

/** The time of the recording, in words. */
function recorded() {
  const [from, to] = [recording.first, recording.last].map((time) => time && moment(new Date(time)));
  return from ? `recorded ${from} to ${to}` : "an empty recording";
}

/** Leaves the live stream for a file. */
export function openFile(file) {
  counting += 1;
  isSearched = true;
  mode = "file";
  link = "file";
  view = all();
  journal.bounds(...FILE);
  events.use(null);
  events.clear();
  density.clear();
  detail.show(null);
  strip.now = connections.now = () => extent(journal).last || Date.now();
  connections.isRecording = events.showDates = true;
  strip.span("all");
  drawView();
  feed.file(file);
  update();
}

/** Shows an event among all others. */
export async function context(id) {
  view = { ...all() };
  start();
  await openHistory({ id });
}

/** Forgets the events of the list, and connections that are closed. */
export function forget() {
  events.clear();
  detail.show(null);
  feed.forget();
  cleared = true;
  update();
}

setInterval(() => {
  perSecond = recent;
  recent = 0;
  if (!document.hidden) strip.draw();
  update();
}, 1000);
