// Recordings of real clients (recordings/make.mjs), as the worker decodes them: in order, per connection.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { FileContext } from "../../static/js/link/context.js";
import { Interpreter } from "../../static/js/link/interpreter.js";
import { Decoded } from "../../static/js/model/decoded.js";
import { connectionOf, idOf, kindOf, valueOf } from "../../static/js/model/event.js";

/** An interpreter that takes its time, on a machine that is busy. */
function patient(post = () => {}) {
  const interpreter = new Interpreter(post);
  interpreter.budget = Infinity;
  return interpreter;
}

async function recording(name) {
  return (await readFile(new URL(`recordings/${name}.ndjson`, import.meta.url), "utf8")).trim().split("\n");
}

/** The decoded rows of a recording, as the page holds them, with the direction in front. */
async function rows(name) {
  const lines = await recording(name);
  const interpreter = patient();
  interpreter.reset(new FileContext(lines));
  const decoded = new Decoded();
  for (const line of lines) {
    const brief = interpreter.see(line);
    if (brief) decoded.put([[idOf(line), brief]]);
  }
  const number = new Map(lines.map((line, n) => [idOf(line), n]));
  return lines.flatMap((line) => {
    const brief = decoded.of(line);
    if (!brief) return [];
    return [{ line, way: valueOf(line).direction, number: number.get(idOf(line)), request: number.get(brief.of?.id), ...brief }];
  });
}

/** "in: row" of each message, fragments left out. */
const words = (all) => all.filter(({ row }) => !/ … /.test(row)).map(({ way, row }) => `${way} ${row}`);

/** The rows of request and answer that are linked, "request > answer". */
const links = (all) => all.filter(({ of }) => of).map(({ request, row }) => `${all.find((one) => one.number === request).row} > ${row}`);

test("MQTT packets of a client that sends each in several messages are joined, and acks linked", async () => {
  const all = await rows("mqtt");
  assert.equal(all.length, 83, "all messages are decoded");
  const found = words(all).map((row) => row.replace(/#\d+/, "#"));
  assert.deepEqual(found.slice(0, 6), [
    'in CONNECT "kitchen" MQTT 3.1.1 (over 9 messages)', "out CONNACK (over 4 messages)", "in SUBSCRIBE home/# # (over 6 messages)", "out SUBACK # (over 4 messages)",
    "in PUBLISH home/kitchen/temp {c: 20.1}", "out PUBACK # (over 3 messages)",
  ]);
  assert.ok(found.some((row) => row.startsWith("in PUBLISH home/kitchen/picture picture picture")));
  assert.ok(all.every(({ error }) => error === undefined));
  const linked = links(all).map((one) => one.replace(/ #\d+/g, ""));
  assert.ok(linked.includes("PUBLISH home/kitchen/temp {c: 20.1} > PUBACK (over 3 messages)"));
  assert.deepEqual(linked.filter((one) => one.startsWith("PUBLISH home/kitchen/door")).map((one) => one.split(" > ")[1]).sort(), ["PUBCOMP (over 3 messages)", "PUBCOMP (over 3 messages)", "PUBREC (over 3 messages)", "PUBREC (over 3 messages)"]);
  const door = all.find(({ row, way }) => row === "PUBLISH home/kitchen/door open" && way === "in");
  assert.equal(door.answered.count, 2);
  assert.equal(door.answered.id, idOf(all.find(({ row, of }) => /PUBCOMP/.test(row) && of?.id === idOf(door.line)).line), "its end is the PUBCOMP");
});

test("MQTT 5 packets are not guessed, as the CONNECT before them says the version", async () => {
  const lines = await recording("mqtt5");
  const interpreter = patient();
  interpreter.reset(new FileContext(lines));
  const found = [];
  for (const line of lines.filter((one) => kindOf(one) === "message")) found.push(await interpreter.full(line));
  const publish = found.filter(({ fields }) => fields.type === "PUBLISH" && fields.payload);
  assert.deepEqual(publish.map(({ fields }) => [fields.version, fields.payload.watts, fields.properties.contentType]), [410, 425, 380].map((watts) => [undefined, watts, "application/json"]));
  assert.deepEqual(found.filter(({ fields }) => fields.type === "PUBACK" && fields.reason).map(({ fields }) => fields.reason.code), [16, 16, 16]);
});

test("Socket.IO attachments are put in their places, and acks answer their events", async () => {
  const all = await rows("socketio");
  assert.deepEqual(words(all).slice(1), [
    "in connect", `out connect ${all[2].row.slice(8)}`, 'out welcome {room: "lobby"}', 'in upload "cat.png", <attachment>', 'in upload "cat.png", <20 bytes> (attachment 1 of 1)',
    'out ack {stored: "cat.png", bytes: 20}', "in thumbnail", 'out ack <attachment>, {of: "cat.png"}', 'out ack <3 bytes>, {of: "cat.png"} (attachment 1 of 1)',
    "in pair <attachment>, {deep: [<attachment>]}", "in attachment 1 of 2, 2 bytes", "in pair <2 bytes>, {deep: [<1 byte>]} (attachment 2 of 2)", "in disconnect",
  ]);
  assert.deepEqual(links(all).slice(1), ['upload "cat.png", <attachment> > ack {stored: "cat.png", bytes: 20}', 'thumbnail > ack <attachment>, {of: "cat.png"}']);
});

const EXPECTED = {
  graphql: {
    rows: ["in connection_init", "out connection_ack", "in subscribe #1 query Now", "out next #1 {now: 7}", "out complete #1", "in subscribe #2 query (unnamed)", "out next #2 {fail: null}, 1 error", "out complete #2", "in subscribe #3 subscription Price", "out next #3 {price: 1}", "out next #3 {price: 2}", "out complete #3"],
    links: ["connection_init > connection_ack", "subscribe #1 query Now > next #1 {now: 7}", "subscribe #3 subscription Price > next #3 {price: 2}"],
  },
  phoenix: {
    rows: ['in room:1 phx_join #3 {as: "ada"}', "out room:1 phx_reply ok #3 {}", 'out room:1 phx_reply error #5 {reason: "too loud"}', "in room:1 picture #6 <3 bytes>"],
    links: ['room:1 shout #5 {body: "HELLO"} > room:1 phx_reply error #5 {reason: "too loud"}'],
  },
  stomp: { rows: ["out CONNECTED STOMP 1.2", "in SUBSCRIBE /topic/a", "out RECEIPT r1"], links: ["CONNECT > CONNECTED STOMP 1.2"] },
  yjs: { rows: ['in update: body: "hello"', 'in update: " world"', "in update: 1 item deleted", "in update: meta.title: {words: 2}"], links: ["sync step 1, 0 clients > sync step 2: nothing"] },
  hocuspocus: { rows: ["in notes auth token t", "out notes auth authenticated read-write", 'in notes update: body: "hello"', 'in notes stateless {look: "here"}', "out notes sync status saved"], links: ["notes auth token t > notes auth authenticated read-write"] },
  actioncable: {
    rows: ["out welcome", "in subscribe ChatChannel {room: 1}", "out confirm_subscription ChatChannel {room: 1}", 'in message ChatChannel {room: 1} speak {text: "hello"}', 'out message ChatChannel {room: 1} {said: "hello"}'],
    links: ["subscribe SecretChannel > reject_subscription SecretChannel"],
  },
  wamp: {
    rows: ["in HELLO realm1", "in SUBSCRIBE com.example.prices #1", 'out EVENT com.example.prices {of: "apple", is: 3}', "out RESULT 5 #3"],
    links: ["CALL com.example.add 2, 3 #3 > RESULT 5 #3", 'CALL com.example.none #4 > ERROR of CALL wamp.error.no_such_procedure "no com.example.none" #4'],
  },
  centrifugo: {
    rows: ['in publish news {text: "hello"} #3', 'out publish #3; push pub news {text: "hello"}', "in rpc sum {of: [2, 3]} #4", "out ping", "in pong"],
    links: ["rpc sum {of: [2, 3]} #4 > rpc {sum: 5} #4", "rpc none #5 > error #5 108 method not found"],
  },
  sockjs: { rows: ["out open", 'in "hello"', "in sum(2, 3) #1"], links: [] },
  jupyter: {
    rows: ["in execute_request (shell) \"print('hello')\\n1 + 1\"", 'out stream (iopub) stdout "hello\\n"', 'out execute_result (iopub) "2"', "out execute_reply (shell) ok [1]", "out execute_reply (shell) ok [3]", "out error (iopub) ZeroDivisionError: division by zero"],
    links: ['execute_request (shell) "1 / 0" > execute_reply (shell) error ZeroDivisionError: division by zero [4]'],
  },
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`${name}: every message of its client is decoded, and answers are linked`, async () => {
    const all = await rows(name);
    const messages = (await recording(name)).filter((line) => kindOf(line) === "message");
    assert.equal(all.length, messages.length, "all messages");
    assert.deepEqual(all.filter(({ error }) => error !== undefined), []);
    const [found, linked] = [words(all), links(all)];
    for (const row of expected.rows) assert.ok(found.includes(row), `${row}, of ${found.join("\n")}`);
    for (const link of expected.links) assert.ok(linked.includes(link), `${link}, of ${linked.join("\n")}`);
  });
}

test("a STOMP frame over several messages is one row with its body", async () => {
  const all = await rows("stomp");
  const send = all.find(({ row }) => /^SEND \/topic\/a \{order: 1/.test(row));
  assert.match(send.row, /over 4 messages/);
  assert.match(links(all).find((one) => one.startsWith("SEND")), /> RECEIPT r1$/);
});

test("a connection whose beginning was missed is decoded from its context, once and in order", async () => {
  const lines = await recording("mqtt5");
  const posted = new Map();
  let asked = 0;
  const interpreter = patient((pairs) => { for (const [id, brief] of pairs) posted.set(id, brief); });
  const file = new FileContext(lines);
  // What comes while the context is read waits for it.
  let go;
  const slow = new Promise((done) => { go = done; });
  interpreter.reset({ async context(connection, line) { asked += 1; await slow; return file.context(connection, line); } });
  const from = lines.findIndex((line) => idOf(line) === idOf(lines[30]));
  // The page asks for the first of three that have come.
  const [seen, shown, rest] = [lines.slice(from, from + 3), lines[from], lines.slice(from + 3)];
  for (const line of seen) interpreter.see(line);
  interpreter.ask([shown]);
  for (const line of rest.slice(0, -1)) assert.equal(interpreter.see(line), undefined, "it waits");
  go();
  for (let n = 0; !posted.has(idOf(rest.at(-2))); n += 1) {
    assert.ok(n < 1000, "the briefs came");
    await new Promise((wake) => setTimeout(wake, 5));
  }
  assert.equal(asked, 1);
  const fragments = lines.slice(from, -1).map((line) => posted.get(idOf(line)));
  assert.ok(fragments.every((brief) => brief && brief.error === undefined), "none is missing between");
  assert.equal(posted.get(idOf(lines.findLast((line) => posted.get(idOf(line))?.row.startsWith("PUBLISH")))).row, "PUBLISH power/now {watts: 380}");
});

test("an unfinished packet ends with a gap, and facts of the connection stay", async () => {
  const lines = await recording("mqtt5");
  const interpreter = patient();
  interpreter.reset(new FileContext(lines));
  const publish = lines.findIndex((line) => kindOf(line) === "message" && valueOf(line).direction === "in" && valueOf(line).message === "Mg==");
  assert.ok(publish > 0, "the first byte of the first PUBLISH");
  const answer = lines.findIndex((line, n) => n > publish && valueOf(line).direction === "out");
  const rowsOf = lines.slice(0, publish + 4).map((line) => interpreter.see(line)?.row);
  interpreter.see('{"kind":"gap","missed":4}');
  rowsOf.push(...lines.slice(answer).map((line) => interpreter.see(line)?.row));
  assert.ok(!rowsOf.includes("PUBLISH power/now {watts: 410}"));
  assert.ok(rowsOf.includes("PUBLISH power/now {watts: 425}"), "in step again");
});

test("a redacted message is not decoded, and JSON is decoded around a redacted value", async () => {
  const interpreter = patient();
  interpreter.reset({ isComplete: true });
  const line = (n, more) => JSON.stringify({ id: `${1000 + n}-0`, time: new Date(1000 + n).toISOString(), kind: "message", connectionId: "a", direction: "in", opcode: "text", size: 10, channel: null, ...more });
  interpreter.see('{"id":"1000-0","time":"1970-01-01T00:00:01.000Z","kind":"connect","connectionId":"a","path":"/mqtt","subprotocol":"mqtt"}');
  assert.equal(interpreter.see(line(1, { opcode: "binary", message: "[redacted]" })), null);
  assert.equal(interpreter.see(line(2, { opcode: "binary", encoding: "base64", message: "wAA=" })).row, "PINGREQ");
  interpreter.reset({ isComplete: true });
  const redacted = '42["login",{"password":[redacted]}]';
  assert.equal(interpreter.see(line(3, { message: redacted, size: redacted.length })).row, 'login {password: "[redacted]"}');
  assert.equal(connectionOf(line(3, {})), "a");
});
