// Decoded messages in the inspector: the real decoders in the real worker, fed by recordings of real
// clients. Names are claims.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, test } from "node:test";
import { fake, sse } from "./fake.mjs";
import { accessible, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

const file = (name) => new URL(`recordings/${name}.ndjson`, import.meta.url).pathname;
const recording = async (name) => (await readFile(file(name), "utf8")).trim().split("\n");
const whats = async (watch) => (await rows(watch)).map((row) => row.what);

/** Drops files on the page. */
async function drop(watch, files) {
  const transfer = await watch.evaluateHandle((list) => {
    const made = new DataTransfer();
    for (const [name, body] of list) made.items.add(new File([body], name));
    return made;
  }, files);
  await watch.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

/** Selects a row. While rows are decoded they fold and move, so that a click may reach another one. */
const select = (watch, what) => until(`the selection of ${what}`, async () => {
  const row = `:has(.what:text-is(${JSON.stringify(what)}))`;
  await watch.click(`.event:not([hidden])${row} .time >> nth=0`);
  return (await watch.$(`.event[aria-selected="true"]${row}`)) !== null;
});

/** A row of each recording, and the fields of its decoded form in the detail. */
const RECORDINGS = {
  mqtt: ["PUBLISH home/kitchen/temp {c: 20.1}", /topic:"home\/kitchen\/temp".*payload:.*c:20\.1.*split:"over 6 messages"/s],
  mqtt5: ["PUBLISH power/now {watts: 410}", /contentType:"application\/json".*watts:410/s],
  socketio: ['upload "cat.png", <20 bytes> (attachment 1 of 1)', /args:.*"cat\.png".*text:"not really a picture"/s],
  graphql: ["next #2 {fail: null}, 1 error", /protocol:"graphql-transport-ws".*message:"it failed"/s],
  phoenix: ['room:1 phx_reply error #5 {reason: "too loud"}', /event:"phx_reply".*reason:"too loud"/s],
  stomp: ["RECEIPT r1", /command:"RECEIPT".*receipt-id:"r1"/s],
  yjs: ['update: body: "hello"', /inserts:.*parent:"body".*text:"hello"/s],
  hocuspocus: ["notes auth token t", /document:"notes".*token:"t"/s],
  actioncable: ['message ChatChannel {room: 1} speak {text: "hello"}', /command:"message".*room:1.*action:"speak"/s],
  wamp: ['EVENT com.example.prices {of: "apple", is: 3}', /topic:"com\.example\.prices"/],
  centrifugo: ['publish news {text: "hello"} #3', /method:"publish".*channel:"news"/s],
  sockjs: ["sum(2, 3) #1", /protocol:"jsonrpc".*method:"sum"/s],
  jupyter: ["execute_reply (shell) ok [1]", /type:"execute_reply".*status:"ok"/s],
};

test("recordings of real clients are decoded in rows and in detail", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 2600 } });
  await state(watch, "open");
  for (const [name, [row, fields]] of Object.entries(RECORDINGS)) {
    await drop(watch, [[`${name}.ndjson`, await readFile(file(name), "utf8")]]);
    await until(`${row} of ${name}`, async () => (await whats(watch)).includes(row));
    await select(watch, row);
    await until(`the fields of ${name}`, async () => fields.test((await watch.textContent(".decoded").catch(() => "")) ?? ""));
    assert.equal((await watch.$$(".decoded .bad")).length, 0, name);
  }
  await accessible(watch, "decoded rows");
  assert.deepEqual(watch.faults, []);
});

test("rows are decoded live, show the time to the answer, and lead to it; as sent again by a switch", async (t) => {
  const lines = await recording("socketio");
  let stream = null;
  const site = await fake({ "/events": (_, outgoing, __, open) => { open(); stream = outgoing; } });
  t.after(() => site.stop());
  const watch = await page(`${site.url}/es-client`);
  await until("the stream", () => stream !== null);
  stream.write(sse(lines.slice(0, 8)));
  await until("the request", async () => (await whats(watch)).includes('upload "cat.png", <attachment>'));
  const took = (what) => watch.textContent(`.event:not([hidden]):has(.what:text-is(${JSON.stringify(what)})) .took`);
  assert.match(await took('upload "cat.png", <attachment>'), /↩ \d+ ms/);
  assert.match(await took('ack {stored: "cat.png", bytes: 20}'), /↪ \d+ ms/);
  stream.write(sse(lines.slice(8, 9)));
  await until("a request without an answer", async () => /↩ …/.test(await took("thumbnail").catch(() => "")));
  stream.write(sse(lines.slice(9)));
  await until("its answer", async () => /↩ (<1|\d+) ms/.test(await took("thumbnail")));
  await watch.click('.event:not([hidden]):has(.what:text-is("thumbnail")) .took');
  await until("the answer is selected", async () => /ack <attachment>/.test(await watch.textContent('.event[aria-selected="true"] .what').catch(() => "")));
  await watch.keyboard.press("a");
  await until("the request is selected", async () => (await watch.textContent('.event[aria-selected="true"] .what')) === "thumbnail");
  await watch.keyboard.press("g");
  await until("as sent", async () => (await whats(watch)).includes('421["thumbnail"]'));
  assert.equal(await watch.getAttribute("#decoded", "aria-pressed"), "false");
  await watch.click("#decoded");
  await until("decoded", async () => (await whats(watch)).includes("thumbnail"));
  assert.deepEqual(watch.faults, []);
});

test("a page that is opened in the middle of a connection reads what came before", async (t) => {
  const lines = await recording("mqtt5");
  const cut = lines.length - 9;
  const site = await fake({
    "/events": (_, outgoing, __, open) => { open(); outgoing.write(sse(lines.slice(cut))); },
    "/api/events": (_, outgoing, query) => {
      const limit = Number(query.get("limit") ?? 1000);
      const until = query.has("until") ? Date.parse(query.get("until")) : Infinity;
      const kinds = query.getAll("kind");
      const found = lines.filter((line) => parseInt(line.slice(7), 10) <= until && kinds.includes(JSON.parse(line).kind));
      outgoing.writeHead(200, { "content-type": "application/x-ndjson" });
      if (query.get("format") !== "ndjson") return outgoing.end(query.get("format") === "marks" ? '{"every":1,"marks":[],"count":0,"first":null,"last":null}' : "[]");
      return outgoing.end((query.get("order") === "desc" ? found.reverse() : found).slice(0, limit).map((line) => `${line}\n`).join(""));
    },
  });
  t.after(() => site.stop());
  const watch = await page(`${site.url}/es-client`);
  await until("the packet that began before", async () => (await whats(watch)).includes("PUBLISH power/now {watts: 380}"));
  await select(watch, "PUBLISH power/now {watts: 380}");
  await until("its fields", async () => /contentType:"application\/json"/.test((await watch.textContent(".decoded").catch(() => "")) ?? ""));
  assert.doesNotMatch(await text(watch, ".decoded"), /guessed/);
});

test("the server's history is decoded too, at any place of it", async (t) => {
  const server = await tap("--open", file("stomp"));
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client?history=1`);
  await until("the frame over four messages", async () => (await whats(watch)).some((what) => /^SEND \/topic\/a \{order: 1.*\(over 4 messages\)$/.test(what)));
  await watch.goto(`${server.url}/es-client?direction=in`);
  await until("with a filter, too", async () => (await whats(watch)).some((what) => /^SEND \/topic\/a \{order: 1.*\(over 4 messages\)$/.test(what)));
});

test("text and JSON in binary messages are shown and decoded as such", async (t) => {
  const line = (n, body) => JSON.stringify({ id: `${1e12 + n}-0`, time: new Date(1e12 + n).toISOString(), kind: "message", connectionId: "a", direction: "in", opcode: "binary", size: body.length, channel: null, encoding: "base64", message: Buffer.from(body).toString("base64") });
  const site = await fake({ "/events": (_, outgoing, __, open) => { open(); outgoing.write(sse([line(1, '{"price":1.50}'), line(2, '{"jsonrpc":"2.0","method":"sum","id":1}'), line(3, "plain words"), line(4, "\u0001\u0002")])); } });
  t.after(() => site.stop());
  const watch = await page(`${site.url}/es-client`);
  await until("them", async () => (await whats(watch)).join() === '{"price":1.50},sum() #1,plain words,01 02');
  await select(watch, '{"price":1.50}');
  await until("a tree", async () => /price:1\.50/.test(await text(watch, ".raw-content .tree").catch(() => "")));
});

test("the decoded form stands beside the sent one, another decoder is chosen by hand, and may fail", async (t) => {
  const lines = (await recording("graphql")).concat(JSON.stringify({ id: `${2e12}-0`, time: new Date(2e12).toISOString(), kind: "message", connectionId: "b", direction: "in", opcode: "text", size: 5, channel: null, message: "other" }));
  const site = await fake({ "/events": (_, outgoing, __, open) => { open(); outgoing.write(sse(lines)); } });
  t.after(() => site.stop());
  const watch = await page(`${site.url}/es-client`);
  await until("the rows", async () => (await whats(watch)).includes("next #1 {now: 7}"));
  await select(watch, "next #1 {now: 7}");
  await until("the decoded form", async () => /next #1 \{now: 7\}.*protocol:"graphql-transport-ws"/s.test(await text(watch, ".decoded").catch(() => "")));
  await says(watch, ".raw-content", /id:"1"/, "beside it stands what was sent");
  await says(watch, ".decoded select", /Automatic: GraphQL over WebSocket/);
  await accessible(watch, "decoded");
  await watch.selectOption(".decoded select", "mqtt");
  await until("its failure", async () => /starts no packet/.test(await text(watch, ".decoded .bad").catch(() => "")));
  await until("rows as they were sent", async () => (await whats(watch)).some((what) => what.startsWith('{"id":"1","type":"next"')));
  await accessible(watch, "decoder that fails");
  await watch.selectOption(".decoded select", "off");
  await until("nothing", async () => (await watch.$$(".decoded .tree, .decoded .bad")).length === 0);
  await watch.selectOption(".decoded select", "auto");
  await until("decoded again", async () => (await whats(watch)).includes("next #1 {now: 7}"));
  await select(watch, "other");
  await until("no decoder", async () => /no decoder knows this message/.test(await text(watch, ".decoded")));
  assert.deepEqual(watch.faults, []);
});

test("answers fold into the rows of their requests and parts of packets into one, and unfold", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 2600 } });
  await state(watch, "open");
  await drop(watch, [["mqtt.ndjson", await readFile(file("mqtt"), "utf8")]]);
  await until("all rows", async () => (await whats(watch)).length === 85);
  await select(watch, "PUBLISH home/kitchen/temp {c: 20.1}");
  await watch.keyboard.press("b");
  await until("one row each", async () => (await whats(watch)).map((what) => what.replace(/#\d+/g, "#")).includes("PUBLISH home/kitchen/temp {c: 20.1}  ⇒ PUBACK # (over 3 messages)"));
  const folded = await whats(watch);
  assert.ok(folded.length < 20 && folded.every((what) => !/ … /.test(what)), folded.join("\n"));
  assert.match(await watch.textContent('.event[aria-selected="true"] .what'), /^PUBLISH home\/kitchen\/temp/, "the selection stays");
  await watch.keyboard.press("a");
  await until("the answer in full", async () => /type:"PUBACK"/.test(await text(watch, ".decoded").catch(() => "")));
  await accessible(watch, "folded");
  await watch.click("#fold");
  await until("all rows again", async () => (await whats(watch)).length === 85);
  assert.deepEqual(watch.faults, []);
});
