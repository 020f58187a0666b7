// The inspector in a real Chromium, on a real server. Names are claims.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { accessible, client, connections, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

/** A server, the inspector on it, and what a test needs of both. */
async function inspector(t, query = "", options = {}) {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client${query}`, options);
  await state(watch, "open");
  const whats = async () => (await rows(watch)).map((row) => row.what);
  return { server, watch, whats, body: () => text(watch, "#detail-body") };
}

/** Selects the row with a text, so that its detail is open. */
async function open(watch, what) {
  await watch.click(`.event:not([hidden]) >> text="${what}"`);
  await watch.waitForSelector("#detail:not([hidden])");
}

test("the list of connections tells state, traffic, and who closed and why; it sorts and searches", async (t) => {
  const { watch, server } = await inspector(t);
  const [a, b] = [await client(server, "alpha"), await client(server, "beta")];
  await client(server, "gamma");
  for (let n = 0; n < 5; n += 1) a.send("x".repeat(1000));
  b.close(4000, "battery low");
  await until("the end", async () => (await connections(watch)).some((one) => one.name === "beta" && one.about === "4000 by the client: battery low" && !one.open));
  await says(watch, "#who-count", /2 open/);
  await until("bytes", async () => /4\.9 KiB/.test((await connections(watch)).find((one) => one.name === "alpha").about));
  await watch.selectOption("#connection-sort", "name");
  await until("by name", async () => (await connections(watch)).map((one) => one.name).join() === "alpha,beta,gamma");
  await watch.fill("#connection-search", "AM");
  await until("the one", async () => (await connections(watch)).map((one) => one.name).join() === "gamma");
  await watch.fill("#connection-search", "nobody");
  await until("nobody", async () => /No connection has that/.test(await text(watch, "#connections-blank")));
  await watch.fill("#connection-search", "");
  await watch.click(".connection >> text=alpha");
  await until("its events", async () => (await rows(watch)).length === 6);
  await watch.click(".connection >> text=gamma", { modifiers: ["Control"] });
  await until("both", async () => (await rows(watch)).length === 7);
  assert.match(watch.url(), /connection=alpha&connection=gamma/);
});

test("an event is shown as tree, text and bytes, with every digit, and its values filter", async (t) => {
  const { watch, server, body } = await inspector(t);
  const socket = await client(server, "a");
  const json = '{"type":"tick","price":1.50,"big":12345678901234567890,"deep":{"list":[1,{"x":null}]}}';
  socket.send(json);
  socket.send(Uint8Array.of(0, 65, 255));
  await until("them", async () => (await rows(watch)).length === 3);
  await open(watch, json);
  const tree = await text(watch, ".tree");
  assert.match(tree, /price:1\.50/);
  assert.match(tree, /big:12345678901234567890/);
  await watch.evaluate(() => { navigator.clipboard.writeText = async (copied) => { window.copied_ = copied; }; });
  await watch.focus('.node:has(.key:text-is("x"))');
  await watch.keyboard.press("y");
  assert.equal(await watch.evaluate(() => window.copied_), "message.deep.list[1].x");
  await watch.keyboard.press("ArrowLeft");
  await watch.keyboard.press("ArrowLeft");
  await watch.keyboard.press("ArrowLeft");
  await watch.keyboard.press("ArrowLeft");
  await until("it to fold", async () => (await watch.$$('.node:has(.key:text-is("x"))')).length === 0);
  await watch.click('.content button:text-is("Text")');
  await says(watch, ".content pre", json);
  await watch.click('.content button:text-is("Hex")');
  await says(watch, ".content pre", /000000 {2}7b 22 74/);
  await open(watch, "00 41 ff");
  await says(watch, ".content pre", /00 41 ff.*·A·/s);
  assert.match(await body(), /Size3 B/);
  await watch.click('.value-filter:text-is("a")');
  await until("the condition", async () => /connection a/.test(await text(watch, "#conditions")));
  await watch.click('.value-filter:text-is("client to server")');
  await until("both conditions", async () => (await rows(watch)).length === 2);
  await watch.click("#conditions button:last-child");
  await until("all", async () => (await rows(watch)).length === 3);
  assert.deepEqual(watch.faults, []);
});

test("the end of a connection is told in words", async (t) => {
  const { watch, server, body } = await inspector(t);
  const [lost, closed] = [await client(server, "lost"), await client(server, "closed")];
  lost.send("the last words");
  await until("the words", async () => (await rows(watch)).length === 3);
  lost.terminate();
  closed.close(4001, "enough");
  await until("the ends", async () => (await rows(watch)).filter((row) => row.kind === "close").length === 2);
  await watch.click(".event[data-kind=close]:not([hidden]):has-text('lost')");
  await until("the story", async () => /The network ended it .* after the last message of the client/.test(await body()));
  await watch.click(".event[data-kind=close]:not([hidden]):has-text('closed')");
  await until("the other", async () => /The client closed it with 4001 \(a code of the application\), “enough”\.Both sides said goodbye/.test(await body()));
});

test("a range of time is brushed, stands in the address, and leads back to live", async (t) => {
  const { watch, server, whats } = await inspector(t);
  const socket = await client(server, "a");
  socket.send("early");
  await until("it", async () => (await rows(watch)).length === 2);
  await until("its bar", async () => /peak/.test(await text(watch, "#strip-peak")));
  const box = await watch.locator("#strip").boundingBox();
  await watch.mouse.move(box.x + 1, box.y + 20);
  await watch.mouse.down();
  await watch.mouse.move(box.x + box.width - 1, box.y + 20, { steps: 4 });
  await watch.mouse.up();
  await until("the range", async () => /since=.*until=/.test(watch.url()));
  await until("the history", async () => (await text(watch, "#mode")) === "the server's history");
  await until("what was then", async () => (await whats()).includes("early"));
  // The last column of the strip ends a little after now.
  const end = Date.parse(new URL(watch.url()).searchParams.get("until"));
  await until("its end to be past", () => Date.now() > end);
  socket.send("late");
  const again = await page(watch.url());
  await until("the same behind the link", async () => (await rows(again)).length === 2);
  await watch.click("#live");
  await until("all", async () => (await whats()).includes("late"));
  assert.doesNotMatch(watch.url(), /since/);
});

test("who scrolls up stays there, is told what came, and goes back", async (t) => {
  const { watch, server } = await inspector(t);
  const socket = await client(server, "a");
  for (let n = 0; n < 200; n += 1) socket.send(`m${n}`);
  await until("the last", async () => (await rows(watch)).at(-1)?.what === "m199");
  await watch.mouse.move(700, 500);
  // A headless browser that is busy loses a turn of the wheel now and then, as a person's finger does.
  await until("older ones", async () => {
    await watch.mouse.wheel(0, -1000);
    return (await rows(watch)).at(-1).what !== "m199";
  });
  let seen = null;
  await until("it to rest", async () => {
    const before = seen;
    seen = (await rows(watch))[5].what;
    await watch.waitForTimeout(100);
    return seen === before;
  });
  for (let n = 200; n < 240; n += 1) socket.send(`m${n}`);
  await until("the news", async () => /40 new/.test(await text(watch, "#follow")));
  assert.equal((await rows(watch))[5].what, seen);
  await watch.click("#follow");
  await until("the newest", async () => (await rows(watch)).at(-1).what === "m239");
  await watch.click("#deltas");
  await until("deltas", async () => (await rows(watch)).at(-1).time.startsWith("+"));
});

test("views are saved, linked and shown again", async (t) => {
  const { watch, server, whats } = await inspector(t);
  const socket = await client(server, "a");
  socket.send("apple");
  socket.send("pear");
  await until("both", async () => (await rows(watch)).length === 3);
  await watch.fill("#text", "apple");
  await until("the one", async () => (await whats()).join() === "apple");
  await watch.click("#views");
  await watch.fill("#views-name", "fruit");
  await watch.click('#views-dialog button:text-is("Save this view")');
  await watch.click("#views-dialog [data-close]");
  await watch.keyboard.press("0");
  await until("all", async () => (await rows(watch)).length === 3);
  await watch.reload();
  await state(watch, "open");
  await watch.click("#views");
  await watch.click("#views-list a");
  await until("the one again", async () => (await whats()).join() === "apple");
  assert.match(watch.url(), /text=apple/);
  assert.equal(await watch.inputValue("#text"), "apple");
  await open(watch, "apple");
  await watch.evaluate(() => { navigator.clipboard.writeText = async (copied) => { window.copied_ = copied; }; });
  await watch.click('#detail button:text-is("Copy link")');
  const link = await watch.evaluate(() => window.copied_);
  const other = await page(link);
  await other.waitForSelector("#detail:not([hidden])");
  await says(other, "#detail-body", /apple/);
});

test("two events are compared", async (t) => {
  const { watch, server, body } = await inspector(t);
  const socket = await client(server, "a");
  socket.send('{"price":1,"list":[1,2]}');
  socket.send('{"price":2,"list":[1,2,3]}');
  await until("both", async () => (await rows(watch)).length === 3);
  await open(watch, '{"price":1,"list":[1,2]}');
  await watch.keyboard.press("m");
  await until("the invitation", async () => /Select another event/.test(await body()));
  await open(watch, '{"price":2,"list":[1,2,3]}');
  const differences = await watch.$$eval(".comparison tbody tr", (all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
  assert.deepEqual(differences, [["price", "1", "2"], ["list[2]", "", "3"]]);
  await watch.click('button:text-is("Stop comparing")');
  assert.equal((await watch.$$(".comparison")).length, 0);
});

test("the theme is the system's until somebody chooses", async (t) => {
  const { watch, server } = await inspector(t, "", { colorScheme: "dark" });
  const dark = () => watch.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0] < 60);
  assert.equal(await dark(), true);
  await watch.click("#theme");
  assert.equal(await dark(), false);
  await watch.goto(`${server.url}/ws-client`);
  assert.equal(await dark(), false, "the choice holds on every page");
  await watch.click("#theme");
  await watch.click("#theme");
  assert.equal(await dark(), true);
});

test("the server's history is scrolled, searched and jumped through", async (t) => {
  const { watch, server, whats } = await inspector(t);
  const socket = await client(server, "a");
  for (let n = 0; n < 6000; n += 1) socket.send(n === 1234 ? "the needle" : `m${n}`);
  await until("all", async () => /6,001 events/.test(await text(watch, "#counts")));
  await watch.reload();
  await state(watch, "open");
  await until("the newest two thousand", async () => /2,000 events/.test(await text(watch, "#counts")));
  await watch.click("#older");
  await until("the whole", async () => /6,001 events of the history/.test(await text(watch, "#counts")));
  await until("the same place", async () => (await whats()).includes("m4000"));
  await watch.focus("#events");
  await watch.keyboard.press("Home");
  await until("the beginning", async () => (await whats())[1] === "m0");
  await watch.fill("#text", "NEEDLE");
  await until("the needle", async () => (await whats()).join() === "the needle");
  await open(watch, "the needle");
  await watch.click('#detail button:text-is("In context")');
  await until("its neighbours", async () => (await whats()).includes("m1233") && (await whats()).includes("m1235"));
  await watch.keyboard.press("h");
  await until("live", async () => (await text(watch, "#mode")) === "");
  assert.deepEqual(watch.faults, []);
});

test("messages are sent, sent again edited, and connections closed", async (t) => {
  const { watch, server, whats } = await inspector(t);
  const socket = await client(server, "a");
  const got = [];
  socket.on("message", (data) => got.push(String(data)));
  socket.send('{"n":1}');
  await until("it", async () => (await rows(watch)).length === 2);
  await open(watch, '{"n":1}');
  await watch.click('button:text-is("Send again…")');
  assert.equal(await watch.inputValue("#send-body"), '{"n":1}');
  await watch.fill("#send-body", "{no}");
  await says(watch, "#send-fault", /That is no JSON/);
  await accessible(watch, "dialog to send");
  await watch.fill("#send-body", '{"n":2}');
  await watch.click('#send-form button:text-is("Send")');
  await until("the message", () => got.join() === '{"n":2}');
  await until("its record", async () => (await whats()).includes('{"n":2}'));
  await watch.click('button:text-is("Close connection…")');
  await watch.fill("#end-form [name=code]", "99");
  await watch.click('#end-form button:text-is("Close the connection")');
  await until("a refusal", async () => /99/.test(await text(watch, "#end-fault")));
  await accessible(watch, "dialog to close");
  await watch.fill("#end-form [name=code]", "4000");
  await watch.fill("#end-form [name=reason]", "by hand");
  const closed = new Promise((done) => socket.once("close", (code, reason) => done(`${code} ${reason}`)));
  await watch.click('#end-form button:text-is("Close the connection")');
  assert.equal(await closed, "4000 by hand");
  await until("the end", async () => (await whats()).includes("4000 by the tap: by hand"));
});

test("what is shown is saved as NDJSON and HAR, and a dropped file is looked at without a server", async (t) => {
  const { watch, server } = await inspector(t);
  const socket = await client(server, "a");
  socket.send("hello");
  socket.send(Uint8Array.of(1, 2));
  await until("them", async () => (await rows(watch)).length === 3);
  const files = {};
  for (const kind of ["ndjson", "har"]) {
    await watch.click("#save");
    const [download] = await Promise.all([watch.waitForEvent("download"), watch.click(`#save-${kind}`)]);
    files[kind] = await readFile(await download.path(), "utf8");
  }
  assert.equal(files.ndjson.trim().split("\n").length, 3);
  assert.equal(JSON.parse(files.har).log.entries[0]._webSocketMessages[0].data, "hello");
  const alone = await page(`${server.url}/es-client`);
  await state(alone, "open");
  await server.kill();
  await state(alone, "waiting");
  for (const [name, body] of Object.entries(files)) {
    const transfer = await alone.evaluateHandle(([file, content]) => {
      const made = new DataTransfer();
      made.items.add(new File([content], file));
      return made;
    }, [`x.${name}`, body]);
    await alone.dispatchEvent("body", "drop", { dataTransfer: transfer });
    await state(alone, "file");
    await until("its events", async () => (await rows(alone)).map((row) => row.what).slice(1).join() === "hello,01 02");
  }
  await accessible(alone, "a file");
  await alone.fill("#text", "hello");
  await until("the one", async () => (await rows(alone)).map((row) => row.what).join() === "hello");
  assert.equal((await connections(alone))[0].name, "a");
});

test("a client keeps what it sent, checks while somebody types, and sends bursts", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const connect = await page(`${server.url}/ws-client`);
  await connect.waitForFunction(() => document.getElementById("address").value !== "");
  await connect.fill("#subprotocols", "one, two");
  await connect.click("#open");
  await state(connect, "open");
  await until("the subprotocol", async () => /subprotocol one/.test(await text(connect, "#log")));
  await connect.check("[value=json]");
  await connect.fill("#message", '{"n":');
  await says(connect, "#send-check", /That is no JSON/);
  await connect.fill("#message", '{"n":"{{n}}"}');
  await says(connect, "#send-check", /JSON, 13 B/);
  await connect.click("#keep");
  await connect.fill("#keep-name", "numbered");
  await connect.click('#keep-form button:text-is("Keep")');
  await connect.click("#burst-box summary");
  await connect.fill("#burst-count", "50");
  await connect.fill("#burst-rate", "500");
  await connect.click("#burst");
  await until("the burst", async () => /50 sent, done/.test(await text(connect, "#burst-said")));
  const events = async () => (await fetch(`${server.url}/api/events?kind=message`)).json();
  await until("all fifty", async () => (await events()).length === 50);
  assert.deepEqual((await events()).at(-1).message, { n: "50" });
  await connect.fill("#message", "other");
  await connect.check("[value=text]");
  await connect.click("#sending button.main");
  await connect.fill("#message", "");
  await connect.focus("#message");
  await connect.keyboard.press("Alt+ArrowUp");
  assert.equal(await connect.inputValue("#message"), "other");
  await connect.keyboard.press("Alt+ArrowUp");
  assert.equal(await connect.inputValue("#message"), '{"n":"{{n}}"}');
  await connect.selectOption("#templates", "numbered");
  assert.equal(await connect.isChecked("[value=json]"), true);
  await connect.setInputFiles("#file", { name: "x.bin", mimeType: "application/octet-stream", buffer: Buffer.from([1, 2, 3]) });
  await until("the file", async () => (await events()).at(-1).message === "AQID");
  assert.deepEqual(connect.faults, []);
});
