// The client module and credentials: how they go out, and what follows when they end, with the real server.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import WebSocket from "ws";
import { Backoff, Connection, EventStream } from "../../static/js/wstap.js";
import { serve, tap, until } from "./harness.mjs";

const SECRET = "a secret of more than thirty-two bytes";

const quick = () => new Backoff({ first: 1, most: 5 });

/** Returns a JSON Web Token that grants everything for so many seconds. */
function token(seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const wstap = { observe: true, connect: true, publish: ["*"], subscribe: ["*"], control: true };
  const signed = `${part({ alg: "HS256" })}.${part({ sub: "ann", exp: Math.floor(Date.now() / 1000) + seconds, wstap })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** Starts a server that asks for tokens. */
async function guarded(t) {
  const folder = mkdtempSync(join(tmpdir(), "wstap-"));
  writeFileSync(join(folder, "key"), SECRET);
  t.after(() => rmSync(folder, { recursive: true }));
  const server = await tap("--jwt-key", join(folder, "key"));
  t.after(() => server.kill());
  return server;
}

test("a stream and a connection go on with a new token when theirs expires, without a hole", async (t) => {
  const server = await guarded(t);
  // The first token of each is good for two seconds.
  const once = () => {
    let asked = 0;
    return { token: async () => token((asked += 1) === 1 ? 2 : 600), get asked() { return asked; } };
  };
  const [reading, writing] = [once(), once()];
  const stream = new EventStream(server.url, { kind: "message", backoff: quick(), token: reading.token });
  const hub = new Connection(server.url, { id: "a", backoff: quick(), WebSocket, token: writing.token });
  t.after(() => Promise.all([stream.close(), hub.close()]));
  const got = [];
  const states = [];
  stream.on("message", ({ data }) => got.push(data.message));
  hub.on("state", (state) => states.push(state));
  await Promise.all([stream.ready, hub.ready]);
  const sender = new Connection(server.url, { id: "b", WebSocket, token: token(600) });
  t.after(() => sender.close());
  let sent = 0;
  const timer = setInterval(() => { sent += 1; sender.send(sent); }, 20);
  await until("new tokens", () => reading.asked >= 2 && writing.asked >= 2);
  await until("it to be open again", () => stream.state === "open" && hub.state === "open");
  assert.ok(states.some(({ status, code }) => status === 4401 && code === "unauthorized"), JSON.stringify(states));
  clearInterval(timer);
  await sender.send("last");
  await hub.send("of the other");
  await until("the last", () => got.includes("last"));
  const numbers = got.filter((value) => typeof value === "number");
  assert.deepEqual(numbers, Array.from({ length: sent }, (_, n) => n + 1));
});

test("a token that is refused for good ends the stream and the connection", async (t) => {
  const server = await guarded(t);
  let asked = 0;
  for (const bad of ["wrong", async () => { asked += 1; return "wrong"; }]) {
    const stream = new EventStream(server.url, { backoff: quick(), token: bad });
    t.after(() => stream.close());
    await assert.rejects(stream.ready, { code: "unauthorized" });
  }
  assert.equal(asked, 2, "a function is asked for another one, and not for ever");
});

test("a token goes out as a subprotocol, or by a ticket if it cannot be one", async (t) => {
  const asked = [];
  const { server, url } = await serve((incoming, outgoing) => {
    asked.push([incoming.method, incoming.url, incoming.headers.authorization]);
    outgoing.writeHead(201, { "content-type": "application/json" }).end('{"ticket":"t-1","valid":30}');
  });
  t.after(() => server.close());
  const opened = [];
  class Socket {
    readyState = 0;
    constructor(...how) { opened.push(how); }
    close() {}
  }
  const connect = (token, protocols) => {
    const hub = new Connection(url, { id: "a", WebSocket: Socket, token, protocols, retry: false });
    t.after(() => hub.close());
  };
  connect("a.b-c_d");
  connect("a.b", ["chat"]);
  connect("a/b=");
  await until("three sockets", () => opened.length === 3);
  const root = url.replace("http", "ws");
  assert.deepEqual(opened.sort((a, b) => String(a).localeCompare(String(b))), [
    [`${root}/ws?ack=1`, ["chat", "wstap.bearer.a.b"]],
    [`${root}/ws?ack=1`, ["wstap", "wstap.bearer.a.b-c_d"]],
    [`${root}/ws?ack=1&ticket=t-1`, []],
  ]);
  assert.deepEqual(asked, [["POST", "/api/tickets", "Bearer a/b="]]);
});
