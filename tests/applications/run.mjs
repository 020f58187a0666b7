// Real applications behind wstap: node tests/applications/run.mjs [--ci] [NAME]...
//
// Each application is installed from its registry, started on a free port, and used twice by the same steps:
// directly, and through `wstap http://127.0.0.1:PORT`. Its users' browser is a headless Chromium; where there
// are no pages, the protocol's own client. Both ways must give the same result, and the tap must show
// every connection with its path, subprotocol and messages, and no violation or gap.
//
// Without a name all run, and the table of docs/proxy.md is written. `--ci` runs those that install fast.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { applications } from "./applications.mjs";
import { closeBrowser, open } from "./browser.mjs";
import { compare, observe } from "./check.mjs";
import { HERE, install } from "./install.mjs";
import { freePort, start, stopAll, until, within } from "./process.mjs";
import { write } from "./table.mjs";
import { tap } from "./tap.mjs";

const { values, positionals } = parseArgs({ options: { ci: { type: "boolean" } }, allowPositionals: true });
const known = applications.map(({ name }) => name);
for (const name of positionals) {
  if (!known.includes(name)) {
    console.error(`${name} is none of ${known.join(", ")}`);
    process.exit(2);
  }
}

const wanted = applications.filter(({ name, ci }) => (positionals.length ? positionals.includes(name) : !values.ci || ci));
const rows = [];
for (const application of wanted) {
  const began = Date.now();
  const row = await one(application).catch((error) => ({ name: application.name, fault: error.message }));
  await stopAll();
  rows.push(row);
  const seconds = ((Date.now() - began) / 1000).toFixed(0);
  console.log(`${row.missing || row.fault ? "not ok" : "ok"} ${application.name} ${row.version ?? ""} (${seconds} s): ${row.missing ?? row.fault ?? row.tap.join("; ")}`);
}
await closeBrowser();

const bad = rows.filter((row) => row.fault || (row.missing && values.ci));
if (!values.ci && !positionals.length && !bad.length) write(rows);
console.log(`${rows.length - bad.length} passed, ${bad.length} failed`);
process.exit(bad.length ? 1 : 0);

/** Runs one application. Returns its row of the table. */
async function one(application) {
  const { name, works } = application;
  let place;
  try {
    place = install(application);
  } catch (error) {
    return { name, missing: `cannot be installed: ${error.message}` };
  }
  const folder = join(place.folder, "run");
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const given = { port, folder, modules: place.folder, programs: join(HERE, "programs"), freePort };
  const { command, env, cwd = folder, before = [] } = await application.start(given);
  for (const [n, first] of before.entries()) start(first, { cwd: folder, env: { ...place.env, ...env }, log: join(folder, `before-${n}.log`) });
  const server = start(command, { cwd, env: { ...place.env, ...env }, log: join(folder, "server.log") });
  const address = `http://127.0.0.1:${port}`;
  await until(`an answer of ${name}`, async () => {
    server.check();
    return (await fetch(`${address}${application.ready ?? "/"}`).catch(() => null)) !== null;
  });

  const direct = await use(application, address, "directly", given);
  const observer = await tap(address, folder);
  const through = await use(application, observer.url, "through", given);
  compare(direct, through);
  const seen = await observe(application, observer, through);
  await observer.stop();
  await server.stop();
  return { name, version: place.version, works, tap: seen };
}

/** The steps of a user, with a word of their own, by which their messages are found. */
async function use(application, url, way, given) {
  const mark = `mark${way}${Math.random().toString(36).slice(2, 8)}`;
  const pages = [];
  const visit = async (path) => {
    const opened = await open(`${url}${path}`);
    pages.push(opened);
    return opened.page;
  };
  try {
    const result = await within(`the steps of ${application.name} ${way}`, application.use({ ...given, url, ws: url.replace("http", "ws"), mark, visit }));
    return { way, url, mark, result, pages: pages.map(({ seen }) => seen) };
  } catch (error) {
    const page = pages.at(-1)?.page;
    await page?.screenshot({ path: join(given.folder, `${way}.png`) }).catch(() => {});
    const { faults, sockets } = pages.at(-1)?.seen ?? {};
    throw new Error(`${way}: ${error.message.split("\n").slice(0, 3).join(" ")}; ${JSON.stringify({ faults, sockets })}`);
  } finally {
    for (const { close } of pages) await close();
  }
}
