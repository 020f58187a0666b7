// The decoders under hostile traffic: nothing throws, runs on, or grows beyond its bounds.

import assert from "node:assert/strict";
import { test } from "node:test";
import { LIMITS } from "../../static/js/decode/bounded.js";
import { decode, decodersFor, names } from "../../static/js/decode/index.js";
import { dice } from "./decode.kit.mjs";

/** Where the random numbers begin: the same on every run, unless the fuzzer says otherwise. */
const SEED = Number(process.env.WSTAP_SEED ?? 0);

/** Messages that a test tries. */
const ROUNDS = 3000;

function message({ text = null, bytes = null, ...more }) {
  let value;
  try {
    value = text === null ? undefined : JSON.parse(text);
  } catch { /* it need not be JSON */ }
  return { subprotocol: null, path: "/", opcode: text === null ? "binary" : "text", text, bytes, value, ...more };
}

/** What every result keeps, whatever the message was. */
function check(result, name) {
  assert.equal(result.name, name);
  assert.equal(typeof result.summary, "string");
  assert.ok(result.summary.length < 4000 && !/[\n\r\u202e]/.test(result.summary), "one line of some length");
  assert.ok(result.error === undefined || (typeof result.error === "string" && result.error.length < 4000));
  measure(result.fields);
  JSON.stringify(result.fields);
}

/** Walks fields without recursion, as they may be what should not be. */
function measure(fields) {
  let count = 0;
  const open = [[fields, 0]];
  while (open.length > 0) {
    const [value, depth] = open.pop();
    count += 1;
    assert.ok(depth <= LIMITS.depth + 1, "no deeper than said");
    assert.ok(value === null || ["string", "boolean"].includes(typeof value) || Number.isFinite(value) || (typeof value === "object" && [Object.prototype, Array.prototype].includes(Object.getPrototypeOf(value))), `only what JSON has, not ${typeof value}`);
    if (typeof value === "object" && value !== null) for (const inner of Object.values(value)) open.push([inner, depth + 1]);
  }
  // Bytes count as one value and are shown as up to four.
  assert.ok(count <= 4 * LIMITS.items, `${count} values`);
}

function all(one, states) {
  assert.ok(Array.isArray(decodersFor(one)));
  for (const { name } of names) check(decode(name, one, states?.[name]), name);
}

const states = () => Object.fromEntries(names.map(({ name }) => [name, {}]));

test("random bytes never throw, with a state and without", () => {
  const roll = dice(SEED + 1);
  let kept = states();
  for (let n = 0; n < ROUNDS; n += 1) {
    const bytes = Uint8Array.from({ length: roll(n % 10 === 0 ? 600 : 40) }, () => roll(roll(4) === 0 ? 32 : 256));
    if (n % 50 === 0) kept = states();
    all(message({ bytes }));
    all(message({ bytes, path: "/socket.io/?EIO=3" }), kept);
  }
});

const SEEDS = [
  '42/admin,13["chat","hello",{"n":1}]', '452-["up",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', '0{"sid":"s","pingInterval":25000}',
  '{"id":"1","type":"subscribe","payload":{"query":"subscription A { b }","variables":{"c":1}}}',
  "SEND\ndestination:/a\ncontent-length:5\nx:\\c\\n\n\nhello\0\nRECEIPT\nreceipt-id:1\n\n\0", 'a["CONNECTED\\nversion:1.1\\n\\n\\u0000"]',
  '{"type":1,"target":"Send","arguments":["a"],"invocationId":"7"}\u001e{"type":6}\u001e',
  '["1","2","room:1","phx_reply",{"status":"ok","response":{}}]', '{"event":"pusher:error","data":"{\\"code\\":4001}"}',
  '[48,7,{"x":1},"com.sum",[1,2],{"k":1}]', '[36,5,7,{},["e"]]\u001e[8,48,7,{},"wamp.error",[1]]\u001e', '[2,"19","BootNotification",{"a":1}]', '[4,"19","NotSupported","no",{}]',
  '{"command":"message","identifier":"{\\"channel\\":\\"C\\"}","data":"{\\"action\\":\\"a\\"}"}', '{"type":"ping","message":1700000000}', '{"id":1,"connect":{"name":"js"}}\n{"id":2,"publish":{"channel":"c","data":1}}', '{"push":{"channel":"c","pub":{"data":{}}}}',
  'a["x","42[\\"e\\",1]"]', 'c[3000,"Go away!"]', '{"header":{"msg_id":"m","msg_type":"stream"},"parent_header":{"msg_id":"p"},"metadata":{},"content":{"name":"stdout","text":"x"},"channel":"iopub"}',
  'Content-Length: 40\r\n\r\n{"jsonrpc":"2.0","id":1,"method":"hover"}', '{"type":"response.done","event_id":"e","response":{"status":"completed","usage":{"total_tokens":1}}}', '{"type":"input_audio_buffer.append","audio":"AAAA=="}', '42["login",{"password":[redacted]}]',
  '[{"jsonrpc":"2.0","method":"a","params":[1],"id":1},{"jsonrpc":"2.0","error":{"code":-32601},"id":2}]',
];
const HEX = {
  mqtt: ["101000044d5154540402003c000463696431300a000361626368656c6c6fc000", "820800010003612f6200", "100f00044d5154540502003c0000026161"],
  msgpack: ["83a26f70a3616464a16e01a46c697374930102c0"],
  cbor: ["a3626f7063616464616e01646c6973748301f6f97e00"],
  protobuf: ["089601120774657374696e671a0c0a0a3031323334353637383921000000000000f83f"],
  signalr: ["0c950180c0a453656e6491a161029106"],
  yjs: ["010a01fbe38ff60b00027b7d", "0002210101fbe38ff60b0b2801046d657461057469746c6501760105776f7264737d0200", "0002210101fbe38ff60b0b2801046d657461057469746c6501760105776f7264737d0200"],
  hocuspocus: ["056e6f7465730200017405342e372e30", "056e6f746573000216010181c9afc90800040104626f64790568656c6c6f00"],
  phoenix: ["00010106033435726f6f6d3a3162696e0102", "020603726f6f6d3a316e6577ff"],
};
const BYTES = Object.entries(HEX).flatMap(([name, list]) => list.map((hex) => [name, Uint8Array.from(Buffer.from(hex, "hex"))]));

/** A copy with some places changed, cut, doubled or put together with another. */
function mutate(bytes, other, roll) {
  let copy = bytes.slice();
  for (let n = roll(4); n >= 0; n -= 1) {
    if (copy.length > 0) copy[roll(copy.length)] = roll(2) ? roll(256) : [0, 0x7f, 0x80, 0xff, 0x22, 0x5b, 0x7b][roll(7)];
  }
  if (roll(3) === 0) copy = copy.slice(0, roll(copy.length + 1));
  if (roll(4) === 0) copy = Uint8Array.from([...copy, ...other.slice(roll(other.length))]);
  return copy;
}

test("messages of every protocol, changed at random, never throw", () => {
  const roll = dice(SEED + 2);
  for (const [name, bytes] of BYTES) {
    const result = decode(name, message({ bytes }));
    assert.equal(result.error, undefined, `${name}: ${result.error}: what is changed is right at first`);
  }
  const seeds = [...SEEDS.map((text) => new TextEncoder().encode(text)), ...BYTES.map(([, bytes]) => bytes)];
  let kept = states();
  for (let n = 0; n < ROUNDS; n += 1) {
    const changed = mutate(seeds[n % seeds.length], seeds[roll(seeds.length)], roll);
    if (n % 30 === 0) kept = states();
    all(message({ bytes: changed }), kept);
    all(message({ text: new TextDecoder().decode(changed), path: n % 2 ? "/socket.io/?EIO=4" : "/" }), kept);
  }
});

test("JSON whose members are not what a protocol says never throws", () => {
  const values = [null, true, -1, 1e300, "", "x", [], [[]], {}, { toString: 1 }, { length: -1 }, { constructor: null, __proto__: null }, { _placeholder: true, num: "__proto__" }];
  const keys = ["type", "id", "payload", "event", "channel", "data", "jsonrpc", "method", "params", "error", "result", "topic", "ref", "join_ref", "target", "arguments", "protocol", "version", "invocationId", "item", "sequenceId", "query", "__proto__"];
  const roll = dice(SEED + 3);
  for (let n = 0; n < ROUNDS; n += 1) {
    const object = () => JSON.stringify(Object.fromEntries(Array.from({ length: 1 + roll(6) }, () => [keys[roll(keys.length)], values[roll(values.length)]])));
    const text = [object(), `[${object()},${object()}]`, `42["${roll(9)}",${object()}]`, `${object()}\u001e`, `["1","2","t","e",${object()}]`][n % 5];
    all(message({ text }));
  }
  for (const odd of [null, undefined, {}, { text: 1 }, { bytes: "x" }, { text: null, bytes: null }]) {
    assert.deepEqual(typeof decodersFor(odd), "object");
    for (const { name } of names) assert.equal(typeof decode(name, odd).summary, "string");
  }
});

const repeat = (unit, bytes) => Uint8Array.from({ length: bytes }, (_, n) => unit[n % unit.length]);
const MILLION = 1_000_000;

// Each is one that a decoder or a library was or could be felled by.
const ATTACKS = {
  "MessagePack arrays that announce a million items each, in each other": { bytes: repeat([0xdd, 0, 0x0f, 0xff, 0xff], MILLION) },
  "MessagePack maps in each other": { bytes: repeat([0x81, 0xa1, 0x61], MILLION) },
  "a MessagePack string of 4 GiB": { bytes: Uint8Array.from([0xdb, 0xff, 0xff, 0xff, 0xff, 1]) },
  "MessagePack numbers, a million": { bytes: repeat([1], MILLION) },
  "CBOR lists in each other": { bytes: repeat([0x81], MILLION) },
  "CBOR lists without a length in each other": { bytes: repeat([0x9f], MILLION) },
  "CBOR tags in each other": { bytes: repeat([0xc6], MILLION) },
  "a CBOR list of 2^64 items": { bytes: Uint8Array.from([0x9b, 255, 255, 255, 255, 255, 255, 255, 255, 1]) },
  "CBOR strings in a million parts": { bytes: Uint8Array.from([0x7f, ...repeat([0x61, 0x61], MILLION)]) },
  "a CBOR number of a million digits": { bytes: Uint8Array.from([0xc2, 0x5a, 0, 0x0f, 0x42, 0x40, ...repeat([0xff], MILLION)]) },
  "protobuf groups in each other": { bytes: repeat([0x0b], MILLION) },
  "protobuf fields of a number of ten bytes": { bytes: repeat([0x08, ...new Array(9).fill(255), 1], MILLION) },
  "protobuf messages in each other": { bytes: (() => {
    let inner = Uint8Array.from([8, 1]);
    for (let n = 0; n < 2000; n += 1) inner = Uint8Array.from([0x12, ...(inner.length < 128 ? [inner.length] : [(inner.length & 127) | 128, inner.length >> 7]), ...inner]);
    return inner;
  })() },
  "MQTT pings, half a million": { bytes: repeat([0xc0, 0], MILLION), subprotocol: "mqtt" },
  "an MQTT packet of 256 MiB": { bytes: Uint8Array.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1]) },
  "an MQTT SUBSCRIBE of empty filters": { bytes: Uint8Array.from([0x82, 0x82, 0x89, 0x7a, 0, 1, ...repeat([0, 0, 0], 2_000_000)]) },
  "SignalR records, half a million": { text: "{}\u001e".repeat(MILLION / 2) },
  "SignalR records in MessagePack, half a million": { bytes: repeat([2, 0x91, 6], MILLION) },
  "STOMP heart-beats, a million": { text: "\n".repeat(MILLION) },
  "STOMP frames, a hundred thousand": { text: "ACK\n\n\0".repeat(100_000) },
  "STOMP headers, a hundred thousand": { text: `SEND\n${"a:b\n".repeat(100_000)}\n\0` },
  "deep JSON": { text: "[".repeat(MILLION) + "]".repeat(MILLION) },
  "deep JSON in a Socket.IO packet": { text: `42["e",${"[".repeat(MILLION)}${"]".repeat(MILLION)}]` },
  "deep JSON in a JSON-RPC call": { text: `{"jsonrpc":"2.0","method":"m","id":1,"params":${'{"a":'.repeat(300_000)}1${"}".repeat(300_000)}}` },
  "a JSON-RPC batch of a hundred thousand": { text: `[${'{"jsonrpc":"2.0","method":"m"},'.repeat(100_000)}1]` },
  "JSON with a million members": { text: `{"event":"e","channel":"c","data":[${"1,".repeat(MILLION)}1]}` },
  "a Socket.IO packet that waits for 999,999,999 attachments": { text: '45999999999-["e"]', path: "/socket.io/?EIO=4" },
  "a string without an end, of escaped quotes, before a mark of redaction": { text: `42["e",${"\\\"".repeat(MILLION / 2)}[redacted]`, path: "/socket.io/?EIO=4" },
  "marks of redaction, a hundred thousand": { text: `42["e"${",[redacted]".repeat(100_000)}]`, path: "/socket.io/?EIO=4" },
  "audio that ends in a million equals signs": { text: `{"type":"input_audio_buffer.append","event_id":"e","audio":"${"=".repeat(MILLION)}x"}` },
  "a Yjs update of 2^50 clients": { bytes: Uint8Array.from([0, 2, 9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 4, 0]) },
  "a Yjs update of empty clients, half a million": { bytes: Uint8Array.from([0, 2, 0xc0, 0x84, 0x3d, 0xff, 0xff, 0x7f, ...repeat([0, 1], MILLION - 3)]) },
  "Yjs lists in each other": { bytes: Uint8Array.from([0, 2, 0x80, 0x80, 0x40, 1, 1, 1, 0, 8, 1, 1, 97, 1, ...repeat([117, 1], 1_048_564)]) },
  "a Jupyter message of 2^32 parts": { bytes: Uint8Array.from([255, 255, 255, 255, 0, 0, 0, 8, 0x7b]) },
  "SockJS frames within SockJS frames": { text: `a[${'"a[1]",'.repeat(100_000)}"x"]` },
  "Centrifugo replies, a hundred thousand": { text: '{"id":1,"rpc":{}}\n'.repeat(100_000), subprotocol: "centrifuge-json" },
  "escape sequences of a terminal, a million bytes": { bytes: Uint8Array.from([1, ...repeat([27, 0x5b, 0x31], MILLION)]), subprotocol: "v4.channel.k8s.io" },
  "an LSP message of 999,999,999 bytes": { text: "Content-Length: 999999999\r\n\r\n{}" },
  "digits that a pattern could choke on": { text: `4${"5".repeat(MILLION)}` },
  "a query of braces and comments": { text: JSON.stringify({ type: "subscribe", id: "1", payload: { query: "#{ ".repeat(100_000) } }) },
  "text of 10 MB": { text: "x".repeat(10_000_000) },
  "text that turns the line around and breaks it": { text: '42["\u202egnp.exe\\n\u2028","\ud800"]' },
};

for (const [what, attack] of Object.entries(ATTACKS)) {
  // The limit is far above what a decoder takes; it is there for one that would never end.
  test(`${what} cannot fell a decoder`, { timeout: 60_000 }, () => all(message(attack), states()));
}

test("what is kept of an unfinished packet is bounded", () => {
  const state = {};
  const head = Uint8Array.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 97]);
  decode("mqtt", message({ bytes: head }), state);
  const part = new Uint8Array(1024 * 1024);
  let last;
  for (let sent = head.length; sent < 268_435_460; sent += part.length) last = decode("mqtt", message({ bytes: part }), state);
  assert.match(last.summary, /more than is decoded/);
  assert.ok(state.mqtt.unfinished === null);
  assert.equal(decode("mqtt", message({ bytes: Uint8Array.from([0xc0, 0]) }), state).summary, "PINGREQ", "in step again");
  const stomp = {};
  decode("stomp", message({ text: "SEND\n" }), stomp);
  let error;
  for (let n = 0; n < 8 && !error; n += 1) error = decode("stomp", message({ text: "x".repeat(MILLION) }), stomp).error;
  assert.match(error, /more than is decoded/);
  const attachments = {};
  decode("socketio", message({ text: '45100-["e"]' }), attachments);
  for (let n = 0; n < 99; n += 1) decode("socketio", message({ bytes: part }), attachments);
  const kept = attachments.socketio.parts.reduce((sum, one) => sum + (one?.length ?? 0), 0);
  assert.ok(kept <= LIMITS.bytes, `${kept} bytes are kept`);
});
