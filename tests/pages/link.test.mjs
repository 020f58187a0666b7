// How the pages read the stream, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../static/js/link/outbox.js";
import { Reader } from "../../static/js/link/reader.js";
import { SseParser } from "../../static/js/link/sse.js";
import { serve, until } from "./harness.mjs";

const line = (n) => `{"id":"${1_700_000_000_000 + n}-0","kind":"message"}`;

test("cuts anywhere make no difference to the parser", () => {
  const stream = ": hello\nretry: 2000\nid: 1-0\ndata: a\ndata: b\n\r\nevent: gap\ndata:{}\r\n\r\nid: 2-0\n\nid: 3-0\ndata: lost";
  const read = (pieces) => {
    const parser = new SseParser();
    const found = [];
    for (const piece of pieces) parser.feed(piece, (name, data) => found.push([name, data]));
    return { found, lastId: parser.lastId, retry: parser.retry };
  };
  const whole = read([stream]);
  assert.deepEqual(whole, { found: [["message", "a\nb"], ["gap", "{}"]], lastId: "2-0", retry: 2000 });
  for (let cut = 0; cut < stream.length; cut += 1) assert.deepEqual(read([stream.slice(0, cut), stream.slice(cut)]).found, whole.found, `cut at ${cut}`);
  assert.deepEqual(read([...stream]).found, whole.found);
});

test("a line of many chunks is read without joining it again and again", () => {
  const parser = new SseParser();
  let size = 0;
  for (let n = 0; n < 1000; n += 1) parser.feed(n === 0 ? `data: ${"x".repeat(10_000)}` : "x".repeat(10_000), () => {});
  parser.feed("\n\n", (_, data) => { size = data.length; });
  assert.equal(size, 10_000_000);
});

test("an outbox waits for the page, and what it drops is counted", () => {
  const batches = [];
  const outbox = new Outbox((batch) => batches.push(batch), 100);
  outbox.push(line(1));
  outbox.flush();
  outbox.push(line(2));
  outbox.flush();
  for (let n = 3; n <= 303; n += 1) {
    outbox.push(line(n));
    outbox.flush();
  }
  assert.equal(batches.length, 2, "two are under way, and no more");
  outbox.taken();
  outbox.flush();
  const [hole, ...rest] = batches[2].lines;
  assert.equal(JSON.parse(hole).kind, "hole");
  assert.equal(JSON.parse(hole).missed + rest.length, 301);
  assert.equal(rest.at(-1), line(303));
  assert.equal(batches[2].counts.reduce((sum, [, n]) => sum + n, 0), 301, "what is dropped is in the counts of time");
});

test("an outbox lets only what holds the text pass, and gaps", () => {
  const batches = [];
  const outbox = new Outbox((batch) => batches.push(...batch.lines));
  outbox.text = "apple";
  for (const one of ['{"id":"1-0","message":"Apples"}', '{"id":"2-0","message":"x"}', '{"kind":"gap","missed":1}']) outbox.push(one);
  outbox.flush();
  assert.equal(batches.length, 2);
});

test("a reader resumes where it was, after a break and after a refusal", async (t) => {
  const asked = [];
  const site = await serve((incoming, outgoing) => {
    const query = new URL(incoming.url, "http://x").searchParams;
    asked.push([query.get("last"), query.get("last_event_id")]);
    if (asked.length === 2) return outgoing.writeHead(503, { "content-type": "application/problem+json" }).end('{"code":"full","detail":"no room"}');
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    outgoing.write(`retry: 10\nid: ${asked.length}-0\ndata: {"n":${asked.length}}\n\n`);
    return asked.length === 1 ? outgoing.end() : undefined;
  });
  const [events, states] = [[], []];
  const reader = new Reader({ url: `${site.url}/events?kind=message`, start: { last: "5" } }, {
    event: (name, data) => events.push([name, data]), idle: () => {}, state: (state) => { states.push(state); if (state.wait) reader.now(); },
  });
  t.after(() => {
    reader.close();
    site.server.closeAllConnections();
    site.server.close();
  });
  await until("the second stream", () => events.length === 2);
  assert.deepEqual(asked, [["5", null], [null, "1-0"], [null, "1-0"]]);
  const full = states.find(({ state }) => state === "full");
  assert.deepEqual([full.code, full.words, full.status], ["full", "no room", 503]);
  assert.ok(full.wait > 0);
  assert.equal(reader.lastId, "3-0");
});

test("a reader says what is refused and where, and that nobody answers", async (t) => {
  const site = await serve((_, outgoing) => outgoing.writeHead(400, { "content-type": "application/problem+json" }).end('{"code":"malformed","detail":"a name is missing","position":7}'));
  const found = [];
  const on = { event: () => {}, idle: () => {}, state: (state) => found.push(state) };
  const reader = new Reader({ url: `${site.url}/events` }, on);
  await until("the refusal", () => found.some(({ state }) => state === "refused"));
  assert.deepEqual([found[1].position, found[1].words], [7, "a name is missing"]);
  reader.close();
  site.server.closeAllConnections();
  site.server.close();
  const other = new Reader({ url: `${site.url}/events` }, on);
  t.after(() => other.close());
  await until("nobody", () => found.some(({ words }) => /does not answer/.test(words)));
});

test("a stream that is silent for too long is opened again", async (t) => {
  let opened = 0;
  const site = await serve((_, outgoing) => {
    opened += 1;
    outgoing.writeHead(200, { "content-type": "text/event-stream" });
    outgoing.write(": hello\n");
  });
  const words = [];
  const reader = new Reader({ url: `${site.url}/events`, silence: 1 }, { event: () => {}, idle: () => {}, state: (state) => words.push(state.words) });
  t.after(() => {
    reader.close();
    site.server.closeAllConnections();
    site.server.close();
  });
  await until("the second", () => opened >= 2);
  assert.ok(words.includes("nothing came for a long time"));
});
