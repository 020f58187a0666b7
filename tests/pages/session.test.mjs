// Signing in on the page, and what a caller who may not do everything sees.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { BINARY, client, end, page, rows, state, tap, text, until } from "./harness.mjs";

after(end);

/** A server that asks for tokens, and a function that makes one. */
async function guarded(t) {
  const folder = mkdtempSync(join(tmpdir(), "wstap-session-"));
  const file = join(folder, "tokens");
  const token = (name, grants) => execFileSync(BINARY, ["token", "new", name, grants, "--token-file", file], { encoding: "utf8" }).trim();
  const tokens = { bob: token("bob", "observe"), ann: token("ann", "all") };
  const server = await tap("--token-file", file);
  t.after(async () => {
    await server.kill();
    rmSync(folder, { recursive: true });
  });
  return { server, tokens };
}

async function signIn(opened, token) {
  await opened.fill("#token", token);
  await opened.keyboard.press("Enter");
}

test("a page asks for a token once, says who is signed in, and asks again after a sign-out", async (t) => {
  const { server, tokens } = await guarded(t);
  const opened = await page(`${server.url}/es-client`);
  await opened.waitForSelector("#token");
  await signIn(opened, "wrong");
  await until("the refusal", async () => /not known/.test(await opened.textContent("main")));
  await signIn(opened, tokens.bob);
  await state(opened, "open");
  await until("the name", async () => /bob/.test(await text(opened, ".session")));
  await opened.goto(`${server.url}/`);
  await state(opened, "open");
  await opened.click(".session button");
  await opened.waitForSelector("#token");
});

test("what a caller may not do is refused in words, and what others do is shown", async (t) => {
  const { server, tokens } = await guarded(t);
  const opened = await page(`${server.url}/ws-client`);
  await signIn(opened, tokens.bob);
  await until("the name", async () => /bob/.test(await text(opened, ".session")));
  await opened.click("#open");
  await until("the reason", async () => /bob has no grant to connect/.test(await text(opened, "#connect-fault")));
  await opened.goto(`${server.url}/es-client`);
  await state(opened, "open");
  const socket = await client(server, "a", { headers: { authorization: `Bearer ${tokens.ann}` } });
  socket.send("hello");
  await until("both events", async () => (await rows(opened)).length === 2);
  await opened.focus("#events");
  await opened.keyboard.press("s");
  await until("the reason", async () => /bob has no grant to control/.test(await opened.textContent("body")));
  assert.deepEqual(opened.faults, []);
});
