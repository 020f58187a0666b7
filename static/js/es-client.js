// Wires the inspector to the keys, buttons and dialogs of the page.

import { here } from "./link/server.js";
import { merged } from "./model/archive.js";
import { connectionOf, describe, idOf, timeOf, valueOf } from "./model/event.js";
import { SavedViews, all, both, conditions, fromQuery, literal, toQuery } from "./model/query.js";
import { Acting } from "./view/act.js";
import { extent, saveDialog, timeDialog, viewsDialog, wireDialogs } from "./view/ask.js";
import { at, copy, toast } from "./view/dom.js";
import { MOST, saveHar, saveNdjson, takeFiles } from "./view/keep.js";
import { nameOf } from "./view/names.js";
import { drawKeys, wireKeys } from "./view/keys.js";
import { part, wireLayout } from "./view/layout.js";
import { notice } from "./view/notice.js";
import { hintOverflow } from "./view/overflow.js";
import { may, refuse } from "./view/session.js";
import { themeSwitch } from "./view/theme.js";
import {
  address, apply, banner, connections, context, detail, events, feed, filterBox, first, forget, info, journal, mode, on, openFile, openHistory,
  drawView, start, strip, update, view,
} from "./inspector.js";

const acting = new Acting(() => info?.mode === "proxy");

/** Whether an event's connection can be sent to and closed, and the caller may do that. */
function canAct() {
  if (!detail.canAct()) return false;
  if (!may("control")) refuse("control");
  return may("control");
}

let typing = 0;

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

/** Narrows the view to a value. */
function narrow({ connection, channel, kind, direction, condition }) {
  if (connection !== undefined) apply({ ...view, connections: [connection] });
  else if (channel !== undefined) apply({ ...view, channels: [channel] });
  else if (kind) apply({ ...view, kinds: view.kinds.length === 1 && view.kinds[0] === kind ? [] : [kind] });
  else if (direction) apply({ ...view, direction: view.direction === direction ? "" : direction });
  else if (mode === "file") toast("An expression needs the server.");
  else apply({ ...view, filter: both(view.filter, condition) });
}

function cell(name, raw) {
  const event = describe(raw);
  if (name === "who" && event.who) narrow({ connection: event.who });
  else if (name === "channel" && event.channel) narrow({ channel: event.channel });
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

/** Performs the action of a key or a button. */
function act(name, typing = false) {
  const raw = detail.raw ?? (events.list.selected === null ? null : events.source.at(events.list.selected - events.source.first) ?? null);
  const event = raw === null ? null : valueOf(raw);
  const acts = {
    pause: () => events.togglePause(),
    deltas: () => at("deltas").click(),
    decoded: () => at("decoded").click(),
    fold: () => at("fold").click(),
    linked: () => goToLinked(raw),
    history: () => (mode === "history" ? apply({ ...view, since: null, until: null }, { history: false }) : openHistory({ id: events.list.following ? "" : events.firstInSight })),
    live: () => (mode === "file" ? location.assign(here("es-client")) : apply({ ...view, since: null, until: null }, { history: false })),
    file: () => at("file").click(),
    time: askTime, views: askViews, save: askSave, keys: () => { drawKeys(); at("keys-dialog").showModal(); },
    within: () => apply({ ...view, within: view.within === "event" ? "content" : "event" }),
    text: () => at("text").focus(), filter: () => filterBox.focus(), connections: () => { part("who"); at("connections").focus(); },
    clear: () => apply(all()), forget, now: () => feed.now(),
    same: () => event?.connectionId != null && narrow({ connection: String(event.connectionId) }),
    context: () => event?.id && context(event.id),
    compare: () => raw !== null && detail.compare(raw),
    link: () => event?.id && copy(linkTo(event.id), "Link copied"),
    copy: () => raw !== null && copy(raw, "Event copied"),
    send: () => canAct() && event?.connectionId && acting.send(event.connectionId),
    again: () => canAct() && event?.kind === "message" && event.connectionId != null && acting.send(event.connectionId, raw, event),
    close: () => canAct() && event?.connectionId && acting.end(event.connectionId),
    part: () => event?.after && openHistory({ id: event.after }),
    back: () => back(typing),
  };
  if (name.startsWith("kind ")) return narrow({ kind: name.slice(5) });
  if (name.startsWith("direction ")) return narrow({ direction: name.slice(10) });
  return acts[name]?.();
}

/** Goes to the answer of a request, or to the request of an answer. */
function goToLinked(raw) {
  const id = raw === null ? null : events.linkedWith(raw);
  if (id === null) return toast("This message has no request or answer here.");
  const index = events.indexOf(id);
  if (index !== -1) return events.select(index);
  const folded = events.lineOf(id);
  if (folded !== null) return detail.show(folded);
  return mode === "file" ? toast("That message is not in the list.") : openHistory({ id });
}

/** Takes a file that was dropped or chosen: a decoder, a descriptor set, or a recording. */
async function take(file) {
  const isModule = /\.m?js$/i.test(file.name);
  if (!isModule && !/\.(desc|fds|pb|binpb|protoset|pbset)$/i.test(file.name)) return openFile(file);
  const { title, error } = await feed.learn(isModule ? { source: await file.text() } : { descriptors: await file.arrayBuffer() });
  if (error !== undefined) return notice(`${file.name} is no decoder: ${error}`, true);
  events.decodeAgain();
  if (detail.raw !== null) detail.show(detail.raw, true);
  return notice(`Decoder added until this page is closed: ${title}.`);
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
  current: () => {
    search();
    return address().toString();
  },
  words: (query) => conditions(fromQuery(new URLSearchParams(query)), (ms) => new Date(ms).toLocaleString(), nameOf).map(({ words }) => words).join(" · "),
  isApplied: () => filterBox.isApplied,
  apply: (query) => apply(fromQuery(new URLSearchParams(query)), { history: new URLSearchParams(query).has("history") }),
  link: () => copy(linkTo(""), "Link copied"),
});

const askSave = saveDialog({
  size: () => ({ shown: events.archive ? events.archive.count + events.archive.found : events.all.length, most: MOST }),
  lines: async () => {
    if (events.archive) return merged(await feed.lines(`${toQuery(view)}&format=ndjson&limit=${MOST}`), events.archive.insertedLines).slice(0, MOST);
    return Array.from({ length: Math.min(MOST, events.all.length) }, (_, n) => events.all.at(n));
  },
  save: (kind, lines) => {
    if (kind === "har") saveHar(lines, here("").origin.replace("http", "ws"), info?.version);
    else saveNdjson(lines);
  },
});

detail.decode = (raw) => feed.full(raw);
detail.names = () => feed.names;
detail.onchoose = (connection, name) => {
  feed.choose(connection, name);
  events.decodeAgain();
};
detail.before = before;
detail.canAct = () => mode !== "file" && info?.mode !== "recording";
detail.onfilter = narrow;
detail.onact = (name) => act(name);
events.onselect = (raw, show) => { if (show || detail.raw !== null) detail.show(raw); };
events.oncell = cell;
events.onlinked = goToLinked;
events.onhold = update;
connections.onchoose = (id, beside) => {
  const others = view.connections.filter((other) => other !== id);
  const chosen = view.connections.includes(id) ? (beside ? others : []) : beside ? [...others, id] : [id];
  apply({ ...view, connections: chosen });
  part("main");
};
on.act = act;
strip.onbrush = (since, until) => apply({ ...view, since, until });
banner.onact = (name) => act(name);

/** Searches for the text in the field. */
function search() {
  clearTimeout(typing);
  if (at("text").value !== view.text) apply({ ...view, text: at("text").value }, { field: "text" });
}

at("text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, 150);
});
at("text").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") at("events").focus();
});
at("within").addEventListener("click", () => act("within"));
for (const one of document.querySelectorAll(".tools [data-kind], .tools [data-direction]")) one.addEventListener("click", () => narrow(one.dataset));
for (const name of ["pause", "history", "time", "views", "save", "live"]) at(name).addEventListener("click", () => act(name));
at("clear").addEventListener("click", forget);
at("open-file").addEventListener("click", () => act("file"));
at("help").addEventListener("click", () => act("keys"));
at("older").addEventListener("click", () => openHistory({ id: idOf(journal.at(0) ?? "") }));
at("notice-close").addEventListener("click", () => { at("notice").hidden = true; });
at("decoded").addEventListener("click", () => {
  events.showDecoded = !events.showDecoded;
  at("decoded").setAttribute("aria-pressed", String(events.showDecoded));
});
at("fold").addEventListener("click", () => {
  events.isFolded = !events.isFolded;
  at("fold").setAttribute("aria-pressed", String(events.isFolded));
});
at("deltas").addEventListener("click", () => {
  events.showDeltas = !events.deltas;
  at("deltas").setAttribute("aria-pressed", String(events.deltas));
});

wireDialogs();
wireKeys(act, (event) => events.key(event));
wireLayout();
hintOverflow(document.querySelector(".switches"));
takeFiles(take);
themeSwitch(() => strip.recolour());

const asked = new URLSearchParams(location.search);
const linked = asked.get("event");
start();
if (asked.has("history") || view.since !== null || view.until !== null) openHistory({ id: linked ?? "" });
drawView();
if (linked) feed.one(linked).then((raw) => detail.show(raw), (error) => toast(error.message));
