// The tap with npm's `eventsource` and `ws`, in node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EventSource } from "eventsource";
import { client, tap, until } from "./harness.mjs";

test("eventsource reads what ws sends, and comes back to where it was", async (t) => {
  const first = await tap("--history-events", "1000");
  const read = [];
  const source = new EventSource(`${first.url}/events?kind=message`);
  let opened = 0;
  source.onopen = () => { opened += 1; };
  source.onmessage = (event) => read.push(JSON.parse(event.data).message);
  t.after(() => source.close());
  await until("the stream", () => opened === 1);
  const socket = await client(first, "a");
  for (let n = 0; n < 100; n += 1) socket.send(String(n));
  await until("all of it", () => read.length === 100);
  const listeners = await (await fetch(`${first.url}/api/listeners`)).json();
  await fetch(`${first.url}/api/listeners/${listeners[0].id}`, { method: "DELETE" });
  for (let n = 100; n < 200; n += 1) socket.send(String(n));
  await until("the second opening", () => opened === 2);
  await until("the rest", () => read.length === 200);
  assert.deepEqual(read, Array.from({ length: 200 }, (_, n) => n));
  await first.kill();
});

test("eventsource outlives a full server", async (t) => {
  const server = await tap("--max-listeners", "1");
  t.after(() => server.kill());
  const first = new EventSource(`${server.url}/events`);
  await new Promise((open) => { first.onopen = open; });
  const second = new EventSource(`${server.url}/events`);
  t.after(() => second.close());
  const read = [];
  second.onmessage = (event) => read.push(event.data);
  let came = 0;
  second.onerror = () => { came += 1; };
  await until("a refusal", () => came > 0);
  assert.notEqual(second.readyState, EventSource.CLOSED, "it has not given up");
  first.close();
  await until("the first to go", async () => (await (await fetch(`${server.url}/api/info`)).json()).now.listeners === 0);
  await until("its turn", async () => (await (await fetch(`${server.url}/api/info`)).json()).now.listeners === 1);
  await client(server, "a");
  await until("an event", () => read.length === 1);
});

test("ws is closed with its codes", async (t) => {
  const server = await tap("--register-timeout", "100ms");
  t.after(() => server.kill());
  const closed = (socket) => new Promise((done) => socket.once("close", (code) => done(code)));
  const first = await client(server, "a");
  const replaced = closed(first);
  const second = await client(server, "a");
  assert.equal(await replaced, 4409);
  const malformed = await client(server, "b");
  malformed.send("{}");
  const { default: WebSocket } = await import("ws");
  const silent = new WebSocket(`${server.url.replace("http", "ws")}/ws`);
  const frames = [];
  silent.on("message", (data) => frames.push(JSON.parse(data)));
  assert.equal(await closed(silent), 4408);
  assert.equal(frames[0].error.code, "timeout");
  second.close();
  malformed.close();
});
