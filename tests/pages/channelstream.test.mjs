// The client of Channelstream in JavaScript, as it is in its package, in Chromium: a page of some
// web application, whose server signs calls to wstap, listens to wstap itself.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { end, page, serve, tap, until } from "./harness.mjs";

const PACKAGE = new URL("../../target/clients/channelstream/channelstream-0.7.1.tar.gz", import.meta.url).pathname;
const SECRET = "secret";

let folder;
let server;
let application;

/** A signature as itsdangerous makes it. */
function signature() {
  const url = (bytes) => Buffer.from(bytes).toString("base64url");
  const time = Buffer.alloc(4);
  time.writeUInt32BE(Math.floor(Date.now() / 1000));
  const signed = `channelstream.${url(time)}`;
  const key = createHash("sha1").update(`itsdangerous.Signersigner${SECRET}`).digest();
  return `${signed}.${url(createHmac("sha1", key).update(signed).digest())}`;
}

/** Makes a signed call to wstap. */
async function call(method, path, body) {
  const headers = { "x-channelstream-secret": signature(), "content-type": "application/json" };
  return fetch(`${server.url}/channelstream${path}`, { method, headers, body: JSON.stringify(body) });
}

/** What the application makes of what its page asks. */
const relayed = {
  "/connect": (body) => ["/connect", { ...body, user_state: { color: "red" }, state_public_keys: ["color"], channel_configs: { room: { notify_presence: true, store_history: true, notify_state: true } } }],
  "/subscribe": (body) => ["/subscribe", body],
  "/unsubscribe": (body) => ["/unsubscribe", body],
  "/message": (body) => ["/message", [body]],
  "/user_state": (body) => ["/user_state", { user: body.username, user_state: body.update_state }],
};

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "channelstream-"));
  execFileSync("tar", ["xzf", PACKAGE, "-C", folder, "--strip-components=1"]);
  server = await tap("--channelstream-secret", SECRET);
  application = await serve(async (incoming, outgoing) => {
    const { pathname } = new URL(incoming.url, "http://localhost");
    if (pathname === "/") return outgoing.setHeader("content-type", "text/html").end("<!doctype html><title>An application</title>");
    if (pathname.startsWith("/client/")) {
      outgoing.setHeader("content-type", "text/javascript");
      return outgoing.end(readFileSync(join(folder, "channelstream/static/channelstream", pathname.slice("/client/".length))));
    }
    if (!(pathname in relayed)) return outgoing.writeHead(404).end();
    const parts = [];
    for await (const part of incoming) parts.push(part);
    const [path, body] = relayed[pathname](JSON.parse(Buffer.concat(parts)));
    const answer = await call(incoming.method, path, body);
    outgoing.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  });
});

after(async () => {
  await end();
  application?.server.close();
  await server?.kill();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens a page of the application in which a user is connected. */
async function connected(username, channels, options = {}) {
  const opened = await page(application.url);
  await opened.evaluate(async ({ application, wstap, username, channels, options }) => {
    const { ChannelStreamConnection } = await import("/client/index.js");
    const connection = new ChannelStreamConnection();
    window.connection = connection;
    window.heard = [];
    window.opened = 0;
    window.answers = [];
    window.failures = [];
    Object.assign(connection, {
      username,
      channels,
      connectUrl: `${application}/connect`,
      subscribeUrl: `${application}/subscribe`,
      unsubscribeUrl: `${application}/unsubscribe`,
      messageUrl: `${application}/message`,
      messageEditUrl: `${application}/message`,
      messageDeleteUrl: `${application}/message`,
      userStateUrl: `${application}/user_state`,
      disconnectUrl: `${wstap}/channelstream/disconnect`,
      websocketUrl: `${wstap.replace("http", "ws")}/channelstream/ws`,
      longPollUrl: `${wstap}/channelstream/listen`,
      listenMessageCallback: (items) => {
        if (!Array.isArray(items)) window.failures.push(items);
        window.heard.push(...items);
      },
      listenOpenedCallback: () => { window.opened += 1; },
      setUserStateCallback: (request, data) => window.answers.push(data),
      messageCallback: (request, data) => window.answers.push(data),
      listenErrorCallback: () => window.failures.push("listening"),
      connectErrorCallback: () => window.failures.push("connect"),
      messageErrorCallback: () => window.failures.push("message"),
    }, options);
    connection.connect();
  }, { application: application.url, wstap: server.url, username, channels, options });
  await until(`${username} to listen`, () => opened.evaluate(() => window.opened > 0 && window.connection.connected));
  return opened;
}

const heard = (opened) => opened.evaluate(() => window.heard);
const failures = (opened) => opened.evaluate(() => window.failures);

test("the client connects, listens, speaks, edits, deletes and leaves by WebSocket", async () => {
  const ann = await connected("ann", ["room"]);
  const bob = await connected("bob", ["room"]);
  await until("bob's coming", async () => (await heard(ann)).some((item) => item.type === "presence" && item.user === "bob" && item.message.action === "joined" && item.state.color === "red"));
  await ann.evaluate(() => window.connection.message({ type: "message", user: "ann", channel: "room", message: { text: "hello" } }));
  await until("the message", async () => (await heard(bob)).some((item) => item.message?.text === "hello"));
  const { uuid } = (await heard(bob)).find((item) => item.message?.text === "hello");
  await ann.evaluate((uuid) => window.connection.edit({ uuid, channel: "room", message: { text: "hello!" } }), uuid);
  await until("the edit", async () => (await heard(bob)).some((item) => item.type === "message:edit" && item.uuid === uuid && item.message.text === "hello!"));
  await ann.evaluate((uuid) => window.connection.delete({ uuid, channel: "room" }), uuid);
  await until("the deletion", async () => (await heard(bob)).some((item) => item.type === "message:delete" && item.uuid === uuid));
  await ann.evaluate(() => window.connection.updateUserState({ color: "blue" }));
  await until("the state", async () => (await heard(bob)).some((item) => item.type === "user_state_change" && item.message.state.color === "blue"));
  await bob.evaluate(() => window.connection.subscribe(["other"]));
  await until("another channel", () => bob.evaluate(() => window.connection.channels.includes("other")));
  await bob.evaluate(() => window.connection.unsubscribe(["room"]));
  await until("bob's leaving", async () => (await heard(ann)).some((item) => item.type === "presence" && item.message.action === "parted"));
  assert.deepEqual(await bob.evaluate(() => window.connection.channels), ["other"]);
  await bob.evaluate(() => window.connection.disconnect());
  await until("one connection", async () => (await (await call("POST", "/admin/admin.json", {})).json()).total_connections === 1);
  assert.deepEqual([...await failures(ann), ...await failures(bob)], []);
  assert.deepEqual([...ann.faults, ...bob.faults], []);
  await ann.context().close();
  await bob.context().close();
});

test("the client listens by polls of another origin, and misses nothing between them", async () => {
  const eve = await connected("eve", ["polled"], { noWebsocket: true });
  const all = Array.from({ length: 60 }, (_, n) => n);
  for (const n of all) {
    await call("POST", "/message", [{ user: "system", channel: "polled", message: { n } }]);
    if (n % 20 === 19) await new Promise((wake) => setTimeout(wake, 400));
  }
  await until("all of them", async () => (await heard(eve)).length === all.length);
  assert.deepEqual((await heard(eve)).map((item) => item.message.n), all);
  assert.deepEqual(await failures(eve), []);
  await eve.context().close();
});

test("the client connects again after its connection was ended", async () => {
  const dan = await connected("dan", ["again"]);
  const first = await dan.evaluate(() => window.connection.connectionId);
  // The id of the client is a secret, so the connection has another one in lists.
  const listed = await (await fetch(`${server.url}/api/connections`)).json();
  const own = listed.find((connection) => connection.channels.includes("again"));
  assert.notEqual(own.connectionId, first);
  await fetch(`${server.url}/api/connections/${own.connectionId}`, { method: "DELETE" });
  await until("another connection", () => dan.evaluate((first) => window.connection.connectionId !== first && window.connection.connected, first));
  await call("POST", "/message", [{ user: "system", channel: "again", message: { text: "back" } }]);
  await until("a message", async () => (await heard(dan)).some((item) => item.message.text === "back"));
  await dan.context().close();
});

test("what the client's own signer signs is taken", async () => {
  const opened = await page(application.url);
  const token = await opened.evaluate(async (secret) => {
    const { ChannelStreamSigner } = await import("/client/index.js");
    return new ChannelStreamSigner(secret).signRequest();
  }, SECRET);
  const answer = await fetch(`${server.url}/channelstream/info`, { method: "POST", headers: { "x-channelstream-secret": token } });
  assert.equal(answer.status, 200);
  await opened.context().close();
});

test("whoever signs in sees channels, users and numbers", async () => {
  const own = await tap("--channelstream-secret", SECRET, "--channelstream-admin-secret", "pa55");
  const post = (path, body) => fetch(`${own.url}/channelstream${path}`, { method: "POST", headers: { "x-channelstream-secret": signature() }, body: JSON.stringify(body) });
  await post("/connect", { username: "<b>ann</b>", channels: ["news"], channel_configs: { news: { store_history: true } } });
  await post("/message", [{ user: "ann", channel: "news", message: { text: "<script>alert(1)</script>" } }]);
  const opened = await page(`${own.url}/channelstream/admin`);
  assert.equal(new URL(opened.url()).pathname, "/channelstream/admin/sign_in");
  await opened.fill("[name=username]", "admin");
  await opened.fill("[name=password]", "wrong");
  await opened.click("button");
  await opened.waitForLoadState();
  await opened.fill("[name=username]", "admin");
  await opened.fill("[name=password]", "pa55");
  await opened.click("button");
  await opened.waitForSelector("#channels details");
  await opened.click("#channels summary");
  assert.equal(await opened.textContent(".name"), "news");
  assert.equal(await opened.textContent(".about"), "1 connections, 1 users, 1 kept");
  assert.equal(await opened.textContent(".users"), "<b>ann</b>");
  assert.match(await opened.textContent(".history"), /<script>alert\(1\)<\/script>/);
  assert.match(await opened.textContent("#numbers"), /Connections1/);
  await post("/connect", { username: "bob", channels: ["news", "sport"] });
  await until("another channel", async () => (await opened.$$("#channels details")).length === 2);
  assert.ok(await opened.isVisible(".history"), "what was open stays open");
  if (process.env.PICTURE) await opened.screenshot({ path: process.env.PICTURE });
  await opened.click("text=Sign out");
  await opened.waitForSelector("[name=password]");
  assert.deepEqual(opened.faults, []);
  await own.kill();
});
