// The pages speak of the mode of the server. Names are claims.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { accessible, end, page, says, state, tap, text, until } from "./harness.mjs";

after(end);

async function started(t, ...flags) {
  const server = await tap(...flags);
  t.after(() => server.kill());
  return server;
}

async function application(t) {
  const server = createServer((_, response) => response.end("page"));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => server.close());
  return `127.0.0.1:${server.address().port}`;
}

test("in proxy mode the pages name the address to open instead of the upstream, and plain requests", async (t) => {
  const upstream = `http://${await application(t)}`;
  const server = await started(t, "--upstream", upstream, "--tap-listen", "127.0.0.1:0");
  const traffic = `${/Connect to\s+(http:\S+)/.exec(server.words)[1]}/`;

  const watch = await page(`${server.url}/es-client`);
  await until("the blank", async () => /Nothing has passed yet/.test(await text(watch, "#blank")));
  await says(watch, "#blank-hint", new RegExp(`instead of ${upstream}`));
  await says(watch, "#blank-address", traffic);
  assert.equal(await watch.getAttribute("#blank-acts a", "href"), traffic);
  await accessible(watch, "the blank of a proxy");

  const overview = await page(server.url);
  await state(overview, "open");
  await until("the address", async () => (await text(overview, "#traffic-text")).includes(`Open ${traffic} instead of ${upstream}`));
  assert.equal(await overview.getAttribute("#traffic-link", "href"), traffic);
  await says(overview, "#about", new RegExp(`between clients and ${upstream}`));
  await accessible(overview, "the overview of a proxy");

  await fetch(traffic);
  await until("the request", async () => /1 HTTP request passed, no WebSocket yet/.test(await text(watch, "#blank")));
  await until("the request", async () => /1 plain HTTP request has passed too/.test(await text(overview, "#about")));
});

test("in front of an upstream of WebSockets the pages offer a WebSocket", async (t) => {
  const server = await started(t, "--upstream", `ws://${await application(t)}`, "--tap-listen", "127.0.0.1:0");
  const watch = await page(`${server.url}/es-client`);
  await until("the blank", async () => /Nothing has passed yet/.test(await text(watch, "#blank")));
  await says(watch, "#blank-address", /^ws:/);
  const overview = await page(server.url);
  await until("the address", async () => /Connect clients to ws:/.test(await text(overview, "#traffic-text")));
  assert.equal(await overview.getAttribute("#traffic-link", "href"), "ws-client");
});

test("in hub mode the pages offer a WebSocket and the frame that registers it", async (t) => {
  const server = await started(t);
  const watch = await page(`${server.url}/es-client`);
  await until("the blank", async () => (await text(watch, "#blank-hint")).includes('{"connectionId":"a"}'));
  const overview = await page(server.url);
  await state(overview, "open");
  await says(overview, "#traffic-title", "2. Connect");
});
