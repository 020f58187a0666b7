// Link: decodes messages in the order of their connections, in the worker. Messages of the live stream
// are decoded as they come; of any other message, the messages before it are read first, from the
// server or the file. Messages beyond the budget are skipped; the page asks again for those in sight.

import { Track, brief } from "../decode/track.js";
import { compareIds, connectionOf, handshakeOf, idOf, kindOf, timeOf, toDecode, valueOf } from "../model/event.js";

/** Connections that are followed at once. */
const TRACKS = 5000;

/** Milliseconds of each second that decoding the stream may take; the rest belongs to reading it. */
const BUDGET = 300;

/** Contexts that are read at once, and that wait. */
const READING = 2;
const WAITING = 250;

/** Messages that wait for the context of their connection. */
const BUFFER = 2000;

export class Interpreter {
  #source = null;
  #post;
  #tracks = new Map();
  #forced = new Map();
  #waiting = new Map();
  /** Connections with a message that a decoder may know. */
  #candidates = new Set();
  #reading = 0;
  #spent = 0;
  #second = 0;
  #generation = 0;
  /** Milliseconds of each second that decoding the stream may take. */
  budget = BUDGET;
  /** Whether the stream leaves out messages, so that the messages of a connection are no sequence. */
  partial = false;

  /** The decoders of the reader's own (`OwnDecoders`), which go before the others, or null. */
  own = null;

  /** `post(pairs)` takes `[id, brief]` of messages that were decoded later; a brief may be null. */
  constructor(post) {
    this.#post = post;
  }

  /**
   * Begins again. `source.context(connection, line)` resolves with the lines before and with a line;
   * `source.isComplete` says that no other lines exist than those that `see` gets. `tracks` are those of
   * connections that were decoded up to the first line of the stream, `[connection, track]`.
   */
  reset(source, tracks = []) {
    this.#source = source;
    this.#tracks.clear();
    for (const [connection, track] of tracks) this.#add(connection, { track, whole: true, isBegun: true });
    this.#waiting.clear();
    this.#candidates.clear();
    this.#generation += 1;
  }

  /** The next line of the stream. Returns the brief of a message, or undefined if it was not decoded. */
  see(line) {
    const kind = kindOf(line);
    if (kind === "gap") for (const { track } of this.#tracks.values()) track.lose();
    if (this.partial) return undefined;
    const connection = connectionOf(line);
    if (connection === "") return undefined;
    if (kind === "connect") this.#add(connection, { track: this.begin(connection, valueOf(line)), whole: true });
    else if (kind === "close") this.#tracks.delete(connection);
    else if (kind === "message") {
      const found = this.#next(connection, line);
      const entry = this.#tracks.get(connection);
      const isOwn = this.hasOwn && entry.whole && !entry.buffer && !this.own.isBusy;
      if (!isOwn) return found;
      // Posted later: the reader's decoders go first, and their answer takes a moment.
      this.#override(connection, entry, line, found ?? null);
    }
    return undefined;
  }

  /** A track for the messages of a connection, with its connect event if that is known. */
  begin(connection, connect) {
    return new Track({ ...handshakeOf(connect), forced: this.#forcedFor(connection) });
  }

  /** The decoder that was chosen for a connection; its own decoders the reader's sandbox knows. */
  #forcedFor(connection) {
    const name = this.#forced.get(connection) ?? null;
    return name !== null && this.own?.has(name) ? "off" : name;
  }

  get hasOwn() {
    return this.own !== null && !this.own.isEmpty;
  }

  /** Which of the reader's decoders may decode a connection: all (null), one, or none (false). */
  #ownFor(connection) {
    if (!this.hasOwn) return false;
    const name = this.#forced.get(connection) ?? null;
    return name === null || this.own.has(name) ? name : false;
  }

  /** Decodes the next message by the reader's decoders; `found` is posted if they return nothing. */
  async #override(connection, entry, line, found) {
    const fresh = !entry.isBegun;
    entry.isBegun = true;
    this.#post([[idOf(line), await this.ownBrief(connection, entry.track, line, fresh) ?? found]]);
  }

  /** The brief of a message by the reader's decoders, whose states are those of `key`, or null. */
  async ownBrief(connection, track, line, fresh, key = connection) {
    const only = this.#ownFor(connection);
    const message = only === false ? null : toDecode(line);
    if (!message) return null;
    const output = await this.own.decode(key, { ...message, path: track.path, subprotocol: track.subprotocol }, { fresh, only });
    return output ? brief(track.adopt(output, message.direction, idOf(line), timeOf(line))) : null;
  }

  /** Decodes lines in order by the reader's decoders; resolves with the results by id. */
  async #ownReplay(connection, lines, key) {
    const results = new Map();
    const only = this.#ownFor(connection);
    if (only === false) return results;
    let track = new Track();
    let fresh = true;
    for (const line of lines) {
      if (line !== null && kindOf(line) === "connect") track = new Track(handshakeOf(valueOf(line)));
      const message = line === null ? null : toDecode(line);
      if (!message) continue;
      const output = await this.own.decode(key, { ...message, path: track.path, subprotocol: track.subprotocol }, { fresh, only });
      fresh = false;
      if (output) results.set(idOf(line), track.adopt(output, message.direction, idOf(line), timeOf(line)));
    }
    return results;
  }

  #add(connection, entry) {
    this.#tracks.delete(connection);
    if (this.#tracks.size >= TRACKS) this.#tracks.delete(this.#tracks.keys().next().value);
    this.#tracks.set(connection, entry);
    return entry;
  }

  #next(connection, line) {
    const entry = this.#tracks.get(connection) ?? this.#add(connection, { track: this.begin(connection), whole: this.#source?.isComplete === true });
    if (entry.buffer) {
      if (entry.buffer.push(line) > BUFFER) entry.buffer = entry.buffer.slice(-BUFFER / 2);
      return undefined;
    }
    // Without its beginning it would be misread; the beginning is read once a message of it is in sight.
    entry.last = line;
    if (!entry.whole || entry.track.isDormant) return undefined;
    const now = performance.now();
    if (now - this.#second > 1000) {
      this.#second = now;
      this.#spent = 0;
    }
    if (this.#spent > this.budget) {
      entry.track.lose();
      return undefined;
    }
    const result = brief(read(entry.track, line));
    this.#spent += performance.now() - now;
    return result;
  }

  /** Decodes lines that the page shows; the briefs are posted, of all of them. */
  ask(lines, past = false) {
    const pairs = [];
    const alone = lines.map((line) => ({ line, connection: connectionOf(line), ...this.#quick(line) }));
    for (const { connection, isCandidate } of alone) if (isCandidate) this.#remember(connection);
    for (const { line, connection, found } of alone) {
      const isWhole = !past && this.#tracks.get(connection)?.whole;
      // Most connections speak no known protocol; their earlier messages are not worth reading.
      const context = connection !== "" && !isWhole && this.#candidates.has(connection);
      if (context && this.#enqueue(connection, line, past)) continue;
      pairs.push([idOf(line), found]);
      if (this.hasOwn) this.#ownReplay(connection, [line], "alone").then((results) => this.#post([...results].map(([id, result]) => [id, brief(result)])));
    }
    if (pairs.length > 0) this.#post(pairs);
    this.#work();
  }

  /** Decodes a message alone, with the facts of its connection; binary messages may be parts of others. */
  #quick(line) {
    const entry = this.#tracks.get(connectionOf(line));
    const track = entry?.track.fork() ?? this.begin(connectionOf(line));
    const found = brief(read(track, line));
    // A connection that was left alone has begun to speak a known protocol.
    if (found && entry?.track.isDormant) entry.track.wake();
    return { found, isCandidate: found !== null || this.hasOwn || line.includes('"opcode":"binary"') };
  }

  #remember(connection) {
    if (this.#candidates.size >= TRACKS) this.#candidates.delete(this.#candidates.values().next().value);
    this.#candidates.add(connection);
  }

  #enqueue(connection, line, past) {
    const wish = this.#waiting.get(connection);
    if (!wish && this.#waiting.size >= WAITING) return false;
    const lines = wish?.lines ?? [];
    lines.push(line);
    this.#waiting.delete(connection);
    this.#waiting.set(connection, { lines, past: past && (wish?.past ?? true) });
    return true;
  }

  /** Reads contexts, the newest wish first. */
  #work() {
    while (this.#reading < READING && this.#waiting.size > 0) {
      const [connection, wish] = [...this.#waiting].at(-1);
      this.#waiting.delete(connection);
      this.#reading += 1;
      this.#catchUp(connection, wish).finally(() => {
        this.#reading -= 1;
        this.#work();
      });
    }
  }

  /** Decodes the context of a connection up to the newest line that is wanted, and all that it has. */
  async #catchUp(connection, { lines, past }) {
    if (past) return this.#decodePast(connection, lines);
    const generation = this.#generation;
    const entry = this.#tracks.get(connection);
    // New messages wait, so that each message is decoded once and in order.
    const live = !this.partial && entry && !entry.buffer;
    if (live) entry.buffer = [];
    // Up to the last line that the stream has brought: none may be missing between it and those that wait.
    const newest = [...lines, ...(live && entry.last ? [entry.last] : [])].reduce((a, b) => (later(b, a) ? b : a));
    const found = await this.#context(connection, newest);
    if (generation !== this.#generation) return;
    const pairs = new Map();
    const track = this.replay(connection, found, (line, result) => pairs.set(idOf(line), brief(result)));
    for (const [id, result] of await this.#ownReplay(connection, found, connection)) pairs.set(id, brief(result));
    if (generation !== this.#generation) return;
    const caughtUp = new Set();
    if (live && this.#tracks.get(connection) === entry) {
      const last = found.findLast((line) => line !== null) ?? newest;
      const caught = { track, whole: true, isBegun: true };
      this.#tracks.set(connection, caught);
      for (const line of entry.buffer) {
        if (!later(line, last)) continue;
        caughtUp.add(idOf(line));
        const decoded = brief(read(track, line));
        if (this.hasOwn) this.#override(connection, caught, line, decoded);
        else pairs.set(idOf(line), decoded);
      }
    } else if (this.partial) {
      this.#add(connection, { track, whole: true });
    }
    for (const line of lines) if (!pairs.has(idOf(line)) && !caughtUp.has(idOf(line))) pairs.set(idOf(line), brief(read(track.fork(), line)));
    return this.#post([...pairs]);
  }

  /** Decodes lines of the history, and those between them, context after context from the newest on. */
  async #decodePast(connection, lines) {
    const generation = this.#generation;
    const oldest = lines.reduce((a, b) => (later(a, b) ? b : a));
    const pairs = new Map();
    let left = lines;
    while (left.length > 0) {
      const newest = left.reduce((a, b) => (later(b, a) ? b : a));
      const found = await this.#context(connection, newest);
      const results = new Map();
      this.replay(connection, found, (line, result) => results.set(idOf(line), brief(result)));
      for (const [id, result] of await this.#ownReplay(connection, found, `past ${connection}`)) results.set(id, brief(result));
      if (generation !== this.#generation) return undefined;
      if (!results.has(idOf(newest))) results.set(idOf(newest), this.#quick(newest).found);
      for (const [id, result] of results) if (!pairs.has(id) && compareIds(id, idOf(oldest)) >= 0) pairs.set(id, result);
      left = left.filter((line) => !pairs.has(idOf(line)));
    }
    return this.#post([...pairs]);
  }

  async #context(connection, line) {
    try {
      return await this.#source.context(connection, line);
    } catch {
      return [line];
    }
  }

  /** Decodes lines in order with a fresh track, which it returns; null stands for lines that are missing. */
  replay(connection, lines, each = () => {}) {
    const forced = this.#forcedFor(connection);
    let track = new Track({ forced });
    for (const line of lines) {
      if (line === null) track.lose();
      else if (kindOf(line) === "connect") track = new Track({ ...handshakeOf(valueOf(line)), forced });
      else each(line, read(track, line));
    }
    return track;
  }

  /** One message in full: the result of its decoder, or null. */
  async full(line) {
    const connection = connectionOf(line);
    const lines = connection === "" ? [line] : await this.#context(connection, line);
    let full = null;
    this.replay(connection, lines, (one, result) => { if (idOf(one) === idOf(line)) full = result; });
    return (await this.#ownReplay(connection, lines, "full")).get(idOf(line)) ?? full;
  }

  /** Decodes a connection by a decoder of the reader's choice, "off", or null for the one that fits. */
  choose(connection, name) {
    if (name === null) this.#forced.delete(connection);
    else this.#forced.set(connection, name);
    this.#tracks.delete(connection);
  }

  /** Whether no decoder has fit the messages of a connection for so long that they are not decoded. */
  isDormant(connection) {
    return this.#tracks.get(connection)?.track.isDormant === true;
  }

  /** Forgets all connections, since there are other decoders. */
  relearn() {
    this.#tracks.clear();
    this.#generation += 1;
  }
}

/** Decodes a line by the track of its connection; returns the result or null. */
export function read(track, line) {
  const value = valueOf(line);
  const message = toDecode(line, value);
  if (message) return track.read(message, idOf(line), timeOf(line) || Date.parse(value.time) || 0);
  // A message that is not known, such as a redacted one, may be the rest of another.
  if (value?.kind === "message") track.lose();
  return null;
}

function later(a, b) {
  const [one, other] = [a, b].map((line) => idOf(line).split("-").map(Number));
  return (one[0] - other[0] || one[1] - other[1]) > 0;
}
