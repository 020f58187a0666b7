// The page reads archives as the command line does; no browser.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import { toHar } from "../../static/js/model/har.js";
import { textOf } from "../../static/js/model/packed.js";
import { holds } from "../../static/js/model/query.js";
import { fromFile, read } from "../../static/js/model/recording.js";

const cases = new URL("../fixtures/har/cases/", import.meta.url);

test("archives are read by the rules of the command line", () => {
  const names = readdirSync(cases).filter((name) => name.endsWith(".har"));
  assert.ok(names.length >= 9);
  // The page says nothing of an address that is unknown.
  const told = (line) => ({ ...JSON.parse(line), remote: undefined });
  for (const name of names) {
    const { lines, skipped } = read(readFileSync(new URL(name, cases), "utf8"));
    const expected = readFileSync(new URL(name.replace(".har", ".ndjson"), cases), "utf8").trim().split("\n");
    assert.deepEqual(lines.map(told), expected.map(told), name);
    assert.equal(skipped, name === "odd.har" ? "2 entries, 4 messages" : "", name);
  }
});

test("an event stream is written as Chrome writes it, and reads back", () => {
  const lines = readFileSync(new URL("eventsource.ndjson", cases), "utf8").trim().split("\n");
  const har = toHar(lines, "ws://localhost");
  const [entry] = JSON.parse(har).log.entries;
  assert.deepEqual([entry._resourceType, entry.request.url, entry.response.status], ["eventsource", "https://app.example/prices?of=a", 200]);
  assert.deepEqual(entry._eventSourceMessages.map(({ eventName, eventId, data }) => [eventName, eventId, data]), [["message", "", "hello"], ["price", "7", '{"a": 1.50}'], ["message", "7", "one\ntwo"]]);
  assert.equal(entry._webSocketMessages, undefined);
  assert.deepEqual(read(har).lines.map((line) => JSON.parse(line)), lines.map((line) => JSON.parse(line)));
});

test("files that are compressed, of UTF-16 or a script are read, and others are named", async () => {
  const text = readFileSync(new URL("htk_close.har", cases), "utf8");
  const utf16 = (bytes) => Buffer.from(`\ufeff${text}`, "utf16le")[bytes]();
  for (const bytes of [gzipSync(text), deflateSync(text), utf16("valueOf"), utf16("swap16"), Buffer.from(`onInputData(${text});`), Buffer.from(`\ufeff${text}`)]) {
    assert.equal(fromFile(await textOf(new Blob([bytes]))).length, 4);
  }
  await assert.rejects(textOf(new Blob(["PK\x03\x04"])), /a ZIP file/);
  await assert.rejects(textOf(new Blob([gzipSync(text).subarray(0, 100)])), /damaged/);
});

test("the search sees UTF-8 within bytes", () => {
  const line = JSON.stringify({ id: "1-0", kind: "message", connectionId: "a", message: Buffer.from("\x00Hello ä\xff").toString("base64"), encoding: "base64" });
  assert.ok(holds(line, "hello ä") && holds(line, "HELLO") && !holds(line, "hallo"));
  assert.ok(!holds(line.replace(',"encoding":"base64"', ""), "hello"));
});
