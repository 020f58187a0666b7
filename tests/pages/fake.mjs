// A server that says what a test wants it to say, in front of the real pages: for a million
// events, for refusals, for what wstap does too rarely or too slowly for a test.

import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { serve } from "./harness.mjs";

const STATIC = new URL("../../static/", import.meta.url);
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; worker-src 'self'; connect-src 'self' ws: wss:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

export const BEGIN = Date.UTC(2026, 0, 1);
/** The policy of the worker with the reader's own decoders. */
const SANDBOX_POLICY = "default-src 'none'; script-src blob:; connect-src 'none'; worker-src 'none'; base-uri 'none'";

/** The line of a message: the `n`th, `every` milliseconds after the one before. */
export function message(n, text = `message ${n}`, more = {}) {
  const ms = BEGIN + n * 10;
  return JSON.stringify({ id: `${ms}-0`, time: new Date(ms).toISOString(), kind: "message", connectionId: `c${n % 5}`, direction: n % 2 ? "in" : "out", opcode: "text", size: Buffer.byteLength(text), channel: null, message: text, ...more });
}

/** Events as the live stream writes them. */
export const sse = (lines) => lines.map((line) => `id: ${JSON.parse(line).id}\ndata: ${line}\n\n`).join("");

export const problem = (outgoing, status, body) => outgoing.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify(body));

/**
 * Serves the pages, an empty history, and what `answers` says instead: functions of
 * `(incoming, outgoing, query)` by path.
 */
export async function fake(answers = {}) {
  const info = { version: "0", mode: "hub", uptime: 1, addresses: { websocket: [], observers: [], apart: false }, now: { connections: 0, listeners: 0, events: 0, lastEventId: null, history: { events: 0, bytes: 0 } }, limits: {}, times: {} };
  const open = (outgoing) => {
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    outgoing.write(": fake\nretry: 100\n");
  };
  const defaults = {
    "/events": (_, outgoing) => open(outgoing),
    "/api/info": (_, outgoing) => outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(info)),
    "/api/connections": (_, outgoing) => outgoing.writeHead(200, { "content-type": "application/json" }).end("[]"),
    "/api/events": (_, outgoing, query) => outgoing.writeHead(200, { "content-type": "application/json" })
      .end(query.get("format") === "marks" ? '{"every":1,"marks":[],"count":0,"first":null,"last":null}' : query.get("format") === "ndjson" ? "" : "[]"),
  };
  const site = await serve(async (incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url, "http://localhost");
    const answer = answers[pathname] ?? defaults[pathname];
    if (answer) return answer(incoming, outgoing, searchParams, () => open(outgoing));
    const name = pathname === "/es-client" ? "es-client.html" : pathname.replace("/static/", "");
    const file = await readFile(new URL(name, STATIC)).catch(() => null);
    outgoing.writeHead(file ? 200 : 404, { "content-type": TYPES[extname(name)] ?? "text/plain", "content-security-policy": name === "js/link/sandbox.js" ? SANDBOX_POLICY : POLICY }).end(file ?? "");
    return undefined;
  });
  return {
    ...site,
    info,
    stop() {
      site.server.closeAllConnections();
      site.server.close();
    },
  };
}

/** Answers of a history of `count` events that are made when they are asked for. */
export function history(count) {
  const id = (n) => `${BEGIN + n * 10}-0`;
  const asked = [];
  return {
    asked,
    "/api/events": (_, outgoing, query) => {
      asked.push(query.toString());
      const limit = Number(query.get("limit") ?? 1000);
      const since = query.has("since") ? Math.ceil((Date.parse(query.get("since")) - BEGIN) / 10) : 0;
      const until = query.has("until") ? Math.floor((Date.parse(query.get("until")) - BEGIN) / 10) : count - 1;
      const [first, last] = [Math.max(0, since), Math.min(count - 1, until)];
      outgoing.writeHead(200, { "content-type": "application/json" });
      if (query.get("format") === "marks") {
        const every = Number(query.get("every"));
        const size = Math.max(0, last - first + 1);
        const marks = Array.from({ length: Math.floor(size / every) }, (_, n) => id(first + (n + 1) * every - 1));
        return outgoing.end(JSON.stringify({ every, marks, count: size, first: size ? id(first) : null, last: size ? id(last) : null }));
      }
      const after = query.get("last_event_id");
      const from = after ? (parseInt(after, 10) - BEGIN) / 10 + 1 : first;
      const lines = Array.from({ length: Math.max(0, Math.min(limit, last - from + 1)) }, (_, n) => message(from + n));
      if (query.get("kind")) return outgoing.end("[]");
      return outgoing.end(query.get("format") === "ndjson" ? lines.map((line) => `${line}\n`).join("") : `[${lines}]`);
    },
  };
}
