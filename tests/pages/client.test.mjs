// The client as programs and pages use it: the suite of client/suite.mjs in node, with the package that
// npm has installed, and in Chromium and Firefox, with the modules of a server of another origin.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { connect as dial, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { start } from "./client/peer.mjs";
import { run } from "./client/suite.mjs";
import { end, LIMIT, page, tap, until } from "./harness.mjs";

const ROOT = new URL("../../", import.meta.url).pathname;
const PACKAGE = join(ROOT, "static/js/wstap");
const FIREFOX = process.env.FIREFOX ?? "firefox-esr";

const RULES = `
[[channel]]
name = "kept/*"
history = 100
`;

/** A folder with the package installed, a real server, and a server that does what tests want. */
let folder, server, peer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "wstap-"));
  await writeFile(join(folder, "wstap.toml"), RULES);
  await writeFile(join(folder, "package.json"), '{"type":"module"}');
  execFileSync("npm", ["install", "--offline", "--install-links", "--no-audit", "--no-fund", "--loglevel=error", PACKAGE], { cwd: folder, stdio: "pipe" });
  peer = await start();
  // Pages of that origin may change something too.
  server = await tap("--config", join(folder, "wstap.toml"), "--cors-origin", peer.url);
});

after(async () => {
  await end();
  peer?.stop();
  await server?.kill();
  await rm(folder, { recursive: true });
});

/** The package, as a program in that folder imports it. */
const installed = () => import(createRequire(join(folder, "x.js")).resolve("wstap"));

function hold(results) {
  const faults = results.filter(({ fault }) => fault).map(({ name, fault }) => `${name}: ${fault}`);
  assert.deepEqual(faults, []);
  assert.ok(results.length >= 20, `${results.length} tests`);
}

test("the suite holds in node, with the installed package", async (t) => {
  const unhandled = [];
  const note = (reason) => unhandled.push(String(reason));
  process.on("unhandledRejection", note);
  t.after(() => process.off("unhandledRejection", note));
  hold(await run({ ...await installed(), WebSocket: globalThis.WebSocket ?? WebSocket, tap: server.url, peer: peer.url, unhandled }));
});

test("the suite holds in Chromium, with the module of a server of another origin", async () => {
  const results = peer.results();
  const opened = await page(`${peer.url}/suite.html?tap=${encodeURIComponent(server.url)}`);
  const { agent, results: found } = await results;
  assert.match(agent, /Chrom/);
  hold(found);
  await opened.context().close();
});

/** Keeps a new profile of Firefox from everything but the page. */
const PREFERENCES = {
  "app.update.enabled": false, "browser.aboutwelcome.enabled": false, "browser.shell.checkDefaultBrowser": false, "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false, "toolkit.telemetry.reportingpolicy.firstRun": false, "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false, "services.settings.server": "data:,", "browser.safebrowsing.malware.enabled": false, "browser.safebrowsing.phishing.enabled": false,
};

test("the suite holds in Firefox, with the module of a server of another origin", async (t) => {
  const profile = join(folder, "firefox");
  await mkdir(profile);
  await writeFile(join(profile, "user.js"), Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(""));
  const results = peer.results();
  const url = `${peer.url}/suite.html?tap=${encodeURIComponent(server.url)}`;
  const child = spawn(FIREFOX, ["--headless", "--no-remote", "--profile", profile, url], { env: { ...process.env, HOME: profile, MOZ_HEADLESS: "1" }, stdio: ["ignore", "pipe", "pipe"] });
  const gone = new Promise((done) => { child.once("exit", done); child.once("error", done); });
  t.after(async () => {
    child.kill("SIGKILL");
    await gone;
  });
  let words = "";
  for (const pipe of [child.stdout, child.stderr]) pipe?.on("data", (data) => { words += data; });
  const early = gone.then((reason) => { throw new Error(`${FIREFOX} ended: ${reason} ${words}`); });
  const late = new Promise((_, fail) => { setTimeout(() => fail(new Error(`no result: ${words}`)), 6 * LIMIT).unref(); });
  const { agent, results: found } = await Promise.race([results, early, late]);
  assert.match(agent, /Firefox/);
  hold(found);
});

test("the types of the package hold under tsc --strict", async () => {
  await copyFile(join(ROOT, "tests/pages/client/types.ts"), join(folder, "types.ts"));
  const tsc = join(ROOT, "tests/pages/node_modules/typescript/bin/tsc");
  const options = { strict: true, noEmit: true, target: "es2022", module: "nodenext", lib: ["es2022", "dom", "dom.iterable"], types: [] };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["types.ts"] }));
  const checked = spawnSync(process.execPath, [tsc, "-p", folder], { encoding: "utf8" });
  assert.deepEqual([checked.status, checked.stdout], [0, ""]);
});

test("the package has the version of the program, and all that it exports has types", async () => {
  const { version } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  assert.equal(version, /^version = "(.+)"$/m.exec(await readFile(join(ROOT, "Cargo.toml"), "utf8"))[1]);
  const types = await readFile(join(PACKAGE, "index.d.ts"), "utf8");
  const typed = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name).filter((name) => name !== "Target");
  assert.deepEqual(Object.keys(await installed()).sort(), typed.sort());
});

test("a page requests all modules at once, from any origin", async (t) => {
  const open = await tap();
  t.after(() => open.kill());
  const root = await (await fetch(`${open.url}/wstap.js`)).text();
  const named = [...root.matchAll(/"\.\/wstap\/(\w+\.js)"/g)].map(([, name]) => name);
  const all = (await readdir(PACKAGE)).filter((name) => name.endsWith(".js"));
  assert.deepEqual(named.sort(), all.sort());
  for (const name of all) {
    const part = await fetch(`${open.url}/wstap/${name}`, { headers: { origin: peer.url } });
    assert.deepEqual([part.status, part.headers.get("content-type"), part.headers.get("access-control-allow-origin")], [200, "text/javascript; charset=utf-8", "*"], name);
  }
  assert.equal((await fetch(`${open.url}/wstap/none.js`)).status, 404);
});

test("a break that the server has not noticed ends nothing, even where it rejects an id that is taken", async (t) => {
  const strict = await tap("--duplicate-id", "reject");
  t.after(() => strict.kill());
  // A network that swallows everything from one moment on, without a word to either side.
  let isDead = false;
  const pipes = [];
  const network = createServer((near) => {
    const far = dial(strict.port, "127.0.0.1");
    pipes.push(near, far);
    const mine = pipes.length === 2;
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (data) => { if (!mine || !isDead) to.write(data); });
      from.on("error", () => {});
      from.on("close", () => { if (!mine || !isDead) to.destroy(); });
    }
  });
  await new Promise((ready) => network.listen(0, "127.0.0.1", ready));
  t.after(() => {
    for (const pipe of pipes) pipe.destroy();
    network.close();
  });
  const { Connection, Backoff } = await installed();
  const hub = new Connection(`ws://127.0.0.1:${network.address().port}/ws`, { id: "ann", WebSocket, heartbeat: 100, timeout: 500, backoff: new Backoff({ first: 1, most: 5 }) });
  t.after(() => hub.close());
  const states = [];
  hub.on("state", (state) => states.push(state));
  await hub.send("before");
  isDead = true;
  await until("the break", () => states.some(({ state }) => state === "waiting"));
  assert.match(await hub.send("after"), /^\d+-\d+$/);
  assert.deepEqual(states.map(({ state }) => state), ["connecting", "open", "waiting", "connecting", "open"]);
  const closes = await (await fetch(`${strict.url}/api/events?kind=close`)).json();
  assert.deepEqual(closes.map(({ close }) => [close.code, close.by]), [[4408, "tap"]]);
  const other = new Connection(strict.url, { id: "ann", WebSocket });
  t.after(() => other.close());
  await assert.rejects(other.ready, { code: "replaced" });
});
