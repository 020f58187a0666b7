// Small things: the list holds still, comparison aligns, files open, words fit numbers. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { diff, words } from "../../static/js/model/diff.js";
import { describe } from "../../static/js/model/event.js";
import { number, visible } from "../../static/js/model/text.js";
import { accessible, client, drawn, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

async function inspector(t, flags = [], options = {}) {
  const server = await tap(...flags);
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, options);
  await state(watch, "open");
  return { server, watch, whats: async () => (await rows(watch)).map((row) => row.what) };
}


test("the list stands still under the pointer and goes on when it leaves", async (t) => {
  const { watch, server, whats } = await inspector(t);
  const socket = await client(server, "a");
  for (let n = 0; n < 60; n += 1) socket.send(`m${n}`);
  await until("the last", async () => (await whats()).at(-1) === "m59");
  await watch.mouse.move(700, 500);
  await until("the pointer", () => watch.$eval("#events", (box) => box.matches(":hover")));
  await drawn(watch);
  const before = await whats();
  for (let n = 60; n < 90; n += 1) socket.send(`m${n}`);
  await until("the news", async () => /30 new/.test(await text(watch, "#follow")));
  const shown = (all) => all.filter((what) => before.includes(what));
  assert.deepEqual(shown(await whats()).slice(-10), before.slice(-10), "no line has moved");
  await watch.mouse.move(700, 20);
  await until("the newest", async () => (await whats()).at(-1) === "m89");
  await watch.mouse.move(700, 500);
  await watch.mouse.down();
  await watch.mouse.up();
  await watch.mouse.move(700, 20);
  const chosen = await whats();
  for (let n = 90; n < 99; n += 1) socket.send(`m${n}`);
  await until("the news", async () => /9 new/.test(await text(watch, "#follow")));
  assert.ok((await whats()).includes(chosen[5]), "a chosen row holds the list too");
  await watch.keyboard.press("End");
  await until("the newest", async () => (await whats()).at(-1) === "m98");
  assert.deepEqual(watch.faults, []);
});

test("a pause moves nothing on the page", async (t) => {
  const { watch, server, whats } = await inspector(t);
  const socket = await client(server, "a");
  for (let n = 0; n < 60; n += 1) socket.send(`m${n}`);
  await until("the last", async () => (await whats()).at(-1) === "m59");
  const places = () => watch.$$eval(".tools button, .tools input, .pane, .strip, .foot, .event:not([hidden])", (all) => all.map((one) => `${one.id} ${JSON.stringify(one.getBoundingClientRect())}`).sort());
  const before = await places();
  await watch.keyboard.press("p");
  await until("the pause", async () => (await text(watch, "#pause-words")) === "Resume");
  socket.send("while it is paused");
  await until("the count", async () => /paused, 1 new/.test(await text(watch, "#counts")));
  await drawn(watch);
  assert.deepEqual(await places(), before);
  await watch.keyboard.press("p");
  await until("it", async () => (await whats()).at(-1) === "while it is paused");
});

test("a comparison aligns what was inserted and removed", () => {
  const lines = (a, b) => diff(a, b).lines.map(({ path, kind }) => `${kind} ${JSON.stringify(path)}`);
  assert.deepEqual(lines([1, 2, 3, 4], [0, 1, 2, 3, 4]), ["added [0]"]);
  assert.deepEqual(lines([1, 2, 3, 4], [1, 2, 4]), ["removed [2]"]);
  assert.deepEqual(lines({ l: [{ id: 1, v: 1 }, { id: 2, v: 2 }] }, { l: [{ id: 9 }, { id: 1, v: 1 }, { id: 2, v: 3 }] }), ['added ["l",0]', 'changed ["l",[1,2],"v"]']);
  assert.deepEqual(lines(["a", 1], [1, "a"]).length, 2);
  assert.deepEqual(words("to be or not to be", "to be and not to"), [
    { kind: "same", text: "to be " }, { kind: "removed", text: "or" }, { kind: "added", text: "and" }, { kind: "same", text: " not to" }, { kind: "removed", text: " be" },
  ]);
  const long = "x".repeat(90_000);
  assert.deepEqual(words(`${long}a`, `${long}b`).map(({ kind }) => kind), ["same", "removed", "added"]);
  const many = Array.from({ length: 5000 }, (_, n) => n);
  assert.deepEqual(lines(many, [...many.slice(0, 2500), "new", ...many.slice(2500)]), ["added [2500]"]);
  for (let seed = 1; seed < 300; seed += 1) {
    const list = (salt) => Array.from({ length: (seed * salt) % 9 }, (_, n) => (seed * salt * (n + 3)) % 4);
    const [a, b] = [list(7), list(11)];
    const { lines: all, same } = diff(a, b);
    const kinds = (kind) => all.filter((line) => line.kind === kind).length;
    assert.equal(same + kinds("changed") + kinds("removed"), a.length);
    assert.equal(same + kinds("changed") + kinds("added"), b.length);
  }
});

test("a file opens by a button and by a key, and needs no other door", async (t) => {
  const { watch } = await inspector(t);
  const file = { name: "x.ndjson", mimeType: "application/x-ndjson", buffer: Buffer.from('{"id":"1700000000000-0","time":"2023-11-14T22:13:20.000Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":2,"channel":null,"message":"hi"}\n') };
  for (const opens of [() => watch.click("#open-file"), () => watch.keyboard.press("O")]) {
    const [chooser] = await Promise.all([watch.waitForEvent("filechooser"), opens()]);
    await chooser.setFiles(file);
    await state(watch, "file");
    await until("its event", async () => (await rows(watch)).map((row) => row.what).join() === "hi");
    await says(watch, "#status", /a file: 1 event$/);
    await until("the count", async () => (await text(watch, "#counts")) === "1 event");
  }
  await accessible(watch, "a file that was opened");
});

test("redaction that is on is shown", async (t) => {
  const { watch } = await inspector(t, ["--redact", "message.secret"]);
  await until("the words", async () => (await watch.isVisible("#redaction")) && (await text(watch, "#redaction")) === "redaction is on");
  const { watch: other } = await inspector(t);
  await until("the answer", async () => !(await other.isHidden("#blank-address")));
  assert.equal(await other.isVisible("#redaction"), false);
});

test("numbers have their nouns, and an emoji of several stays one", () => {
  assert.deepEqual([0, 1, 2, 1200].map((n) => number(n, "event")), ["0 events", "1 event", "2 events", "1,200 events"]);
  assert.equal(describe('{"kind":"gap","missed":1}').preview, "1 event was lost here");
  assert.equal(describe('{"kind":"gap","missed":2}').preview, "2 events were lost here");
  for (const whole of ["👨‍👩‍👧‍👦", "🧑🏽‍🚀", "❤️‍🔥", "می‌خواهم", "क्‍ष", "🏳️‍🌈"]) assert.equal(visible(whole), whole);
  assert.equal(visible("a\u200db\u200c\u202e"), "a\\u{200d}b\\u{200c}\\u{202e}");
  assert.equal(visible("\u200d👨\u200d"), "\\u{200d}👨\\u{200d}");
});

test("the client has its log beside the editor, and fills in numbers within JSON", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const connect = await page(`${server.url}/ws-client`, { viewport: { width: 1440, height: 900 } });
  await connect.waitForFunction(() => document.getElementById("address").value !== "");
  await connect.click("#open");
  await state(connect, "open");
  const [editor, log] = [await connect.locator("#message").boundingBox(), await connect.locator("#log").boundingBox()];
  assert.ok(log.x > editor.x + editor.width && log.y < editor.y + editor.height, "the log is at the right of the editor");
  await connect.check("[value=json]");
  await connect.fill("#message", '{"n":{{n}},"at":{{time}}}');
  await says(connect, "#send-check", /^JSON, /);
  await connect.click("#sending button.main");
  await connect.click("#burst-box summary");
  await connect.fill("#burst-count", "3");
  await connect.fill("#burst-rate", "500");
  await connect.click("#burst");
  await until("the burst", async () => /3 sent, done/.test(await text(connect, "#burst-said")));
  const events = async () => (await fetch(`${server.url}/api/events?kind=message`)).json();
  await until("all", async () => (await events()).length === 4);
  assert.deepEqual((await events()).map(({ message }) => message.n), [1, 1, 2, 3]);
  await connect.fill("#message", '{"n":{{m}}}');
  await says(connect, "#send-check", /That is no JSON/);
  await connect.setViewportSize({ width: 390, height: 844 });
  const [narrow, below] = [await connect.locator("#message").boundingBox(), await connect.locator("#log").boundingBox()];
  assert.ok(below.y > narrow.y && await connect.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  assert.deepEqual(connect.faults, []);
});

test("a small window hints at the buttons that are out of sight", async (t) => {
  const { watch } = await inspector(t, [], { viewport: { width: 390, height: 844 } });
  const hints = () => watch.$eval(".switches", (box) => [box.classList.contains("more-left"), box.classList.contains("more-right")]);
  assert.deepEqual(await hints(), [false, true]);
  await watch.$eval(".switches", (box) => { box.scrollLeft = box.scrollWidth; });
  await until("the other edge", async () => (await hints()).join() === "true,false");
});
