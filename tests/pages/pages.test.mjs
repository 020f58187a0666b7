// The pages in a real Chromium. Names are claims.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { client, drawn, end, page, prefixed, rows, says, serve, state, tap, text, until } from "./harness.mjs";

after(end);

test("a connect is all that it takes to see traffic", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  await until("the blank", async () => /Nothing has happened yet/.test(await text(watch, "#blank")));
  await until("the address", async () => (await text(watch, "#blank-address")) === `ws://127.0.0.1:${server.port}/ws`);
  const connect = await page(`${server.url}/ws-client`);
  await connect.waitForFunction(() => document.getElementById("address").value !== "");
  const id = await connect.inputValue("#id");
  await connect.click("#open");
  await until("the connection", async () => (await rows(watch)).some((row) => row.kind === "connect" && row.who === id));
  await connect.click("#sending button.main");
  await connect.fill("#message", '{"price":1.50}');
  await connect.check("[value=json]");
  await connect.click("#sending button.main");
  await connect.fill("#message", "00 ff");
  await connect.check("[value=binary]");
  await connect.click("#sending button.main");
  await until("the messages", async () => (await rows(watch)).length === 4);
  assert.deepEqual((await rows(watch)).slice(1).map(({ kind, who, what }) => [kind, who, what]), [
    ["in", id, "hello from WebSocket client!!"],
    ["in", id, '{"price":1.50}'],
    ["in", id, "00 ff"],
  ]);
  const sent = await fetch(`${server.url}/api/connections/${id}/messages`, { method: "POST", body: "hello back" });
  assert.equal(sent.status, 202);
  await until("the answer", async () => (await text(connect, "#log")).includes("hello back"));
  await connect.fill("#code", "4001");
  await connect.fill("#reason", "enough");
  await connect.click("#closing button");
  await until("the close", async () => (await rows(watch)).at(-1).what === "4001 by the client: enough");
  assert.equal((await rows(watch)).at(-2).kind, "out");
  await says(connect, "#log", /closed 4001 .*: enough/);
  await until("the end in the list", async () => (await text(watch, "#who-count")) === "0 open");
  for (const opened of [watch, connect]) assert.deepEqual(opened.faults, []);
});

test("what cannot be sent is said, and nothing is sent", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const connect = await page(`${server.url}/ws-client`);
  await connect.fill("#id", "");
  await connect.click("#open");
  await says(connect, "#connect-fault", /1 to 128 characters/);
  await connect.fill("#id", "a");
  await connect.fill("#address", "nonsense://");
  await connect.click("#open");
  await says(connect, "#connect-fault", /ws:\/\/localhost:8080\/ws would be one/);
  await connect.fill("#address", `ws://127.0.0.1:${server.port}/ws`);
  await connect.click("#open");
  await state(connect, "open");
  await connect.check("[value=json]");
  await connect.fill("#message", "{no}");
  await connect.click("#sending button.main");
  await says(connect, "#send-fault", /That is no JSON/);
  await connect.check("[value=binary]");
  await connect.fill("#message", "xyz");
  await connect.click("#sending button.main");
  await says(connect, "#send-fault", /pairs of hexadecimal digits/);
  await connect.fill("#code", "99");
  await connect.click("#closing button");
  await says(connect, "#close-fault", /1000 or 3000 to 4999/);
  const { now } = await (await fetch(`${server.url}/api/info`)).json();
  assert.equal(now.events, 1, "the registration alone");
});

test("the stream resumes after the server has restarted, and tells the gap", async (t) => {
  const first = await tap();
  const watch = await page(`${first.url}/es-client`);
  await state(watch, "open");
  const before = await client(first, "before");
  await until("the first connection", async () => (await rows(watch)).length === 1);
  await first.kill("SIGKILL");
  before.on("error", () => {});
  await state(watch, "waiting");
  const second = await tap("--listen", `127.0.0.1:${first.port}`);
  t.after(() => second.kill());
  await client(second, "after");
  await state(watch, "open");
  await until("the new connection", async () => (await rows(watch)).some((row) => row.who === "after"));
  const kinds = (await rows(watch)).map((row) => row.kind);
  assert.deepEqual(kinds, ["connect", "gap", "connect"]);
  await says(watch, "#notice", /gap in the stream/);
  await until("the end of the old server's connection", async () => (await text(watch, "#who-count")).startsWith("1 open"));
});

test("a thousand events a second leave the page usable, and what waits is counted", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  const socket = await client(server, "flood");
  let n = 0;
  const flood = new Promise((done) => {
    const timer = setInterval(() => {
      for (let k = 0; k < 20 && n < 8000; k += 1) socket.send(JSON.stringify({ n: n += 1, padding: "x".repeat(100) }));
      if (n === 8000) {
        clearInterval(timer);
        done();
      }
    }, 20);
  });
  await until("the flood", () => n > 2000);
  await watch.click("#pause");
  await until("the pause", async () => /Resume/.test(await text(watch, "#pause")));
  await drawn(watch);
  const held = await rows(watch);
  await until("more, while it is paused", async () => Number(/\((\d[\d,]*) new/.exec(await text(watch, "#pause"))?.[1].replace(",", "")) > 500);
  assert.equal((await rows(watch))[0].what, held[0].what, "what is shown stays");
  await watch.click("#pause");
  await flood;
  await until("all of it", async () => /8,001 events/.test(await text(watch, "#counts")));
  await until("the last", async () => (await rows(watch)).at(-1).what.includes('"n":8000'));
  assert.ok(await watch.$$eval(".event", (all) => all.length) < 100, "only what is in sight is in the document");
  assert.deepEqual(watch.faults, []);
});

test("text, kind and connection select", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  const a = await client(server, "a");
  a.send("apples");
  await until("the first two", async () => (await rows(watch)).length === 2);
  const b = await client(server, "b");
  b.send("Bananas");
  const whats = async () => (await rows(watch)).map((row) => row.what);
  await until("four events", async () => (await rows(watch)).length === 4);
  await watch.fill("#text", "banana");
  await until("the one", async () => (await whats()).join() === "Bananas");
  await watch.fill("#text", "nothing like that");
  await until("no event", async () => (await rows(watch)).length === 0);
  await until("why", async () => /No event here passes the filter/.test(await text(watch, "#blank")));
  await watch.fill("#text", "");
  await until("all of them", async () => (await rows(watch)).length === 4);
  await watch.click(".connection >> text=a");
  await until("those of a", async () => (await rows(watch)).every((row) => row.who === "a") && (await rows(watch)).length === 2);
  await watch.click(".connection >> text=a");
  await until("all of them", async () => (await rows(watch)).length === 4);
  await watch.click("[data-kind=message][aria-pressed]");
  await until("messages alone", async () => (await whats()).join() === "apples,Bananas");
  await watch.click("[data-kind=message][aria-pressed]");
  await until("all again", async () => (await rows(watch)).length === 4);
  await watch.click("#clear");
  await until("nothing", async () => (await rows(watch)).length === 0);
  a.send("again");
  await until("the next", async () => (await rows(watch)).length === 1);
  assert.deepEqual(watch.faults, []);
});

test("the keyboard alone is enough", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const connect = await page(`${server.url}/ws-client`);
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  await connect.waitForFunction(() => document.activeElement.id === "open" && document.getElementById("address").value !== "");
  await connect.keyboard.press("Enter");
  await state(connect, "open");
  await connect.waitForFunction(() => document.activeElement.id === "message");
  await connect.keyboard.press("Control+Enter");
  await until("both events", async () => (await rows(watch)).length === 2);
  await watch.keyboard.press("/");
  await watch.keyboard.type("hello");
  await until("the filtered one", async () => (await rows(watch)).length === 1);
  await watch.keyboard.press("Escape");
  await until("both again", async () => (await rows(watch)).length === 2);
  await watch.keyboard.press("Home");
  await watch.keyboard.press("j");
  await watch.keyboard.press("Enter");
  await until("the event", async () => /hello from WebSocket client!!/.test(await text(watch, "#detail-body")));
  await watch.keyboard.press("Escape");
  assert.equal(await watch.isHidden("#detail"), true);
  await watch.keyboard.press("p");
  await until("the pause", async () => /Resume/.test(await text(watch, "#pause")));
  await watch.keyboard.press("p");
  await watch.keyboard.press("2");
  await until("messages", async () => (await rows(watch)).map((row) => row.kind).join() === "in");
  await watch.keyboard.press("0");
  await until("all", async () => (await rows(watch)).length === 2);
  await watch.keyboard.press("?");
  await watch.waitForSelector("#keys-dialog[open]");
  await says(watch, "#keys-body", /the server's whole history/);
  await watch.keyboard.press("Escape");
  await watch.keyboard.press("c");
  await until("nothing", async () => (await rows(watch)).length === 0);
  const stops = new Set();
  for (let n = 0; n < 40; n += 1) {
    await watch.keyboard.press("Tab");
    stops.add(await watch.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim()));
  }
  for (const stop of ["theme", "help", "pause", "text", "filter", "connect", "message", "close", "history", "clear", "connections", "events"]) assert.ok(stops.has(stop), `${stop} in ${[...stops]}`);
});

test("a narrow window shows everything without scrolling sideways", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const socket = await client(server, "a-connection-with-a-name-that-is-longer-than-the-window-is-wide-".padEnd(120, "x"));
  socket.send("x".repeat(5000));
  for (const path of ["", "es-client", "ws-client"]) {
    const narrow = await page(`${server.url}/${path}`, { viewport: { width: 360, height: 700 } });
    if (path === "es-client") await until("rows", async () => (await rows(narrow)).length === 2);
    const [wide, room] = await narrow.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= room, `/${path}: ${wide} in ${room}`);
    const bar = await narrow.$$eval(".bar :is(a, .status, button)", (all) => all.map((one) => [one.textContent, one.getBoundingClientRect().toJSON()]).filter(([, { width }]) => width > 0));
    for (const [n, [words, box]] of bar.entries()) {
      const other = bar.slice(n + 1).find(([, { left, right, top, bottom }]) => left < box.right - 2 && box.left < right - 2 && top < box.bottom - 2 && box.top < bottom - 2);
      assert.equal(other, undefined, `/${path}: ${words} lies on ${other?.[0]}`);
    }
    assert.deepEqual(narrow.faults, []);
  }
});

test("the pages work from any prefix", async (t) => {
  const server = await tap();
  const proxy = await prefixed("/some/prefix", server.url);
  t.after(() => {
    proxy.server.close();
    return server.kill();
  });
  const watch = await page(`${proxy.url}/some/prefix/es-client`);
  await state(watch, "open");
  const overview = await page(`${proxy.url}/some/prefix/`);
  await state(overview, "open");
  await until("the lines", async () => (await text(overview, "#lines")).includes(`curl -N ${proxy.url}/some/prefix/events`));
  const connect = await page(`${proxy.url}/some/prefix/ws-client`);
  await connect.waitForFunction(() => document.getElementById("address").value.includes("/some/prefix/ws"));
  await connect.click("#open");
  await state(connect, "open");
  await until("the connection", async () => (await rows(watch)).length === 1);
  for (const opened of [watch, overview, connect]) assert.deepEqual(opened.faults, []);
});

test("the overview shows live counts and lines to copy", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const overview = await page(`${server.url}/`);
  await state(overview, "open");
  await client(server, "a");
  await until("the count", async () => (await text(overview, "#connections")) === "1");
  await says(overview, "#lines", new RegExp(`curl -N ${server.url}/events`));
  await server.kill();
  await state(overview, "failed");
  await says(overview, "#status", /does not answer/);
});

test("a page that is refused says so and tries again", async (t) => {
  const server = await tap("--max-listeners", "1");
  t.after(() => server.kill());
  const first = await page(`${server.url}/es-client`);
  await state(first, "open");
  const second = await page(`${server.url}/es-client`);
  await state(second, "failed");
  await says(second, "#banner", /takes no more listeners.*--max-listeners/s);
  await first.close();
  await state(second, "open");
  assert.equal(await second.isHidden("#banner"), true);
});

test("the article's two pages work unchanged", async (t) => {
  const server = await tap("--listen", "localhost:8080", "--tap-listen", "localhost:8082");
  const files = new URL("../fixtures/article/", import.meta.url);
  const site = await serve(async (incoming, outgoing) => {
    if (incoming.url === "/favicon.ico") return outgoing.writeHead(204).end();
    const file = await readFile(new URL(`.${incoming.url}.html`, files)).catch(() => null);
    outgoing.writeHead(file ? 200 : 404, { "content-type": "text/html" }).end(file ?? "");
  });
  t.after(() => {
    site.server.close();
    return server.kill();
  });
  const watch = await page(`${site.url}/es-client`);
  await until("the listener", async () => (await (await fetch("http://localhost:8082/api/listeners")).json()).length === 1);
  const connect = await page(`${site.url}/ws-client`);
  await until("the message", () => watch.lines.length === 2);
  await connect.close({ runBeforeUnload: true });
  await until("the close", () => watch.lines.length === 3);
  const id = /connectionId (\d{13}): connected/.exec(watch.lines[0])?.[1];
  assert.deepEqual(watch.lines, [`connectionId ${id}: connected`, `connectionId ${id}: hello from WebSocket client!!`, `connectionId ${id}: closed`]);
  assert.deepEqual(connect.lines, ["WebSocket Open"]);
  for (const host of ["127.0.0.1", "[::1]"]) {
    assert.equal((await fetch(`http://${host}:8082/healthz`)).status, 200);
    assert.equal((await fetch(`http://${host}:8080/healthz`)).status, 404, "the traffic side answers none of it");
  }
});
