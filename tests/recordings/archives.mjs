// Makes the archives of others in tests/fixtures/har again: `node archives.mjs [MITMDUMP]`.
// Chromium's is written by the code of its own network panel, out of its devtools.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import WebSocket, { WebSocketServer } from "ws";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const out = (name) => new URL(`../fixtures/har/${name}`, import.meta.url).pathname;

/** A page that says some things to an echo, and closes. */
export const script = (url) => `
  new Promise((done, fail) => {
    const socket = new WebSocket(${JSON.stringify(url)}, "v2");
    socket.binaryType = "arraybuffer";
    const say = ["hello", JSON.stringify({ price: 1.5, items: [1, 2] }), new Uint8Array([0, 1, 254, 255])];
    socket.onopen = () => socket.send(say.shift());
    socket.onmessage = () => say.length ? socket.send(say.shift()) : socket.close(4000, "enough");
    socket.onclose = ({ code }) => done(code);
    socket.onerror = () => fail(new Error("no WebSocket"));
  })`;

/** An echo, and an empty page beside it. */
export async function echo() {
  const server = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<title>a page</title>"));
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const at = `127.0.0.1:${server.address().port}`;
  return { http: `http://${at}/`, ws: `ws://${at}/chat?room=7`, close: () => { sockets.close(); server.close(); server.closeAllConnections(); } };
}

export const launch = (options = {}) => chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...options.args ?? []],
});

/** Chromium's own devtools beside a page: evaluates in them, where the network panel's code is. */
export async function devtools(url, use) {
  const port = 18994;
  const browser = await launch({ args: [`--remote-debugging-port=${port}`, "--remote-allow-origins=*"] });
  const targets = async () => (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
  try {
    const page = await browser.newPage();
    await page.goto(url);
    const inspected = (await targets()).find((target) => target.url === url).id;
    const session = await browser.newBrowserCDPSession();
    const { targetId } = await session.send("Target.createTarget", { url: `devtools://devtools/bundled/devtools_app.html?ws=127.0.0.1:${port}/devtools/page/${inspected}&panel=network` });
    const tools = (await targets()).find((target) => target.id === targetId);
    const socket = new WebSocket(tools.webSocketDebuggerUrl);
    await once(socket, "open");
    const waiting = new Map();
    socket.on("message", (data) => {
      const { id, result } = JSON.parse(data);
      waiting.get(id)?.(result);
    });
    const evaluate = async (expression) => {
      const id = waiting.size + 1;
      const answer = new Promise((done) => waiting.set(id, done));
      socket.send(JSON.stringify({ id, method: "Runtime.evaluate", params: { expression, awaitPromise: true, returnByValue: true } }));
      const { result, exceptionDetails } = await answer;
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    // They are ready once they have seen the page that they look at.
    await evaluate(`(async () => {
      globalThis.Logs = await import("devtools://devtools/bundled/models/logs/logs.js");
      globalThis.HAR = await import("devtools://devtools/bundled/models/har/har.js");
      const { TargetManager } = await import("devtools://devtools/bundled/core/sdk/sdk.js").then((sdk) => sdk.TargetManager);
      while (!TargetManager.instance().primaryPageTarget()) await new Promise((wake) => setTimeout(wake, 20));
    })()`);
    return await use(evaluate, page);
  } finally {
    await browser.close();
  }
}

async function chrome(server) {
  await devtools(server.http, async (evaluate, page) => {
    while (!(await evaluate("Logs.NetworkLog.NetworkLog.instance().requests().length"))) await page.reload();
    await page.evaluate(script(server.ws));
    const archive = await evaluate(`(async () => {
      const requests = () => Logs.NetworkLog.NetworkLog.instance().requests();
      while (!requests().some((request) => request.frames().length >= 6)) await new Promise((wake) => setTimeout(wake, 20));
      return JSON.stringify({ log: await HAR.Log.Log.build(requests(), { sanitize: true }) }, null, 1);
    })()`);
    await writeFile(out("chromium.har"), archive);
  });
}

async function playwright(server) {
  const browser = await launch();
  const context = await browser.newContext({ recordHar: { path: out("playwright.har"), content: "embed" } });
  const page = await context.newPage();
  await page.goto(server.http);
  await page.evaluate(script(server.ws));
  await context.close();
  await browser.close();
}

async function mitmproxy(server, mitmdump) {
  const proxy = spawn(mitmdump, ["--listen-host", "127.0.0.1", "-p", "18993", "--set", `hardump=${out("mitmproxy.har")}`, "--mode", `reverse:${server.http}`], { stdio: ["ignore", "pipe", "inherit"] });
  await once(proxy.stdout, "data");
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto("http://127.0.0.1:18993/");
  await page.evaluate(script("ws://127.0.0.1:18993/chat?room=7"));
  await browser.close();
  const ended = once(proxy, "exit");
  proxy.kill("SIGINT");
  await ended;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const server = await echo();
  await chrome(server);
  await playwright(server);
  if (process.argv[2]) await mitmproxy(server, process.argv[2]);
  server.close();
}
