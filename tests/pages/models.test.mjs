// The models of the pages, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Journal, entry, preview } from "../../static/js/journal.js";
import { Roster } from "../../static/js/roster.js";
import { bytes, duration, fromHex, toHex, visible } from "../../static/js/text.js";

const message = (n, who = "a", text = `m${n}`) => entry(n, "event", JSON.stringify({ kind: "message", direction: "in", connectionId: who, message: text }));
const connect = (n, who) => entry(n, "event", JSON.stringify({ kind: "connect", connectionId: who, path: "/ws" }));
const close = (n, who) => entry(n, "event", JSON.stringify({ kind: "close", connectionId: who, close: { code: 1001, reason: "", clean: true, by: "client" } }));
const seqs = (journal) => journal.shown.map((item) => item.seq);

test("a journal keeps no more than it may and counts what it drops", () => {
  const journal = new Journal(100);
  for (let n = 1; n <= 1000; n += 1) journal.push(message(n));
  assert.ok(journal.length <= 100 && journal.length >= 90);
  assert.equal(journal.total, 1000);
  assert.equal(journal.dropped, 1000 - journal.length);
  assert.equal(journal.gone, journal.dropped);
  assert.equal(journal.shown.at(-1).seq, 1000);
  assert.equal(journal.shown[0].seq, 1001 - journal.length);
});

test("a journal is bounded in size too", () => {
  const journal = new Journal(1000, 10_000);
  for (let n = 1; n <= 100; n += 1) journal.push(message(n, "a", "x".repeat(3000)));
  assert.ok(journal.length <= 3, String(journal.length));
  journal.push(message(101, "a", "x".repeat(50_000)));
  assert.equal(journal.length, 1, "one that is larger than all is shown alone");
});

test("filters select by text, kind and connection, and gaps always pass", () => {
  const journal = new Journal();
  journal.push(connect(1, "a"));
  journal.push(message(2, "a", "Apples"));
  journal.push(message(3, "b", "pears"));
  journal.push(entry(4, "gap", '{"missed":7}'));
  journal.filter({ text: "apple" });
  assert.deepEqual(seqs(journal), [2, 4]);
  journal.filter({ text: "", hidden: new Set(["message"]) });
  assert.deepEqual(seqs(journal), [1, 4]);
  journal.filter({ hidden: new Set(), who: "b" });
  assert.deepEqual(seqs(journal), [3, 4]);
  assert.equal(journal.isFiltered, true);
  journal.push(message(5, "a"));
  journal.push(message(6, "b"));
  assert.deepEqual(seqs(journal), [3, 4, 6]);
});

test("a pause holds what comes, in bounds, and loses nothing uncounted", () => {
  const journal = new Journal(100);
  journal.push(message(1));
  journal.pause();
  for (let n = 2; n <= 301; n += 1) journal.push(message(n));
  assert.deepEqual([journal.paused, journal.waiting, journal.dropped], [true, 100, 200]);
  assert.deepEqual(seqs(journal), [1]);
  journal.resume();
  assert.equal(journal.total, 301);
  assert.equal(journal.length + journal.dropped, 301);
  assert.equal(journal.shown.at(-1).seq, 301);
});

test("clearing forgets all", () => {
  const journal = new Journal();
  journal.push(message(1));
  journal.clear();
  assert.deepEqual([journal.total, journal.length, journal.shown.length], [0, 0, 0]);
});

test("an entry that is no JSON, or that JavaScript cannot hold, is shown as it came", () => {
  assert.equal(preview(entry(1, "event", "{broken")), "{broken");
  assert.equal(preview(message(1, "a", "\ud800")), "\ud800");
  assert.equal(preview(close(1, "a")), "1001 by the client");
  assert.match(preview(entry(1, "gap", '{"missed":null}')), /nobody knows how many/);
  assert.match(preview(entry(1, "gap", '{"missed":1234}')), /1,234 events/);
});

test("a roster knows who is there, and forgets the oldest that are not", () => {
  const roster = new Roster(3);
  for (const [n, who] of ["a", "b", "c"].entries()) roster.see(connect(n, who));
  roster.see(message(4, "a"));
  roster.see(close(5, "b"));
  assert.deepEqual(roster.list().map(({ id, open, messages }) => [id, open, messages]), [["a", true, 1], ["c", true, 0], ["b", false, 0]]);
  roster.see(connect(6, "d"));
  assert.deepEqual(roster.list().map(({ id }) => id), ["a", "c", "d"]);
  roster.see(connect(7, "e"));
  assert.deepEqual([roster.list().length, roster.unlisted, roster.open], [3, 1, 3]);
  roster.snapshot([{ connectionId: "a", path: "/", messages: { in: 5, out: 1 } }]);
  assert.deepEqual(roster.list().map(({ id, open, messages }) => [id, open, messages]), [["a", true, 6], ["c", false, 0], ["d", false, 0]]);
});

test("text is made safe to show, and hex is read", () => {
  assert.equal(visible("a\u202Eb\n\u0000\ud800"), "a\\u{202e}b\\n\\u{0}\\u{d800}");
  assert.equal(visible("grüße 🦀"), "grüße 🦀");
  assert.deepEqual([...fromHex("00 ff,0x1A")], [0, 255, 26]);
  assert.equal(fromHex("0"), null);
  assert.equal(fromHex("zz"), null);
  assert.equal(toHex(Uint8Array.of(0, 255)), "00 ff");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(duration(7500), "2 h 5 min");
});
