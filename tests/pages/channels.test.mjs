// The client module and channels against the real server: in node, in a page of another origin,
// and on our own pages. Names are claims.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import WebSocket from "ws";
import { Backoff, Connection, EventStream } from "../../static/js/wstap.js";
import { connections, drawn, end, page, rows, says, serve, state, tap, text, until, violations } from "./harness.mjs";

after(end);

const RULES = `
[[channel]]
name = "news"
presence = true
history = 10

[[channel]]
name = "small"
max-members = 1

[[channel]]
name = "private/*"
private = true
`;

/** A server with those channels. */
async function hub(t, ...flags) {
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  const file = join(folder, "wstap.toml");
  await writeFile(file, RULES);
  const server = await tap("--config", file, ...flags);
  t.after(async () => {
    await server.kill();
    await rm(folder, { recursive: true });
  });
  return server;
}

function connect(t, server, id, options = {}) {
  const made = new Connection(server.url, { id, WebSocket, backoff: new Backoff({ first: 10, most: 100 }), ...options });
  t.after(() => made.close());
  return made;
}

const code = (promise) => promise.then(() => assert.fail("it should have failed"), (error) => error.code);
const ask = async (server, path) => (await fetch(`${server.url}/${path}`)).json();
const publish = (server, channel, body, query = "") => fetch(`${server.url}/api/channels/${channel}/messages${query}`, { method: "POST", headers: { "content-type": "application/json" }, body });

/** Returns the events of a channel, in order. */
function listen(channel) {
  const told = [];
  for (const type of ["message", "join", "leave", "presence", "gap", "end"]) channel.on(type, ({ data, user, users, error }) => told.push([type, data ?? user ?? users ?? error?.code ?? null]));
  return told;
}

test("who subscribes hears what is kept, who is here, who comes and goes, and what is said", async (t) => {
  const server = await hub(t);
  const ann = connect(t, server, "ann");
  const here = ann.channel("news");
  const heard = listen(here);
  const entered = await here.subscribe();
  assert.match(entered, /^\d+-\d+$/);
  const published = await here.publish({ n: 1 });
  assert.deepEqual((await ask(server, `api/events/${published}`)).message, { n: 1 });
  const bob = connect(t, server, "bob");
  const there = bob.channel("news");
  const told = listen(there);
  await there.subscribe({ last: 5 });
  await until("the past and the present", () => told.length === 2);
  assert.deepEqual(told, [["message", { n: 1 }], ["presence", ["ann", "bob"]]]);
  await there.publish("from bob");
  await publish(server, "news", '"for ann"', "?user=ann");
  // Who only calls itself ann is not the user of that name, and gets nothing that is for her.
  await until("them", () => heard.length === 4);
  assert.deepEqual(heard, [["presence", ["ann"]], ["message", { n: 1 }], ["join", "bob"], ["message", "from bob"]]);
  assert.deepEqual(here.users, ["ann", "bob"]);
  assert.equal((await fetch(`${server.url}/api/channels/news/messages`, { method: "POST", headers: { "content-type": "application/octet-stream" }, body: Uint8Array.of(0, 255) })).status, 202);
  await until("bytes", () => heard.length === 5);
  assert.deepEqual(heard[4], ["message", Uint8Array.of(0, 255)]);
  await there.unsubscribe();
  await until("the leave", () => heard.length === 6);
  assert.deepEqual([heard[5], here.users, told.some(([, data]) => data === "for ann")], [["leave", "bob"], ["ann"], false]);
  bob.close(4000, "enough");
  await until("the close", async () => (await ask(server, "api/events?kind=close")).some(({ close }) => close.code === 4000 && close.reason === "enough"));
});

test("what the server does not allow breaks its promise with the server's words", async (t) => {
  const server = await hub(t);
  const [ann, bob] = [connect(t, server, "ann"), connect(t, server, "bob")];
  assert.equal(await code(ann.channel("private/a").subscribe()), "unauthorized");
  assert.equal(ann.channel("private/a").isSubscribed, false);
  await ann.channel("small").subscribe();
  assert.equal(await code(bob.channel("small").subscribe()), "full");
  assert.equal(await code(bob.channel("a\nb").subscribe()), "malformed");
  assert.equal(await code(bob.send({ connectionId: "ann" })), "id_mismatch");
  assert.equal(await code(bob.send({ close: 1 })), "reserved_key");
  assert.match(await bob.send({ fine: true }), /^\d+-\d+$/, "and the next answer is its own");
});

test("a private channel is entered with a token, and entered again with a fresh one when that has run out", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  t.after(() => rm(folder, { recursive: true }));
  const key = join(folder, "key");
  const secret = "a secret that has thirty-two bytes and more";
  await writeFile(key, secret);
  const server = await hub(t, "--jwt-key", key, "--no-auth");
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = (exp) => {
    const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "Ann", exp, wstap: { subscribe: ["private/*"], publish: ["private/*"] } })}`;
    return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
  };
  const ann = connect(t, server, "a");
  const room = ann.channel("private/x");
  const told = listen(room);
  assert.equal(await code(room.subscribe({ token: "nonsense" })), "unauthorized");
  const now = () => Math.floor(Date.now() / 1000);
  const begun = now();
  let fetched = 0;
  await room.subscribe({ token: () => { fetched += 1; return token(fetched === 1 ? begun + 2 : begun + 3600); } });
  await room.publish(1);
  const joins = await ask(server, "api/events?kind=join");
  assert.deepEqual(joins.map(({ channel, user }) => [channel, user]), [["private/x", "Ann"]]);
  await until("the token to run out", () => now() > begun + 3);
  await publish(server, "private%2Fx", "2");
  await until("the way back", () => told.some(([type]) => type === "gap"));
  await publish(server, "private%2Fx", "3");
  await until("what comes then", () => told.at(-1)[1] === 3);
  assert.equal(fetched, 2);
  assert.equal(room.isSubscribed, true);
});

test("after the server has restarted a client is registered and subscribed again, and the hole is told", async (t) => {
  const first = await tap();
  const ann = connect(t, first, "ann");
  const news = ann.channel("news");
  const told = listen(news);
  await news.subscribe();
  await first.kill("SIGKILL");
  const waiting = news.publish("kept until there is somebody");
  const second = await tap("--listen", `127.0.0.1:${first.port}`);
  t.after(() => second.kill());
  assert.match(await waiting, /^\d+-\d+$/);
  await until("the message", () => told.some(([type]) => type === "message"));
  assert.deepEqual(told.map(([type]) => type).sort(), ["gap", "message"]);
  assert.deepEqual((await ask(second, "api/connections")).map(({ connectionId, channels }) => [connectionId, channels]), [["ann", ["news"]]]);
});

test("a channel that is left and entered again at once is entered at the server, here, and after a break", async (t) => {
  const server = await hub(t);
  const ann = connect(t, server, "ann");
  const news = ann.channel("news");
  await news.subscribe();
  await Promise.all([news.unsubscribe(), news.subscribe(), ann.channel("other").subscribe(), ann.channel("other").unsubscribe()]);
  const told = listen(news);
  await publish(server, "news", "1");
  await until("the message", () => told.some(([type]) => type === "message"));
  const back = new Promise((done) => news.on("resumed", ({ complete }) => done(complete)));
  await fetch(`${server.url}/api/connections/ann?code=4000`, { method: "DELETE" });
  assert.equal(await back, true, "nothing was published meanwhile");
  assert.equal(told.some(([type]) => type === "gap"), false);
  assert.deepEqual((await ask(server, "api/connections")).map(({ channels }) => channels), [["news"]]);
});

test("a newer connection of that name is no reason to come back", async (t) => {
  const server = await hub(t);
  const first = connect(t, server, "ann");
  const states = [];
  first.on("state", (now) => states.push(now));
  await first.send("x");
  await connect(t, server, "ann").send("y");
  await until("the end", () => states.at(-1).state === "ended");
  assert.deepEqual([states.at(-1).status, states.at(-1).code], [4409, "replaced"]);
  await fetch(`${server.url}/api/connections/ann?code=1000`, { method: "DELETE" });
  assert.equal((await ask(server, "api/events?kind=connect")).length, 2);
});

test("a connection without a name makes itself one, and keeps it", async (t) => {
  const server = await hub(t);
  const one = connect(t, server, undefined);
  const gone = new Promise((done) => one.on("state", (now) => { if (now.state === "waiting") done(now.status); }));
  await one.send(1);
  assert.match(one.id, /^[0-9a-f]{24}$/);
  await fetch(`${server.url}/api/connections/${one.id}?code=4000`, { method: "DELETE" });
  assert.equal(await gone, 4000);
  await one.send(2);
  assert.deepEqual((await ask(server, "api/events?kind=connect")).map(({ connectionId }) => connectionId), [one.id, one.id]);
});

test("the stream tells of a channel alone, by kind, and resumes without hole or double", async (t) => {
  const server = await hub(t);
  const stream = new EventStream(server.url, { channel: "news", kind: ["message", "join", "leave"], backoff: new Backoff({ first: 10, most: 50 }) });
  t.after(() => stream.close());
  const [told, open] = [[], []];
  for (const kind of ["message", "join", "leave", "connect"]) stream.on(kind, ({ type, data }) => told.push([type, data.user ?? data.connectionId, data.message]));
  stream.on("state", ({ state: now }) => { if (now === "open") open.push(now); });
  await until("the stream", () => open.length === 1);
  const ann = connect(t, server, "ann");
  const news = ann.channel("news");
  await news.subscribe();
  await ann.channel("other").subscribe();
  await ann.channel("other").publish("elsewhere");
  for (let n = 0; n < 50; n += 1) await news.publish(n);
  const [{ id }] = await ask(server, "api/listeners");
  await fetch(`${server.url}/api/listeners/${id}`, { method: "DELETE" });
  for (let n = 50; n < 100; n += 1) await news.publish(n);
  await news.unsubscribe();
  await until("all", () => told.at(-1)?.[0] === "leave");
  assert.equal(open.length, 2);
  assert.deepEqual(told, [["join", "ann", undefined], ...Array.from({ length: 100 }, (_, n) => ["message", "ann", n]), ["leave", "ann", undefined]]);
});

test("a filter that the server cannot read ends the stream with its place", async (t) => {
  const server = await hub(t);
  const stream = new EventStream(server.url, { filter: "size = 1" });
  t.after(() => stream.close());
  const now = await new Promise((done) => stream.on("state", (one) => { if (one.state === "ended") done(one); }));
  assert.deepEqual([now.status, now.code, typeof now.position], [400, "malformed", "number"]);
});

test("a page of another origin imports the module, which finds its way home", async (t) => {
  const server = await hub(t);
  const site = await serve((incoming, outgoing) => {
    if (incoming.url === "/favicon.ico") return outgoing.writeHead(204).end();
    return outgoing.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><title>elsewhere</title><script type="module">
      import { Connection, EventStream } from "${server.url}/wstap.js";
      const events = new EventStream(undefined, { kind: "message", last: 1 });
      events.on("message", ({ data }) => console.log("stream", JSON.stringify([data.connectionId, data.channel, data.message])));
      const hub = new Connection(undefined, { id: "ann" });
      const news = hub.channel("news");
      news.on("presence", ({ users }) => console.log("here", users.join()));
      news.on("message", ({ data }) => console.log("heard", JSON.stringify(data)));
      await news.subscribe();
      await news.publish({ from: location.origin });
    </script>`);
  });
  t.after(() => site.server.close());
  const elsewhere = await page(site.url);
  await until("all of it", () => elsewhere.lines.length === 3);
  const message = JSON.stringify({ from: site.url });
  assert.deepEqual([...elsewhere.lines].sort(), ["heard " + message, "here ann", `stream ["ann","news",${message}]`]);
  assert.deepEqual(elsewhere.faults, []);
  const module = await fetch(`${server.url}/wstap.js`, { headers: { origin: site.url } });
  assert.deepEqual([module.status, module.headers.get("content-type"), module.headers.get("access-control-allow-origin")], [200, "text/javascript; charset=utf-8", "*"]);
  assert.equal((await fetch(`${server.url}/wstap.js`, { headers: { "if-none-match": module.headers.get("etag") } })).status, 304);
});

test("a browser without network waits for it, and comes back at once", async (t) => {
  const server = await hub(t, "--host", "tap.test");
  const opened = await page(`http://tap.test:${server.port}/ws-client`);
  await opened.evaluate(async () => {
    const { Backoff, Connection, EventStream } = await import("/wstap.js");
    window.states = { hub: [], stream: [] };
    // So long that only the network can be the reason.
    const backoff = () => new Backoff({ first: 60_000, most: 60_000, random: () => 1 });
    const hub = new Connection(undefined, { id: "ann", backoff: backoff() });
    const stream = new EventStream(undefined, { backoff: backoff() });
    window.states.refused = [];
    new EventStream(undefined, { filter: "size =" }).on("state", ({ state }) => window.states.refused.push(state));
    hub.on("state", ({ state, words, wait }) => window.states.hub.push([state, words, wait]));
    stream.on("state", ({ state, words, wait }) => window.states.stream.push([state, words, wait]));
    window.news = hub.channel("news");
    await window.news.subscribe();
  });
  const last = (name) => opened.evaluate((which) => window.states[which].at(-1), name);
  await until("both", async () => (await last("hub"))[0] === "open" && (await last("stream"))[0] === "open");
  await opened.context().setOffline(true);
  for (const name of ["hub", "stream"]) await until(`${name} to wait`, async () => (await last(name))[0] === "waiting");
  assert.deepEqual(await last("hub"), ["waiting", "this device is offline", undefined]);
  await opened.context().setOffline(false);
  for (const name of ["hub", "stream"]) await until(`${name} to come back`, async () => (await last(name))[0] === "open");
  assert.equal(await last("refused"), "ended", "a network changes nothing about a refusal");
  assert.match(await opened.evaluate(() => window.news.publish("back")), /^\d+-\d+$/);
});

test("the client page enters channels, shows what comes back in each, publishes and leaves", async (t) => {
  const server = await hub(t);
  const bob = connect(t, server, "bob");
  await bob.channel("news").subscribe();
  const opened = await page(`${server.url}/ws-client`);
  await opened.waitForFunction(() => document.getElementById("address").value !== "");
  await opened.fill("#id", "ann");
  await opened.click("#open");
  await state(opened, "open");
  const subscribe = async (name) => {
    await opened.fill("#channel", name);
    await opened.keyboard.press("Enter");
  };
  await subscribe("");
  await says(opened, "#subscribe-fault", /1 to 256 characters/);
  await subscribe("news");
  await subscribe("a/b");
  await until("both", async () => (await opened.$$('.joined [data-state="open"]')).length === 2);
  await subscribe("private/x");
  await until("the refusal", async () => /private.*token/.test(await text(opened, "#subscribe-fault")));
  assert.equal((await opened.$$(".joined li")).length, 2);
  await bob.channel("news").publish({ price: 1 });
  await until("it", async () => /news1 message\{"price":1\}here: ann, bob/.test(await text(opened, "#joined li")));
  await opened.check("[value=json]");
  await opened.fill("#message", '{"price":1.50}');
  await opened.fill("#to", "news");
  await opened.click("#sending button.main");
  await until("the echo, with its digits", async () => /2 messages\{"price":1\.50\}/.test(await text(opened, "#joined li")));
  const [event] = await ask(server, "api/events?kind=message&order=desc&limit=1");
  await until("the answer", async () => (await opened.$$(`#log a.answer[href="es-client?event=${event.id}"]`)).length === 1);
  await opened.check("[value=binary]");
  await says(opened, "#send-check", /JSON or text/);
  await opened.check("[value=text]");
  await opened.fill("#to", "");
  await opened.fill("#message", '{"close":1}');
  await opened.click("#sending button.main");
  await until("what is not taken", async () => (await opened.$$("#log span.answer")).length === 2);
  await opened.click('[aria-label="Only these: news"]');
  const shown = () => opened.$$eval("#log li:not([hidden])", (all) => all.map((one) => one.dataset.channel));
  assert.deepEqual(new Set(await shown()), new Set(["news"]));
  await opened.click("#only");
  assert.ok((await shown()).includes("a/b"));
  const gone = connect(t, server, "cy");
  await gone.channel("news").subscribe();
  gone.close();
  await until("who came and went", async () => /cy came.*cy left/s.test(await text(opened, "#log")));
  await opened.click('[aria-label="Leave: news"]');
  await until("it to be left", async () => (await ask(server, "api/channels/news")).members.join() === "bob");
  assert.equal((await opened.$$(".joined li")).length, 1);
  await opened.click("#closing button");
  await until("the end", async () => await opened.isDisabled('[aria-label="Leave: a/b"]'));
  assert.deepEqual(opened.faults, []);
});

test("the inspector tells joins, leaves, channels and users apart, and a click selects by them", async (t) => {
  const server = await hub(t);
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  const ann = connect(t, server, "ann");
  await ann.channel("news").subscribe();
  await ann.channel("news").publish("hello");
  await ann.channel("other").publish("elsewhere");
  await publish(server, "news", '{"only":1}', "?user=ann");
  await until("all", async () => (await rows(watch)).length === 5);
  const pills = () => watch.$$eval(".event:not([hidden])", (all) => all.map((row) => [row.dataset.kind, row.querySelector(".channel").hidden ? "" : row.querySelector(".channel").textContent, row.querySelector(".what").lastChild.data]).sort());
  assert.deepEqual(await pills(), [["connect", "", (await pills())[0][2]], ["in", "news", "hello"], ["in", "other", "elsewhere"], ["join", "news", "ann came"], ["out", "news → ann", '{"only":1}']]);
  const colours = await watch.$$eval(".event:not([hidden]) .sign", (all) => all.map((one) => getComputedStyle(one).color + one.textContent));
  assert.equal(new Set(colours).size, 4, "connect, join, in (twice), out");
  await until("who is where", async () => /in news/.test((await connections(watch))[0]?.about));
  await watch.fill("#connection-search", "news");
  await until("the one in it", async () => (await connections(watch)).map(({ name }) => name).join() === "ann");
  await watch.click('.event:not([hidden]) .channel:text-is("other")', { modifiers: ["Alt"] });
  await until("that channel alone", async () => (await pills()).map(([, name]) => name).join() === "other");
  assert.match(watch.url(), /channel=other/);
  await watch.click("#conditions button");
  await until("all again", async () => (await rows(watch)).length === 5);
  await watch.keyboard.press("4");
  await until("joins", async () => (await rows(watch)).map(({ kind }) => kind).join() === "join");
  await watch.click(".event[data-kind=join]:not([hidden])");
  await says(watch, "#detail-title", /Join of a channel/);
  await says(watch, "#detail-body", /Channelnews.*Userann/s);
  await watch.keyboard.press("0");
  await until("all again", async () => (await rows(watch)).length === 5);
  await watch.click('#detail-body .value-filter:text-is("ann") >> nth=1');
  await until("what that user did", async () => /user == "ann"/.test(await watch.inputValue("#filter")) && (await rows(watch)).length > 0);
  await watch.fill("#filter", "channel == ");
  await watch.focus("#filter");
  await watch.keyboard.press("End");
  await watch.keyboard.type('"');
  await until("the channels", async () => /"news"/.test(await text(watch, "#filter-list")));
  await watch.keyboard.press("Escape");
  await watch.goto(`${server.url}/es-client?channel=news`);
  await state(watch, "open");
  await until("the link", async () => (await rows(watch)).length === 3);
  await watch.click('.event:not([hidden]):has(.channel:text-is("news → ann"))');
  await says(watch, "#detail-body", /Channelnews.*Only toann.*Publishedover HTTP/s);
  assert.equal((await watch.$$('button:text-is("Send again…")')).length, 0, "there is no connection to send to");
  ann.close();
  await until("the leave", async () => (await rows(watch)).some(({ kind }) => kind === "leave"));
  assert.deepEqual(watch.faults, []);
});

test("a recording with channels is shown and selected without a server", async (t) => {
  const server = await hub(t);
  const ann = connect(t, server, "ann");
  await ann.channel("news").subscribe();
  await ann.channel("news").publish("hello");
  await publish(server, "news", '"from the shop"');
  await ann.send("outside");
  const lines = await (await fetch(`${server.url}/api/events?format=ndjson`)).text();
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  await watch.setInputFiles("#file", { name: "x.ndjson", mimeType: "application/x-ndjson", buffer: Buffer.from(lines) });
  await state(watch, "file");
  await until("all", async () => (await rows(watch)).length === 5);
  await until("who is where", async () => /in news/.test((await connections(watch))[0]?.about));
  await watch.keyboard.press("Escape");
  await watch.click('.event[data-kind="join"]:not([hidden]) .channel', { modifiers: ["Alt"] });
  await until("the channel", async () => (await rows(watch)).map(({ kind }) => kind).join() === "join,in,out");
  assert.deepEqual(watch.faults, []);
});

test("axe finds nothing where channels are, light and dark, wide and narrow", async (t) => {
  const server = await hub(t);
  const bob = connect(t, server, "bob");
  await bob.channel("news").subscribe();
  const found = [];
  for (const [colorScheme, width] of [["light", 1440], ["dark", 1440], ["light", 390], ["dark", 390]]) {
    const options = { colorScheme, viewport: { width, height: 860 } };
    const opened = await page(`${server.url}/ws-client`, options);
    await opened.waitForFunction(() => document.getElementById("address").value !== "");
    await opened.click("#open");
    await state(opened, "open");
    for (const name of ["news", "a-channel-with-a-name-that-is-longer-than-a-narrow-window-is-wide-and-goes-on", "private/x"]) {
      await opened.fill("#channel", name);
      await opened.keyboard.press("Enter");
    }
    await until("the refusal", () => opened.isVisible("#subscribe-fault"));
    await bob.channel("news").publish({ price: 1 });
    await until("the message", async () => /1 message/.test(await text(opened, "#joined")));
    await opened.click('[aria-label="Only these: news"]');
    found.push(...await violations(opened, `client, ${colorScheme}, ${width}`));
    const [wide, room] = await opened.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= room, `${wide} in ${room}`);
    const watch = await page(`${server.url}/es-client`, options);
    await state(watch, "open");
    await until("them", async () => (await rows(watch)).some(({ kind }) => kind === "join"));
    await opened.context().close();
    await until("the end, with its leaves before it", async () => (await rows(watch)).at(-1).kind === "close");
    await drawn(watch);
    await watch.click(".event[data-kind=join]:not([hidden]) >> nth=0");
    found.push(...await violations(watch, `inspector, ${colorScheme}, ${width}`));
    await watch.context().close();
  }
  assert.deepEqual(found, []);
});
