// wstap in front of a server, and a model of what it tells about it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, get } from "node:http";
import { WebSocketServer } from "ws";

const BINARY = process.env.WSTAP_BINARY ?? new URL("../../target/debug/wstap", import.meta.url).pathname;
export const LIMIT = 20_000;

/** Waits until something holds. */
export async function until(what, condition, limit = LIMIT) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come within ${limit} ms`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

/** Gives a promise a limit. */
export function within(what, promise) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what} did not come within ${LIMIT} ms`)), LIMIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Runs wstap in front of a server, and hands all that it tells to a function. */
export async function proxy(upstream, flags, each) {
  const child = spawn(BINARY, ["--upstream", upstream, "--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.on("data", (data) => { words += data; });
  const ended = once(child, "exit");
  const observers = await until("a proxy", () => {
    if (child.exitCode !== null) throw new Error(`wstap ended: ${words}`);
    return /(http:\S+)\/events\s/.exec(words)?.[1];
  });
  const url = /(?:http|ws)(:\/\/[^\s/]+)/.exec(words)[1];
  const tap = {
    url: `http${url}`,
    ws: `ws${url}`,
    observers,
    pid: child.pid,
    get words() { return words; },
    alive: () => child.exitCode === null && child.signalCode === null,
    stop: () => {
      child.kill();
      return within("the end of wstap", ended);
    },
  };
  await listen(tap.observers, each);
  return tap;
}

/** Runs wstap in front of a server until the test is over, and keeps what it tells. */
export async function front(t, upstream, ...flags) {
  const events = [];
  const tap = await proxy(upstream, flags, (event) => events.push(event));
  t.after(tap.stop);
  return Object.assign(tap, { events }, queries(events));
}

/** What tests ask of the events. */
function queries(events) {
  const every = (kind, wanted = {}) => events.filter((event) => event.kind === kind && matches(event, wanted));
  const told = (what, condition) => until(what, condition).catch((error) => assert.fail(`${error.message}; there were ${JSON.stringify(events, null, 1)}`));
  const first = (kind, wanted) => told(`${kind} ${JSON.stringify(wanted)}`, () => every(kind, wanted)[0]);
  return {
    /** Waits for an event of a kind that has these members. */
    event: first,
    every,
    /** Waits until every connection so far is over; returns them, each with its messages. */
    connections: async (count) => {
      await told(`${count} connections and their ends`, () => every("connect").length >= count && every("close", { status: undefined }).length >= every("connect").length);
      return every("connect").map((connect) => ({
        connect,
        messages: every("message", { connectionId: connect.connectionId }),
        close: every("close", { connectionId: connect.connectionId })[0],
      }));
    },
  };
}

function matches(value, wanted) {
  if (wanted instanceof RegExp) return wanted.test(value);
  if (typeof wanted === "function") return wanted(value);
  if (wanted === null || typeof wanted !== "object") return value === wanted;
  return value !== null && typeof value === "object" && Object.entries(wanted).every(([name, part]) => matches(value[name], part));
}

/** Hands each event of a server to a function, from now on, until the server ends. */
async function listen(observers, each) {
  const answer = await within("the stream", new Promise((got, fail) => get(`${observers}/events?format=ndjson`, got).once("error", fail)));
  assert.equal(answer.statusCode, 200);
  answer.setEncoding("utf8");
  let parts = [];
  answer.on("data", (data) => {
    const lines = data.split("\n");
    if (lines.length === 1) return parts.push(data);
    lines[0] = parts.join("") + lines[0];
    parts = [lines.pop()];
    lines.filter((line) => line.trim()).forEach((line) => each(JSON.parse(line)));
  });
  answer.on("error", () => {});
}

/** Serves on a free port, until the test is over. */
export async function serve(t, answer) {
  const server = createServer(answer);
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

/** Sends back every message; strict about UTF-8, and compressing all it can. */
export function echo(server) {
  const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 }, maxPayload: 128 << 20 });
  sockets.on("connection", (socket) => {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    // What a client does wrong ends its connection, and nothing else.
    socket.on("error", () => {});
  });
  return sockets;
}
