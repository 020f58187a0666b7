// Link: the messages of a connection before one of them, from the server or from a file.

import { compareIds, connectionOf, idOf, kindOf, timeOf } from "../model/event.js";

/** Messages before one that are read, and messages from the beginning of its connection. */
const RECENT = 200;
const BEGIN = 16;

/** Characters that are read at most; more messages than that are not read. */
const CHARS = 8_000_000;

const isWanted = (line) => kindOf(line) === "message" || kindOf(line) === "connect";

/**
 * Puts the beginning of a connection in front of its recent lines; null stands for those between that
 * are missing. Lines are from oldest to newest.
 */
function joined(begin, recent) {
  const first = recent.length > 0 ? idOf(recent[0]) : "";
  const before = begin.filter((line) => first === "" || compareIds(idOf(line), first) < 0);
  if (before.length === 0) return recent;
  return [...before, ...(before.length < begin.length ? [] : [null]), ...recent];
}

/** From the newest connect on: an id may be used by several connections, one after the other. */
function ofLast(lines) {
  const at = lines.findLastIndex((line) => kindOf(line) === "connect");
  return at === -1 ? null : lines.slice(at);
}

/** Reads from a server, whose pages are at `base`. */
export class ServerContext {
  #base;

  constructor(base) {
    this.#base = base;
  }

  async context(connection, line) {
    const id = idOf(line);
    // `until` is a time, and several events may have it.
    const until = new Date(timeOf(line) + 1).toISOString();
    const read = async (kinds, more) => {
      const query = new URLSearchParams({ connection, format: "ndjson", ...more });
      for (const kind of kinds) query.append("kind", kind);
      return (await this.#lines(query)).filter((one) => isWanted(one) && compareIds(idOf(one), id) <= 0);
    };
    const recent = (await read(["connect", "message"], { order: "desc", limit: RECENT, until })).reverse();
    if (recent.at(-1) === undefined || idOf(recent.at(-1)) !== id) recent.push(line);
    const whole = ofLast(recent);
    if (whole) return whole;
    const [connect] = await read(["connect"], { order: "desc", limit: 1, until });
    if (!connect) return recent;
    return joined([connect, ...(await read(["message"], { last_event_id: idOf(connect), limit: BEGIN }))], recent);
  }

  #lines(query) {
    return readLines(new URL(`api/events?${query}`, this.#base));
  }
}

/** The lines of an answer, as many as fit, or come within some milliseconds. A single line may be cut. */
export async function readLines(url, { chars = CHARS, ms = Infinity, signal } = {}) {
  const response = await fetch(url, { cache: "no-store", signal });
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const end = performance.now() + ms;
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
    if (text.length > chars || performance.now() > end) {
      reader.cancel().catch(() => {});
      const whole = text.lastIndexOf("\n");
      text = whole === -1 ? text : text.slice(0, whole);
      break;
    }
  }
  return text.split("\n").filter((line) => line !== "");
}

/** Reads from the lines of a file. */
export class FileContext {
  isComplete = true;
  #lines;
  #byConnection = new Map();

  constructor(lines) {
    this.#lines = lines;
    lines.forEach((line, at) => {
      if (!isWanted(line)) return;
      const connection = connectionOf(line);
      const places = this.#byConnection.get(connection);
      if (places) places.push(at);
      else this.#byConnection.set(connection, [at]);
    });
  }

  async context(connection, line) {
    const places = this.#byConnection.get(connection) ?? [];
    const end = places.findLastIndex((at) => this.#lines[at] === line);
    if (end === -1) return [line];
    const recent = places.slice(Math.max(0, end + 1 - RECENT), end + 1).map((at) => this.#lines[at]);
    const whole = ofLast(recent);
    if (whole) return whole;
    const start = Math.max(0, places.findLastIndex((at, n) => n <= end && kindOf(this.#lines[at]) === "connect"));
    return joined(places.slice(start, start + 1 + BEGIN).map((at) => this.#lines[at]), recent);
  }
}
