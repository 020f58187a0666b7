// The worker of the page: wires the stream, or a file, the decoders and the list of connections to the
// page. It takes open, counted, file, select, taken, roster, forget, now, ask, full, choose, learn, scan,
// stop, and posts names (of the decoders), state, batch, labels, roster, briefs, full, note, scanned.

import { add, names } from "../decode/index.js";
import { fromDescriptors } from "../decode/schema.js";
import { connectionOf, describe, idOf, kindOf, timeOf, valueOf } from "../model/event.js";
import { textOf } from "../model/packed.js";
import { read } from "../model/recording.js";
import { isAll, passes } from "../model/query.js";
import { Roster } from "../model/roster.js";
import { EventStream } from "../wstap.js";
import { FileContext, ServerContext } from "./context.js";
import { Interpreter } from "./interpreter.js";
import { OwnDecoders } from "./own-decoders.js";
import { Outbox } from "./outbox.js";
import { Scan } from "./scan.js";
import { Watcher } from "./watcher.js";

/** How often a batch goes to the page: once a frame. */
const FRAME = 16;

/** Messages of a search that wait for the beginning of their connection to be decoded. */
const UNDECIDED = 500;

let session = 0;
let stream = null;
let watcher = null;
let roster = new Roster();
let file = null;
/** Briefs of the messages of a file. */
let briefs = new Map();
let rosterView = {};
/** The scan of the newest events, and that of the history. */
const scans = new Map();
/** The scan of the newest events that the stream continues, and their last. */
let scanned = null;
/** Lines by their id that match a search if their decoded form does, which is not known yet. */
let undecided = new Map();

const post = (batch) => postMessage({ type: "batch", session, ...batch });
let outbox = new Outbox(post);
const interpreter = new Interpreter((briefs) => {
  for (const [id, brief] of briefs) decide(id, brief);
  postMessage({ type: "briefs", briefs });
});

const own = new OwnDecoders();
interpreter.own = own;
own.onend = (words) => {
  postMessage({ type: "note", words });
  relearn();
};
const tellNames = () => postMessage({ type: "names", names: [...own.names, ...names] });
tellNames();

/** Decodes everything again, by other decoders. */
function relearn() {
  interpreter.relearn();
  tellNames();
}

/** Adds a decoder of the reader's own, or a descriptor set; answers with `{ title }` or `{ error }`. */
async function learn({ source, descriptors }) {
  try {
    if (source !== undefined) {
      const { title } = await own.add(source);
      relearn();
      return { title };
    }
    const decoders = fromDescriptors(new Uint8Array(descriptors));
    add(decoders, "schema");
    relearn();
    return { title: `Protocol Buffers, ${decoders.length - 1} types` };
  } catch (error) {
    return { error: error.message };
  }
}

setInterval(flush, FRAME);

/** Posts names before the lines in which they stand. */
function flush() {
  const labels = watcher?.names() ?? [];
  if (labels.length > 0) postMessage({ type: "labels", labels });
  outbox.flush();
}

function decide(id, brief) {
  const line = undecided.get(id);
  if (line === undefined) return;
  undecided.delete(id);
  outbox.push(line, brief);
}

function take(line) {
  const brief = interpreter.see(line);
  const kind = kindOf(line);
  // A search looks at decoded messages, too; those of a connection that began before are decoded later.
  const isLater = outbox.view !== null && brief === undefined && kind === "message" && !interpreter.partial && !interpreter.isDormant(connectionOf(line));
  if (isLater && undecided.size < UNDECIDED) {
    undecided.set(idOf(line), line);
    interpreter.ask([line]);
  } else {
    outbox.push(line, brief);
  }
  if (kind === "connect" || kind === "close") watcher?.see(line);
}

/** A state of the stream by the page's name for it. */
function named({ state, attempt, status }) {
  if (state === "connecting" && attempt > 0) return "reconnecting";
  if (state === "waiting" && status === 503) return "full";
  return state === "ended" ? "refused" : state;
}

function open({ base, query, view, past, lastId, silence, selects, partial }) {
  stream?.close();
  interpreter.reset(new ServerContext(base), scanned?.last === lastId && lastId !== "" ? scanned.tracks : []);
  interpreter.partial = partial;
  scanned = null;
  undecided = new Map();
  file = null;
  outbox = outbox.fresh();
  outbox.view = view;
  const mine = session;
  const asked = new URLSearchParams(query);
  const selection = Object.fromEntries([...new Set(asked.keys())].map((name) => [name, asked.getAll(name)]));
  stream = new EventStream(new URL(".", base).href, { ...selection, lastEventId: lastId, last: past || undefined, silence, raw: true });
  stream.on("line", ({ data }) => { if (mine === session) take(data); });
  stream.on("gap", ({ missed, after, before }) => { if (mine === session) outbox.push(JSON.stringify({ kind: "gap", missed, after, before })); });
  stream.on("state", (now) => {
    if (mine !== session) return;
    const { attempt, wait, words, code, status, position } = now;
    if (now.state === "open") watcher?.now();
    // Lines that were read before the end are shown before it.
    outbox.flush();
    postMessage({ type: "state", session, state: named(now), attempt, wait, words, code, status, position });
  });
  watcher ??= new Watcher(base, roster, (message) => postMessage(message));
  watcher.streamTellsAll = !selects;
  watcher.view = rosterView;
}

/** Looks for the text of a view in decoded messages: the newest ones at once, or all, with reports. */
async function look({ number, base, view, last, isNewest }) {
  scans.get(isNewest)?.stop();
  const mine = new Scan(base, view, interpreter);
  scans.set(isNewest, mine);
  const report = (told) => postMessage({ type: "scanned", number, ...told });
  try {
    if (!isNewest) return await mine.history(last, report);
    const found = await mine.newest(last);
    if (scans.get(isNewest) === mine) scanned = { last, tracks: mine.tracks };
    return report({ ...found, isDone: true });
  } catch (error) {
    return report({ lines: [], briefs: [], isDone: true, fault: mine.isStopped ? "" : error.message });
  }
}

// ---------------------------------------------------------------- a file instead of a server

async function openFile(blob) {
  stream?.close();
  watcher?.close();
  watcher = null;
  roster = new Roster();
  postMessage({ type: "state", session, state: "connecting", attempt: 0, words: "reading the file…" });
  let skipped = "";
  try {
    ({ lines: file, skipped } = read(await textOf(blob)));
  } catch (error) {
    postMessage({ type: "state", session, state: "broken", words: error.message });
    return;
  }
  for (const line of file) roster.see(valueOf(line), timeOf(line), { count: true });
  interpreter.reset(new FileContext(file));
  interpreter.partial = false;
  briefs = new Map();
  for (const line of file) {
    const brief = interpreter.see(line);
    if (brief !== undefined) briefs.set(idOf(line), brief);
  }
  postMessage({ type: "labels", labels: roster.names() });
  postMessage({ type: "state", session, state: "file", total: file.length, skipped });
  tellRoster();
}

function select({ view }) {
  // All of the file is there, so that nothing needs to be dropped.
  outbox = outbox.fresh(Infinity, Infinity);
  outbox.countAfter("");
  for (const line of file ?? []) {
    const brief = briefs.get(idOf(line));
    if (isAll(view) || passes(view, line, describe(line), brief?.row ?? "")) outbox.push(line, brief);
  }
}

function tellRoster() {
  if (watcher) watcher.view = rosterView;
  else postMessage({ type: "roster", ...roster.window(rosterView) });
}

onmessage = ({ data }) => {
  if ("session" in data) session = data.session;
  switch (data.type) {
    case "open": return open(data);
    case "counted": return outbox.countAfter(data.id);
    case "file": return openFile(data.file);
    case "select": return select(data);
    case "taken": return outbox.taken();
    case "roster":
      rosterView = data.view;
      return tellRoster();
    case "forget":
      roster.clear();
      return tellRoster();
    case "ask": return interpreter.ask(data.lines, data.past);
    case "full":
      return interpreter.full(data.line).then((result) => postMessage({ type: "full", number: data.number, result }));
    case "learn":
      return learn(data).then((result) => postMessage({ type: "full", number: data.number, result }));
    case "scan": return look(data);
    case "stop": return scans.get(false)?.stop();
    case "choose": return interpreter.choose(data.connection, data.name);
    case "now":
      stream?.now();
      return watcher?.now();
    default: return undefined;
  }
};
