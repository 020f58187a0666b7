// wstap as a program, with a limit to every wait.

import { spawn } from "node:child_process";
import { once } from "node:events";

const BINARY = process.env.WSTAP_BINARY ?? new URL("../../target/debug/wstap", import.meta.url).pathname;
export const LIMIT = 20_000;

/** Waits until something holds. */
export async function until(what, condition) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come within ${LIMIT} ms`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

/** Runs a command to its end. */
export async function wstap(...args) {
  const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"], timeout: LIMIT });
  let [out, words] = ["", ""];
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { words += data; });
  const [code] = await once(child, "close");
  return { code, out, words };
}

/** Runs a command until the test is over, once it has said something. */
export async function running(t, ready, ...args) {
  const child = spawn(BINARY, args, { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.on("data", (data) => { words += data; });
  const ended = once(child, "exit");
  const stop = (signal = "SIGTERM") => {
    child.kill(signal);
    return ended;
  };
  t.after(() => stop());
  await until(ready, () => {
    if (child.exitCode !== null) throw new Error(`wstap ended: ${words}`);
    return words.includes(ready);
  });
  return { get words() { return words; }, stop };
}
