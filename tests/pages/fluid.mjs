// How fluid the inspector stays while 10,000 events a second come for a minute: frames, how busy
// the main thread is, memory, and counts. `node fluid.mjs [SECONDS] [PER_SECOND] [decoded] [TRACE]`
// prints the figures and saves a trace of the browser if it is given a file; wants a release build.
// `decoded` sends Socket.IO packets, so that each row is decoded; else it is JSON of no protocol.

import { writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { client, end, page, tap, until } from "./harness.mjs";

const seconds = Number(process.argv[2] ?? 60);
const perSecond = Number(process.argv[3] ?? 10_000);
const isDecoded = process.argv[4] === "decoded";
const trace = process.argv[isDecoded ? 5 : 4];
const MARGIN = 3;

const server = await tap("--max-connections", "100");
const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 900 } });
await watch.waitForSelector('#status[data-state="open"]');
const devtools = await watch.context().newCDPSession(watch);
// In processor time: what other programs take on the same machine is not the page's.
await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
const sockets = await Promise.all(Array.from({ length: 20 }, (_, n) => client(server, `client-${n}`)));
const padding = "x".repeat(120);

/** Sends at a steady rate, whatever the timer does. */
function flood(ms) {
  const began = performance.now();
  let sent = 0;
  return new Promise((done) => {
    const timer = setInterval(() => {
      const now = Math.min(ms, performance.now() - began);
      for (const due = Math.floor((now * perSecond) / 1000); sent < due; sent += 1) {
        const json = `{"type":"tick","n":${sent},"price":${(100 + (sent % 997) / 7).toFixed(2)},"padding":"${padding}"}`;
        sockets[sent % sockets.length].send(isDecoded ? `42["tick",${json}]` : json);
      }
      if (now >= ms) {
        clearInterval(timer);
        done(sent);
      }
    }, 5);
  });
}

async function metrics() {
  const { metrics: all } = await devtools.send("Performance.getMetrics");
  const found = Object.fromEntries(all.map(({ name, value }) => [name, value]));
  return { busy: found.TaskDuration, at: performance.now() / 1000 };
}

async function heap() {
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  return usedSize / 1048576;
}

// Fills the list first, so that what is measured is the steady state.
await flood(6000);
const before = await heap();
if (trace) await devtools.send("Tracing.start", { transferMode: "ReturnAsStream", traceConfig: { includedCategories: ["devtools.timeline", "toplevel", "v8"] } });
await watch.evaluate(() => {
  window.frames_ = [];
  window.long_ = [];
  new PerformanceObserver((list) => window.long_.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
  let last = 0;
  requestAnimationFrame(function next(now) {
    if (last) window.frames_.push(now - last);
    last = now;
    if (!window.over_) requestAnimationFrame(next);
  });
});
const start = await metrics();
const sent = await flood(seconds * 1000);
const stop = await metrics();
const { frames, long } = await watch.evaluate(() => {
  window.over_ = true;
  return { frames: window.frames_, long: window.long_ };
});
if (trace) await saveTrace();
const after = await heap();
await until("all of it", async () => (await (await fetch(`${server.url}/api/info`)).json()).now.events >= sent);
await new Promise((wake) => setTimeout(wake, 1500));
const counts = await watch.textContent("#counts");
const { now } = await (await fetch(`${server.url}/api/info`)).json();
const sorted = [...frames].sort((a, b) => a - b);
const total = frames.reduce((sum, ms) => sum + ms, 0);
const figures = {
  "events a second, sent": Math.round(sent / seconds),
  "frames a second": (frames.length / (total / 1000)).toFixed(1),
  "longest frame, ms": sorted.at(-1).toFixed(1),
  "99th percentile of frames, ms": sorted[Math.floor(sorted.length * 0.99)].toFixed(1),
  "long tasks (over 50 ms)": long.length,
  "main thread busy (processor)": `${(((stop.busy - start.busy) / (stop.at - start.at)) * 100).toFixed(1)} %`,
  "heap before, MiB": before.toFixed(1),
  "heap after, MiB": after.toFixed(1),
  "load of the machine": loadavg()[0].toFixed(1),
  "events in the server": now.events,
  "the page says": counts,
};
for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(32)}${value}`);
for (const socket of sockets) socket.terminate();
await end();
await server.kill();
const told = Number(/^([\d,]+) events/.exec(counts)[1].replaceAll(",", "")) + Number(/([\d,]+) came faster/.exec(counts)?.[1].replaceAll(",", "") ?? 0);
if (told + MARGIN * sockets.length < now.events) {
  console.error(`${now.events - told} events are not accounted for`);
  process.exitCode = 1;
}

async function saveTrace() {
  const complete = new Promise((done) => devtools.once("Tracing.tracingComplete", done));
  await devtools.send("Tracing.end");
  const { stream } = await complete;
  let text = "";
  for (;;) {
    const { data, eof } = await devtools.send("IO.read", { handle: stream, size: 1 << 20 });
    text += data;
    if (eof) break;
  }
  await writeFile(trace, text);
}
