// The client module: its pure parts, and what it does with a server that a test controls. More, in node
// and in browsers: client.test.mjs.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { Backoff, Connection, EventStream, SseParser, comesBack } from "../../static/js/wstap.js";
import { serve, until } from "./harness.mjs";

/** Short delays. */
const quick = () => new Backoff({ first: 1, most: 5 });

/**
 * A WebSocket server that does with each connection, the first, the second, what a test says. It answers
 * registrations by itself, and records them as `{"connectionId":…}`.
 */
async function peer(t, ...acts) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((ready) => server.once("listening", ready));
  const heard = [];
  server.on("connection", (socket, incoming) => {
    const lines = [];
    heard.push(lines);
    socket.on("message", (data, isBinary) => {
      lines.push(isBinary ? data : registered(socket, String(data)));
      acts[Math.min(heard.length, acts.length) - 1]?.(socket, lines.at(-1), lines.length, incoming.url);
    });
  });
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { url: `ws://127.0.0.1:${server.address().port}/ws`, heard, server };
}

/** Answers a registration. */
function registered(socket, line) {
  if (!line.startsWith('{"type":"register"')) return line;
  const { connectionId, secret } = JSON.parse(line).params;
  assert.match(secret, /^[0-9a-f]{32}$/);
  socket.send(JSON.stringify({ registered: { connectionId, resumed: false } }));
  return JSON.stringify({ connectionId });
}

/** Answers the nth line: the registration, which has no number, is the first. */
const reply = (socket, n, answer) => socket.send(JSON.stringify({ ...answer, frame: n - 1 }));

/** Answers each frame but the registration with an ack, and each way back with a hole. */
const acks = (socket, line, n) => {
  if (n > 1) reply(socket, n, { ack: `${n}-0` });
  const { type, params } = String(line).startsWith('{"type":"subscribe"') ? JSON.parse(line) : {};
  if (type && params.after) socket.send(JSON.stringify({ channel: params.channels[0], type: "resumed", complete: false, messages: [] }));
};

/** Answers likewise, and breaks on demand. */
const breaks = (socket, line, n) => (line === "break" ? socket.terminate() : acks(socket, line, n));

function connect(t, url, options = {}) {
  const hub = new Connection(url, { id: "a", backoff: quick(), WebSocket, ...options });
  const states = [];
  hub.on("state", (state) => states.push(state));
  t.after(() => hub.close());
  return { hub, states };
}

/** Returns the code of the error that a promise is rejected with. */
const code = (promise) => promise.then(() => assert.fail("it should have failed"), (error) => error.code);

test("cuts anywhere make no difference to the parser", () => {
  const lines = ": hello\nretry: 2000\nid: 1-0\ndata: a\ndata: b\n\r\nevent: gap\ndata:{}\r\n\r\nid: 2-0\n\nid: 3-0\ndata: lost";
  const read = (pieces) => {
    const parser = new SseParser();
    const found = [];
    for (const piece of pieces) parser.feed(piece, (name, data) => found.push([name, data]));
    return { found, lastId: parser.lastId, retry: parser.retry };
  };
  for (const stream of [lines, lines.replaceAll("\r\n", "\n").replaceAll("\n", "\r"), lines.replaceAll("\r\n", "\n").replaceAll("\n", "\r\n"), lines.replace("\n\r\n", "\r\r")]) {
    const whole = read([stream]);
    assert.deepEqual(whole, { found: [["message", "a\nb"], ["gap", "{}"]], lastId: "2-0", retry: 2000 });
    for (let cut = 0; cut < stream.length; cut += 1) assert.deepEqual(read([stream.slice(0, cut), stream.slice(cut)]), whole, `cut at ${cut}`);
    assert.deepEqual(read([...stream]).found, whole.found);
  }
});

test("a line of many chunks is read without joining it again and again", () => {
  const parser = new SseParser();
  let size = 0;
  for (let n = 0; n < 1000; n += 1) parser.feed(n === 0 ? `data: ${"x".repeat(10_000)}` : "x".repeat(10_000), () => {});
  parser.feed("\n\n", (_, data) => { size = data.length; });
  assert.equal(size, 10_000_000);
});

test("delays double with each failure, are random from zero on, and start anew after a connection that lasted", () => {
  const most = new Backoff({ random: () => 1 });
  const waits = [];
  for (let n = 0; n < 8; n += 1) waits.push(most.next());
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal(most.next(4999), 30_000, "what is cut off at once is no success");
  assert.equal(most.next(5000), 500);
  assert.equal(new Backoff({ random: () => 0 }).next(), 0, "full jitter");
  assert.equal(new Backoff({ random: () => 0.5 }).next(0, 2000), 2250, "what the server asks for comes on top");
  for (let n = 0; n < 2000; n += 1) most.next();
  assert.equal(most.next(), 30_000, "for ever");
});

test("final close codes are those of the table", () => {
  for (const final of [1000, 1009, 4400, 4401, 4403, 4404, 4409]) assert.equal(comesBack(final), false, String(final));
  for (const open of [1001, 1005, 1006, 1011, 1012, 1013, 1014, 3000, 4000, 4408, 4429]) assert.equal(comesBack(open), true, String(open));
});

test("the module passes the type checker in strict mode", () => {
  const root = new URL("../../", import.meta.url).pathname;
  const flags = "--allowJs --checkJs --noEmit --strict --target es2022 --module es2022 --moduleResolution bundler --lib es2022,dom,dom.iterable";
  const modules = readdirSync(`${root}static/js/wstap`).filter((name) => name.endsWith(".js")).map((name) => `${root}static/js/wstap/${name}`);
  execFileSync(process.execPath, [`${root}tests/pages/node_modules/typescript/bin/tsc`, ...flags.split(" "), ...modules], { stdio: "pipe" });
});

test("an invalid address and a missing WebSocket throw at once", () => {
  assert.throws(() => new Connection("localhost:8080", { WebSocket }), /no address/);
  assert.throws(() => new EventStream("ftp://x"), /http:\/\/localhost:8080 would be one/);
  assert.throws(() => new Connection("http://localhost", { WebSocket: null }), /no WebSocket here; pass one/);
});

test("a connection registers, and again after a break; what waits goes out once, in order", async (t) => {
  const { url, heard } = await peer(t, (socket, _, n) => { if (n === 2) socket.terminate(); }, acks);
  const { hub, states } = connect(t, url);
  const first = hub.send("one");
  assert.equal(await code(first), "unsure", "it may have arrived, so that it is not sent again");
  assert.deepEqual(await Promise.all([hub.send("two"), hub.send({ three: 3 }), hub.send(new Uint8Array([0, 255]))]), ["2-0", "3-0", "4-0"]);
  assert.deepEqual(heard, [['{"connectionId":"a"}', "one"], ['{"connectionId":"a"}', "two", '{"three":3}', Buffer.from([0, 255])]]);
  assert.deepEqual(states.map(({ state }) => state), ["connecting", "open", "waiting", "connecting", "open"]);
  assert.deepEqual([states[2].status, states[2].code, states[2].words], [1006, "broken", "the connection broke"]);
  hub.close(3001, "enough");
  await until("the end", () => states.at(-1).state === "closed");
  assert.equal(states.at(-1).status, 3001);
  assert.equal(await code(hub.send("late")), "closed");
});

test("an answer belongs to the oldest frame, and an error breaks that one alone", async (t) => {
  const { url } = await peer(t, (socket, line, n) => {
    if (n === 1) return;
    reply(socket, n, line === "bad" ? { error: { code: "reserved_key", message: "no" } } : { ack: `${n}-0` });
  });
  const { hub } = connect(t, url);
  const all = await Promise.allSettled(["a", "bad", "c"].map((text) => hub.send(text)));
  assert.deepEqual(all.map(({ value, reason }) => value ?? reason.code), ["2-0", "reserved_key", "4-0"]);
});

test("without acks a frame is done when it has gone, and an error is told", async (t) => {
  const { url } = await peer(t, (socket, line) => { if (line === "bad") socket.send('{"error":{"code":"reserved_key","message":"no"}}'); });
  const { hub } = connect(t, url, { ack: false });
  const told = new Promise((done) => hub.on("error", ({ error }) => done(error)));
  assert.equal(await hub.send("bad"), null);
  assert.equal((await told).code, "reserved_key");
});

test("a final code ends the connection, and what waits fails with it", async (t) => {
  const { url, heard } = await peer(t, (socket) => socket.close(4409, "there is a newer one"));
  const { hub, states } = connect(t, url);
  await until("the end", () => states.at(-1)?.state === "ended");
  const { status, code: name, words } = states.at(-1);
  assert.deepEqual([status, name, words, heard.length], [4409, "replaced", "there is a newer one", 1]);
  assert.equal(await code(hub.send("x")), "replaced", "nothing waits for what does not come");
  hub.now();
  assert.equal(await code(hub.channel("news").subscribe()), "replaced", "a second try, which somebody asked for");
  assert.equal(heard.length, 2);
});

test("a full server is connected to again after two seconds at the earliest", async (t) => {
  const { url } = await peer(t, (socket) => socket.close(1013, "10 connections are here"), acks);
  const { states } = connect(t, url);
  await until("the wait", () => states.at(-1)?.state === "waiting");
  assert.ok(states.at(-1).wait >= 2000);
  assert.equal(states.at(-1).code, "full");
});

test("what waits for a connection is bounded", async (t) => {
  const { hub } = connect(t, "ws://127.0.0.1:9/ws");
  const all = Array.from({ length: 1001 }, () => code(hub.send("x")));
  assert.equal(await all[1000], "full");
  hub.close();
  assert.deepEqual(new Set(await Promise.all(all.slice(0, 1000))), new Set(["closed"]));
});

test("subscriptions are made again after a break, before what has waited, and the hole is told", async (t) => {
  const { url, heard } = await peer(t, (socket, line, n) => {
    acks(socket, line, n);
    if (line.includes("unsubscribe")) socket.terminate();
  }, acks);
  const { hub } = connect(t, url);
  const broken = new Promise((done) => hub.on("state", ({ state }) => { if (state === "waiting") done(); }));
  let number = 0;
  const news = hub.channel("news");
  const told = [];
  news.on("gap", () => told.push("gap"));
  assert.equal(await news.subscribe({ last: 5, token: () => `t${number += 1}` }), "2-0");
  assert.equal(hub.channel("news"), news);
  await hub.channel("other").subscribe();
  await hub.channel("other").unsubscribe();
  await broken;
  await news.publish(1.5);
  await until("the second subscription", () => told.length === 1);
  await until("the message", () => heard[1].some((line) => line.includes("publish")));
  const commands = heard[1].slice(1).map((line) => JSON.parse(line));
  const at = (wanted) => commands.findIndex(({ type }) => type === wanted);
  assert.deepEqual(commands[at("subscribe")].params, { channels: ["news"], token: "t2", after: "2-0" }, "with a fresh token, from where it was");
  assert.equal(commands.filter(({ type }) => type === "subscribe").length, 1, "what was left is left");
  assert.ok(at("subscribe") < at("publish"), heard[1].join());
  assert.deepEqual(JSON.parse(heard[0][1]).params, { channels: ["news"], token: "t1", last: 5 });
});

test("a subscription that broke before its answer is sent again, and its promise is kept", async (t) => {
  const { url, heard } = await peer(t, (socket, _, n) => { if (n === 2) socket.terminate(); }, acks);
  const { hub } = connect(t, url);
  assert.equal(await hub.channel("a").subscribe(), "2-0");
  assert.equal(heard.length, 2);
});

/** Returns the commands on channels, in order: the type and the token. */
const orders = (lines) => lines.filter((line) => line.startsWith('{"type"')).map((line) => JSON.parse(line)).map(({ type, params }) => [type, ...(params.token ? [params.token] : [])].join(" "));

/** Returns a promise with the functions that settle it. */
function deferred() {
  const made = {};
  made.promise = new Promise((keep, fail) => Object.assign(made, { keep, fail }));
  return made;
}

test("a channel that is left and entered again at once hears its messages, and comes back after a break", async (t) => {
  const { url, heard, server } = await peer(t, (socket, line, n) => {
    breaks(socket, line, n);
    if (line === "say") socket.send('{"channel":"news","data":"hello"}');
  });
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  const told = [];
  for (const type of ["message", "gap"]) news.on(type, () => told.push(type));
  hub.on("message", () => told.push("lost"));
  await news.subscribe();
  await Promise.all([news.unsubscribe(), news.subscribe()]);
  assert.equal(news.isSubscribed, true);
  assert.equal(hub.channel("news"), news);
  await hub.send("say");
  await until("the message", () => told.length === 1);
  hub.send("break").catch(() => {});
  await until("the way back", () => told.length === 2);
  assert.deepEqual(told, ["message", "gap"]);
  assert.deepEqual(orders(heard[1]), ["subscribe"]);
  assert.equal(server.clients.size, 1);
});

test("a channel that is entered and left at once is left, and no break brings it back", async (t) => {
  const { url, heard } = await peer(t, breaks);
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  await Promise.all([news.subscribe(), news.unsubscribe()]);
  assert.equal(news.isSubscribed, false);
  assert.notEqual(hub.channel("news"), news, "it is forgotten");
  await code(hub.send("break"));
  await hub.send("x");
  assert.deepEqual([orders(heard[0]), orders(heard[1])], [["subscribe", "unsubscribe"], []]);
});

test("answers to older wishes change nothing, however often a channel is entered and left", async (t) => {
  const held = [];
  const { url } = await peer(t, (socket, line, n) => held.push(() => acks(socket, line, n)));
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  const all = [news.subscribe(), news.unsubscribe(), news.subscribe(), news.unsubscribe()];
  await until("them all", () => held.length === 5);
  for (const [n, answer] of held.slice(1, 4).entries()) {
    answer();
    await all[n];
    assert.deepEqual([news.isSubscribed, hub.channel("news") === news], [false, true], String(n));
  }
  held[4]();
  await all[3];
  assert.equal(hub.channel("news") === news, false);
});

test("a subscription whose channel is left before its token came never goes out", async (t) => {
  const { url, heard } = await peer(t, acks);
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  const [first, second] = [deferred(), deferred()];
  const entering = code(news.subscribe({ token: () => first.promise }));
  await news.unsubscribe();
  const again = news.subscribe({ token: () => second.promise });
  second.keep("t2");
  await again;
  first.keep("t1");
  assert.equal(await entering, "left");
  await hub.send("x");
  assert.deepEqual(orders(heard[0]), ["unsubscribe", "subscribe t2"]);
  assert.deepEqual([news.isSubscribed, hub.channel("news") === news], [true, true]);
});

test("ways back that break before their answer do not pile up, and the last one alone counts", async (t) => {
  const { url, heard } = await peer(t, breaks, ...Array(6).fill((socket, line, n) => {
    // A token is good for once.
    if (n === 2) socket.terminate();
  }), (socket, line, n) => {
    if (/"token":"t[1-7]"/.test(line)) reply(socket, n, { error: { code: "unauthorized", message: "it is old" } });
    else acks(socket, line, n);
  });
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  const told = [];
  for (const type of ["gap", "end"]) news.on(type, () => told.push(type));
  let number = 0;
  await news.subscribe({ token: async () => `t${number += 1}` });
  hub.send("break").catch(() => {});
  await until("the way back", () => told.length > 0);
  await hub.send("x");
  assert.deepEqual(heard.map(orders), Array.from({ length: 8 }, (_, n) => [`subscribe t${n + 1}`]));
  assert.deepEqual([told, news.isSubscribed], [["gap"], true]);
});

test("more channels than frames may wait come back, and leave room for what is sent", async (t) => {
  const { url, heard } = await peer(t, breaks);
  const { hub } = connect(t, url);
  let back = 0;
  for (let n = 0; n < 1200; n += 1) {
    const channel = hub.channel(`c${n}`);
    channel.on("gap", () => { back += 1; });
    const entered = channel.subscribe();
    if (n % 500 === 499) await entered;
  }
  await code(hub.send("break"));
  assert.match(await hub.channel("c7").publish(1), /-0$/);
  assert.deepEqual([back, orders(heard[1]).length, orders(heard[1]).at(-1)], [1200, 1201, "publish"]);
});

test("a token that hangs holds back what waits for its channel, in order, and nothing else", async (t) => {
  const { url, heard } = await peer(t, breaks);
  const { hub, states } = connect(t, url);
  const tokens = [];
  const token = () => {
    tokens.push(deferred());
    return tokens.at(-1).promise;
  };
  const [fast, slow] = [hub.channel("fast"), hub.channel("slow")];
  await fast.subscribe();
  const entered = slow.subscribe({ token });
  tokens[0].keep("t1");
  await entered;
  await code(hub.send("break"));
  const held = slow.publish("held");
  const waits = fast.publish("before");
  await until("the second connection", () => states.at(-1).state === "open");
  const later = slow.publish("meanwhile");
  await until("the question", () => tokens.length === 2);
  assert.match(await waits, /-0$/);
  assert.match(await hub.send("x"), /-0$/);
  assert.deepEqual(orders(heard[1]), ["subscribe", "publish"]);
  tokens[1].keep("t2");
  await Promise.all([held, later]);
  assert.deepEqual(orders(heard[1]), ["subscribe", "publish", "subscribe t2", "publish", "publish"]);
  assert.deepEqual(heard[1].map((line) => /before|held|meanwhile/.exec(line)?.[0]).filter(Boolean), ["before", "held", "meanwhile"]);
});

test("a token that never comes is given up and fetched again", async (t) => {
  const { url, heard } = await peer(t, breaks);
  const { hub } = connect(t, url, { timeout: 200 });
  const news = hub.channel("news");
  let asked = 0;
  await news.subscribe({ token: () => {
    asked += 1;
    return asked === 2 ? new Promise(() => {}) : `t${asked}`;
  } });
  await code(hub.send("break"));
  await news.publish("held");
  assert.deepEqual(orders(heard[1]), ["subscribe t3", "publish"]);
});

test("a break while a token is fetched leaves the way back to the next connection", async (t) => {
  let second;
  const { url, heard } = await peer(t, breaks, (socket) => { second = socket; }, acks);
  const { hub } = connect(t, url);
  const tokens = [];
  const news = hub.channel("news");
  const told = [];
  for (const type of ["gap", "end"]) news.on(type, () => told.push(type));
  const entered = news.subscribe({ token: () => {
    tokens.push(deferred());
    return tokens.at(-1).promise;
  } });
  tokens[0].keep("t1");
  await entered;
  await code(hub.send("break"));
  const waits = news.publish("x");
  await until("the second connection", () => second && tokens.length === 2);
  second.terminate();
  await until("the third connection", () => tokens.length === 3);
  tokens[1].keep("t2");
  await tokens[1].promise;
  tokens[2].keep("t3");
  assert.equal(await waits, "3-0");
  assert.deepEqual(heard[1], ['{"connectionId":"a"}']);
  assert.deepEqual(orders(heard[2]), ["subscribe t3", "publish"]);
  assert.deepEqual(told, ["gap"]);
});

test("a channel whose token cannot be fetched after a break is entered when it can, and keeps nothing else waiting", async (t) => {
  const { url, heard } = await peer(t, breaks);
  const waits = [];
  const random = () => {
    waits.push(0);
    return 0.5;
  };
  const { hub } = connect(t, url, { backoff: new Backoff({ first: 1, most: 5, random }) });
  const news = hub.channel("news");
  const told = [];
  for (const type of ["gap", "end"]) news.on(type, () => told.push(type));
  let number = 0;
  let isThere = true;
  await news.subscribe({ token: async () => {
    number += 1;
    if (!isThere) throw new Error("no network");
    return `t${number}`;
  } });
  isThere = false;
  await code(hub.send("break"));
  assert.equal(await hub.send("x"), "2-0");
  await until("some attempts", () => number > 4);
  assert.deepEqual([told, news.isSubscribed], [[], true]);
  isThere = true;
  await until("the way back", () => told.length === 1);
  assert.deepEqual([told, orders(heard[1])], [["gap"], [`subscribe t${number}`]]);
  assert.equal(waits.length, number - 1, "a wait for the connection, and one for each token that did not come");
});

test("a channel that is left while its token cannot be fetched asks for none any more", async (t) => {
  const { url, heard } = await peer(t, breaks);
  const { hub } = connect(t, url);
  const asked = { left: 0, other: 0 };
  const enter = (name) => hub.channel(name).subscribe({ token: async () => {
    asked[name] += 1;
    if (asked[name] > 1) throw new Error("no network");
    return "t";
  } });
  await Promise.all([enter("left"), enter("other")]);
  await code(hub.send("break"));
  await until("failures", () => asked.left > 2);
  await hub.channel("left").unsubscribe();
  const { left, other } = asked;
  await until("those of the other", () => asked.other > other + 10);
  assert.equal(asked.left, left);
  assert.deepEqual(orders(heard[1]), ["unsubscribe"]);
});

test("where there is no crypto a connection makes itself a name all the same", (t) => {
  const known = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  t.after(() => Object.defineProperty(globalThis, "crypto", known));
  delete globalThis.crypto;
  const made = Array.from({ length: 3 }, () => connect(t, "ws://127.0.0.1:9/ws", { id: undefined }).hub.id);
  for (const id of made) assert.match(id, /^[0-9a-f]{24}$/);
  assert.equal(new Set(made).size, 3);
});

test("a channel that refuses the way back ends with the error", async (t) => {
  const { url } = await peer(t, (socket, line, n) => {
    acks(socket, line, n);
    if (n === 2) setImmediate(() => socket.terminate());
  }, (socket, _, n) => { if (n > 1) reply(socket, n, { error: { code: "unauthorized", message: "the token has expired" } }); });
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  const ended = new Promise((done) => news.on("end", ({ error }) => done(error)));
  await news.subscribe({ token: "old" });
  assert.equal((await ended).code, "unauthorized");
  assert.equal(news.isSubscribed, false);
});

test("a token that runs out is fetched anew, or ends the channel, and no answer is taken for another's", async (t) => {
  const expired = '{"channel":"news","error":{"code":"unauthorized","message":"the token has expired"}}';
  const { url, heard } = await peer(t, (socket, line, n) => {
    if (line === "x") socket.send(expired);
    acks(socket, line, n);
  });
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  let number = 0;
  await news.subscribe({ token: () => `t${number += 1}` });
  const back = new Promise((done) => news.on("gap", done));
  assert.equal(await hub.send("x"), "3-0", "the error answers nothing");
  await back;
  assert.equal(JSON.parse(heard[0][3]).params.token, "t2");
  await news.subscribe({ token: "fixed" });
  const ended = new Promise((done) => news.on("end", ({ error }) => done(error.code)));
  await hub.send("x");
  assert.equal(await ended, "unauthorized");
  assert.equal(news.isSubscribed, false);
});

test("messages, bytes and presence go to their channel, and the rest to the connection", async (t) => {
  const { url } = await peer(t, (socket, line, n) => {
    acks(socket, line, n);
    if (n !== 2) return;
    for (const frame of [
      { channel: "news", type: "presence", users: ["ann", "bob"] }, { channel: "news", type: "join", user: "cy" }, { channel: "news", type: "leave", user: "bob" },
      { channel: "news", data: { price: 1 } }, { channel: "news", data: "AP8=", encoding: "base64" }, { channel: "news", data: null }, { channel: "elsewhere", data: 1 },
    ]) socket.send(JSON.stringify(frame));
    socket.send("plain");
    socket.send(Buffer.from([7]));
  });
  const { hub } = connect(t, url);
  const news = hub.channel("news");
  const told = [];
  for (const type of ["presence", "join", "leave", "message"]) news.on(type, ({ users, user, data }) => told.push([type, users ?? user ?? data]));
  hub.on("message", ({ data }) => told.push(["own", data]));
  await news.subscribe();
  await until("all", () => told.length === 9);
  assert.deepEqual(told, [
    ["presence", ["ann", "bob"]], ["join", "cy"], ["leave", "bob"], ["message", { price: 1 }], ["message", new Uint8Array([0, 255])], ["message", null],
    ["own", '{"channel":"elsewhere","data":1}'], ["own", "plain"], ["own", new Uint8Array([7])],
  ]);
  assert.deepEqual(news.users, ["ann", "cy"]);
});

test("the address carries a fresh token and no stale one, and no id means neither registration nor acks", async (t) => {
  const urls = [];
  const { url, heard, server } = await peer(t);
  server.on("connection", (socket, incoming) => {
    urls.push(incoming.url);
    socket.on("message", () => socket.terminate());
  });
  let number = 0;
  const { hub, states } = connect(t, `${url}?x=1`, { id: null, token: async () => { number += 1; return number === 2 ? undefined : `t${number}`; } });
  for (const n of [1, 2, 3]) {
    await until("it to be open", () => urls.length === n && states.at(-1).state === "open");
    assert.equal(await hub.send(`frame ${n}`), null);
  }
  await until("the frames", () => heard.length >= 3 && heard[2].length === 1);
  assert.deepEqual(heard.slice(0, 3), [["frame 1"], ["frame 2"], ["frame 3"]]);
  assert.deepEqual(urls.slice(0, 3), ["/ws?x=1&access_token=t1", "/ws?x=1", "/ws?x=1&access_token=t3"]);
  const acked = await peer(t, acks);
  acked.server.on("connection", (_, incoming) => urls.push(incoming.url));
  await connect(t, acked.url, { token: "t" }).hub.send("x");
  assert.equal(urls.at(-1), "/ws?ack=1&access_token=t");
});

test("a repeated registration makes no event, and takes the answer of no other frame", async (t) => {
  const { url } = await peer(t, (socket, line, n) => { if (line !== '{"connectionId":"a"}') acks(socket, line, n); });
  const { hub } = connect(t, url);
  assert.deepEqual(await Promise.all([hub.send("x"), hub.send({ connectionId: "a" }), hub.send("y"), hub.send({ connectionId: "a", message: 1 })]), ["2-0", null, "4-0", "5-0"]);
});

test("a token that cannot be fetched now is fetched later", async (t) => {
  const { url } = await peer(t, acks);
  let asked = 0;
  const token = async () => {
    asked += 1;
    if (asked === 1) throw new Error("no network");
    return "t";
  };
  const { hub, states } = connect(t, url, { token });
  assert.equal(await hub.send("x"), "2-0");
  assert.equal(states.find(({ state }) => state === "waiting").words, "no token could be fetched");
});

test("a listener that was removed is not called", async (t) => {
  const { url } = await peer(t, acks);
  const { hub } = connect(t, url);
  let heard = 0;
  const stop = hub.on("frame", () => { heard += 1; });
  await hub.send("x");
  assert.equal(heard, 3);
  stop();
  await hub.send("x");
  assert.equal(heard, 3);
});

async function site(t, answer) {
  const made = await serve(answer);
  t.after(() => {
    made.server.closeAllConnections();
    made.server.close();
  });
  return made;
}

function follow(t, url, options = {}) {
  const stream = new EventStream(url, { backoff: quick(), ...options });
  const [events, states] = [[], []];
  for (const type of ["message", "line", "gap"]) stream.on(type, (event) => events.push(event));
  stream.on("state", (state) => states.push(state));
  t.after(() => stream.close());
  return { stream, events, states };
}

test("a stream resumes where it was, after a break and after a refusal, and tells the gap", async (t) => {
  const asked = [];
  const { url } = await site(t, (incoming, outgoing) => {
    const query = new URL(incoming.url, "http://x").searchParams;
    asked.push([query.get("last"), query.get("last_event_id"), query.getAll("kind").join(), query.get("format"), incoming.headers.authorization]);
    if (asked.length === 2) return outgoing.writeHead(500, { "content-type": "application/problem+json" }).end('{"code":"internal","detail":"it failed"}');
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    if (asked.length === 3) outgoing.write('event: gap\ndata: {"missed":7,"after":"1-0","before":"3-0"}\n\n');
    outgoing.write(`retry: 10\nid: ${asked.length}-0\ndata: {"kind":"message","n":${asked.length}}\n\n`);
    return asked.length === 1 ? outgoing.end() : undefined;
  });
  const { stream, events, states } = follow(t, url, { last: 5, kind: ["message", "close"], token: "secret" });
  await until("the second stream", () => events.length === 3);
  const rest = ["message,close", "full", "Bearer secret"];
  assert.deepEqual(asked, [["5", null, ...rest], [null, "1-0", ...rest], [null, "1-0", ...rest]]);
  assert.deepEqual(events.map(({ type, data, missed }) => [type, data?.n ?? missed]), [["message", 1], ["gap", 7], ["message", 3]]);
  assert.deepEqual(states.filter(({ state }) => state === "waiting").map(({ words }) => words), ["the server ended the stream", "it failed"]);
  assert.equal(stream.lastEventId, "3-0");
});

test("raw lines keep every digit", async (t) => {
  const { url } = await site(t, (_, outgoing) => outgoing.writeHead(200, { "content-type": "text/event-stream" }).write('data: {"kind":"message","message":1.50}\n\n'));
  const { events } = follow(t, url, { raw: true });
  await until("the line", () => events.length === 1);
  assert.deepEqual([events[0].type, events[0].data], ["line", '{"kind":"message","message":1.50}']);
});

test("a refusal ends the stream with its words and its position, until now() is called", async (t) => {
  let asked = 0;
  const { url } = await site(t, (_, outgoing) => {
    asked += 1;
    if (asked === 1) return outgoing.writeHead(400, { "content-type": "application/problem+json" }).end('{"code":"malformed","detail":"a name is missing","position":7}');
    return outgoing.writeHead(200, { "content-type": "text/html" }).end("<p>hello");
  });
  const { stream, states } = follow(t, `${url}/some/prefix`);
  await until("the refusal", () => states.at(-1)?.state === "ended");
  const { position, words, status, code: name } = states.at(-1);
  assert.deepEqual([position, words, status, name], [7, "a name is missing", 400, "malformed"]);
  stream.now();
  await until("what is no stream", () => states.at(-1).words === "what answers there is no event stream");
});

test("a full server is asked again after its retry-after", async (t) => {
  const { url } = await site(t, (_, outgoing) => outgoing.writeHead(503, { "retry-after": "7", "content-type": "application/problem+json" }).end('{"code":"full","detail":"no room"}'));
  const { states } = follow(t, url);
  await until("the wait", () => states.at(-1)?.state === "waiting");
  assert.ok(states.at(-1).wait >= 7000);
  assert.equal(states.at(-1).code, "full");
});

test("a server that takes a request and never answers is asked again", async (t) => {
  let asked = 0;
  const { url } = await site(t, () => { asked += 1; });
  const { states } = follow(t, url, { silence: 5 });
  await until("the second request", () => asked >= 2);
  assert.equal(states.find(({ state }) => state === "waiting").words, "nothing came for a long time");
});

test("an absent server is not final, and a stream that is silent for too long is opened again", async (t) => {
  const nobody = follow(t, "http://127.0.0.1:9");
  await until("the words", () => nobody.states.some(({ words }) => words === "the server does not answer"));
  assert.ok(nobody.states.every(({ state }) => state !== "ended"));
  let opened = 0;
  const { url } = await site(t, (_, outgoing) => {
    opened += 1;
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    outgoing.write(": hello\n");
  });
  const { states } = follow(t, url, { silence: 1 });
  await until("the second", () => opened >= 2);
  assert.ok(states.some(({ words }) => words === "nothing came for a long time"));
});
