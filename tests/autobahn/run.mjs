// Autobahn's fuzzing client against an echo server, directly and through wstap: both reports must
// be the same, case by case. `node tests/autobahn/run.mjs [--short] [--ci] [CASES]`
//
// --short  what takes a minute instead of half an hour
// --ci     no fault if there is no Python 2.7
// CASES    such as 6.*,12.1.*

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";

import { echo, proxy, until } from "../proxy/harness.mjs";

const HOME = new URL("../../target/autobahn", import.meta.url).pathname;
const SUITE = "autobahntestsuite==25.10.1";
/** The last one that makes environments of Python 2. */
const VIRTUALENV = "virtualenv==20.15.1";
/** All of framing, closing and UTF-8; some of the sizes, and of compression in each setting. */
const SHORT = [
  "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*",
  "9.1.1", "9.1.2", "9.2.2", "9.3.3", "9.4.7", "9.5.4", "9.7.1",
  "12.1.1", "12.1.5", "12.1.11", "12.2.3", "12.3.7", "12.4.10", "12.5.12",
  "13.1.2", "13.2.4", "13.3.6", "13.4.8", "13.5.10", "13.6.12", "13.7.3", "13.7.18",
];
const BEHIND = "direct";
const THROUGH = "through wstap";
/** A case that differs is run again so often: what the machine did does not show again. */
const AGAIN = 3;

async function main(words) {
  const flags = new Set(words.filter((word) => word.startsWith("--")));
  const asked = words.filter((word) => !word.startsWith("--")).flatMap((word) => word.split(","));
  const wstest = install(flags.has("--ci"));
  if (!wstest) return 0;

  const server = createServer();
  echo(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const books = new Books();
  const tap = await proxy(`ws://127.0.0.1:${server.address().port}`, [], (event) => books.take(event));

  const urls = { [BEHIND]: `ws://127.0.0.1:${server.address().port}`, [THROUGH]: tap.ws };
  const cases = asked.length > 0 ? asked : flags.has("--short") ? SHORT : ["*"];
  const report = await fuzz(wstest, urls, cases);
  let run = Object.keys(report[THROUGH]).length;
  const faults = [];
  for (const { name, verdicts } of compare(report)) {
    let again = [];
    for (let n = 0; n < AGAIN; n += 1) {
      again = compare(await fuzz(wstest, urls, [name]));
      run += 1;
      if (again.length > 0) break;
    }
    const settled = again.length === 0;
    faults.push({ name, settled, verdicts });
  }
  print(report, faults);

  const failed = faults.filter((fault) => !fault.settled).length;
  const wrong = [];
  await until("the end of every connection in the stream", () => books.closed >= run, 10_000).catch((error) => wrong.push(error.message));
  wrong.push(...books.faults(run));
  if (!tap.alive()) wrong.push(`wstap has ended: ${tap.words}`);
  else if ((await fetch(`${tap.observers}/healthz`)).status !== 200) wrong.push("wstap is not well");
  console.log(`\nstream: ${books.connected} connections, ${books.messages} messages, ${books.missed} told as missed`);
  for (const fault of wrong) console.log(`FAULT ${fault}`);
  console.log(`\n${Object.keys(report[THROUGH]).length - failed} passed, ${failed + wrong.length} failed`);

  await tap.stop();
  server.closeAllConnections();
  server.close();
  return failed + wrong.length === 0 ? 0 : 1;
}

/** Installs the suite, which is Python 2 code, below `target`; returns its program. */
function install(ci) {
  const wstest = join(HOME, "venv/bin/wstest");
  if (existsSync(wstest)) return wstest;
  const python = python2();
  if (!python) {
    if (ci) {
      console.log("skipped: Autobahn's suite needs Python 2.7, and there is none here");
      return null;
    }
    console.error(`Autobahn's suite needs Python 2.7, and there is none here. One way to it:

    pyenv install 2.7.18        (https://github.com/pyenv/pyenv)

Any other one serves too: PYTHON27=/path/to/python2.7 just autobahn`);
    process.exit(1);
  }
  console.log(`installs ${SUITE} below ${HOME}`);
  const tools = join(HOME, "tools");
  mkdirSync(HOME, { recursive: true });
  call(python, ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade", "--target", tools, VIRTUALENV]);
  call(python, ["-m", "virtualenv", "-q", join(HOME, "venv")], { PYTHONPATH: tools });
  call(join(HOME, "venv/bin/pip"), ["install", "-q", "--disable-pip-version-check", SUITE]);
  return wstest;
}

function python2() {
  const versions = join(process.env.PYENV_ROOT ?? join(homedir(), ".pyenv"), "versions");
  const installed = existsSync(versions) ? readdirSync(versions).filter((version) => version.startsWith("2.7.")).sort() : [];
  const places = [process.env.PYTHON27, ...installed.reverse().map((version) => join(versions, version, "bin/python2.7")), "python2.7", "python2"];
  // pyenv's own python2.7 may be there and say that no version is chosen.
  return places.find((place) => place && spawnSync(place, ["-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]).status === 0);
}

function call(program, args, variables = {}) {
  const { status } = spawnSync(program, args, { stdio: "inherit", env: { ...process.env, PYTHONWARNINGS: "ignore", ...variables } });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}`);
}

/** Runs cases against both; returns the verdicts of each. */
async function fuzz(wstest, urls, cases) {
  const outdir = join(HOME, "report");
  const specification = join(HOME, "fuzzingclient.json");
  rmSync(outdir, { recursive: true, force: true });
  writeFileSync(specification, JSON.stringify({
    outdir,
    servers: Object.entries(urls).map(([agent, url]) => ({ agent, url })),
    cases,
    "exclude-cases": [],
    "exclude-agent-cases": {},
  }));
  const child = spawn(wstest, ["-m", "fuzzingclient", "-s", specification], { stdio: ["ignore", "pipe", "pipe"], cwd: HOME });
  let words = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { words = (words + data).slice(-4000); });
  const [status] = await once(child, "exit");
  const index = join(outdir, "index.json");
  if (status !== 0 || !existsSync(index)) throw new Error(`wstest ended with ${status}: ${words}`);
  return JSON.parse(readFileSync(index, "utf8"));
}

const verdict = (result) => result && `${result.behavior}, close ${result.behaviorClose}, code ${result.remoteCloseCode}`;

/** Finds the cases whose verdicts differ. */
function compare(report) {
  const names = new Set(Object.values(report).flatMap(Object.keys));
  if (names.size === 0) throw new Error("no case has these names");
  const both = [...names].map((name) => ({ name, verdicts: [BEHIND, THROUGH].map((agent) => verdict(report[agent]?.[name]) ?? "not run") }));
  return both.filter(({ verdicts: [behind, through] }) => behind !== through);
}

/** Prints what came out by group, and what differs. */
function print(report, faults) {
  const groups = new Map();
  for (const [name, result] of Object.entries(report[BEHIND])) {
    const group = Number(name.split(".")[0]);
    const row = groups.get(group) ?? { cases: 0, verdicts: {} };
    row.cases += 1;
    row.verdicts[result.behavior] = (row.verdicts[result.behavior] ?? 0) + 1;
    groups.set(group, row);
  }
  console.log("| cases | number | verdicts of the echo server | through wstap |\n|---|---:|---|---|");
  for (const [group, { cases, verdicts }] of [...groups].sort(([a], [b]) => a - b)) {
    const own = faults.filter((fault) => Number(fault.name.split(".")[0]) === group);
    const words = Object.entries(verdicts).map(([name, count]) => `${count} ${name}`).join(", ");
    console.log(`| ${group}.* | ${cases} | ${words} | ${own.length === 0 ? "the same" : `${own.length} differ`} |`);
  }
  if (faults.length === 0) return;
  console.log(`\n| case | ${BEHIND} | ${THROUGH} | run again |\n|---|---|---|---|`);
  for (const { name, settled, verdicts } of faults) {
    console.log(`| ${name} | ${verdicts.join(" | ")} | ${settled ? `the same ${AGAIN} times` : "differs"} |`);
  }
}

/** Keeps the books of a stream: every connection has its connect, its messages and its close. */
class Books {
  connected = 0;
  closed = 0;
  messages = 0;
  missed = 0;
  #open = new Map();
  #last = [0, 0];
  #wrong = [];

  take(event) {
    if (event.kind === "gap") {
      this.missed += event.missed ?? 0;
      if (event.missed === null) this.#wrong.push("a gap of unknown size");
      return;
    }
    this.#order(event.id);
    const counts = this.#open.get(event.connectionId);
    if (event.kind === "connect") {
      this.connected += 1;
      this.#open.set(event.connectionId, { in: 0, out: 0 });
    } else if (!counts) {
      this.#wrong.push(`${event.kind} of ${event.connectionId}, which is not open`);
    } else if (event.kind === "message") {
      this.messages += 1;
      if (event.opcode === "text" || event.opcode === "binary") counts[event.direction] += 1;
    } else if (event.kind === "close") {
      this.closed += 1;
      this.#open.delete(event.connectionId);
      for (const direction of ["in", "out"]) {
        const said = event.messages?.[direction];
        if (said !== counts[direction]) this.#wrong.push(`${event.connectionId} closed after ${said} messages ${direction}, of which the stream had ${counts[direction]}`);
      }
    }
  }

  /** Ids only rise. */
  #order(id) {
    const [time, sequence] = id.split("-").map(Number);
    if (time < this.#last[0] || (time === this.#last[0] && sequence <= this.#last[1])) this.#wrong.push(`${id} after ${this.#last.join("-")}`);
    this.#last = [time, sequence];
  }

  /** Returns what is wrong after so many connections; what was told as missed explains it. */
  faults(connections) {
    if (this.missed > 0) return [];
    const wrong = this.#wrong.slice(0, 20);
    if (this.connected !== connections) wrong.push(`${this.connected} connections in the stream, ${connections} were made`);
    if (this.#open.size > 0) wrong.push(`${this.#open.size} connections have no end in the stream`);
    return wrong;
  }
}

process.exitCode = await main(process.argv.slice(2));
