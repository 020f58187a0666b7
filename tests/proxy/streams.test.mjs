// Event streams through proxy mode: what a program reads is what the tap shows.

import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import test from "node:test";
import { EventSource } from "eventsource";
import { createParser } from "eventsource-parser";

import { front, serve, until, within } from "./harness.mjs";

const PARTS = [
  ": a comment\n\n", "data: one\n\n", "event: add\ndata: {\"a\":\ndata: 1}\n\n", "id: 7\ndata: x\r\n\r\n", "data:\n\n", "id\ndata: é\u{1f600}\r\r",
  "retry: 50\n\n", "event: nothing\n\n", "data: [1, 2.50]\n\n", "unknown: field\ndata: y\n\n", "data\n\n", "id: 8\n\n", "event: message\ndata: z\n\n",
];

/** Numbers that are the same in each run. */
function* numbers(seed) {
  for (let n = seed; ; n = (Math.imul(n, 1664525) + 1013904223) >>> 0) yield n;
}

test("an_event_source_of_node_gets_the_events_that_the_tap_shows_and_resumes", async (t) => {
  const asked = [];
  const { url } = await serve(t, (request, answer) => {
    asked.push(request.headers["last-event-id"]);
    answer.writeHead(200, { "content-type": "text/event-stream" });
    if (asked.length === 1) answer.end("retry: 10\nid: 5\nevent: add\ndata: one\n\n");
    else answer.write("data: two\n\n");
  });
  const tap = await front(t, url);
  const source = new EventSource(`${tap.url}/stream`);
  t.after(() => source.close());
  const heard = [];
  source.addEventListener("add", ({ data, lastEventId }) => heard.push([data, lastEventId]));
  source.onmessage = ({ data, lastEventId }) => heard.push([data, lastEventId]);
  await until("both events", () => heard.length === 2);
  assert.deepEqual(heard.map(([data]) => data), ["one", "two"]);
  assert.deepEqual(asked, [undefined, "5"]);
  const one = await tap.event("message", { message: "one" });
  assert.deepEqual([one.event, one.eventId], ["add", "5"]);
  const again = await tap.event("connect", { headers: { "last-event-id": "5" } });
  assert.equal((await tap.event("message", { message: "two" })).connectionId, again.connectionId);
  source.close();
  await tap.event("close", { connectionId: again.connectionId, close: { by: "client" } });
});

test("the_tap_reads_what_another_parser_reads_however_a_stream_is_cut", async (t) => {
  const random = numbers(7);
  const next = (below) => random.next().value % below;
  // The parser waits for what follows a CR, so the last line ends with LF.
  const stream = Buffer.from(`${Array.from({ length: 400 }, () => PARTS[next(PARTS.length)]).join("")}: the end\n\n`);
  const { url } = await serve(t, async (_, answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream" });
    for (let at = 0; at < stream.length;) {
      const size = 1 + next(60);
      answer.write(stream.subarray(at, at + size));
      at += size;
      if (next(4) === 0) await new Promise((wake) => setImmediate(wake));
    }
    answer.end();
  });
  const tap = await front(t, url);
  const expected = [];
  const parser = createParser({ onEvent: ({ event = "message", data }) => expected.push([event, data]) });
  const [answer] = await within("an answer", once(get(`${tap.url}/stream`), "response"));
  const parts = [];
  for await (const part of answer) parts.push(part);
  assert.ok(Buffer.concat(parts).equals(stream), "the bytes pass unchanged");
  parser.feed(String(stream));
  const { close, messages } = await tap.event("close");
  assert.deepEqual([close.by, messages.out], ["server", expected.length]);
  const plain = ({ event = "message", message }) => [event, typeof message === "string" ? message : JSON.stringify(message)];
  const compact = ([name, data]) => {
    try {
      return [name, JSON.stringify(JSON.parse(data))];
    } catch {
      return [name, data];
    }
  };
  assert.deepEqual(tap.every("message").map(plain), expected.map(compact));
});
