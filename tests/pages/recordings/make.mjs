// Makes the recordings in this folder anew: the real client of each protocol talks to a server through
// wstap in proxy mode, which records. Servers are the real ones where a package has one, else a few
// lines that answer as the protocol's documentation says.
//
//   npm ci && node make.mjs [NAME]...          wants a built wstap; jupyter wants JUPYTER=…/bin/jupyter

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tap, until } from "../harness.mjs";

const require = createRequire(import.meta.url);
const { WebSocket, WebSocketServer } = require("ws");
globalThis.WebSocket = WebSocket;

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** An HTTP server on a free port. */
async function listening(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

/** A WebSocket server that hands each message to `answer(socket, data, isBinary)`. */
async function hand(answer, protocol, open) {
  const server = createServer();
  const sockets = new WebSocketServer({ server, handleProtocols: (offered) => protocol ?? [...offered][0] ?? false });
  sockets.on("connection", (socket) => {
    open?.(socket);
    socket.on("message", (data, isBinary) => answer(socket, isBinary ? data : String(data), isBinary));
  });
  const port = await listening(server);
  return { port, stop: () => { for (const one of sockets.clients) one.terminate(); server.close(); } };
}

const RECORDINGS = {
  async mqtt() {
    const { Aedes } = require("aedes");
    const broker = await Aedes.createBroker();
    const server = createServer();
    const sockets = new WebSocketServer({ server, handleProtocols: () => "mqtt" });
    sockets.on("connection", (socket) => {
      const { createWebSocketStream } = require("ws");
      broker.handle(createWebSocketStream(socket));
    });
    return [await listening(server), async (url) => {
      const mqtt = require("mqtt");
      const client = await mqtt.connectAsync(`${url}/mqtt`, { protocolVersion: 4, clientId: "kitchen", reconnectPeriod: 0 });
      const got = [];
      client.on("message", (topic) => got.push(topic));
      await client.subscribeAsync("home/#", { qos: 1 });
      await client.publishAsync("home/kitchen/temp", '{"c":20.1}', { qos: 1 });
      await client.publishAsync("home/kitchen/door", "open", { qos: 2 });
      // The client sends each packet in several WebSocket messages.
      await client.publishAsync("home/kitchen/picture", Buffer.alloc(300, "picture "), { qos: 0 });
      await until("the messages", () => got.length === 3);
      await client.endAsync();
    }, () => { broker.close(); server.close(); }];
  },

  async mqtt5() {
    const split = (socket, bytes) => { for (let at = 0; at < bytes.length; at += 5) socket.send(bytes.subarray(at, at + 5)); };
    const packet = require("mqtt-packet");
    const server = await hand((socket, data) => {
      socket.parser ??= packet.parser({ protocolVersion: 5 }).on("packet", ({ cmd, messageId }) => {
        const send = (one) => split(socket, packet.generate(one, { protocolVersion: 5 }));
        if (cmd === "connect") send({ cmd: "connack", reasonCode: 0, sessionPresent: false, properties: { topicAliasMaximum: 10 } });
        if (cmd === "publish" && messageId) send({ cmd: "puback", messageId, reasonCode: 16 });
        if (cmd === "subscribe") send({ cmd: "suback", messageId, granted: [1] });
      });
      socket.parser.parse(data);
    }, "mqtt");
    return [server.port, async (url) => {
      const client = await require("mqtt").connectAsync(`${url}/mqtt`, { protocolVersion: 5, clientId: "meter", reconnectPeriod: 0, autoUseTopicAlias: true });
      await client.subscribeAsync("power/limit", { qos: 1 });
      for (const watts of [410, 425, 380]) await client.publishAsync("power/now", JSON.stringify({ watts }), { qos: 1, properties: { contentType: "application/json" } });
      await client.endAsync(true);
    }, server.stop];
  },

  async socketio() {
    const { Server } = require("socket.io");
    const server = createServer();
    const io = new Server(server);
    io.on("connection", (socket) => {
      socket.on("upload", (name, data, ack) => ack({ stored: name, bytes: data.length }));
      socket.on("thumbnail", (ack) => ack(Buffer.from([0xff, 0xd8, 0xff]), { of: "cat.png" }));
      socket.emit("welcome", { room: "lobby" });
    });
    return [await listening(server), async (url) => {
      const { io: connect } = require("socket.io-client");
      const socket = connect(url.replace("ws:", "http:"), { transports: ["websocket"], reconnection: false });
      await new Promise((done) => socket.on("welcome", done));
      await socket.emitWithAck("upload", "cat.png", Buffer.from("not really a picture"));
      await new Promise((done) => socket.emit("thumbnail", done));
      socket.emit("pair", Buffer.from([1, 2]), { deep: [Buffer.from([3])] });
      await pause(50);
      socket.disconnect();
    }, () => io.close()];
  },

  async graphql() {
    const { buildSchema } = require("graphql");
    const { useServer } = require("graphql-ws/use/ws");
    const schema = buildSchema("type Query { now: Int, fail: Int } type Subscription { price(of: ID!): Int }");
    const root = {
      query: { now: () => 7, fail: () => { throw new Error("it failed"); } },
      subscription: { price: async function* price() { for (const one of [1, 2]) { await pause(20); yield { price: one }; } } },
    };
    const server = createServer();
    const sockets = new WebSocketServer({ server, path: "/graphql", handleProtocols: () => "graphql-transport-ws" });
    useServer({ schema, roots: root }, sockets);
    return [await listening(server), async (url) => {
      const { createClient } = require("graphql-ws");
      let next = 0;
      const client = createClient({ url: `${url}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0, lazy: false, generateID: () => String((next += 1)) });
      for (const query of ["query Now { now }", "{ fail }", "subscription Price { price(of: 1) }"]) {
        await new Promise((done) => client.subscribe({ query }, { next() {}, error: done, complete: done }));
      }
      await client.dispose();
    }, () => { for (const one of sockets.clients) one.terminate(); server.close(); }];
  },

  async phoenix() {
    const server = await hand((socket, data, isBinary) => {
      if (isBinary) return;
      const [join, ref, topic, event] = JSON.parse(data);
      const send = (list) => setTimeout(() => socket.send(JSON.stringify(list)), 3);
      send([join, ref, topic, "phx_reply", { status: event === "shout" ? "error" : "ok", response: event === "shout" ? { reason: "too loud" } : {} }]);
      if (event === "phx_join") send([null, null, topic, "presence_state", {}]);
    });
    return [server.port, async (url) => {
      const { Socket } = require("phoenix");
      const socket = new Socket(`${url}/socket`, { transport: WebSocket, params: { vsn: "2.0.0" } });
      socket.connect();
      const channel = socket.channel("room:1", { as: "ada" });
      const answer = (push) => new Promise((done) => push.receive("ok", done).receive("error", done));
      await answer(channel.join());
      await answer(channel.push("new_msg", { body: "hello" }));
      await answer(channel.push("shout", { body: "HELLO" }));
      channel.push("picture", new Uint8Array([1, 2, 3]).buffer);
      await pause(50);
      socket.disconnect();
    }, server.stop];
  },

  async stomp() {
    const server = await hand((socket, data) => {
      socket.rest = (socket.rest ?? "") + data;
      for (let end = socket.rest.indexOf("\0"); end !== -1; end = socket.rest.indexOf("\0")) {
        const frame = socket.rest.slice(0, end).trimStart();
        socket.rest = socket.rest.slice(end + 1);
        const receipt = /^receipt:(.*)$/m.exec(frame)?.[1];
        if (frame.startsWith("CONNECT")) socket.send("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0");
        if (receipt) socket.send(`RECEIPT\nreceipt-id:${receipt}\n\n\0`);
        const body = frame.split("\n\n")[1] ?? "";
        if (frame.startsWith("SEND")) socket.send(`MESSAGE\ndestination:/topic/a\nmessage-id:1\nsubscription:s1\n\n${body.slice(0, 12)}\0\n`);
      }
    }, "v12.stomp");
    return [server.port, async (url) => {
      const { Client } = require("@stomp/stompjs");
      const client = new Client({ webSocketFactory: () => new WebSocket(`${url}/stomp`, ["v12.stomp"]), reconnectDelay: 0, heartbeatIncoming: 0, heartbeatOutgoing: 0, splitLargeFrames: true, maxWebSocketChunkSize: 64 });
      client.activate();
      await new Promise((done) => { client.onConnect = done; });
      client.subscribe("/topic/a", () => {}, { id: "s1" });
      const stored = new Promise((done) => client.watchForReceipt("r1", done));
      client.publish({ destination: "/topic/a", body: JSON.stringify({ order: 1, items: ["apple", "pear", "plum", "quince"], note: "x".repeat(80) }), headers: { receipt: "r1" } });
      await stored;
      await client.deactivate();
    }, server.stop];
  },

  async yjs() {
    const sync = require("y-protocols/sync");
    const decoding = require("lib0/decoding");
    const encoding = require("lib0/encoding");
    const kept = new (require("yjs").Doc)();
    const server = await hand((socket, data) => {
      const decoder = decoding.createDecoder(new Uint8Array(data));
      if (decoding.readVarUint(decoder) !== 0) return socket.send(data);
      const answer = encoding.createEncoder();
      encoding.writeVarUint(answer, 0);
      sync.readSyncMessage(decoder, answer, kept, socket);
      if (encoding.length(answer) > 1) socket.send(encoding.toUint8Array(answer));
    }, undefined, (socket) => {
      const step = encoding.createEncoder();
      encoding.writeVarUint(step, 0);
      sync.writeSyncStep1(step, kept);
      socket.send(encoding.toUint8Array(step));
    });
    return [server.port, async (url) => {
      const { WebsocketProvider } = await import("y-websocket");
      const Y = await import("yjs");
      const doc = new Y.Doc();
      const provider = new WebsocketProvider(url, "notes", doc, { WebSocketPolyfill: WebSocket, disableBc: true });
      await new Promise((done) => provider.once("synced", done));
      provider.awareness.setLocalStateField("user", { name: "ada" });
      const text = doc.getText("body");
      text.insert(0, "hello");
      text.insert(5, " world");
      text.delete(0, 1);
      doc.getMap("meta").set("title", { words: 2 });
      await pause(50);
      provider.destroy();
      await pause(20);
    }, server.stop];
  },

  async hocuspocus() {
    const { Server } = await import("@hocuspocus/server");
    const server = new Server({ port: 0, address: "127.0.0.1", quiet: true, async onAuthenticate({ token }) { if (token !== "t") throw new Error("no"); }, async onStateless({ document }) { document.broadcastStateless("seen"); } });
    await server.listen();
    return [server.address.port, async (url) => {
      const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import("@hocuspocus/provider");
      const socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket });
      const provider = new HocuspocusProvider({ websocketProvider: socket, name: "notes", token: "t" });
      provider.attach?.();
      await new Promise((done) => provider.on("synced", done));
      provider.document.getText("body").insert(0, "hello");
      provider.setAwarenessField("user", { name: "ada" });
      provider.sendStateless('{"look":"here"}');
      await pause(100);
      provider.destroy();
      socket.destroy();
    }, () => server.destroy()];
  },

  async actioncable() {
    const server = await hand((socket, data) => {
      const { command, identifier, data: inner } = JSON.parse(data);
      if (command === "subscribe") socket.send(JSON.stringify({ identifier, type: identifier.includes("Secret") ? "reject_subscription" : "confirm_subscription" }));
      if (command === "message") socket.send(JSON.stringify({ identifier, message: { said: JSON.parse(inner).text } }));
    }, "actioncable-v1-json", (socket) => {
      socket.send('{"type":"welcome"}');
      socket.send(`{"type":"ping","message":${Math.floor(Date.now() / 1000)}}`);
    });
    return [server.port, async (url) => {
      globalThis.document ??= { addEventListener() {}, removeEventListener() {}, visibilityState: "visible", createElement: () => ({}), head: { querySelector: () => null } };
      globalThis.addEventListener ??= () => {};
      globalThis.removeEventListener ??= () => {};
      const { createConsumer, adapters } = await import("@rails/actioncable");
      adapters.WebSocket = WebSocket;
      const consumer = createConsumer(`${url}/cable`);
      await new Promise((done) => {
        const chat = consumer.subscriptions.create({ channel: "ChatChannel", room: 1 }, {
          connected() { chat.perform("speak", { text: "hello" }); },
          received: done,
        });
      });
      await new Promise((done) => consumer.subscriptions.create("SecretChannel", { rejected: done }));
      consumer.disconnect();
    }, server.stop];
  },

  async wamp() {
    const server = await hand((socket, data) => {
      const [type, request, , name, args] = JSON.parse(data);
      const send = (list) => socket.send(JSON.stringify(list));
      if (type === 1) send([2, 8101, { roles: { broker: {}, dealer: {} } }]);
      if (type === 32) send([33, request, 5001]);
      if (type === 64) send([65, request, 6001]);
      if (type === 16 && args) send([36, 5001, 7001, {}, args]);
      if (type === 48 && name === "com.example.add") send([50, request, {}, [args[0] + args[1]]]);
      else if (type === 48) send([8, 48, request, {}, "wamp.error.no_such_procedure", [`no ${name}`]]);
      if (type === 6) send([6, {}, "wamp.close.goodbye_and_out"]);
    }, "wamp.2.json");
    return [server.port, async (url) => {
      const autobahn = require("autobahn");
      const connection = new autobahn.Connection({ url: `${url}/ws`, realm: "realm1", max_retries: 0, protocols: ["wamp.2.json"] });
      await new Promise((done) => {
        connection.onopen = async (session) => {
          await session.subscribe("com.example.prices", () => {});
          session.publish("com.example.prices", [{ of: "apple", is: 3 }]);
          await session.call("com.example.add", [2, 3]);
          await session.call("com.example.none").catch(() => {});
          connection.close();
        };
        connection.onclose = () => { done(); return true; };
        connection.open();
      });
    }, server.stop];
  },

  async centrifugo() {
    const server = await hand((socket, data) => {
      for (const line of data.split("\n")) {
        const { id, connect, subscribe, publish, rpc } = JSON.parse(line);
        const replies = [];
        if (connect) replies.push({ id, connect: { client: "c1", version: "6.0.0", ping: 25, pong: true } });
        if (subscribe) replies.push({ id, subscribe: { epoch: "e", offset: 3 } });
        if (publish) replies.push({ id, publish: {} }, { push: { channel: publish.channel, pub: { data: publish.data, offset: 4 } } });
        if (rpc) replies.push(rpc.method === "sum" ? { id, rpc: { data: { sum: 5 } } } : { id, error: { code: 108, message: "method not found" } });
        if (replies.length > 0) socket.send(replies.map((one) => JSON.stringify(one)).join("\n"));
        if (publish) setTimeout(() => socket.send("{}"), 5);
      }
    });
    return [server.port, async (url) => {
      const { Centrifuge } = require("centrifuge");
      const client = new Centrifuge(`${url}/connection/websocket`, { websocket: WebSocket });
      client.connect();
      const news = client.newSubscription("news");
      news.subscribe();
      await news.ready();
      await news.publish({ text: "hello" });
      await client.rpc("sum", { of: [2, 3] });
      await client.rpc("none", {}).catch(() => {});
      await pause(30);
      client.disconnect();
    }, server.stop];
  },

  async sockjs() {
    const sockjs = require("sockjs");
    const echo = sockjs.createServer({ log() {} });
    echo.on("connection", (connection) => connection.on("data", (data) => connection.write(data)));
    const server = createServer();
    echo.installHandlers(server, { prefix: "/echo" });
    return [await listening(server), async (url) => {
      const SockJS = require("sockjs-client");
      const socket = new SockJS(`${url.replace("ws:", "http:")}/echo`, null, { transports: "websocket" });
      await new Promise((done) => { socket.onopen = done; });
      const got = [];
      socket.onmessage = ({ data }) => got.push(data);
      socket.send("hello");
      socket.send('{"jsonrpc":"2.0","method":"sum","params":[2,3],"id":1}');
      await until("the echo", () => got.length === 2);
      socket.close();
    }, () => server.close()];
  },

  async jupyter() {
    const token = "t";
    const port = 18_000 + Math.floor(Math.random() * 2000);
    const child = spawn(process.env.JUPYTER ?? "jupyter", ["server", "--no-browser", "--allow-root", `--port=${port}`, `--IdentityProvider.token=${token}`, "--ServerApp.allow_origin=*", "--ServerApp.disable_check_xsrf=True"], { stdio: "ignore" });
    const api = (path, options) => fetch(`http://127.0.0.1:${port}/${path}?token=${token}`, options);
    await until("jupyter", async () => (await api("api").catch(() => null))?.ok);
    const { id } = await (await api("api/kernels", { method: "POST" })).json();
    return [port, async (url) => {
      for (const protocol of [[], ["v1.kernel.websocket.jupyter.org"]]) await conversation(`${url}/api/kernels/${id}/channels?token=${token}`, protocol);
    }, () => child.kill()];
  },
};

/** Runs two cells in a kernel, over JSON or the protocol with offsets. */
async function conversation(url, protocols) {
  const socket = new WebSocket(url, protocols);
  await once(socket, "open");
  let replies = 0;
  socket.on("message", (data, isBinary) => { if ((isBinary ? data.toString("latin1") : String(data)).includes('"execute_reply"')) replies += 1; });
  for (const [n, code] of ["print('hello')\n1 + 1", "1 / 0"].entries()) {
    const header = { msg_id: `m${n}`, session: "s", username: "ada", date: new Date().toISOString(), msg_type: "execute_request", version: "5.3" };
    const content = { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true };
    if (protocols.length === 0) socket.send(JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel: "shell", buffers: [] }));
    else {
      const parts = ["shell", JSON.stringify(header), "{}", "{}", JSON.stringify(content)].map((part) => Buffer.from(part));
      const offsets = Buffer.alloc(8 * 7);
      offsets.writeBigUInt64LE(6n);
      parts.reduce((at, part, k) => { offsets.writeBigUInt64LE(BigInt(at), 8 * (k + 1)); return at + part.length; }, offsets.length);
      offsets.writeBigUInt64LE(BigInt(offsets.length + parts.reduce((sum, part) => sum + part.length, 0)), 48);
      socket.send(Buffer.concat([offsets, ...parts]));
    }
    await until("a reply", () => replies === n + 1);
  }
  await pause(100);
  socket.close();
  await once(socket, "close");
}

const wanted = process.argv.slice(2);
for (const [name, make] of Object.entries(RECORDINGS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const [port, talk, stop] = await make();
  const server = await tap("--upstream", `http://127.0.0.1:${port}`, "--tap-listen", "127.0.0.1:0");
  const url = /Connect to\s+(http:\S+)/.exec(server.words)[1].replace("http:", "ws:").replace(/\/$/, "");
  await talk(url);
  const ended = async () => (await (await fetch(`${server.url}/api/connections`)).json()).length === 0;
  await until("the end of the connections", ended);
  const text = await (await fetch(`${server.url}/api/events?format=ndjson&limit=1000&kind=connect&kind=message&kind=close`)).text();
  await writeFile(new URL(`${name}.ndjson`, import.meta.url), text);
  process.stdout.write(`${name}: ${text.split("\n").length - 1} events, ${text.length} characters\n`);
  await server.kill();
  stop();
}
process.exit(0);
