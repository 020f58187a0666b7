// The list of connections: the truth whatever the order of what arrives, names, colours. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { WebSocketServer } from "ws";
import { COLOURS, Palette } from "../../static/js/model/palette.js";
import { isMade, label, program } from "../../static/js/model/label.js";
import { Roster } from "../../static/js/model/roster.js";
import { client, connections, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

const BASE = Date.UTC(2026, 0, 1);
const AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

const connect = (ms, id, more = {}) => ({ id: `${BASE + ms}-0`, kind: "connect", connectionId: id, path: "/chat", remote: "r", ...more });
const close = (ms, id, reason) => ({ id: `${BASE + ms}-0`, kind: "close", connectionId: id, close: { code: 4000, reason, by: "client", clean: true } });
const listed = (ms, id) => ({ connectionId: id, since: new Date(BASE + ms).toISOString(), path: "/chat", remote: "r", messages: { in: 0, out: 0 }, bytes: { in: 0, out: 0 } });

/** All orders of a list. */
const orders = (list) => (list.length < 2 ? [list] : list.flatMap((one, n) => orders([...list.slice(0, n), ...list.slice(n + 1)]).map((rest) => [one, ...rest])));

test("a connection that has ended stays ended with its reason, in whatever order old answers arrive", () => {
  const ended = {
    live: (roster) => { roster.see(connect(10, "a"), BASE + 10); roster.see(close(20, "a", "done"), BASE + 20); },
    past: (roster) => roster.see(connect(10, "a"), BASE + 10),
    list: (roster) => roster.snapshot([listed(10, "a")], BASE + 3000, BASE + 15),
    empty: (roster) => roster.snapshot([], BASE + 4000, BASE + 3500),
  };
  for (const order of orders(Object.keys(ended))) {
    const roster = new Roster();
    for (const step of order) ended[step](roster);
    const [one] = roster.window().rows;
    assert.deepEqual([one.open, one.closed?.reason, roster.open], [false, "done", 0], order.join());
  }
});

test("a newer connection of the same id is open, in whatever order old answers arrive", () => {
  const steps = {
    first: (roster) => { roster.see(connect(10, "a"), BASE + 10); roster.see(close(20, "a", "done"), BASE + 20); },
    second: (roster) => roster.see(connect(30, "a", { headers: { "user-agent": AGENT } }), BASE + 30),
    list: (roster) => roster.snapshot([listed(30, "a")], BASE + 3000, BASE + 35),
    past: (roster) => { roster.see(connect(10, "a"), BASE + 10); roster.see(close(20, "a", "done"), BASE + 20); roster.see(connect(30, "a"), BASE + 30); },
  };
  for (const order of orders(Object.keys(steps))) {
    const roster = new Roster();
    for (const step of order) steps[step](roster);
    const [one] = roster.window().rows;
    assert.deepEqual([one.open, one.closed, roster.open], [true, null, 1], order.join());
  }
});

test("an id of the server gets a name, an id of a person stays", () => {
  const since = 1_763_670_000_123;
  const digits = "0123456789abcdefghjkmnpqrstvwxyz";
  const time = [3, 2, 1, 0].map((place) => digits[Math.floor(since / 2 ** (25 + 5 * place)) % 32]).join("");
  assert.equal(isMade(`${time}0abcdef`, since), true);
  for (const id of ["trading-desk", "camera12345", `${time}0abcde`, `${time}0abcdel`, "a"]) assert.equal(isMade(id, since), false, id);
  assert.equal(isMade(`${time}0abcdef`, since + 100 * 86_400_000), false, "an id of another time");
  assert.equal(label({ path: "/chat?token=x", number: 3, agent: program(AGENT) }), "/chat #3 · Firefox");
  assert.equal(label({ path: "/a/very/long/path/of/a/socket", number: 12, agent: "" }), "…y/long/path/of/a/socket #12");
  assert.deepEqual([AGENT, "Mozilla/5.0 … Chrome/142.0.0.0 Safari/537.36", "Mozilla/5.0 … Chrome/142.0 Safari/537.36 Edg/142.0", "Mozilla/5.0 (Macintosh) Version/18.0 Safari/605.1", "Python/3.12 websockets/15.0", "", undefined].map(program),
    ["Firefox", "Chrome", "Edge", "Safari", "Python", "", ""]);
});

test("connections are numbered by age on each path, and a name is told once", () => {
  const roster = new Roster();
  const digits = "0123456789abcdefghjkmnpqrstvwxyz";
  const made = (n) => [3, 2, 1, 0].map((place) => digits[Math.floor(BASE / 2 ** (25 + 5 * place)) % 32]).join("") + `000000${n}`;
  roster.see(connect(30, made(3), { headers: { "user-agent": AGENT } }), BASE + 30);
  roster.see(connect(10, made(1)), BASE + 10);
  roster.see(connect(20, made(2), { path: "/other" }), BASE + 20);
  assert.deepEqual(roster.names(), [[made(1), "/chat #1"], [made(2), "/other #1"], [made(3), "/chat #2 · Firefox"]]);
  roster.snapshot([listed(30, made(3))], BASE + 50, BASE + 40);
  assert.deepEqual(roster.names(), []);
  assert.equal(roster.window({ search: "#2 · fire" }).rows[0].id, made(3));
});

test("colours are dealt in turn, and ids in sight differ in colour or shape", () => {
  const palette = new Palette();
  const first = Array.from({ length: COLOURS }, (_, n) => palette.of(`c${n}`));
  assert.equal(new Set(first.map(({ colour }) => colour)).size, COLOURS, "the first twelve have colours of their own");
  assert.deepEqual(palette.of("c3"), first[3], "an id keeps its own");
  for (let from = 0; from < 2000; from += 7) {
    const sight = Array.from({ length: 60 }, (_, n) => `d${from + n}`);
    palette.inSight = () => new Set(sight);
    const marks = sight.map((id) => JSON.stringify(palette.of(id)));
    assert.equal(new Set(marks).size, 60);
    assert.deepEqual(sight.map((id) => JSON.stringify(palette.of(id))), marks);
  }
});

test("three hundred short connections keep the reason of their close", async (t) => {
  const server = await tap("--max-connections", "1000");
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  for (let n = 0; n < 300; n += 30) {
    await Promise.all(Array.from({ length: 30 }, async (_, k) => {
      const socket = await client(server, `short-${n + k}`);
      await new Promise((wake) => setTimeout(wake, (k * 7) % 40));
      socket.close(4000, `reason ${n + k}`);
    }));
  }
  await until("all ends", async () => (await text(watch, "#who-count")) === "0 open");
  await watch.selectOption("#connection-sort", "name");
  for (let n = 0; n < 300; n += 1) {
    await watch.fill("#connection-search", `short-${n}`);
    await until(`the reason of ${n}`, async () => (await connections(watch)).some((one) => one.name === `short-${n}` && one.about === `4000 by the client: reason ${n}`));
  }
});

test("in proxy mode connections have names and marks, everywhere the same", async (t) => {
  const upstream = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((ready) => upstream.once("listening", ready));
  upstream.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
  t.after(() => upstream.close());
  const server = await tap("--upstream", `http://127.0.0.1:${upstream.address().port}`);
  t.after(() => server.kill());
  const { addresses } = await (await fetch(`${server.url}/api/info`)).json();
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  await watch.evaluate(async (url) => {
    window.sockets_ = [];
    for (const path of ["chat", "chat", "news"]) {
      const socket = new WebSocket(`${url}/${path}`);
      await new Promise((open, fail) => { socket.onopen = open; socket.onerror = fail; });
      socket.send(`from ${path}`);
      window.sockets_.push(socket);
    }
  }, addresses.websocket[0]);
  const expected = ["/chat #1 · Chrome", "/chat #2 · Chrome", "/news #1 · Chrome"];
  await watch.selectOption("#connection-sort", "name");
  await until("the names", async () => (await connections(watch)).map(({ name }) => name).join("|") === expected.join("|"));
  await until("the rows", async () => (await rows(watch)).length === 9 && (await rows(watch)).every(({ who }) => expected.includes(who)));
  const marks = (selector) => watch.$$eval(selector, (all) => all.map((one) => `${one.textContent || one.parentElement.querySelector(".name").textContent} ${one.dataset.colour} ${one.dataset.shape}`)).then((all) => [...new Set(all)].sort());
  assert.deepEqual(await marks(".event:not([hidden]) .who"), await marks(".connection:not([hidden]) .dot"), "the list and the rows have the same marks");
  assert.equal((await marks(".event:not([hidden]) .who")).length, 3);
  await watch.click(".connection:not([hidden]) >> text=/news #1");
  await until("its events", async () => (await rows(watch)).length === 3);
  await says(watch, "#conditions", /connection \/news #1 · Chrome/);
  await watch.click(".event[data-kind=out]:not([hidden])");
  await says(watch, "#detail-body", /Connection\/news #1 · Chrome [0-9a-z]{11}/);
  assert.deepEqual(watch.faults, []);
});
