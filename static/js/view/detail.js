// View: one event in full.

import { forensics, meaning, wireShare } from "../model/forensics.js";
import { valueOf } from "../model/event.js";
import { literal } from "../model/query.js";
import { bytes, count, delta, duration, moment, visible } from "../model/text.js";
import { comparison } from "./compare.js";
import { Content } from "./content.js";
import { at, button, copy, make } from "./dom.js";
import { markChannel, markConnection, nameOf } from "./names.js";
import { Tree } from "./tree.js";

const TITLES = { connect: "Connect", close: "Close", gap: "Gap", hole: "Not held by this page", join: "Join of a channel", leave: "Leave of a channel", request: "Plain request" };

export class Detail {
  #raw = null;
  #content;
  #compared = null;
  #shown = 0;
  /** Called with `{ connection }`, `{ channel }`, `{ direction }`, `{ kind }` or `{ condition }` to filter by. */
  onfilter = () => {};
  /** Called with "link", "compare", "context", "again", "send", "close" or "part", and the event. */
  onact = () => {};
  /** Resolves with the last events of a connection before a line, as values, oldest first. */
  before = async () => [];
  /** Whether something can be done at connections. */
  canAct = () => false;

  constructor() {
    this.#content = new Content(make("div", "content"));
    this.#content.onfilter = (path, json) => this.onfilter({ condition: `${path} == ${json}` });
    at("detail-close").addEventListener("click", () => this.show(null));
  }

  /** Resolves with the message of a line as its decoder reads it, or null. */
  set decode(decode) {
    this.#content.decode = decode;
  }

  /** The decoders: `[{ name, title }]`. */
  set names(names) {
    this.#content.names = names;
  }

  /** Called with a connection and the decoder that was chosen for it. */
  set onchoose(choose) {
    this.#content.onchoose = choose;
  }

  get raw() {
    return this.#raw;
  }

  /** The event that others are compared with, or null. */
  get compared() {
    return this.#compared;
  }

  compare(raw) {
    this.#compared = raw;
    if (this.#raw !== null) this.show(this.#raw, true);
  }

  /** Shows an event; `null` shows none. */
  show(raw, anew = false) {
    if (raw === this.#raw && !anew) return;
    this.#raw = raw;
    this.#shown += 1;
    at("detail").hidden = raw === null;
    at("panes").classList.toggle("detailed", raw !== null);
    if (raw === null) return at("detail-body").replaceChildren();
    const event = valueOf(raw);
    at("detail-title").textContent = title(event);
    at("detail-title").dataset.kind = event?.kind === "message" ? event.direction : (event?.kind ?? "broken");
    const box = at("detail-body");
    box.scrollTop = 0;
    box.replaceChildren(...[this.#actions(event), this.#comparison(), ...this.#story(event), this.#facts(event)].filter(Boolean));
    if (event?.kind === "message") {
      box.append(this.#content.box);
      this.#content.show(raw, event);
    }
    box.append(this.#whole(raw, event));
    return undefined;
  }

  #actions(event) {
    const bar = make("div", "detail-actions", "", { role: "toolbar", "aria-label": "What to do with this event" });
    const put = (words, name, title) => bar.append(button(words, "small", () => this.onact(name, this.#raw, event), { title }));
    if (event?.id) put("Copy link", "link", "A link to this event (l)");
    if (event?.id) put(this.#compared === null ? "Compare" : "Compare from here", "compare", "Compare with the next event that is selected (m)");
    if (event?.id) put("In context", "context", "This event among all others (x)");
    if (this.canAct() && event?.kind === "message" && event.connectionId != null) put("Send again…", "again", "Edit and send (r)");
    if (this.canAct() && event?.connectionId && event.kind !== "close" && event.kind !== "message") put("Send…", "send", "Send to this connection (s)");
    if (this.canAct() && event?.connectionId && event.kind !== "close") put("Close connection…", "close", "With a code and a reason");
    if ((event?.kind === "gap" || event?.kind === "hole") && event.after) put("Look at the server's history", "part", "What the server still has from here on");
    return bar;
  }

  #comparison() {
    if (this.#compared === null || this.#compared === this.#raw) return this.#compared === null ? null : this.#waiting();
    const box = comparison(this.#compared, this.#raw);
    box.prepend(this.#comparisonHead());
    return box;
  }

  #waiting() {
    const box = make("section", "comparison");
    box.append(this.#comparisonHead(), make("p", "dim", "Select another event to compare this one with."));
    return box;
  }

  #comparisonHead() {
    const head = make("div", "content-head");
    head.append(make("h3", "", "Comparison"), make("span", "grow"), button("Stop comparing", "small", () => this.compare(null)));
    return head;
  }

  /** Names and values; a value that can be filtered by is a button. */
  #facts(event) {
    const list = make("dl", "facts");
    const put = (name, words, filter, extra) => {
      if (words === undefined || words === null || words === "") return;
      const value = make("dd");
      const shown = visible(String(words)).slice(0, 500);
      value.append(filter ? button(shown, "value-filter", () => this.onfilter(filter), { title: "Filter by this" }) : shown);
      if (extra) value.append(make("span", "dim", ` ${extra}`));
      if (name === "Connection") markConnection(value.firstElementChild, filter.connection);
      if (name === "Channel") markChannel(value.firstElementChild, filter.channel);
      list.append(make("dt", "", name), value);
    };
    if (!event) return list;
    if (event.connectionId != null) connectionFact(String(event.connectionId), put);
    put("Time", event.time && moment(new Date(event.time)), null, event.time && delta(Date.parse(event.time) - Date.now()).replace("−", "").concat(" ago"));
    const facts = { message: messageFacts, connect: connectFacts, close: closeFacts, join: presenceFacts, leave: presenceFacts, request: requestFacts, gap: gapFacts, hole: gapFacts }[event.kind];
    facts?.(event, put);
    put("Note", event.note, event.note && { condition: `note == ${literal(event.note)}` });
    put("Synthetic", event.synthetic && "sent by hand, through wstap", { condition: "synthetic == true" });
    put("Event", event.id);
    return list;
  }

  /** The end of a connection in words, and in more of them once its last events are known. */
  #story(event) {
    if (event?.kind === "gap" || event?.kind === "hole") return [make("p", "story", advice(event))];
    if (event?.kind !== "close") return [];
    const story = make("div", "story", "", { "aria-label": "What happened", role: "group" });
    const tell = (before) => story.replaceChildren(...forensics(event, before, Date.parse(event.time)).map((words, n) => make("p", n === 0 ? "first" : "", visible(words))));
    const mine = this.#shown;
    tell([]);
    this.before(event).then((before) => { if (mine === this.#shown) tell(before); }, () => {});
    return [story];
  }

  #whole(raw, event) {
    const box = make("details", "whole");
    const summary = make("summary", "", "The event as JSON");
    box.append(summary);
    box.addEventListener("toggle", () => {
      if (!box.open || box.children.length > 1) return;
      const copyAll = button("Copy", "small", () => copy(raw));
      const tree = event ? new Tree(raw, "", "The event as a tree") : null;
      if (tree) tree.onfilter = (path, json) => this.onfilter({ condition: `${path.replace(/^\./, "")} == ${json}` });
      box.append(copyAll, tree?.element ?? make("pre", "", raw.slice(0, 10_000)));
    });
    box.open = event?.kind !== "message";
    return box;
  }
}

function title(event) {
  if (event?.kind === "message" && event.channel) return "Message in a channel";
  if (event?.kind === "message") return event.direction === "in" ? "Message to the server" : "Message to the client";
  return TITLES[event?.kind] ?? "Event";
}

function connectionFact(id, put) {
  const name = nameOf(id);
  put("Connection", name, { connection: id }, name === id ? "" : visible(id));
}

function messageFacts(event, put) {
  put("Direction", event.direction === "in" ? "client to server" : "server to client", { direction: event.direction });
  put("Kind", event.opcode, event.opcode && { condition: `opcode == ${literal(event.opcode)}` });
  put("Size", bytes(event.size ?? 0), null, event.size >= 1024 ? `${count(event.size)} bytes` : "");
  if (event.wire !== undefined) put("On the wire", bytes(event.wire), null, [wireShare(event.size, event.wire), event.compressed ? "compressed" : ""].filter(Boolean).join(", "));
  else if (event.compressed) put("On the wire", "compressed");
  if (event.fragments > 1) put("Fragments", count(event.fragments));
  put("Event", event.event, event.event && { condition: `event == ${literal(event.event)}` });
  put("Event id", event.eventId, event.eventId && { condition: `eventId == ${literal(event.eventId)}` });
  if (event.channel) put("Channel", event.channel, { channel: event.channel });
  user(event, put, event.connectionId == null ? "From" : "User");
  put("Only to", event.to?.join(", "));
  put("Not to", event.except?.join(", "));
  if (event.connectionId == null) put("Published", "over HTTP");
}

function presenceFacts(event, put) {
  put("Channel", event.channel, { channel: event.channel });
  user(event, put);
}

function user(event, put, name = "User") {
  if (event.user) put(name, event.user, { condition: `user == ${literal(event.user)}` });
}

function connectFacts(event, put) {
  user(event, put);
  if (event.transport === "sse") put("Transport", "event stream", { condition: `transport == "sse"` });
  put("Method", event.method);
  put("Path", event.path, { condition: `path == ${literal(event.path)}` });
  put("Client", event.remote, { condition: `remote == ${literal(event.remote)}` });
  put("Compression", event.contentEncoding);
  put("Upstream", event.upstream);
  put("Status", event.status);
  if (typeof event.upstreamTime === "number") put("Upstream took", `${Math.round(event.upstreamTime * 1000)} ms`);
  put("Subprotocol", event.subprotocol, event.subprotocol && { condition: `subprotocol == ${literal(event.subprotocol)}` });
  put("Extensions", event.extensions);
  for (const [name, value] of Object.entries(event.headers ?? {})) put(name, value);
}

function closeFacts(event, put) {
  const { close = {} } = event;
  if (event.status) put("Status", event.status, { condition: `status == ${literal(event.status)}` });
  if (event.transport !== "sse") put("Code", close.code, { condition: `close.code == ${literal(close.code)}` }, meaning(close.code));
  put("Reason", close.reason, { condition: `close.reason == ${literal(close.reason)}` });
  put("By", close.by, { condition: `close.by == ${literal(close.by)}` });
  put("Clean", close.clean ? "yes" : "no", { condition: `close.clean == ${literal(Boolean(close.clean))}` });
  if (typeof event.duration === "number") put("Lasted", duration(event.duration));
  const both = (flow, words) => flow && `→ ${words(flow.in)}   ← ${words(flow.out)}`;
  put("Messages", both(event.messages, count));
  put("Bytes", both(event.bytes, bytes));
  put("On the wire", both(event.wire, bytes));
  if (event.comments !== undefined) put("Comments", count(event.comments));
  if (event.silence) put("Silent for", both(event.silence, (seconds) => (seconds == null ? "–" : duration(seconds))));
  put("Path", event.path);
  put("Client", event.remote);
  if (event.status) for (const [name, value] of Object.entries(event.headers ?? {})) put(name, value);
  put("Answer", event.answer);
}

function requestFacts(event, put) {
  put("Method", event.method, { condition: `method == ${literal(event.method)}` });
  put("Path", event.path, { condition: `path == ${literal(event.path)}` });
  put("Status", event.status, { condition: `status == ${literal(event.status)}` });
  put("Client", event.remote);
  put("Upstream", event.upstream);
  if (typeof event.upstreamTime === "number") put("Upstream took", `${Math.round(event.upstreamTime * 1000)} ms`);
  if (typeof event.duration === "number") put("Took", duration(event.duration));
  if (event.bytes) put("Bytes", `→ ${bytes(event.bytes.in)}   ← ${bytes(event.bytes.out)}`);
}

function gapFacts(event, put) {
  put("Events", event.missed == null ? "an unknown number" : count(event.missed));
  put("After", event.after);
  put("Before", event.before);
}

function advice(event) {
  if (event.kind === "hole") return `These events reached this browser and found no room here: ${event.why}. The server may still have them.`;
  return "The server had forgotten these events before this page could read them. A longer --history-events or --history-bytes keeps more of them; a filter makes the page read less.";
}
