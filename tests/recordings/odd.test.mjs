// Archives with every field missing, null or of another type: the command and the page read the same.

import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { read } from "../../static/js/model/recording.js";
import { wstap } from "./harness.mjs";

const CASES = new URL("../fixtures/har/cases/", import.meta.url);

/** Wrong values of a field; `undefined` is a field that is missing. */
const ODD = [
  null, undefined, 7, -1, 1e300, 1.5, 0, 403, "text", "", "5", true, [], [1], ["GET", "wss://x.example/"], {}, { a: 1 }, "\ud800x",
  "2025-03-01T10:00:00", "2025-03-01T10:00:00+02:00", "2025-03-01",
];

/** The paths of all fields of a value. */
function* paths(value, path = []) {
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) {
    yield [...path, key];
    yield* paths(value[key], [...path, key]);
  }
}

/** An entry that is later by some milliseconds, so that each has ids of its own. */
function later(entry, ms) {
  const moved = structuredClone(entry);
  const begun = Date.parse(entry.startedDateTime);
  if (!Number.isNaN(begun)) moved.startedDateTime = new Date(begun + ms).toISOString();
  const seconds = (time) => (time > 1e11 ? time + ms : time > 1e9 ? time + ms / 1000 : time);
  for (const message of [moved._webSocketMessages ?? []].flat()) if (typeof message?.time === "number") message.time = seconds(message.time);
  if (typeof moved._webSocketClose?.timestamp === "number") moved._webSocketClose.timestamp = seconds(moved._webSocketClose.timestamp);
  return moved;
}

/** Every variant of an entry with one odd field, and its name. */
function* variants(entry, begin) {
  let n = begin;
  for (const path of paths(entry)) {
    for (const odd of ODD) {
      const moved = later(entry, n * 10_000);
      let at = moved;
      for (const key of path.slice(0, -1)) at = at[key];
      const key = path.at(-1);
      if (odd !== undefined) at[key] = odd;
      else if (Array.isArray(at)) at.splice(Number(key), 1);
      else delete at[key];
      yield [`${path.join(".")} = ${JSON.stringify(odd)}`, moved];
      n += 1;
    }
  }
}

/** Events by their connection, without sequence numbers within a millisecond. */
function byConnection(lines) {
  const all = new Map();
  for (const line of lines) {
    const event = JSON.parse(line);
    // Archives have no address of the client; each side has its own word for that.
    delete event.remote;
    event.id = event.id.split("-")[0];
    const known = all.get(event.connectionId) ?? [];
    all.set(event.connectionId, [...known, event]);
  }
  return all;
}

for (const name of (await readdir(CASES)).filter((one) => one.endsWith(".har"))) {
  test(`${name}: no odd field refuses the archive, and the command and the page read the same`, async (t) => {
    const { log } = JSON.parse(await readFile(new URL(name, CASES), "utf8"));
    const found = [];
    // Entries that wstap has written have fields of their own.
    for (const entry of log.entries.filter((one) => typeof one === "object" && one !== null && !one._wstap && !JSON.stringify(one).includes('"_wstap"'))) found.push(...variants(entry, found.length));
    if (found.length === 0) return t.skip("all of it is wstap's own");
    const text = JSON.stringify({ log: { ...log, entries: found.map(([, entry]) => entry) } });
    const folder = await mkdtemp(join(tmpdir(), "wstap-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "odd.har");
    await writeFile(file, text);
    const { code, out, words } = await wstap("export", file, "--format", "ndjson");
    assert.equal(code, 0, words);
    const { lines, skipped } = read(text);
    assert.equal(skipped, /\.har: (.*) could not be read/.exec(words)?.[1] ?? "");
    const [page, command] = [byConnection(lines), byConnection(out.split("\n").filter(Boolean))];
    assert.ok(command.size > found.length / 2, `${command.size} connections of ${found.length} entries`);
    assert.deepEqual([...page.keys()].sort(), [...command.keys()].sort());
    for (const [id, events] of page) assert.deepEqual(events, command.get(id), id);
  });
}
