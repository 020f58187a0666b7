// A server of its own for each test, a real Chromium, and a limit to every wait.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { chromium } from "playwright-core";
import WebSocket from "ws";

export const BINARY = process.env.WSTAP_BINARY ?? new URL("../../target/debug/wstap", import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const LIMIT = 20_000;

/** Waits until something holds. */
export async function until(what, condition) {
  const end = Date.now() + LIMIT;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what} did not come within ${LIMIT} ms`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** Runs wstap; resolves when it is ready. */
export async function tap(...flags) {
  const args = flags.includes("--listen") ? flags : ["--listen", "127.0.0.1:0", ...flags];
  const child = spawn(BINARY, args, { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.on("data", (data) => { words += data; });
  await until("a server", () => {
    if (child.exitCode !== null) throw new Error(`wstap ended: ${words}`);
    return words.includes("Ctrl-C stops.");
  });
  const url = /Events\s+(http:\S+)\/events/.exec(words)[1];
  const ended = new Promise((done) => child.once("exit", done));
  return {
    url,
    port: new URL(url).port,
    words,
    kill: (signal = "SIGTERM") => {
      child.kill(signal);
      return ended;
    },
  };
}

/** A WebSocket that is registered. */
export async function client(server, id, options = {}) {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, options);
  await new Promise((open, fail) => socket.once("open", open).once("error", fail));
  socket.send(JSON.stringify({ connectionId: id }));
  return socket;
}

/** What the browser says by itself about a server that is gone, full or refuses. */
function isExpected(message) {
  return /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|WebSocket connection to|status of (400|401|403|404|503)/.test(message.text())
    && !/\/static\//.test(message.location().url);
}

let browser;

/** Opens a page; what it says against the rules fails the test at `page.check()`. */
export async function page(url, options = {}) {
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
      // A name that is not the machine's own, for what loopback is excepted from.
      "--host-resolver-rules=MAP tap.test 127.0.0.1"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const opened = await context.newPage();
  opened.setDefaultTimeout(LIMIT);
  opened.lines = [];
  opened.faults = [];
  opened.on("console", (message) => {
    opened.lines.push(message.text());
    if (message.type() === "error" && !isExpected(message)) opened.faults.push(`${message.text()} ${message.location().url}`);
  });
  opened.on("pageerror", (error) => opened.faults.push(String(error)));
  await opened.goto(url);
  return opened;
}

/** Lines of the inspector's list, as they stand from top to bottom. */
export const rows = (watch) => watch.$$eval(".event:not([hidden])", (all) => all
  .sort((a, b) => a.getAttribute("aria-posinset") - b.getAttribute("aria-posinset"))
  .map((row) => Object.fromEntries([["kind", row.dataset.kind], ...["who", "what", "size", "time"].map((name) => [name, row.querySelector(`.${name}`).textContent])])));

/** Connections in the inspector's list, from top to bottom. */
export const connections = (watch) => watch.$$eval(".connection:not([hidden])", (all) => all
  .sort((a, b) => a.getAttribute("aria-posinset") - b.getAttribute("aria-posinset"))
  .map((row) => ({ name: row.querySelector(".name").textContent, about: row.querySelector(".about").textContent, open: row.dataset.open === "true" })));

export const text = (watch, selector) => watch.textContent(selector);

/** Waits until an element says something: a text, or what a pattern matches. */
export async function says(watch, selector, expected, why = "") {
  let said;
  const fits = async () => {
    said = await text(watch, selector);
    return expected instanceof RegExp ? expected.test(said) : said === expected;
  };
  await until(`${expected} in ${selector}`, fits).catch((error) => assert.fail(`${why} ${error.message}: ${said}`));
}

export const state = (watch, name) => watch.waitForSelector(`#status[data-state="${name}"]`);

/** Waits until what has changed is drawn. */
export const drawn = (watch) => watch.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))));

let axe;

/** What axe finds on a page, a sentence each. */
export async function violations(opened, name) {
  axe ??= await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
  await opened.waitForTimeout(250);
  if (!await opened.evaluate(() => "axe" in window)) {
    // Through the devtools, as an extension: the page itself may run no such script.
    const tools = await opened.context().newCDPSession(opened);
    await tools.send("Runtime.evaluate", { expression: `${axe};0`, allowUnsafeEvalBlockedByCSP: true });
    await tools.detach();
  }
  const found = await opened.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations);
  return found.map((one) => `${name}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

/** Asserts that axe finds nothing on a page as it stands, light and dark. */
export async function accessible(opened, name) {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await opened.emulateMedia({ colorScheme });
    found.push(...await violations(opened, `${name}, ${colorScheme}`));
  }
  assert.deepEqual(found, []);
}

export async function end() {
  await browser?.close();
  browser = undefined;
}

/** Serves other pages, or a prefix in front of a server, as a reverse proxy would. */
export async function serve(answer, port = 0) {
  const server = createServer(answer);
  await new Promise((ready, fail) => server.once("error", fail).listen(port, "127.0.0.1", ready));
  return { server, url: `http://localhost:${server.address().port}` };
}

/** A reverse proxy that puts a prefix in front of all paths, WebSockets included. */
export async function prefixed(prefix, target) {
  const { port } = new URL(target);
  const options = (incoming) => ({ port, path: incoming.url.slice(prefix.length) || "/", method: incoming.method, headers: { ...incoming.headers, host: `127.0.0.1:${port}` } });
  const proxy = await serve((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${prefix}/`)) return outgoing.writeHead(404).end();
    const onward = request(options(incoming), (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    outgoing.on("close", () => onward.destroy());
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  proxy.server.on("upgrade", (incoming, socket) => {
    const onward = request(options(incoming));
    onward.on("upgrade", (answer, other) => {
      const head = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${head}\r\n`);
      socket.pipe(other).pipe(socket);
      for (const end of [socket, other]) end.on("error", () => { socket.destroy(); other.destroy(); });
    });
    onward.end();
  });
  return proxy;
}
