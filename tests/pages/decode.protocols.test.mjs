// Decoders of protocols whose clients are not at hand, against messages made from their specifications.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encode as packMessage } from "@msgpack/msgpack";
import { PbfWriter } from "pbf";
import { Track } from "../../static/js/decode/track.js";
import { decodersFor, fitsOf } from "../../static/js/decode/index.js";
import { Schema } from "../../static/js/decode/descriptors.js";
import { fromDescriptors } from "../../static/js/decode/schema.js";
import { best, message } from "./decode.kit.mjs";

/** Decodes a conversation: lists of direction and data. Returns rows, with the request of each answer. */
function talk(about, conversation) {
  const track = new Track(about);
  const all = conversation.map(([direction, data], n) => track.read(message(data, { direction }), String(n), n));
  return all.map((result) => {
    assert.ok(result, "a decoder fits");
    assert.equal(result.error, undefined);
    return result.of ? `${result.row ?? result.summary} <${result.of.id}` : result.row ?? result.summary;
  });
}

// OCPP-J 1.6, sections 4.2.1 to 4.2.3.
test("OCPP results and errors have the action of their call", () => {
  assert.deepEqual(talk({ subprotocol: "ocpp1.6", path: "/ocpp/CP1" }, [
    ["in", '[2,"19","BootNotification",{"chargePointVendor":"v","chargePointModel":"m"}]'],
    ["out", '[3,"19",{"status":"Accepted","interval":300}]'],
    ["out", '[2,"a","Reset",{"type":"Hard"}]'],
    ["in", '[4,"a","NotSupported","no reset",{}]'],
  ]), [
    'BootNotification {chargePointVendor: "v", chargePointModel: "m"}', 'BootNotification result {status: "Accepted", interval: 300} <0',
    'Reset {type: "Hard"}', "Reset error NotSupported: no reset <2",
  ]);
  assert.equal(best("ocpp", '[2,"19","Heartbeat",{}]').summary, "Heartbeat {}", "without its subprotocol");
});

// Language Server Protocol, "Base Protocol"; a bridge that copies a pipe cuts anywhere.
test("LSP messages with headers are decoded, cut anywhere and several in one", () => {
  const frame = (value) => { const json = JSON.stringify(value); return `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`; };
  const request = frame({ jsonrpc: "2.0", id: 1, method: "initialize", params: { name: "ä" } });
  const answer = frame({ jsonrpc: "2.0", id: 1, result: {} });
  assert.deepEqual(talk({}, [["in", request], ["out", answer]]), ['initialize(name: "ä") #1', "result #1: {} <0"]);
  assert.equal(talk({}, [["in", request + frame({ jsonrpc: "2.0", method: "initialized" })]])[0], 'initialize(name: "ä") #1; notify initialized()');
  const bytes = Buffer.from(request);
  for (let at = 1; at < bytes.length; at += 1) {
    const track = new Track({});
    track.decoder = "lsp";
    const first = track.read(message(bytes.subarray(0, at), { direction: "in" }), "0", 0);
    assert.match(first.summary, /the rest is in the next message/, `cut at ${at}`);
    assert.equal(track.read(message(bytes.subarray(at), { direction: "in" }), "1", 1).summary, 'initialize(name: "ä") #1 (over 2 messages)', `cut at ${at}`);
  }
});

// k8s.io/client-go and apiserver, wsstream: v4.channel.k8s.io, v5 with close signals, base64.
test("Kubernetes streams name their channel", () => {
  const exec = { subprotocol: "v5.channel.k8s.io", path: "/api/v1/namespaces/d/pods/p/exec?command=sh" };
  assert.deepEqual(talk(exec, [
    ["in", [0, ...Buffer.from("ls\r")]], ["out", [1, ...Buffer.from("\u001b[1;34mbin\u001b[0m\r\n")]], ["out", [2]], ["in", [4, ...Buffer.from('{"Width":80,"Height":24}')]],
    ["in", [255, 0]], ["out", [3, ...Buffer.from('{"metadata":{},"status":"Success"}')]],
  ]), ['stdin "ls\\r"', 'stdout "bin\\r\\n"', "stderr, empty", "resize {Width: 80, Height: 24}", "close stdin", 'error {metadata: {}, status: "Success"}']);
  assert.deepEqual(talk({ subprotocol: "base64.channel.k8s.io" }, [["out", `1${Buffer.from("hi").toString("base64")}`]]), ['stdout "hi"']);
  const forward = { subprotocol: "v4.channel.k8s.io", path: "/api/v1/namespaces/d/pods/p/portforward?ports=8080" };
  assert.deepEqual(talk(forward, [["out", [0, 0x90, 0x1f]], ["out", [1, 0x90, 0x1f]], ["in", [0, ...Buffer.from("GET / HTTP/1.1\r\n")]]]), ["port 8080, data", "port 8080, error", 'data "GET / HTTP/1.1\\r\\n"']);
});

// platform.openai.com, "Realtime API", client and server events.
test("Realtime events show text, transcripts and the size of audio", () => {
  assert.deepEqual(talk({ path: "/v1/realtime?model=m" }, [
    ["out", '{"type":"session.created","event_id":"e1","session":{"model":"gpt-realtime"}}'],
    ["in", '{"type":"session.update","session":{"instructions":"be brief"}}'],
    ["out", '{"type":"session.updated","event_id":"e2","session":{"model":"gpt-realtime"}}'],
    ["in", JSON.stringify({ type: "input_audio_buffer.append", audio: Buffer.alloc(4800).toString("base64") })],
    ["in", '{"type":"response.create"}'],
    ["out", '{"type":"response.output_audio_transcript.delta","event_id":"e3","delta":"Hel"}'],
    ["out", '{"type":"response.done","event_id":"e4","response":{"status":"completed","usage":{"total_tokens":42}}}'],
    ["out", '{"type":"error","event_id":"e5","error":{"code":"bad","message":"no"}}'],
  ]), [
    'session.created "gpt-realtime"', 'session.update ["instructions"]', 'session.updated "gpt-realtime" <1', "input_audio_buffer.append 4,800 bytes of audio",
    "response.create", 'response.output_audio_transcript.delta "Hel"', "response.done completed, 42 tokens <4", "error bad: no",
  ]);
});

test("WAMP over MessagePack is WAMP, and its batches are split", () => {
  assert.deepEqual(talk({ subprotocol: "wamp.2.msgpack" }, [["in", packMessage([48, 7, {}, "com.sum", [1, 2]])], ["out", packMessage([50, 7, {}, [3]])]]), ["CALL com.sum 1, 2 #7", "RESULT 3 #7 <0"]);
  assert.deepEqual(talk({ subprotocol: "wamp.2.json.batched" }, [["in", '[1,"r",{}]\u001e[49,3,{}]\u001e']]), ["HELLO r; CANCEL #3"]);
});

test("Phoenix refs may be numbers", () => {
  assert.deepEqual(talk({}, [["in", '[1,2,"room:1","phx_join",{}]'], ["out", '[1,2,"room:1","phx_reply",{"status":"ok","response":{}}]']]), ["room:1 phx_join #2 {}", "room:1 phx_reply ok #2 {} <0"]);
});

test("messages of other protocols are no GraphQL", () => {
  const none = [
    ['{"type":"ping","message":1700000000}', {}], ['{"type":"error","event_id":"e","error":{}}', {}], ['{"type":"complete","id":"1","payload":{"data":1}}', { subprotocol: "mqtt" }],
    ['{"type":"start","id":"1","extra":true}', {}],
  ];
  for (const [text, about] of none) assert.ok(!decodersFor(message(text, about)).includes("graphql"), text);
  assert.equal(decodersFor(message('{"type":"next","id":"1","payload":{"data":1}}', { subprotocol: "my-own-token" }))[0], "graphql", "a subprotocol that is not known says nothing");
});

test("JSON and protocols in binary messages are decoded as text", () => {
  const bytes = (text) => message(Buffer.from(text));
  assert.equal(decodersFor(bytes('{"jsonrpc":"2.0","method":"sum","id":1}'))[0], "jsonrpc");
  assert.equal(decodersFor(bytes('42["chat","hello"]'))[0], "socketio");
  assert.equal(best("jsonrpc", Buffer.from('{"jsonrpc":"2.0","method":"sum","id":1}')).summary, "sum() #1");
  assert.deepEqual(decodersFor(bytes("only words, and no protocol")).filter((name) => fitsOf(bytes("only words, and no protocol")).find((one) => one.name === name).fit >= 60), []);
});

/** descriptor.proto, as far as a descriptor set of these types needs it. */
function descriptors() {
  const set = new PbfWriter();
  const field = (name, number, type, { repeated = false, typeName = "" } = {}) => (_, one) => {
    one.writeStringField(1, name);
    one.writeVarintField(3, number);
    one.writeVarintField(4, repeated ? 3 : 1);
    one.writeVarintField(5, type);
    if (typeName) one.writeStringField(6, typeName);
  };
  const type = (name, fields, more = () => {}) => (_, one) => {
    one.writeStringField(1, name);
    for (const each of fields) one.writeMessage(2, each);
    more(one);
  };
  set.writeMessage(1, (_, file) => {
    file.writeStringField(2, "shop");
    file.writeMessage(4, type("Order", [
      field("id", 1, 4), field("name", 2, 9), field("items", 3, 11, { repeated: true, typeName: ".shop.Item" }), field("state", 4, 14, { typeName: ".shop.State" }),
      field("sizes", 5, 17, { repeated: true }), field("prices", 6, 11, { repeated: true, typeName: ".shop.Order.PricesEntry" }), field("weight", 7, 1), field("paid", 8, 8),
    ], (one) => one.writeMessage(3, type("PricesEntry", [field("key", 1, 9), field("value", 2, 1)], (entry) => entry.writeMessage(7, (__, options) => options.writeVarintField(7, 1))))));
    file.writeMessage(4, type("Item", [field("sku", 1, 9), field("count", 2, 5)]));
    file.writeMessage(5, (__, one) => {
      one.writeStringField(1, "State");
      for (const [name, number] of [["OPEN", 0], ["SENT", 1]]) one.writeMessage(2, (___, value) => { value.writeStringField(1, name); value.writeVarintField(2, number); });
    });
  });
  return set.finish();
}

function order() {
  const writer = new PbfWriter();
  writer.writeVarintField(1, 150);
  writer.writeStringField(2, "apples");
  for (const sku of ["a", "b"]) writer.writeMessage(3, (_, item) => { item.writeStringField(1, sku); item.writeVarintField(2, -3); });
  writer.writeVarintField(4, 1);
  writer.writePackedSVarint(5, [1, -2, 300]);
  writer.writeMessage(6, (_, entry) => { entry.writeStringField(1, "eur"); entry.writeDoubleField(2, 1.5); });
  writer.writeDoubleField(7, 0.25);
  writer.writeBooleanField(8, true);
  return writer.finish();
}

const ORDER = { id: 150n, name: "apples", items: [{ sku: "a", count: -3 }, { sku: "b", count: -3 }], state: "SENT", sizes: [1, -2, 300], prices: { eur: 1.5 }, weight: 0.25, paid: true };

test("protocol buffers with a descriptor set have names, enums, maps and packed numbers", () => {
  const schema = new Schema(descriptors());
  assert.deepEqual(schema.names, ["shop.Order", "shop.Item"]);
  assert.deepEqual(schema.decode("shop.Order", order()), { value: ORDER, unknown: 0, known: 15, error: undefined });
  const [automatic, byHand] = fromDescriptors(descriptors());
  assert.equal(automatic.fit({ bytes: order() }), 84);
  assert.equal(automatic.decode({ bytes: order() }, {}).fields.type, "shop.Order");
  assert.equal(automatic.fit({ bytes: Uint8Array.from([0x48, 1]) }), 0, "field 9 is in no type");
  assert.match(byHand.decode({ bytes: Uint8Array.from([0x48, 1]) }).error, /1 field is not in the type/);
  const cut = byHand.decode({ bytes: order().slice(0, -4) });
  assert.match(cut.error, /cut short/);
  assert.equal(cut.fields.message.name, "apples");
  for (const bytes of [[], [1, 2, 3], [0x0a, 0xff], Buffer.from("syntax = \"proto3\";")]) assert.throws(() => new Schema(Uint8Array.from(bytes)), "no descriptor set");
});
