// What goes wrong around a relay goes wrong as it would without one, for those whom it concerns.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { get } from "node:http";
import { connect, createServer } from "node:net";
import test from "node:test";

import WebSocket from "ws";

import { echo, front, serve, until, within } from "./harness.mjs";

const HANDSHAKE = "GET /raw HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/** A server that takes each connection as it is. */
async function plain(t, take) {
  const open = new Set();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket.on("error", () => {}).on("close", () => open.delete(socket)));
    take(socket);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return { server, open, url: `ws://127.0.0.1:${server.address().port}` };
}

/** Both ends of a relayed connection after the 101, as bare sockets. */
async function ends(t, ...flags) {
  let arrived;
  const server = new Promise((come) => { arrived = come; });
  const { url } = await plain(t, (socket) => {
    let head = "";
    socket.on("data", function heads(data) {
      head += data.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", heads).pause();
      socket.write(SWITCH);
      arrived(socket);
    });
  });
  const tap = await front(t, url, ...flags);
  const client = raw(t, tap);
  client.write(HANDSHAKE);
  let head = "";
  await within("a handshake", new Promise((come) => {
    client.on("data", function heads(data) {
      head += data.toString("latin1");
      if (!head.endsWith("\r\n\r\n")) return;
      client.off("data", heads).pause();
      come();
    });
  }));
  assert.match(head, /^HTTP\/1\.1 101 /);
  return { tap, client, server: await within("the server", server) };
}

function raw(t, tap) {
  const socket = connect({ host: "127.0.0.1", port: new URL(tap.url).port, allowHalfOpen: true });
  t.after(() => socket.destroy());
  return socket.on("error", () => {});
}

/** Collects what a socket gets until its other side ends; it may still be written to. */
function all(socket) {
  const parts = [];
  return new Promise((ended) => {
    socket.on("data", (part) => parts.push(part)).once("end", () => ended(Buffer.concat(parts))).resume();
  });
}

async function opened(url, options) {
  const socket = new WebSocket(url, options);
  await within("an open socket", once(socket, "open"));
  return socket;
}

const ask = async (socket, text) => {
  const answer = within(`an answer to ${text}`, once(socket, "message"));
  socket.send(text);
  assert.equal(String((await answer)[0]), text);
};

const memory = async (tap) => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${tap.pid}/status`, "utf8"))[1]) * 1024;

test("bytes_that_are_no_websocket_pass_unchanged_and_half_closes_too", async (t) => {
  const { tap, client, server } = await ends(t);
  const [up, down] = [randomBytes(3_000_001), randomBytes(2_000_003)];
  const [reached, came] = [all(server), all(client)];
  client.end(up);
  assert.ok((await within("the end of what the client sent", reached)).equals(up));
  // The client has ended; the server has not, and goes on.
  server.write(down.subarray(0, 1_000_000));
  server.end(down.subarray(1_000_000));
  assert.ok((await within("the end of what the server sent", came)).equals(down));
  await tap.connections(1);
  assert.ok(tap.alive());
});

test("a_reset_in_the_middle_of_a_frame_reaches_the_other_side", async (t) => {
  for (const who of ["server", "client"]) {
    const both = await ends(t);
    const [from, to] = who === "server" ? [both.server, both.client] : [both.client, both.server];
    let came = Buffer.alloc(0);
    to.on("data", (data) => { came = Buffer.concat([came, data]); }).resume();
    const closed = new Promise((done) => to.once("close", done));
    const half = Buffer.concat([Buffer.from([0x82, who === "server" ? 0x7e : 0xfe, 0x10, 0x00]), randomBytes(100)]);
    from.write(half);
    await until("half a frame", () => came.length === half.length);
    assert.ok(came.equals(half));
    from.resetAndDestroy();
    to.once("end", () => to.end());
    await within("the end", closed);
    const [{ messages, close }] = await both.tap.connections(1);
    assert.deepEqual([messages, close.close.code, close.close.clean], [[], 1006, false]);
  }
});

test("a_stuck_listener_stops_nothing", async (t) => {
  const { server, url } = await serve(t);
  echo(server);
  const tap = await front(t, url);
  const { hostname, port } = new URL(tap.observers);
  const stuck = connect({ host: hostname, port });
  stuck.on("error", () => {}).pause().write(`GET /events?format=full HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`);
  await until("the listener", async () => (await (await fetch(`${tap.observers}/api/listeners`)).json()).length >= 2);
  const socket = await opened(tap.ws, { perMessageDeflate: false });
  const text = "x".repeat(64 << 10);
  for (let n = 0; n < 300; n += 1) await ask(socket, text);
  socket.close();
  const [{ close }] = await tap.connections(1);
  assert.deepEqual(close.messages, { in: 300, out: 300 });
  // Or the end of wstap would wait for it as long as --shutdown-grace allows.
  stuck.destroy();
});

test("who_does_not_read_holds_up_its_own_sender_and_nobody_else", async (t) => {
  const block = randomBytes(1 << 20);
  for (const stalled of ["client", "server"]) {
    const both = await ends(t);
    const other = raw(t, both.tap);
    const from = stalled === "client" ? both.server : both.client;
    // One message that never ends, so that what is measured is the relay and no history.
    const head = Buffer.from([0x82, stalled === "client" ? 0x7f : 0xff, 0, 0, 0, 0x40, 0, 0, 0, 0]);
    from.write(head);
    let sent = 0;
    let blocked = false;
    while (!blocked && sent < 512) {
      sent += 1;
      if (from.write(block)) continue;
      // What is not taken within a second waits for the reader.
      blocked = await Promise.race([once(from, "drain").then(() => false), new Promise((late) => setTimeout(late, 1000, true))]);
    }
    assert.ok(blocked, `${stalled}: 512 MiB were taken from who sends, and nobody reads`);
    assert.ok(await memory(both.tap) < 64 << 20, `${stalled}: wstap takes ${await memory(both.tap)} bytes`);
    // Another one is served as ever.
    other.write(HANDSHAKE);
    assert.match(String((await within("a handshake", once(other, "data")))[0]), /^HTTP\/1\.1 101 /);
    // And when it reads again, all of it comes.
    const to = stalled === "client" ? both.client : both.server;
    const came = all(to);
    from.end();
    assert.equal((await within("the rest", came)).length, head.length + (sent << 20));
  }
});

test("an_upstream_that_never_answers_loses_a_client_that_leaves", async (t) => {
  const { open, url } = await plain(t, (socket) => socket.resume().on("end", () => socket.end()));
  const tap = await front(t, url);
  const client = raw(t, tap);
  client.write(HANDSHAKE);
  await until("the upstream is asked", () => open.size === 1);
  client.destroy();
  await until("the upstream is left", () => open.size === 0);
  assert.ok(tap.alive());
});

test("an_upstream_that_goes_away_ends_its_clients_and_may_come_back", async (t) => {
  const { server, url } = await serve(t);
  const sockets = echo(server);
  const tap = await front(t, url);
  const clients = await Promise.all(Array.from({ length: 50 }, () => opened(tap.ws)));
  const closed = Promise.all(clients.map((socket) => once(socket, "close")));
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  for (const [code] of await within("their ends", closed)) assert.equal(code, 1006);
  const refused = new WebSocket(tap.ws);
  const [, answer] = await within("an answer", once(refused, "unexpected-response"));
  answer.resume();
  assert.equal(answer.statusCode, 502);
  await tap.event("close", { status: 502 });
  server.listen(Number(new URL(url).port), "127.0.0.1");
  await ask(await opened(tap.ws), "again");
});

test("a_thousand_connections_open_and_close_and_nothing_is_left_of_them", async (t) => {
  const { server, url } = await serve(t);
  const sockets = echo(server);
  const tap = await front(t, url);
  const files = async () => (await (await import("node:fs/promises")).readdir(`/proc/${tap.pid}/fd`)).length;
  const before = await files();
  for (let n = 0; n < 20; n += 1) {
    await within("fifty of them", Promise.all(Array.from({ length: 50 }, async (_, k) => {
      const socket = await opened(tap.ws, { perMessageDeflate: false });
      const closed = once(socket, "close");
      if (k % 2) socket.terminate();
      else socket.close();
      await closed;
    })));
  }
  await tap.connections(1000);
  await until("no connection at the upstream", () => sockets.clients.size === 0);
  await until("no file left open", async () => (await files()) <= before + 2);
  assert.deepEqual(await (await fetch(`${tap.observers}/api/connections`)).json(), []);
});

test("a_proxy_in_front_of_itself_refuses_and_lives", async (t) => {
  const place = createServer();
  await once(place.listen(0, "127.0.0.1"), "listening");
  const { port } = place.address();
  await new Promise((done) => place.close(done));
  const tap = await front(t, `http://127.0.0.1:${port}`, "--listen", `127.0.0.1:${port}`).catch((error) => {
    // To refuse it at the start is as good.
    assert.match(error.message, /itself|own address|loop/);
  });
  if (!tap) return;
  const [answer] = await within("an answer", once(get(`http://127.0.0.1:${port}/`, { agent: false }), "response"));
  answer.resume();
  assert.ok([502, 508].includes(answer.statusCode), answer.statusCode);
  assert.ok(tap.alive());
});

test("bytes_that_come_with_the_handshake_are_not_lost", async (t) => {
  const text = (mask, words) => Buffer.concat([Buffer.from([0x81, (mask ? 0x80 : 0) | words.length]), Buffer.alloc(mask ? 4 : 0), Buffer.from(words)]);
  let reached = "";
  const { url } = await plain(t, (socket) => socket.on("end", () => socket.end()).on("data", (data) => {
    const first = reached === "";
    reached += data.toString("latin1");
    if (first) socket.write(Buffer.concat([Buffer.from(SWITCH), text(false, "early out")]));
  }));
  const tap = await front(t, url);
  const client = raw(t, tap);
  let came = "";
  client.on("data", (data) => { came += data.toString("latin1"); });
  client.write(Buffer.concat([Buffer.from(HANDSHAKE), text(true, "early in")]));
  await until("both", () => came.endsWith("early out") && reached.endsWith("early in"));
  client.destroy();
  const [{ messages }] = await tap.connections(1);
  assert.deepEqual(messages.map(({ direction, message }) => [direction, message]).sort(), [["in", "early in"], ["out", "early out"]]);
});
