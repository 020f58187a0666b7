// A server for the suite of the client: it hangs, lies, restarts and refuses, as its path says.
//
//   ws://HOST/BEHAVIOUR/KEY/ws   a WebSocket; KEY tells tests apart
//   GET /heard/KEY               what each connection of a test has sent: [{ url, frames }]
//   POST /results                what a browser reports, for the test that has opened it

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

/** Answers a frame as wstap does. */
function answer({ socket, frame, number }, more = {}) {
  const { type, params } = frame.startsWith?.('{"type"') ? JSON.parse(frame) : {};
  if (type === "register") socket.send(JSON.stringify({ registered: { connectionId: params.connectionId, resumed: false } }));
  else if (type === "ping") socket.send(JSON.stringify({ pong: params.id }));
  else socket.send(JSON.stringify({ ack: `${number}-0`, frame: number - 1, ...more }));
  if (type === "subscribe" && params.after) socket.send(JSON.stringify({ channel: params.channels[0], type: "resumed", complete: false, messages: [] }));
}

const isFirst = (frame, type) => String(frame).startsWith(`{"type":"${type}"`);

/** What the server does with a frame, the `number`th of the `n`th connection of a test. */
const BEHAVIOURS = {
  /** Answers, and breaks on demand. */
  fair: (turn) => (turn.frame === "break" ? turn.socket.terminate() : answer(turn)),
  /** Accepts the first connection and never answers anything. */
  mute: (turn) => { if (turn.n > 1) answer(turn); },
  /** Answers nothing more on a connection that has sent "lost", heartbeats neither. */
  deaf: (turn) => { if (!turn.frames.includes("lost")) answer(turn); },
  /** Never closes. */
  clinging(turn) {
    answer(turn);
    if (!isFirst(turn.frame, "register")) turn.socket._socket.pause();
  },
  /** Says what is not true before it says what is. */
  lying(turn) {
    const { socket, number } = turn;
    if (!isFirst(turn.frame, "register")) {
      for (const lie of [
        '{"ack":"forged"}', '{"error":{"code":"forged","message":"x"},"frame":"1"}', `{"ack":"forged","frame":${number + 5}}`, '{"ack":"forged","frame":-1}', '{"ack":{},"frame":1}',
        '{"frame":1}', '{"pong":77}', '{"registered":null}', "{", "null", "[]", '{"channel":"news","type":"resumed"}', '{"channel":"news","type":"no such type"}', '{"channel":{}}',
        JSON.stringify({ message: `{"ack":"forged","frame":${number - 1}}` }),
      ]) socket.send(lie);
      socket.send(Buffer.from(`{"ack":"forged","frame":${number - 1}}`));
    }
    answer(turn);
    // The same answer again.
    if (!isFirst(turn.frame, "register")) answer(turn, { ack: "forged" });
  },
  /** Refuses every frame. */
  refusing: (turn) => (isFirst(turn.frame, "register") ? answer(turn) : turn.socket.send(JSON.stringify({ error: { code: "forbidden", message: "no" }, frame: turn.number - 1 }))),
  /** Registers nobody. */
  taken({ socket }) {
    socket.send('{"error":{"code":"replaced","message":"the id is taken"}}');
    socket.close(4409, "the id is taken");
  },
  /** Is full at first. */
  full: (turn) => (turn.n === 1 ? turn.socket.close(1013, "full") : answer(turn)),
  /** Sends messages after each frame. */
  talking(turn) {
    answer(turn);
    for (let n = 0; n < 3; n += 1) turn.socket.send(JSON.stringify({ message: `m${n}` }));
  },
};

const TYPES = { js: "text/javascript", mjs: "text/javascript", html: "text/html" };

/** Starts the server. `results` resolves with what a browser reports. */
export async function start() {
  const heard = new Map();
  let report;
  const results = () => new Promise((done) => { report = done; });
  const server = createServer(async (incoming, outgoing) => {
    const { pathname } = new URL(incoming.url, "http://x");
    outgoing.setHeader("access-control-allow-origin", "*");
    if (pathname.startsWith("/heard/")) return outgoing.setHeader("content-type", "application/json").end(JSON.stringify(heard.get(pathname.slice(7)) ?? []));
    if (pathname === "/results") {
      let body = "";
      for await (const chunk of incoming) body += chunk;
      report?.(JSON.parse(body));
      return outgoing.end();
    }
    if (pathname === "/favicon.ico") return outgoing.writeHead(204).end();
    // What never answers and never ends.
    if (pathname.startsWith("/hanging/")) return undefined;
    const file = await readFile(new URL(`.${pathname}`, import.meta.url)).catch(() => null);
    return outgoing.writeHead(file ? 200 : 404, { "content-type": TYPES[pathname.split(".").at(-1)] ?? "text/plain" }).end(file ?? "");
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (incoming, tcp, head) => {
    const [, behaviour, key] = incoming.url.split(/[/?]/);
    if (behaviour === "hanging") return undefined;
    if (behaviour === "forbidden") return tcp.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    return sockets.handleUpgrade(incoming, tcp, head, (socket) => {
      if (!heard.has(key)) heard.set(key, []);
      const connections = heard.get(key);
      const connection = { url: incoming.url, frames: [], code: null };
      connections.push(connection);
      const n = connections.length;
      socket.on("error", () => {});
      socket.on("close", (code) => { connection.code = code; });
      socket.on("message", (data, isBinary) => {
        const frame = isBinary ? { bytes: [...data] } : String(data);
        connection.frames.push(frame);
        BEHAVIOURS[behaviour]({ socket, frame, frames: connection.frames, number: connection.frames.length, n });
      });
    });
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    results,
    stop() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}
