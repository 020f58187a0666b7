// The decoders against what the libraries of each protocol really send; no browser.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as signalr from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";
import { encode as packMessage } from "@msgpack/msgpack";
import { Client as StompClient } from "@stomp/stompjs";
import { encodePacket } from "engine.io-parser";
import { createClient } from "graphql-ws";
import mqttPacket from "mqtt-packet";
import { Encoder, PacketType } from "socket.io-parser";
import { decode, decodersFor, names } from "../../static/js/decode/index.js";
import { best, message, recorder } from "./decode.kit.mjs";

const { Socket } = createRequire(import.meta.url)("phoenix");

test("every decoder has a name and a title", () => {
  assert.deepEqual(names.map(({ name }) => name), [
    "socketio", "graphql", "stomp", "signalr", "phoenix", "mqtt", "pusher", "jsonrpc", "lsp", "wamp", "ocpp", "actioncable", "centrifugo",
    "sockjs", "jupyter", "yjs", "hocuspocus", "kubernetes", "realtime", "msgpack", "cbor", "protobuf",
  ]);
  assert.ok(names.every(({ title }) => title.length > 3));
  assert.match(decode("none", message("x")).error, /no such decoder/);
});

test("text, JSON of no protocol and control frames have no decoder", () => {
  for (const text of ["hello", "", "{}", '{"price":1}', "[1,2,3,4,5]", "42", "null", '{"connectionId":"a"}', "CONNECT me"]) {
    assert.deepEqual(decodersFor(message(text)), [], text);
  }
  assert.deepEqual(decodersFor(message("2", { opcode: 9, path: "/socket.io/" })), []);
});

/** A packet as socket.io-parser and engine.io-parser write it to a WebSocket. */
function socketio(packet) {
  return new Encoder().encode(packet).map((part) => {
    let frame;
    encodePacket({ type: "message", data: part }, true, (encoded) => { frame = encoded; });
    return frame;
  });
}

test("Socket.IO packets have their type, event, namespace and ack", () => {
  const event = (packet) => best("socketio", socketio({ type: PacketType.EVENT, nsp: "/", ...packet })[0]);
  const chat = event({ data: ["chat", "hello", { n: 1 }], nsp: "/admin", id: 13 });
  assert.deepEqual(chat.fields, { engine: "message", packet: "event", event: "chat", args: ["hello", { n: 1 }], namespace: "/admin", ackId: 13 });
  assert.equal(chat.summary, 'event chat "hello", {n: 1} asks for ack #13 in /admin');
  assert.equal(event({ data: ["a,b", "/x,1[2"] }).fields.namespace, "/");
  const [ack] = socketio({ type: PacketType.ACK, nsp: "/", id: 7, data: ["ok"] });
  assert.equal(best("socketio", ack).summary, 'ack "ok" of #7');
  const [connect] = socketio({ type: PacketType.CONNECT, nsp: "/admin", data: { token: "t" } });
  assert.equal(best("socketio", connect).summary, 'connect {token: "t"} in /admin');
  const [refused] = socketio({ type: PacketType.CONNECT_ERROR, nsp: "/", data: { message: "no" } });
  assert.equal(best("socketio", refused).fields.packet, "connect error");
  const [left] = socketio({ type: PacketType.DISCONNECT, nsp: "/admin" });
  assert.equal(best("socketio", left, { path: "/socket.io/?EIO=4" }).summary, "disconnect in /admin");
});

test("Socket.IO attachments are put together over the messages that they come in", () => {
  const frames = socketio({ type: PacketType.EVENT, nsp: "/", data: ["upload", Buffer.from([1, 2, 3]), { deep: [Buffer.from("text")] }] });
  const state = {};
  const path = "/socket.io/?EIO=4&transport=websocket";
  const results = frames.map((frame) => best("socketio", frame, { path }, state));
  assert.equal(frames.length, 3);
  assert.match(results[0].summary, /^binary event upload .*2 attachments follow/);
  assert.equal(results[1].summary, "attachment 1 of 2, 3 bytes");
  assert.match(results[2].summary, /^attachment 2 of 2, completes binary event upload <3 bytes>/);
  assert.deepEqual(results[2].fields.args, [{ bytes: 3, hex: "01 02 03" }, { deep: [{ bytes: 4, hex: "74 65 78 74", text: "text" }] }]);
  assert.equal(best("socketio", frames[1], { path }).summary, "binary attachment, 3 bytes", "without a state");
  const v3 = Buffer.concat([Buffer.from([4]), frames[1]]);
  assert.equal(best("socketio", v3, { path: "/socket.io/?EIO=3" }).summary, "binary attachment, 3 bytes");
  decode("socketio", message(frames[0]), state);
  assert.match(decode("socketio", message('42["next"]'), state).error, /lacked 2 attachments/);
});

test("Engine.IO packets are named, and those of programs without Socket.IO are messages", () => {
  const path = "/engine.io/?EIO=4";
  assert.equal(best("socketio", '0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}').summary, 'open, session "s", ping every 25000 ms');
  assert.deepEqual(["2", "3", "2probe", "5", "6", "1"].map((text) => best("socketio", text, { path }).summary), ["ping", "pong", 'ping "probe"', "upgrade", "noop", "close"]);
  assert.deepEqual(best("socketio", "4hello", { path }).fields, { engine: "message", data: "hello" });
  const packed = packMessage({ type: 2, data: ["chat", "hi"], nsp: "/" });
  assert.equal(best("socketio", packed, { path }).summary, 'event chat "hi"');
});

test("graphql-transport-ws, as graphql-ws speaks it, names the operation", async () => {
  const { Recorder, until, socket } = recorder("graphql-transport-ws");
  const client = createClient({ url: "ws://here/graphql", webSocketImpl: Recorder, connectionParams: { token: "t" }, retryAttempts: 0, generateID: () => "1" });
  const got = [];
  client.subscribe({ query: "# all\nsubscription Prices($of: ID!) { price(of: $of) }", variables: { of: "x" } }, { next: (value) => got.push(value), error: () => {}, complete: () => {} });
  await until(1);
  socket().receive('{"type":"connection_ack"}');
  const [init, subscribe] = await until(2);
  const subprotocol = "graphql-transport-ws";
  assert.equal(best("graphql", init, { subprotocol }).summary, 'connection_init {token: "t"}');
  const read = best("graphql", subscribe);
  assert.equal(read.summary, 'subscribe #1 subscription Prices {of: "x"}');
  assert.equal(read.fields.protocol, "graphql-transport-ws");
  const next = '{"id":"1","type":"next","payload":{"data":{"price":7}}}';
  socket().receive(next);
  assert.deepEqual(got, [{ data: { price: 7 } }]);
  assert.equal(best("graphql", next).summary, "next #1 {price: 7}");
  assert.equal(best("graphql", '{"id":"1","type":"error","payload":[{"message":"no such field"}]}').summary, "error #1 no such field");
  assert.equal(best("graphql", '{"type":"ping"}', { subprotocol }).summary, "ping");
  client.dispose();
});

test("the older graphql-ws is told from the newer, and a strange type is an error", () => {
  const start = best("graphql", '{"id":"1","type":"start","payload":{"query":"{ me { id } }"}}');
  assert.equal(start.summary, "start #1 query (unnamed)");
  assert.equal(start.fields.protocol, "graphql-ws (older)");
  assert.equal(best("graphql", '{"type":"ka"}', { subprotocol: "graphql-ws" }).summary, "ka");
  assert.match(decode("graphql", message('{"type":"nope"}')).error, /neither protocol has the type/);
  assert.match(decode("graphql", message("[1]")).error, /no GraphQL message/);
});

test("STOMP frames, as stompjs sends them, have command, headers and body", async () => {
  const { Recorder, until, socket } = recorder("v12.stomp");
  const client = new StompClient({ webSocketFactory: () => new Recorder("ws://here"), reconnectDelay: 0, heartbeatOutgoing: 0, heartbeatIncoming: 0, connectHeaders: { host: "h", login: "a:b" } });
  client.activate();
  const [connect] = await until(1);
  const read = best("stomp", connect);
  assert.equal(read.summary, "CONNECT h");
  assert.equal(read.fields.headers.login, "a:b", "CONNECT has no escapes");
  socket().receive("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0");
  client.subscribe("/topic/a", () => {}, { id: "s1" });
  client.publish({ destination: "/queue/ä", body: '{"n":1}', headers: { x: "a:\nb\\c" } });
  const [, subscribe, send] = await until(3);
  assert.equal(best("stomp", subscribe).summary, "SUBSCRIBE /topic/a");
  const sent = best("stomp", send);
  assert.equal(sent.summary, "SEND /queue/ä {n: 1}");
  assert.equal(sent.fields.headers.x, "a:\nb\\c");
  assert.deepEqual(sent.fields.body, { n: 1 });
  client.publish({ destination: "/q", binaryBody: new Uint8Array([1, 0, 255]) });
  const binary = (await until(4))[3];
  assert.deepEqual(best("stomp", binary).fields.body, { bytes: 3, hex: "01 00 ff" });
  client.forceDisconnect();
});

test("STOMP frames come several in a message, over several messages, and within SockJS", () => {
  const two = best("stomp", "MESSAGE\ndestination:/a\n\nhi\0\nRECEIPT\nreceipt-id:1\n\n\0\n");
  assert.equal(two.summary, 'MESSAGE /a "hi"; RECEIPT 1');
  assert.equal(best("stomp", "\n", { subprotocol: "v12.stomp" }).summary, "heart-beat");
  assert.equal(best("stomp", 'a["CONNECTED\\nversion:1.1\\n\\n\\u0000"]').summary, "CONNECTED STOMP 1.1");
  for (const frame of [`SEND\ndestination:/b\ncontent-length:9\n\nab\0cd\0efg\0`, `SEND\ndestination:/b\n\nabcdefghi\0`]) {
    for (let at = 1; at < frame.length - 1; at += 1) {
      const state = {};
      const first = decode("stomp", message(frame.slice(0, at)), state);
      assert.match(first.summary, /the rest is in the next message/, `cut at ${at}`);
      const second = decode("stomp", message(frame.slice(at)), state);
      assert.equal(second.error, undefined);
      assert.match(second.summary, /^SEND \/b .*\(over 2 messages\)$/, `cut at ${at}`);
      assert.equal(second.fields.size, 9);
    }
  }
  assert.match(decode("stomp", message("the rest\0")).error, /may be the rest of a frame/);
});

test("STOMP frames whose body was redacted end at their zero byte", () => {
  for (const length of [5, 500]) {
    const frame = `SEND\ndestination:/login\ncontent-length:${length}\n\n{"password":"[redacted]"}\0`;
    const state = {};
    const two = decode("stomp", message(`${frame}${frame}\n`), state);
    assert.equal(two.error, undefined);
    assert.deepEqual(two.fields.map(({ body }) => body), [{ password: "[redacted]" }, { password: "[redacted]" }]);
    assert.equal(decode("stomp", message("SEND\ndestination:/b\n\nhi\0"), state).summary, 'SEND /b "hi"');
    const sockjs = decode("stomp", message(JSON.stringify([frame])), {});
    assert.deepEqual([sockjs.error, sockjs.fields.body], [undefined, { password: "[redacted]" }]);
  }
});

const INVOCATIONS = [
  { type: 1, target: "Send", arguments: ["ada", { n: 1 }], invocationId: "7", headers: {} },
  { type: 4, target: "Count", arguments: [3], invocationId: "8", streamIds: ["1"], headers: {} },
  { type: 2, invocationId: "8", item: 5, headers: {} },
  { type: 3, invocationId: "7", result: "done", headers: {} },
  { type: 3, invocationId: "9", error: "it broke", headers: {} },
  { type: 5, invocationId: "8", headers: {} },
  { type: 6 },
];
const LINES = ['invocation Send("ada", {n: 1}) #7', "stream invocation Count(3) #8", "stream item #8 5", 'completion #7 "done"', 'completion #9 error: "it broke"', "cancel invocation #8", "ping"];

for (const [name, protocol] of [["JSON", new signalr.JsonHubProtocol()], ["MessagePack", new MessagePackHubProtocol()]]) {
  test(`SignalR over ${name} has type, target and arguments`, () => {
    const written = INVOCATIONS.map((invocation) => protocol.writeMessage(invocation));
    assert.deepEqual(written.map((data) => best("signalr", data).summary), LINES);
    const all = typeof written[0] === "string" ? written.join("") : Buffer.concat(written.map((data) => Buffer.from(data)));
    const result = best("signalr", all);
    assert.equal(result.summary, `7 records: ${LINES.join("; ")}`.slice(0, 300));
    assert.equal(result.fields.length, 7);
  });
}

test("SignalR begins with a handshake, and a record without its end is said to be cut", () => {
  assert.equal(best("signalr", '{"protocol":"messagepack","version":1}\u001e').summary, "handshake messagepack version 1");
  assert.equal(best("signalr", Buffer.from("{}\u001e")).summary, "handshake answer");
  const cut = decode("signalr", message('{"type":6}\u001e{"type":6}'));
  assert.match(cut.error, /no end/);
  assert.equal(cut.fields.length, 2);
});

test("Phoenix channels, as its client sends them, have topic, event and refs", async () => {
  const { Recorder, until } = recorder();
  const socket = new Socket("ws://here/socket", { transport: Recorder, heartbeatIntervalMs: 1e6 });
  socket.connect();
  const channel = socket.channel("room:1", { as: "ada" });
  channel.join();
  const [join] = await until(1);
  assert.deepEqual(best("phoenix", join).fields, { serializer: "V2", topic: "room:1", event: "phx_join", ref: JSON.parse(join)[1], joinRef: JSON.parse(join)[0], payload: { as: "ada" } });
  assert.equal(best("phoenix", '["1","2","room:1","phx_reply",{"status":"ok","response":{"n":1}}]').summary, "room:1 phx_reply ok #2 {n: 1}");
  assert.equal(best("phoenix", '{"topic":"room:1","event":"msg","payload":{"a":1},"ref":null}').fields.serializer, "V1");
  socket.push({ topic: "room:1", event: "bin", payload: new Uint8Array([1, 2]).buffer, ref: "5", join_ref: "4" });
  const bin = (await until(2))[1];
  assert.deepEqual(best("phoenix", bin, { path: "/socket/websocket?vsn=2.0.0" }).fields, { serializer: "V2, binary", kind: "push", joinRef: "4", ref: "5", topic: "room:1", event: "bin", payload: { bytes: 2, hex: "01 02" } });
  const broadcast = Buffer.from([2, 6, 3, ...Buffer.from("room:1"), ...Buffer.from("new"), 255]);
  assert.equal(decode("phoenix", message(broadcast)).summary, "room:1 new <1 byte>");
  socket.disconnect();
});

const mqtt = (packet, version = 4) => mqttPacket.generate(packet, { protocolVersion: version });
const CONNECT = (version) => mqtt({ cmd: "connect", protocolId: "MQTT", protocolVersion: version, clientId: "c1", clean: true, keepalive: 60, username: "u", password: Buffer.from("p"), will: { topic: "w", payload: Buffer.from("gone"), qos: 1, retain: true }, ...(version === 5 ? { properties: { sessionExpiryInterval: 9, userProperties: { a: ["1", "2"] } } } : {}) });

for (const version of [4, 5]) {
  test(`MQTT ${version === 5 ? "5" : "3.1.1"} packets, as mqtt-packet writes them, are read`, () => {
    const state = {};
    const read = (packet) => best("mqtt", mqtt(packet, version), { subprotocol: "mqtt" }, state);
    const connect = best("mqtt", CONNECT(version), {}, state);
    assert.equal(connect.summary, `CONNECT "c1" MQTT ${version === 5 ? "5" : "3.1.1"}`);
    assert.deepEqual(connect.fields.will, { topic: "w", payload: "gone", qos: 1, retain: true });
    assert.deepEqual(connect.fields.properties?.userProperty, version === 5 ? [{ a: "1" }, { a: "2" }] : undefined);
    const properties = version === 5 ? { contentType: "application/json", topicAlias: 3, subscriptionIdentifier: 300 } : undefined;
    const publish = read({ cmd: "publish", topic: "a/b", payload: '{"n":1}', qos: 1, messageId: 9, retain: true, properties });
    assert.equal(publish.summary, "PUBLISH a/b 7 B QoS 1 #9");
    assert.deepEqual(publish.fields.payload, { n: 1 });
    assert.deepEqual(publish.fields.properties, properties);
    assert.equal(read({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "x/#", qos: 1, nl: version === 5, rh: 0 }, { topic: "y", qos: 0, rh: 0 }] }).summary, "SUBSCRIBE x/#, y #2");
    assert.equal(read({ cmd: "suback", messageId: 2, granted: [1, 128] }).summary, "SUBACK #2 unspecified error");
    assert.equal(read({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["x/#"] }).summary, "UNSUBSCRIBE x/# #3");
    assert.equal(read({ cmd: "unsuback", messageId: 3, granted: [17] }).fields.packetId, 3);
    for (const cmd of ["puback", "pubrec", "pubrel", "pubcomp"]) assert.equal(read({ cmd, messageId: 9, reasonCode: 0 }).fields.packetId, 9);
    assert.equal(read({ cmd: "connack", sessionPresent: true, returnCode: 5, reasonCode: 135 }).summary, "CONNACK not authorized");
    assert.equal(read({ cmd: "pingreq" }).summary, "PINGREQ");
    assert.equal(read({ cmd: "disconnect", reasonCode: 139, properties: { reasonString: "bye" } }).fields.reason?.text, version === 5 ? "server shutting down" : undefined);
  });
}

test("MQTT packets come several in a message, and over messages cut anywhere", () => {
  const packets = [CONNECT(4), mqtt({ cmd: "publish", topic: "t", payload: "x".repeat(200), qos: 0 }), mqtt({ cmd: "pingreq" })];
  const all = Buffer.concat(packets);
  assert.equal(best("mqtt", all).summary, '3 packets: CONNECT "c1" MQTT 3.1.1; PUBLISH t 200 B; PINGREQ');
  for (let at = 1; at < all.length; at += 1) {
    const state = {};
    const parts = [all.subarray(0, at), all.subarray(at)].map((part) => decode("mqtt", message(part), state));
    assert.ok(parts.every((part) => part.error === undefined), `cut at ${at}`);
    const read = parts.flatMap((part) => part.fields).filter((packet) => !/here|so far/.test(packet.split ?? ""));
    assert.deepEqual(read.map(({ type }) => type), ["CONNECT", "PUBLISH", "PINGREQ"], `cut at ${at}`);
    const whole = at === packets[0].length || at === packets[0].length + packets[1].length;
    assert.equal(parts.some((part) => JSON.stringify(part.fields).includes("over 2 messages")), !whole, `cut at ${at}`);
  }
  const state = {};
  const lines = [...all].map((byte) => decode("mqtt", message([byte]), state).summary);
  assert.match(lines[0], /^CONNECT \(1 byte here/);
  assert.ok(lines.some((line) => /^PUBLISH goes on: 100 of 206 bytes/.test(line)), "a byte a message");
  assert.ok(lines.includes("PUBLISH t 200 B (over 206 messages)"));
  assert.match(decode("mqtt", message(all.subarray(5))).error, /starts no packet/);
});

test("MQTT of an unknown version is guessed, and says so; the other direction may know it", () => {
  const publish = (version) => mqtt({ cmd: "publish", topic: "t", payload: "hello", qos: 0 }, version);
  assert.equal(best("mqtt", publish(4)).fields.version, "3.1.1, guessed");
  const five = best("mqtt", publish(5)).fields;
  assert.deepEqual([five.version, five.payload], ["5, guessed", "hello"]);
  const state = { peer: {} };
  decode("mqtt", message(CONNECT(5)), state.peer);
  const suback = decode("mqtt", message(mqtt({ cmd: "suback", messageId: 2, granted: [1] }, 5)), state);
  assert.deepEqual(suback.fields.reasons, [{ code: 1, text: "granted QoS 1" }]);
});

test("Pusher events show the JSON that their data is a string of", () => {
  const open = best("pusher", '{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"1.2\\",\\"activity_timeout\\":120}"}');
  assert.equal(open.summary, 'pusher:connection_established socket "1.2"');
  assert.deepEqual(open.fields.data, { socket_id: "1.2", activity_timeout: 120 });
  assert.equal(best("pusher", '{"event":"pusher:subscribe","data":{"auth":"k:s","channel":"private-a"}}').summary, "pusher:subscribe on private-a");
  assert.equal(best("pusher", '{"event":"client-typing","channel":"private-a","data":{"on":true}}').fields.of, "a client");
  assert.equal(best("pusher", '{"event":"price","channel":"a","data":"{\\"n\\":1}"}').summary, "price on a {n: 1}");
  assert.equal(best("pusher", '{"event":"pusher:error","data":{"code":4001,"message":"no app"}}').summary, 'pusher:error 4001 "no app"');
});

test("JSON-RPC has requests, answers, notifications and batches", () => {
  assert.equal(best("jsonrpc", '{"jsonrpc":"2.0","method":"subtract","params":[42,23],"id":1}').summary, "subtract(42, 23) #1");
  assert.equal(best("jsonrpc", '{"jsonrpc":"2.0","method":"sum","params":{"a":1},"id":"x"}').summary, "sum(a: 1) #x");
  assert.equal(best("jsonrpc", '{"jsonrpc":"2.0","result":19,"id":1}').summary, "result #1: 19");
  assert.equal(best("jsonrpc", '{"jsonrpc":"2.0","method":"update"}').summary, "notify update()");
  const error = best("jsonrpc", '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":null}');
  assert.deepEqual(error.fields.error, { meaning: "method not found", code: -32601, message: "Method not found" });
  const batch = decode("jsonrpc", message('[{"jsonrpc":"2.0","method":"a","id":1},{"foo":"boo"},{"jsonrpc":"2.0","result":7,"id":2}]'));
  assert.equal(batch.summary, "batch of 3: a() #1; ?; result #2: 7");
  assert.match(batch.error, /neither a request nor a response/);
  assert.equal(best("jsonrpc", '{"id":3,"method":"Page.enable","params":{}}').fields.jsonrpc, "no version", "the DevTools protocol");
});
