// How the worker hands the stream to the page, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../static/js/link/outbox.js";
import { all } from "../../static/js/model/query.js";

const line = (n) => `{"id":"${1_700_000_000_000 + n}-0","kind":"message"}`;

test("an outbox waits for the page, and what it drops is counted", () => {
  const batches = [];
  const outbox = new Outbox((batch) => batches.push(batch), 100);
  outbox.countAfter("");
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
  outbox.view = { ...all(), text: "apple", within: "event" };
  for (const one of ['{"id":"1-0","message":"Apples"}', '{"id":"2-0","message":"x"}', '{"kind":"gap","missed":1}']) outbox.push(one);
  outbox.flush();
  assert.equal(batches.length, 2);
});
