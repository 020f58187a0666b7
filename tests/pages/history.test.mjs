// Decoded messages in searches, and in the server's history: folded and found. Names are claims.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { fake } from "./fake.mjs";
import { accessible, client, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

const file = (name) => new URL(`recordings/${name}.ndjson`, import.meta.url).pathname;
const whats = async (watch) => (await rows(watch)).map((row) => row.what);
const coverage = async (watch) => (await watch.$eval(".searching", (box) => (box.hidden ? "" : box.firstChild.textContent)).catch(() => ""));
const numbers = (all) => all.map((what) => what.replace(/#\d+/g, "#"));

test("answers fold into the rows of their requests in the server's history, and unfold", async (t) => {
  const server = await tap("--open", file("mqtt"));
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 2600 } });
  await until("all rows", async () => (await whats(watch)).length === 85);
  await watch.keyboard.press("b");
  await until("one row each", async () => numbers(await whats(watch)).includes("PUBLISH home/kitchen/temp {c: 20.1}  ⇒ PUBACK # (over 3 messages)"));
  await until("few rows", async () => (await whats(watch)).length < 20);
  await says(watch, "#counts", /85 events/, "folded events are counted");
  await watch.click('.event:not([hidden]):has(.what:text-matches("⇒ PUBACK")) .took >> nth=0');
  await until("the answer in full", async () => /type:"PUBACK"/.test(await text(watch, ".decoded").catch(() => "")));
  await watch.click("#fold");
  await until("all rows again", async () => (await whats(watch)).length === 85);
  assert.deepEqual(watch.faults, []);
});

test("an answer whose request is not in the list keeps its row, in files and in the history", async (t) => {
  const server = await tap("--open", file("mqtt"));
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client?direction=out`, { viewport: { width: 1440, height: 2600 } });
  await until("answers", async () => numbers(await whats(watch)).some((what) => what.startsWith("PUBACK #")));
  const all = (await whats(watch)).filter((what) => !/ … /.test(what));
  await watch.keyboard.press("b");
  await until("parts are folded", async () => (await whats(watch)).every((what) => !/ … /.test(what)));
  assert.ok(numbers(await whats(watch)).some((what) => what.startsWith("PUBACK #")), all.join("\n"));
  const live = await tap();
  t.after(() => live.kill());
  const other = await page(`${live.url}/es-client`, { viewport: { width: 1440, height: 2600 } });
  await state(other, "open");
  await other.setInputFiles("#file", file("mqtt"));
  await until("all rows", async () => (await whats(other)).length === 85);
  await other.click("[data-direction=out]");
  await other.click("#fold");
  await until("answers", async () => (await whats(other)).length < 40 && numbers(await whats(other)).some((what) => what.startsWith("PUBACK #")));
});

test("a search finds what only a decoder reads: in the past, live, and in the history", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const socket = await client(server, "a");
  const idle = await client(server, "idle");
  idle.send('42["early",{}]');
  for (let n = 0; n < 3; n += 1) socket.send(`42["tick",{"n":${n}}]`);
  socket.send("tick {n: 9}, as it was sent");
  const watch = await page(`${server.url}/es-client`);
  await until("them", async () => (await rows(watch)).length === 7);
  await watch.fill("#text", "tick {n:");
  const past = ["tick {n: 0}", "tick {n: 1}", "tick {n: 2}", "tick {n: 9}, as it was sent"];
  await until("the past", async () => (await whats(watch)).join() === past.join());
  assert.equal(await coverage(watch), "searched as sent and as decoded");
  socket.send('42["tick",{"n":3}]');
  socket.send('42["other",{"n":3}]');
  idle.send('42["tick",{"n":4}]');
  await until("new ones", async () => (await whats(watch)).slice(4).sort().join() === "tick {n: 3},tick {n: 4}");
  await watch.click("[data-direction=out]");
  await until("none", async () => (await whats(watch)).length === 0);
  await watch.click("[data-direction=in]");
  await until("all that are in", async () => (await whats(watch)).length === 6);
  socket.send('42["tick",{"n":5}]');
  await until("a new one with a direction", async () => (await whats(watch)).at(-1) === "tick {n: 5}");
  await watch.click("#history");
  await until("the history", async () => (await coverage(watch)) === "searched as sent and as decoded: 6 more events");
  await until("in order", async () => (await whats(watch)).slice(0, 4).join() === past.join());
  assert.deepEqual((await whats(watch)).slice(4).sort(), ["tick {n: 3}", "tick {n: 4}", "tick {n: 5}"]);
  await until("the count", async () => /^7 events of the history/.test(await text(watch, "#counts")));
  await watch.fill("#filter", 'connectionId == "idle"');
  await until("those of one connection", async () => (await whats(watch)).join() === "tick {n: 4}");
  await accessible(watch, "a search of the history");
  await watch.click("#history");
  await until("what is not searched", async () => /new messages as sent only, because of the filter/.test(await coverage(watch)));
  assert.deepEqual(watch.faults, []);
});

test("a search in a long history shows what it has found, how far it is, and can be stopped", async (t) => {
  const lines = (await readFile(file("mqtt"), "utf8")).trim().split("\n");
  const last = JSON.parse(lines.at(-1)).id;
  const waiting = [];
  const json = { "content-type": "application/json" };
  const site = await fake({
    "/api/events": (_, outgoing, query) => {
      if (query.get("format") === "marks") return outgoing.writeHead(200, json).end('{"every":1,"marks":[],"count":0,"first":null,"last":null}');
      outgoing.writeHead(200, { "content-type": "application/x-ndjson" });
      if (query.has("text")) return outgoing.end();
      if (query.get("order") === "desc") return outgoing.end();
      if (query.has("last_event_id")) return waiting.push(outgoing);
      return outgoing.end(lines.slice(0, -1).map((line) => `${line}\n`).join(""));
    },
  });
  t.after(() => site.stop());
  site.info.now.lastEventId = last;
  const watch = await page(`${site.url}/es-client?history=1&text=publish+home`);
  await until("a part of it", async () => (await whats(watch)).some((what) => what.startsWith("PUBLISH home/kitchen/temp {c: 20.1}")));
  await until("how far", async () => /^searching decoded messages up to .*: \d+ more events$/.test(await coverage(watch)));
  await watch.click(".searching button");
  await until("its end", async () => /^searched as sent, and as decoded up to .*: \d+ more events$/.test(await coverage(watch)));
  assert.equal(await watch.isVisible(".searching button"), false);
  assert.ok(waiting.length > 0);
});
