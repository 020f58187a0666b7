// Archives of wstap in programs that read archives.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import WebSocket from "ws";
import { toHar } from "../../static/js/model/har.js";
import { fromFile } from "../../static/js/model/recording.js";
import { devtools, echo, launch } from "./archives.mjs";
import { LIMIT, running, until, wstap } from "./harness.mjs";

/** Says some things through wstap, leaves one socket open, and writes what passed as an archive. */
async function archive(t) {
  const server = await echo();
  t.after(server.close);
  const tap = await running(t, "Ctrl-C stops.", "--upstream", server.http, "--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0");
  const observers = /(http:\S+)\/events\s/.exec(tap.words)[1];
  const traffic = /Connect to\s+http(\S+)/.exec(tap.words)[1];
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const name of ["first", "second"]) {
    const socket = new WebSocket(`ws${traffic}/${name}?room=7`, "v2");
    t.after(() => socket.terminate());
    await once(socket, "open");
    for (const said of ["hello", '{"price":1.50}', Buffer.from([0, 255])]) {
      socket.send(said);
      await once(socket, "message");
    }
    if (name === "first") {
      socket.close(4000);
      await once(socket, "close");
    }
  }
  const file = join(folder, "traffic.har");
  await until("an archive", async () => {
    const { code, words } = await wstap("export", observers, "-o", file);
    assert.equal(code, 0, words);
    return (await readFile(file, "utf8")).includes('"code":4000');
  });
  return { file, server };
}

test("Chromium's network panel imports an archive of wstap, sockets that are open too", async (t) => {
  const { file, server } = await archive(t);
  const text = await readFile(file, "utf8");
  const requests = await devtools(server.http, (evaluate) => evaluate(`
    HAR.Importer.Importer.requestsFromHARLog(new HAR.HARFormat.HARRoot(${text}).log).map((request) => ({
      url: request.url(), type: request.resourceType().name(), status: request.statusCode,
      frames: request.frames().map(({ type, text, opCode, time }) => ({ type, text, opCode, time })),
    }))`));
  assert.equal(requests.length, 2);
  for (const [n, name] of ["first", "second"].entries()) {
    const { url, type, status, frames } = requests[n];
    assert.ok(url.startsWith("ws://127.0.0.1:") && url.endsWith(`/${name}?room=7`), url);
    assert.deepEqual([type, status], ["websocket", 101]);
    const said = [["hello", 1], ['{"price":1.50}', 1], ["AP8=", 2]];
    const both = said.flatMap(([text, opCode]) => ["send", "receive"].map((type) => ({ type, text, opCode })));
    assert.deepEqual(frames.map(({ time, ...frame }) => frame), both);
    assert.ok(frames.every(({ time }) => Math.abs(time - Date.now() / 1000) < 60), "times are seconds");
  }
});

/** The lines that `wstap export` writes for a file. */
async function lines(file) {
  const { code, out, words } = await wstap("export", file, "--format", "ndjson");
  assert.equal(code, 0, words);
  return out.trim().split("\n").map((line) => JSON.parse(line));
}

test("the page and wstap read each other's archives, and each finds the same", async (t) => {
  const { file } = await archive(t);
  const told = await lines(file);
  assert.deepEqual(fromFile(await readFile(file, "utf8")).map((line) => JSON.parse(line)), told);
  assert.equal(told.filter(({ kind }) => kind === "close").length, 1, "a socket that is open has no end");
  const page = `${file}.page.har`;
  await writeFile(page, toHar(told.map((event) => JSON.stringify(event)), "ws://localhost:8080"));
  assert.deepEqual(await lines(page), told);
});

test("what a hub has seen goes through an archive of the page into wstap", async (t) => {
  const server = await running(t, "Ctrl-C stops.", "--listen", "127.0.0.1:0", "--max-message-bytes", "2KiB");
  const url = /Events\s+(http:\S+)\/events/.exec(server.words)[1];
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`);
  await once(socket, "open");
  const said = [
    { connectionId: "a" }, { connectionId: "a", message: "123" }, { connectionId: "a", message: "with fields", more: [1] }, { connectionId: "a", more: null }, 1.5,
    ...["a text", '"quoted"', "null", "[1,", "grüße 🦀", ""].map(String),
  ];
  for (const one of said) socket.send(typeof one === "string" ? one : JSON.stringify(one));
  socket.send(Buffer.from([0, 255]));
  socket.ping("p");
  socket.close(4000, "enough");
  const every = async () => (await (await fetch(`${url}/api/events?limit=all`)).json());
  await until("the end", async () => (await every()).at(-1)?.kind === "close");
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "page.har");
  const text = await (await fetch(`${url}/api/events?limit=all&format=ndjson`)).text();
  await writeFile(file, toHar(text.trim().split("\n"), url));
  assert.deepEqual(await lines(file), await every());
  const { out } = await wstap("export", url, "--format", "har");
  assert.deepEqual(fromFile(out).map((line) => JSON.parse(line)), await every());
});

test("Playwright reads an archive of wstap back", async (t) => {
  const { file, server } = await archive(t);
  const browser = await launch();
  t.after(() => browser.close());
  const page = await (await browser.newContext()).newPage();
  await page.routeFromHAR(file, { notFound: "fallback" });
  assert.equal((await page.goto(server.http)).status(), 200, "what is not in it is asked for");
});

test("the page shows an archive of Chromium", async (t) => {
  const file = new URL("../fixtures/har/chromium.har", import.meta.url).pathname;
  const server = await running(t, "Ctrl-C stops.", "--listen", "127.0.0.1:0", "--open", file);
  const browser = await launch();
  t.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.goto(`${/(http:\S+)\/events\s/.exec(server.words)[1]}/es-client`);
  await page.getByText("hello").first().waitFor();
  assert.deepEqual(faults, []);
});
