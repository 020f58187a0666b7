// Processes that a run starts and ends, and waits that have a limit.

import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";

/** Applications such as Next compile themselves at the first request. */
export const LIMIT = 120_000;

/** Waits until something holds, and returns it. */
export async function until(what, condition, limit = LIMIT) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come within ${limit / 1000} s`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

/** Gives a promise a limit. */
export function within(what, promise, limit = LIMIT) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what} did not come within ${limit / 1000} s`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function freePort() {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

const running = new Set();

/** Starts a process group. Its words go to a file, and `words()` has the end of them. */
export function start([program, ...args], { cwd, env, log }) {
  const child = spawn(program, args.map(String), { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const file = createWriteStream(log);
  let words = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => {
      file.write(data);
      words = (words + data).slice(-65_536);
    });
  }
  let failed;
  child.on("error", (error) => { failed = error; });
  const ended = new Promise((done) => child.once("close", done).once("error", done));
  const group = {
    words: () => words,
    check: () => {
      if (failed) throw failed;
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}: ${words.trim().split("\n").slice(-3).join(" ")}`);
    },
    stop: async () => {
      running.delete(group);
      signal(child.pid, "SIGTERM");
      await within(`the end of ${program}`, ended, 15_000).catch(() => {});
      // What a process has started may outlive it.
      signal(child.pid, "SIGKILL");
      await within(`the end of ${program}`, ended, 5_000);
      file.end();
    },
  };
  running.add(group);
  return group;
}

function signal(group, name) {
  if (group === undefined) return;
  try {
    process.kill(-group, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** Ends all that still runs. */
export const stopAll = () => Promise.allSettled([...running].map((group) => group.stop()));
