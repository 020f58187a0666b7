// Decoders that the reader drops on the page: a module in the sandbox, a descriptor set. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { PbfWriter } from "pbf";
import { accessible, client, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

const whats = async (watch) => (await rows(watch)).map((row) => row.what);

/** Drops a file on the page. */
async function drop(watch, name, bytes) {
  const transfer = await watch.evaluateHandle(([file, content]) => {
    const made = new DataTransfer();
    made.items.add(new File([Uint8Array.from(content)], file));
    return made;
  }, [name, [...Buffer.from(bytes)]]);
  await watch.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

const SAY = `
  export const name = "say";
  export const title = "Said aloud";
  export const fit = ({ text }) => (text?.startsWith("say ") ? 90 : 0);
  let network = "not tried";
  async function tries() {
    const all = {
      fetch: () => fetch(OWN + "api/info"),
      elsewhere: () => fetch("http://127.0.0.1:9/"),
      module: () => import(OWN + "static/js/wstap.js"),
      worker: () => new Promise((done, fail) => { const w = new Worker(URL.createObjectURL(new Blob(["postMessage(1)"]))); w.onmessage = done; w.onerror = fail; }),
      socket: () => new Promise((done, fail) => { const s = new WebSocket(OWN.replace("http", "ws") + "ws"); s.onopen = done; s.onerror = fail; }),
      events: () => new Promise((done, fail) => { const s = new EventSource(OWN + "events"); s.onopen = done; s.onerror = fail; }),
    };
    const open = [];
    for (const [what, run] of Object.entries(all)) {
      try { await run(); open.push(what); } catch { /* as it should be */ }
    }
    network = open.length === 0 ? "all blocked" : "open: " + open;
  }
  const tried = tries();
  export function decode({ text }, state) {
    state.seen = (state.seen ?? 0) + 1;
    return { summary: "SAID " + text.slice(4).toUpperCase(), fields: { words: text.slice(4), seen: state.seen, network }, links: text.endsWith("?") ? [{ ask: "q" }] : [{ answer: "q" }] };
  }`;

test("a dropped decoder decodes rows and details with a state, in a worker without network", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 900 } });
  await state(watch, "open");
  const socket = await client(server, "a");
  socket.send("say one?");
  await until("it as it was sent", async () => (await whats(watch)).includes("say one?"));
  await drop(watch, "say.js", SAY.replaceAll("OWN", JSON.stringify(`${server.url}/`)));
  await until("the row of before", async () => (await whats(watch)).includes("SAID ONE?"));
  await says(watch, "#notice-text", /Decoder added.*Said aloud/);
  socket.send("say two");
  socket.send("something else");
  await until("the next row", async () => (await whats(watch)).includes("SAID TWO"));
  assert.ok((await whats(watch)).includes("something else"));
  const answer = await fetch(`${server.url}/api/connections/a/messages`, { method: "POST", body: "say yes" });
  assert.equal(answer.status < 300, true);
  await until("the answer", async () => (await whats(watch)).includes("SAID YES"));
  await watch.click('.event:not([hidden]):has(.what:text-is("SAID TWO")) .time');
  await until("its fields, with those before it counted", async () => /words:"two".*seen:2/s.test(await text(watch, ".decoded").catch(() => "")));
  await until("no network", async () => {
    await watch.keyboard.press("k");
    await watch.keyboard.press("j");
    return /network:"all blocked"/.test(await text(watch, ".decoded").catch(() => ""));
  });
  await accessible(watch, "own decoder");
});

test("a decoder that throws, is none or does not end is reported, and the page goes on", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 900 } });
  await state(watch, "open");
  const socket = await client(server, "a");
  socket.send("hello");
  await until("it", async () => (await whats(watch)).includes("hello"));
  await drop(watch, "none.js", "export const name = 'none';");
  await until("the refusal", async () => /none\.js is no decoder: it does not export the functions fit and decode/.test(await text(watch, "#notice-text")));
  await drop(watch, "odd.js", "this is no module");
  await until("the fault", async () => /odd\.js is no decoder/.test(await text(watch, "#notice-text")));
  await drop(watch, "broken.js", "export const name = 'broken'; export const fit = () => 50; export function decode() { throw new Error('<b>no</b>'); }");
  await until("it to be added", async () => /Decoder added.*broken/.test(await text(watch, "#notice-text")));
  await watch.click('.event:not([hidden]):has(.what:text-is("hello")) .time');
  await until("its failure", async () => /the decoder failed: <b>no<\/b>/.test(await text(watch, ".decoded .bad").catch(() => "")));
  await drop(watch, "broken.js", "export const name = 'broken'; export const title = 'Endless'; export const fit = () => { for (;;); }; export const decode = () => null;");
  await until("its end", async () => /Endless was removed: a message took longer than 2 s/.test(await text(watch, "#notice-text")));
  socket.send('{"jsonrpc":"2.0","method":"on","id":1}');
  await until("the built-in decoders", async () => (await whats(watch)).includes("on() #1"));
});

test("a dropped descriptor set names the fields of protocol buffers", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 900 } });
  await state(watch, "open");
  const socket = await client(server, "a");
  const order = new PbfWriter();
  order.writeVarintField(1, 7);
  order.writeStringField(2, "apples");
  socket.send(order.finish());
  await until("bytes", async () => (await whats(watch)).some((what) => what.startsWith("08 07 12")));
  const set = new PbfWriter();
  set.writeMessage(1, (_, file) => {
    file.writeStringField(2, "shop");
    file.writeMessage(4, (__, type) => {
      type.writeStringField(1, "Order");
      for (const [name, number, kind] of [["id", 1, 5], ["name", 2, 9]]) type.writeMessage(2, (___, field) => { field.writeStringField(1, name); field.writeVarintField(3, number); field.writeVarintField(4, 1); field.writeVarintField(5, kind); });
    });
  });
  await drop(watch, "shop.binpb", set.finish());
  await until("names", async () => (await whats(watch)).includes('Order {id: 7, name: "apples"}'));
  await watch.click('.event:not([hidden]):has(.what:text-is(\'Order {id: 7, name: "apples"}\')) .time');
  await until("its type", async () => /type:"shop\.Order".*name:"apples"/s.test(await text(watch, ".decoded").catch(() => "")));
  await watch.selectOption(".decoded select", "schema:shop.Order");
  await until("by hand", async () => /shop\.Order/.test(await text(watch, ".decoded .summary").catch(() => "")));
  await drop(watch, "not.binpb", Buffer.from("nothing"));
  await until("the refusal", async () => /not\.binpb is no decoder/.test(await text(watch, "#notice-text")));
});
