// A session of Socket.IO: recorded through proxy mode, played to a fresh server, and its server
// played to a fresh client.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { running, until, wstap } from "./harness.mjs";

/** A server of Socket.IO that answers by event, by acknowledgement, in bytes, and in a namespace. */
async function server(t, greeting = "hello") {
  const http = createServer();
  const sockets = new Server(http);
  const answer = (socket) => {
    socket.emit("greeting", { text: greeting, socket: socket.id });
    socket.on("add", (a, b, done) => done(a + b));
    socket.on("bytes", (bytes) => socket.emit("bytes", Buffer.from(bytes).reverse()));
  };
  sockets.on("connection", answer);
  sockets.of("/room").on("connection", answer);
  await new Promise((ready) => http.listen(0, "127.0.0.1", ready));
  t.after(() => sockets.close());
  return `http://127.0.0.1:${http.address().port}`;
}

/** The answers to a client in two namespaces. */
async function session(url) {
  const options = { transports: ["websocket"], reconnection: false, forceNew: true };
  const heard = [];
  for (const namespace of ["", "/room"]) {
    const socket = io(`${url}${namespace}`, options);
    const greeting = new Promise((done, fail) => socket.once("greeting", done).once("connect_error", fail));
    heard.push((await greeting).text);
    heard.push(await socket.timeout(10_000).emitWithAck("add", 2, 3));
    const bytes = new Promise((done) => socket.once("bytes", done));
    socket.emit("bytes", Buffer.from([1, 2, 3]));
    heard.push([...await bytes]);
    const gone = once(socket, "disconnect");
    socket.disconnect();
    await gone;
  }
  return heard;
}

const HEARD = ["hello", 5, [3, 2, 1], "hello", 5, [3, 2, 1]];

/** Records a session through proxy mode. */
async function recording(t) {
  const tap = await running(t, "Ctrl-C stops.", "--upstream", await server(t), "--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0");
  const observers = /(http:\S+)\/events\s/.exec(tap.words)[1];
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "session.ndjson");
  const record = await running(t, "", "record", observers, file, "--last", "1000");
  assert.deepEqual(await session(/Connect to\s+(http\S+)/.exec(tap.words)[1]), HEARD);
  const closes = async () => (await readFile(file, "utf8").catch(() => "")).split('"kind":"close"').length - 1;
  await until("two ends", async () => await closes() === 2);
  await record.stop("SIGINT");
  assert.match(record.words, /events more in/);
  return file;
}

test("a recorded session plays against a fresh server with no difference but the sid", async (t) => {
  const file = await recording(t);
  const fresh = await server(t);
  const same = await wstap("replay", file, fresh, "--speed", "max", "--ignore", "sid", "--ignore", "socket");
  assert.deepEqual([same.code, same.out], [0, ""], same.words);
  const plain = await wstap("replay", file, fresh, "--ignore", "socket");
  assert.equal(plain.code, 1);
  assert.match(plain.out, /\$\.sid was "[^"]+" and is "[^"]+"/);
  const other = await wstap("replay", file, await server(t, "goodbye"), "--speed", "max", "--ignore", "sid", "--ignore", "socket");
  assert.equal(other.code, 1);
  assert.match(other.out, /\$\.1\.text was "hello" and is "goodbye"/);
  assert.equal(other.out.match(/^ {2}- /gm).length, 2, other.out);
});

test("a recording in place of the server satisfies the client", async (t) => {
  const file = await recording(t);
  const standing = await running(t, "Ctrl-C stops.", "replay", "--serve", file, "--listen", "127.0.0.1:0", "--speed", "10");
  const url = /ws(:\/\/[^\s]+)/.exec(standing.words)[1];
  for (let round = 0; round < 2; round += 1) assert.deepEqual(await session(`http${url}`), HEARD);
  assert.doesNotMatch(standing.words, /a message that is not recorded/);
});

test("inspect summarizes a recording", async (t) => {
  const { code, out } = await wstap("inspect", await recording(t));
  assert.equal(code, 0);
  assert.match(out, /connections {2}2\n/);
  assert.match(out, /gaps +none/);
  assert.equal(out.match(/\/socket\.io\/\?EIO=4/g).length, 2, out);
});
