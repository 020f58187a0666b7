// Programs that others wrote, in front of wstap and behind it: each works as without it, and what
// it says is in the stream.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";

import { buildSchema } from "graphql";
import { createClient } from "graphql-ws";
import { useServer } from "graphql-ws/use/ws";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import WebSocket, { WebSocketServer } from "ws";

import { end, page } from "../pages/harness.mjs";
import { echo, front, serve, until, within } from "./harness.mjs";

after(end);

const [major, minor] = process.versions.node.split(".").map(Number);
const vite_runs = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);

test("vite_replaces_a_module_in_chromium", { skip: !vite_runs && "Vite needs Node 20.19 or 22.12" }, async (t) => {
  const root = await mkdtemp(join(tmpdir(), "wstap-vite-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const module = (word) => `document.querySelector("p").textContent = "${word}";\nimport.meta.hot.accept();\n`;
  await writeFile(join(root, "index.html"), '<!doctype html><link rel="icon" href="data:,"><p></p><script type="module" src="/main.js"></script>');
  await writeFile(join(root, "main.js"), module("one"));
  const { createServer } = await import("vite");
  const vite = await createServer({ root, configFile: false, logLevel: "error", cacheDir: join(root, ".vite"), server: { host: "127.0.0.1", port: 0 } });
  t.after(() => vite.close());
  await vite.listen();
  const tap = await front(t, `http://127.0.0.1:${vite.httpServer.address().port}`);

  const opened = await page(tap.url);
  await opened.getByText("one").waitFor();
  const connect = await tap.event("connect", { subprotocol: "vite-hmr" });
  await tap.event("message", { connectionId: connect.connectionId, direction: "out", message: { type: "connected" } });
  await opened.evaluate(() => { window.same = true; });
  await writeFile(join(root, "main.js"), module("two"));
  await opened.getByText("two").waitFor();
  assert.equal(await opened.evaluate(() => window.same), true, "the module was replaced, the page was not loaded again");
  const update = await tap.event("message", { connectionId: connect.connectionId, message: { type: "update" } });
  assert.equal(update.message.updates[0].path, "/main.js");
  assert.deepEqual(opened.faults, []);
  await opened.context().close();
  assert.equal((await tap.event("close", { connectionId: connect.connectionId })).close.by, "client");
});

test("socket_io_upgrades_from_polling_and_sends_binary", async (t) => {
  const { server, url } = await serve(t);
  const sockets = new Server(server);
  t.after(() => sockets.close());
  sockets.on("connection", (socket) => {
    socket.on("hello", (name, answer) => answer(`hello ${name}`));
    socket.on("bytes", (bytes) => socket.emit("bytes", Buffer.from(bytes).reverse()));
  });
  const tap = await front(t, url);

  const client = io(tap.url, { reconnection: false });
  t.after(() => client.close());
  await within("a connection", once(client, "connect"));
  await until("the upgrade", () => client.io.engine.transport.name === "websocket");
  assert.equal(await within("an answer", client.emitWithAck("hello", "grüße 🦀")), "hello grüße 🦀");
  const bytes = within("bytes", once(client, "bytes"));
  client.emit("bytes", Buffer.from([0, 1, 255]));
  assert.deepEqual([...(await bytes)[0]], [255, 1, 0]);
  client.close();

  const connect = await tap.event("connect", { path: /transport=websocket/ });
  const close = await tap.event("close", { connectionId: connect.connectionId });
  assert.equal(close.close.by, "client");
  const said = (direction) => tap.every("message", { connectionId: connect.connectionId, direction }).map((event) => event.message);
  assert.equal(said("in")[0], "2probe");
  assert.equal(said("out")[0], "3probe");
  assert.ok(said("in").includes('420["hello","grüße 🦀"]'), said("in"));
  assert.ok(said("out").includes('430["hello grüße 🦀"]'), said("out"));
  assert.ok(said("in").includes(Buffer.from([0, 1, 255]).toString("base64")), said("in"));
  assert.ok(said("out").includes(Buffer.from([255, 1, 0]).toString("base64")), said("out"));
});

test("the_inspector_reads_socket_io_for_people", async (t) => {
  const { server, url } = await serve(t);
  const sockets = new Server(server);
  t.after(() => sockets.close());
  sockets.of("/trade").on("connection", (socket) => socket.on("order", ({ amount }, bytes, answer) => answer({ ok: true, id: amount + bytes.length })));
  const tap = await front(t, url);
  const watch = await page(`${tap.observers}/es-client`);
  await watch.waitForSelector('#status[data-state="open"]');
  const client = io(`${tap.url}/trade`, { transports: ["websocket"], reconnection: false });
  t.after(() => client.close());
  await within("a connection", once(client, "connect"));
  assert.deepEqual(await within("an answer", client.emitWithAck("order", { amount: 40 }, Buffer.from([1, 2]))), { ok: true, id: 42 });

  const reads = async (what, pattern) => {
    await watch.click(`.event:not([hidden]):has-text(${JSON.stringify(what)})`);
    const decoded = () => watch.textContent(".decoded");
    await until(String(pattern), async () => pattern.test(await decoded())).catch(async (error) => assert.fail(`${error.message}; there was ${await decoded()}`));
  };
  await reads("order", /Automatic: Socket\.IO.*order.*asks for ack #0.*namespace:"\/trade"/s);
  await reads("ack {ok: true", /Automatic: Socket\.IO.*ack \{ok: true, id: 42\} of #0 in \/trade.*id:42.*ackId:0/s);
  assert.match(await watch.textContent(".raw-content"), /43\/trade,0\[\{"ok":true,"id":42\}\]/, "beside it stands what was sent");
  await watch.selectOption(".decoded select", "off");
  await until("nothing decoded", async () => (await watch.$$(".decoded .tree")).length === 0);
  assert.deepEqual(watch.faults, []);
});

test("graphql_ws_subscribes", async (t) => {
  const schema = buildSchema("type Query { ready: Boolean } type Subscription { count(to: Int!): Int }");
  const { server, url } = await serve(t);
  async function* count({ to }) {
    for (let n = 1; n <= to; n += 1) yield { count: n };
  }
  const graphql = useServer({ schema, roots: { subscription: { count } } }, new WebSocketServer({ server, path: "/graphql" }));
  t.after(() => graphql.dispose());
  const tap = await front(t, url);

  const client = createClient({ url: `${tap.ws}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 });
  const seen = [];
  for await (const { data } of client.iterate({ query: "subscription { count(to: 3) }" })) seen.push(data.count);
  assert.deepEqual(seen, [1, 2, 3]);
  await client.dispose();

  const [{ connect, messages, close }] = await tap.connections(1);
  assert.equal(connect.subprotocol, "graphql-transport-ws");
  assert.equal(connect.path, "/graphql");
  const types = (direction) => messages.filter((event) => event.direction === direction).map((event) => event.message.type);
  assert.deepEqual(types("in"), ["connection_init", "subscribe"]);
  assert.deepEqual(types("out"), ["connection_ack", "next", "next", "next", "complete"]);
  assert.deepEqual([close.close.code, close.close.clean, close.close.by], [1000, true, "client"]);
});

test("chromium_speaks_compressed_and_the_tap_reads_it", async (t) => {
  const { server, url } = await serve(t, (_, answer) => answer.setHeader("content-type", "text/html").end('<!doctype html><link rel="icon" href="data:,">'));
  echo(server);
  const tap = await front(t, url);
  const text = "grüße 🦀 ".repeat(2000);

  const opened = await page(tap.url);
  const [extensions, lengths, same] = await opened.evaluate(async (text) => {
    const socket = new WebSocket(`ws://${location.host}/deep?a=b`);
    socket.binaryType = "arraybuffer";
    await new Promise((open) => { socket.onopen = open; });
    const answer = (data) => new Promise((got) => {
      socket.onmessage = ({ data }) => got(data);
      socket.send(data);
    });
    const said = [await answer(text), await answer(text), await answer(new Uint8Array(70_000).fill(7))];
    socket.close(4321, "done");
    await new Promise((closed) => { socket.onclose = closed; });
    return [socket.extensions, said.map((data) => data.length ?? data.byteLength), said[0] === text && said[1] === text];
  }, text);
  assert.match(extensions, /permessage-deflate/);
  assert.deepEqual(lengths, [text.length, text.length, 70_000]);
  assert.ok(same);
  assert.deepEqual(opened.faults, []);

  const [{ connect, messages, close }] = await tap.connections(1);
  assert.match(connect.extensions, /permessage-deflate/);
  assert.equal(connect.path, "/deep?a=b");
  assert.equal(messages.length, 6);
  for (const event of messages) {
    assert.ok(event.compressed, "it is said to be compressed");
    assert.ok(event.wire < event.size / 10, `${event.wire} of ${event.size}`);
    assert.equal(event.note, undefined);
  }
  assert.deepEqual(messages.map((event) => `${event.direction} ${event.opcode}`).sort(), ["in binary", "in text", "in text", "out binary", "out text", "out text"]);
  for (const event of messages.filter((event) => event.opcode === "text")) {
    assert.equal(event.message, text);
    assert.equal(event.size, Buffer.byteLength(text));
  }
  for (const event of messages.filter((event) => event.opcode === "binary")) {
    assert.equal(event.encoding, "base64");
    assert.deepEqual(Buffer.from(event.message, "base64"), Buffer.alloc(70_000, 7));
  }
  assert.deepEqual([close.close.code, close.close.reason, close.close.clean, close.close.by], [4321, "done", true, "client"]);
  assert.deepEqual(close.messages, { in: 3, out: 3 });
});

test("a_refused_handshake_goes_back_as_it_is_and_is_told", async (t) => {
  const { server, url } = await serve(t);
  server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 401 No Entry\r\nWWW-Authenticate: Basic realm=\"x\"\r\nX-Case: Kept\r\nContent-Length: 6\r\n\r\nno way"));
  const tap = await front(t, url);

  const socket = new WebSocket(`${tap.ws}/private`);
  const [, answer] = await within("an answer", once(socket, "unexpected-response"));
  let body = "";
  for await (const part of answer) body += part;
  assert.deepEqual([answer.statusCode, answer.headers["www-authenticate"], body], [401, 'Basic realm="x"', "no way"]);

  const refused = await tap.event("close", { status: 401 });
  assert.equal(refused.path, "/private");
  assert.equal(tap.every("connect").length, 0);
});

test("a_handshake_is_forwarded_with_its_headers_and_answered_with_the_servers", async (t) => {
  const { server, url } = await serve(t);
  const sockets = new WebSocketServer({ server, handleProtocols: (asked) => [...asked].at(-1) });
  sockets.on("headers", (headers) => headers.push("Set-Cookie: a=1", "Set-Cookie: b=2"));
  let seen;
  sockets.on("connection", (socket, request) => {
    seen = request;
    socket.close(4000, "seen");
  });
  const tap = await front(t, url);

  const headers = { Cookie: "session=1", Authorization: "Bearer t", Origin: "https://app.example", "X-Many": "one, two" };
  const socket = new WebSocket(`${tap.ws}/a%2Fb?x=%20&y`, ["first", "second"], { headers });
  const [answer] = await within("a handshake", once(socket, "upgrade"));
  const [code, reason] = await within("a close", once(socket, "close"));
  assert.deepEqual([code, String(reason), socket.protocol], [4000, "seen", "second"]);
  assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(seen.url, "/a%2Fb?x=%20&y");
  for (const [name, value] of Object.entries(headers)) assert.equal(seen.headers[name.toLowerCase()], value);
  assert.equal(seen.headers.host, new URL(tap.url).host, "an upstream on this machine gets the Host of the client");
  assert.equal(seen.headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(seen.headers["x-forwarded-proto"], "http");
  assert.equal(seen.headers["x-forwarded-host"], new URL(tap.url).host);
  assert.match(seen.headers.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);

  const [{ connect, close }] = await tap.connections(1);
  assert.equal(connect.path, "/a%2Fb?x=%20&y");
  assert.equal(connect.subprotocol, "second");
  assert.equal(connect.status, 101);
  assert.ok(connect.upstream.includes(new URL(url).host), connect.upstream);
  assert.equal(typeof connect.upstreamTime, "number");
  assert.deepEqual([close.close.code, close.close.reason, close.close.clean, close.close.by], [4000, "seen", true, "server"]);
  assert.ok(!JSON.stringify(tap.events).includes("Bearer t"), "no event holds a credential");
});

test("an_end_without_a_close_frame_is_told_as_the_networks", async (t) => {
  const { server, url } = await serve(t);
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => socket.on("message", () => socket.terminate()));
  const tap = await front(t, url);

  const gone = new WebSocket(tap.ws);
  await within("an open socket", once(gone, "open"));
  gone.terminate();
  const cut = new WebSocket(tap.ws);
  await within("an open socket", once(cut, "open"));
  cut.send("end it");
  const [code] = await within("a close", once(cut, "close"));
  assert.equal(code, 1006);
  for (const { close } of await tap.connections(2)) {
    assert.deepEqual([close.close.code, close.close.clean], [1006, false]);
    for (const direction of ["in", "out"]) assert.equal(typeof close.silence[direction], "number");
  }
});

test("a_hundred_connections_come_and_go_and_each_has_its_events", async (t) => {
  const { server, url } = await serve(t);
  echo(server);
  const tap = await front(t, url);
  await within("all of them", Promise.all(Array.from({ length: 100 }, async (_, n) => {
    const socket = new WebSocket(tap.ws, { perMessageDeflate: n % 2 === 0 });
    await once(socket, "open");
    const answer = once(socket, "message");
    socket.send(`number ${n}`);
    assert.equal(String((await answer)[0]), `number ${n}`);
    const closed = once(socket, "close");
    socket.close(1000);
    await closed;
  })));
  const said = (await tap.connections(100)).map(({ messages, close }) => {
    assert.equal(close.close.code, 1000);
    return messages.map((event) => event.message);
  });
  assert.equal(new Set(said.map(([first]) => first)).size, 100);
  assert.ok(said.every((messages) => messages.length === 2 && messages[0] === messages[1]));
});

test("what_is_injected_into_a_compressed_connection_disturbs_nothing", async (t) => {
  const { server, url } = await serve(t);
  echo(server);
  const tap = await front(t, url);
  const socket = new WebSocket(tap.ws);
  await within("an open socket", once(socket, "open"));
  const next = () => within("a message", once(socket, "message")).then(([data, binary]) => (binary ? data : String(data)));
  const text = "the same words again and again ".repeat(100);
  const ask = async () => {
    const answer = next();
    socket.send(text);
    assert.equal(await answer, text);
  };
  await ask();
  const { connectionId } = await tap.event("connect");
  const inject = async (to, body, type = "application/json") => {
    const answer = next();
    const sent = await fetch(`${tap.observers}/api/connections/${connectionId}/messages?to=${to}`, { method: "POST", headers: { "content-type": type }, body });
    assert.equal(sent.status, 202);
    return answer;
  };
  assert.deepEqual(JSON.parse(await inject("client", '{"from":"outside"}')), { from: "outside" });
  await ask();
  assert.equal(await inject("server", "grüße", "text/plain"), "grüße", "the server sent it back");
  await ask();
  const closed = within("a close", once(socket, "close"));
  assert.equal((await fetch(`${tap.observers}/api/connections/${connectionId}?code=4005&reason=bye`, { method: "DELETE" })).status, 204);
  const [code, reason] = await closed;
  assert.deepEqual([code, String(reason)], [4005, "bye"]);

  const [{ messages, close }] = await tap.connections(1);
  const injected = messages.filter((event) => event.synthetic);
  assert.deepEqual(injected.map(({ direction, message }) => [direction, message]), [["out", { from: "outside" }], ["in", "grüße"]]);
  assert.ok(messages.every((event) => event.synthetic || event.compressed));
  assert.deepEqual(messages.filter((event) => event.message === text).length, 6);
  assert.equal(close.close.by, "tap");
});
