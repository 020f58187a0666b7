// The page that shows what the server answers, in a real Chromium. Names are claims.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { client, end, page, prefixed, says, serve, state, tap, text, until } from "./harness.mjs";

after(end);

const AXE = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

async function docs(t, server, hash = "", options = {}) {
  const opened = await page(`${server.url}/api/docs${hash}`, options);
  t.after(() => opened.context().close());
  await state(opened, "open");
  return opened;
}

async function started(t) {
  const server = await tap();
  t.after(() => server.kill());
  return server;
}

const go = async (opened, id) => {
  await opened.evaluate((name) => { location.hash = name; }, id);
  await until(id, async () => (await opened.getAttribute('#list [aria-current="true"]', "href").catch(() => null)) === `#${id}`);
};

/** Sends what stands in the form, and waits for the answer's first line. */
async function send(opened) {
  await opened.click("form button.main");
  await opened.waitForSelector(".got:not([hidden])");
}

test("every address and every frame has its page, without a fault of script, policy or axe", async (t) => {
  const server = await started(t);
  const http = await (await fetch(`${server.url}/api/openapi.json`)).json();
  const socket = await (await fetch(`${server.url}/api/asyncapi.json`)).json();
  const told = [...Object.values(http.paths).flatMap((item) => Object.values(item)).map(({ operationId }) => operationId), ...Object.keys(socket.operations).map((id) => `frames-${id}`)];
  for (const [width, colorScheme] of [[1440, "light"], [1440, "dark"], [390, "light"], [390, "dark"]]) {
    const opened = await docs(t, server, "", { viewport: { width, height: 900 }, colorScheme });
    const listed = await opened.$$eval("#list a", (all) => all.map((link) => link.getAttribute("href").slice(1)));
    assert.deepEqual([...listed].sort(), [...told].sort());
    await opened.evaluate(AXE);
    // In other widths and colours a page of each kind is enough.
    const all = width === 1440 && colorScheme === "light";
    for (const id of all ? ["", ...listed] : ["", "stream", "send", "close", "frames-say"]) {
      if (id) await go(opened, id);
      await opened.$$eval("details", (all) => all.forEach((fold) => { fold.open = true; }));
      assert.equal(await opened.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${id} is no wider than ${width}`);
      const { violations } = await opened.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
      assert.deepEqual(violations.map(({ id: rule, nodes }) => [rule, nodes.map(({ html }) => html)]), [], `${id} at ${width}, ${colorScheme}`);
    }
    assert.deepEqual(opened.faults, []);
  }
});

test("a request goes out as the form says, and its line for a shell does the same", async (t) => {
  const server = await started(t);
  const socket = await client(server, "a/b ü");
  const heard = [];
  socket.on("message", (data) => heard.push(String(data)));
  const opened = await docs(t, server, "#send");
  await opened.focus("#field-path-id");
  await until("what is connected", async () => (await opened.$$eval("datalist option", (all) => all.map(({ value }) => value))).join() === "a/b ü");
  await opened.fill("#field-path-id", "a/b ü");
  await opened.selectOption("#body-type", "application/json");
  await opened.fill("#body-text", '{"it\'s": "$HOME"}');
  await send(opened);
  await says(opened, ".answered", /^202 Accepted in \d+ ms$/);
  await until("the answer", async () => /"id": "\d+-\d+"/.test(await text(opened, ".got pre")));
  await until("the message", () => heard.length === 1);
  const line = await text(opened, ".shell pre");
  const { stdout } = await promisify(execFile)("sh", ["-c", line]);
  assert.match(stdout, /^\{"id":"\d+-\d+"\}$/);
  await until("the same again", () => heard.length === 2);
  assert.deepEqual(heard, ['{"it\'s": "$HOME"}', '{"it\'s": "$HOME"}']);
  await go(opened, "close");
  await opened.fill("#field-path-id", "a/b ü");
  await opened.fill("#field-query-code", "4001");
  const closed = new Promise((done) => { socket.once("close", done); });
  await send(opened);
  await says(opened, ".answered", /^204/);
  assert.equal(await closed, 4001);
  await send(opened);
  await until("that it is gone", async () => /^404/.test(await text(opened, ".answered")));
  await until("its code", async () => (await text(opened, ".got pre")).includes('"code": "not_found"'));
  assert.deepEqual(opened.faults, []);
});

test("bytes are sent from a file", async (t) => {
  const server = await started(t);
  const socket = await client(server, "a");
  const heard = new Promise((done) => { socket.once("message", (data, binary) => done([binary, data.toString("hex")])); });
  const opened = await docs(t, server, "#send");
  await opened.fill("#field-path-id", "a");
  await opened.selectOption("#body-type", "application/octet-stream");
  await opened.setInputFiles("#body-file", { name: "some bytes", mimeType: "", buffer: Buffer.from([0, 255]) });
  await says(opened, ".shell pre", /--data-binary '@some bytes'/);
  await send(opened);
  assert.deepEqual(await heard, [true, "00ff"]);
});

test("a stream is shown as it comes, until it is stopped or left", async (t) => {
  const server = await started(t);
  const opened = await docs(t, server, "#stream");
  await opened.check('[value="message"]');
  await opened.fill("#field-query-connection", "a\nb");
  await says(opened, ".shell pre", /^curl -N '.*\/events\?connection=a&connection=b&kind=message'$/);
  await send(opened);
  const socket = await client(server, "b");
  socket.send("hello");
  await until("the event", async () => (await text(opened, ".got pre")).includes('data: {"connectionId":"b","message":"hello"}'));
  const listeners = async () => (await (await fetch(`${server.url}/api/listeners`)).json()).length;
  assert.equal(await listeners(), 1);
  await opened.click('button:text-is("Stop")');
  await until("the end", async () => (await listeners()) === 0);
  await until("that it was stopped", async () => /stopped/.test(await text(opened, ".got > .dim")));
  await send(opened);
  await until("a listener", async () => (await listeners()) === 1);
  await go(opened, "info");
  await until("the end", async () => (await listeners()) === 0);
  assert.deepEqual(opened.faults, []);
});

test("the handshake is told as the line that connects", async (t) => {
  const server = await started(t);
  const opened = await docs(t, server, "#connect");
  const line = () => text(opened, "form .code pre");
  await until("the address", async () => (await line()) === `new WebSocket("ws://127.0.0.1:${server.port}/ws")`);
  await opened.fill("#field-query-connectionId", "a b");
  await opened.selectOption("#field-query-ack", "true");
  const address = JSON.parse((await line()).slice("new WebSocket(".length, -1));
  const acked = await opened.evaluate((url) => new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = ({ data }) => done(data);
  }), address);
  assert.match(acked, /^\{"ack":"\d+-\d+"\}$/);
  const apart = await tap("--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0");
  t.after(() => apart.kill());
  const other = await docs(t, apart, "#connect");
  const [{ websocket }] = [(await (await fetch(`${apart.url}/api/info`)).json()).addresses];
  await until("the other address", async () => (await text(other, "form .code pre")) === `new WebSocket("${websocket[0]}")`);
  assert.deepEqual([...opened.faults, ...other.faults], []);
});

test("what is missing is said at its field, and nothing is sent", async (t) => {
  const server = await started(t);
  const opened = await docs(t, server, "#event");
  const asked = [];
  opened.on("request", (one) => asked.push(one.url()));
  await opened.click("form button.main");
  await says(opened, "form .bad", "id is part of the address.");
  assert.equal(await opened.evaluate(() => document.activeElement.id), "field-path-id");
  assert.equal(await opened.getAttribute("#field-path-id", "aria-invalid"), "true");
  await says(opened, ".shell pre", /\/api\/events\/ID$/);
  assert.deepEqual(asked.filter((url) => !url.endsWith("/api/info")), []);
});

test("the keyboard alone is enough", async (t) => {
  const server = await started(t);
  const opened = await docs(t, server);
  await opened.keyboard.press("/");
  await opened.keyboard.type("delete listeners");
  assert.equal(await opened.$$eval("#list li:not([hidden])", (all) => all.length), 1);
  await opened.keyboard.press("Escape");
  await opened.keyboard.type("api info");
  await opened.keyboard.press("Enter");
  await until("the address", async () => (await text(opened, "#page h1")) === "GET /api/info");
  assert.equal(await opened.evaluate(() => document.activeElement.tagName), "H1");
  await opened.keyboard.press("Tab");
  await opened.keyboard.press("Tab");
  await opened.keyboard.press("Tab");
  assert.equal(await opened.evaluate(() => document.activeElement.textContent), "Send");
  await opened.keyboard.press("Enter");
  await until("the answer", async () => /"name": "wstap"/.test(await text(opened, ".got pre").catch(() => "")));
  await opened.keyboard.press("/");
  await opened.keyboard.press("ArrowDown");
  await opened.keyboard.press("ArrowUp");
  assert.equal(await opened.evaluate(() => document.activeElement.id), "search");
  await opened.fill("#search", "nothing like that");
  assert.equal(await opened.isVisible("#none"), true);
  await opened.goBack();
  await until("where it was", async () => (await text(opened, "#page h1")) === "What this server answers");
});

test("below a prefix everything is found and asked there", async (t) => {
  const server = await started(t);
  const proxy = await prefixed("/tap", server.url);
  t.after(() => proxy.server.close());
  const opened = await docs(t, { url: `${proxy.url}/tap` }, "#info");
  await says(opened, ".shell pre", `curl ${proxy.url}/tap/api/info`);
  await send(opened);
  await until("the answer", async () => /"name": "wstap"/.test(await text(opened, ".got pre")));
  assert.deepEqual(opened.faults, []);
});

test("a narrow page shows the list or one address, with a way back", async (t) => {
  const server = await started(t);
  const opened = await docs(t, server, "", { viewport: { width: 390, height: 844 } });
  assert.equal(await opened.isVisible("#search"), true);
  await opened.click('#list a[href="#info"]');
  await until("the address", async () => (await text(opened, "#page h1")) === "GET /api/info");
  assert.equal(await opened.isVisible("#search"), false);
  await opened.click(".back");
  await until("the list", () => opened.isVisible("#search"));
});

test("a server that is gone is told, also in the middle", async (t) => {
  const server = await tap();
  const opened = await docs(t, server, "#info");
  await server.kill();
  await opened.click("form button.main");
  await until("what happened", async () => /does not answer/.test(await text(opened, ".said")));
  const other = await serve((incoming, outgoing) => {
    if (incoming.url.startsWith("/api/") && incoming.url !== "/api/docs") return outgoing.writeHead(404, { "content-type": "application/json" }).end('{"detail":"there is no such thing"}');
    const name = incoming.url === "/api/docs" ? "/static/api-docs.html" : incoming.url;
    const type = { html: "text/html", css: "text/css", js: "text/javascript", svg: "image/svg+xml" }[name.split(".").at(-1)];
    return readFile(new URL(`../..${name}`, import.meta.url)).then((data) => outgoing.writeHead(200, { "content-type": type }).end(data));
  });
  t.after(() => other.server.close());
  const without = await page(`${other.url}/api/docs`);
  await state(without, "failed");
  await says(without, "#page", /The description did not come: there is no such thing/);
});
