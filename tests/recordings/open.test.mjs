// A recording in the pages: `wstap --open FILE`.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { launch } from "./archives.mjs";
import { LIMIT, running, until } from "./harness.mjs";

const START = Date.parse("2025-03-01T10:00:00.000Z");

/** A recording of more events than a live stream begins with: one connection closed, one open, one refused. */
function recording() {
  const lines = [];
  const event = (ms, kind, connectionId, fields) => lines.push(JSON.stringify({ id: `${START + ms}-0`, kind, connectionId, ...fields }));
  const message = (ms, id, direction, message) => event(ms, "message", id, { direction, opcode: "text", size: JSON.stringify(message).length, message, wire: 9 });
  event(0, "connect", "alpha", { path: "/graphql", upstream: "ws://chat.example", status: 101, subprotocol: "graphql-transport-ws" });
  for (let n = 0; n < 2500; n += 1) {
    message(10 + 20 * n, "alpha", "in", { id: `q${n}`, type: "subscribe", payload: { query: "subscription Ticks { tick }" } });
    message(20 + 20 * n, "alpha", "out", { id: `q${n}`, type: "next", payload: { data: { tick: n } } });
  }
  event(60_000, "close", "alpha", { close: { code: 4000, reason: "enough", clean: true, by: "server" } });
  event(60_100, "connect", "beta", { path: "/b", upstream: "ws://chat.example", status: 101 });
  event(60_200, "close", "gamma", { close: { code: 1006, reason: "", clean: false, by: "server" }, path: "/private", upstream: "ws://chat.example", status: 403 });
  return `${lines.join("\n")}\n`;
}

/** A page of a server that shows a file. */
async function opened(t, name, text, path = "es-client") {
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, name);
  await writeFile(file, text);
  const server = await running(t, "Ctrl-C stops.", "--listen", "127.0.0.1:0", "--open", file);
  const browser = await launch();
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, timezoneId: "UTC" });
  page.setDefaultTimeout(LIMIT);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  t.after(() => assert.deepEqual(faults, []));
  await page.goto(`${/(http:\S+)\/events\s/.exec(server.words)[1]}/${path}`);
  return page;
}

const says = (page, selector, words) => until(words, async () => words.test(await page.textContent(selector)));

test("a recording is a mode of its own: its name, its time, its connections with their ends", async (t) => {
  const page = await opened(t, "day.ndjson", recording());
  await says(page, "#status", /^Recording: day\.ndjson$/);
  await says(page, "#mode", /recorded 2025-03-01 10:00:00\.000 to 2025-03-01 10:01:00\.200/);
  await says(page, "#counts", /^5,004 events$/);
  await says(page, "#who-count", /^3, 1 open at the end$/);
  const about = async (name) => page.textContent(`.connection[data-id="${name}"] .about`);
  await until("an end", async () => await about("alpha") === "4000 by the server: enough");
  assert.match(await about("gamma"), /refused by the upstream: 403/);
  assert.match(await about("beta"), /\/b · 0 B · 0\.1 s/, "it lasted until the recording ended, not until now");
  assert.equal(await page.textContent('.connection[data-id="alpha"] .figure'), "5.0k");
  await until("the last row", async () => (await page.$$eval(".event:not([hidden]) .time", (all) => all.map((one) => one.textContent))).includes("2025-03-01 10:01:00.200"));
  const strip = await page.getAttribute("#strip", "aria-label");
  assert.match(strip, /from 2025-03-01 (09:59:59|10:00:00)\.\d+ to 2025-03-01 10:01:0\d\.\d+/);
  assert.doesNotMatch(strip, /no events in this time/);
  for (const hidden of ["#pause", "#history", "#live", '#banner', 'a[href="ws-client"]']) assert.equal(await page.isVisible(hidden), false, hidden);
});

test("messages of a recording are decoded by their subprotocol, and none can be sent", async (t) => {
  const page = await opened(t, "day.ndjson", recording());
  await page.click(".connection[data-id='alpha']");
  await page.waitForSelector(".event[data-kind='out']:not([hidden])");
  await page.click(".event[data-kind='out']:not([hidden])");
  await says(page, "#detail-body", /GraphQL/i);
  assert.doesNotMatch(await page.textContent("#detail-body"), /Send again|Close connection/);
  await page.keyboard.press("s");
  assert.equal(await page.isVisible("#send-dialog"), false);
});

test("a recording without events says that it is empty, and the client page takes no connection", async (t) => {
  const page = await opened(t, "empty.har", '{"log":{"creator":{"name":"wstap"},"entries":[]}}');
  await says(page, "#status", /^Recording: empty\.har$/);
  await says(page, "#blank-text", /^The recording is empty\.$/);
  await says(page, "#who-count", /^none$/);
  await page.goto(page.url().replace(/es-client.*/, "ws-client"));
  await says(page, "#connect-fault", /shows the recording empty\.har; it takes no connections/);
  assert.equal(await page.isDisabled("#open"), true);
});

test("a dropped file is decoded by the subprotocol of its handshakes, and shows their ends", async (t) => {
  const page = await opened(t, "empty.ndjson", "");
  const connect = (ms, subprotocol) => ({ id: `${START + ms}-0`, kind: "connect", connectionId: "alpha", path: "/x", upstream: "ws://a.example", status: 101, subprotocol });
  // PINGREQ of MQTT, which is no text.
  const message = (ms) => ({ id: `${START + ms}-0`, kind: "message", connectionId: "alpha", direction: "in", opcode: "binary", size: 2, message: "wAA=", encoding: "base64", wire: 8 });
  const close = (ms, reason) => ({ id: `${START + ms}-0`, kind: "close", connectionId: "alpha", close: { code: 4001, reason, clean: true, by: "server" } });
  const events = [connect(0, "mqtt"), message(1), close(2, "first"), connect(10, "chat.example"), message(11), close(12, "second")];
  await page.setInputFiles("#file", { name: "x.ndjson", mimeType: "application/x-ndjson", buffer: Buffer.from(events.map((event) => `${JSON.stringify({ time: new Date(parseInt(event.id, 10)).toISOString(), ...event })}\n`).join("")) });
  await says(page, "#who-count", /^1, all closed$/);
  await until("an end", async () => await page.textContent('.connection[data-id="alpha"] .about') === "4001 by the server: second");
  const rows = page.locator(".event[data-kind='in']:not([hidden])");
  await until("the messages", async () => await rows.count() === 2);
  await rows.first().click();
  await says(page, "#detail-body", /PINGREQ/);
});
