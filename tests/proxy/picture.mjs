// Takes the README's picture: the real page, on the traffic of a Socket.IO program that runs
// through wstap.

import { createServer } from "node:http";
import { once } from "node:events";
import { Server } from "socket.io";
import { io } from "socket.io-client";

import { end, page } from "../pages/harness.mjs";
import { proxy } from "./harness.mjs";

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

const http = createServer();
const server = new Server(http);
server.on("connection", (socket) => {
  socket.on("order", (order, done) => {
    done({ ok: true, id: 4711 + order.amount });
    server.emit("price", { symbol: order.symbol, price: 101.25 + order.amount / 4 });
  });
  socket.on("say", (text) => socket.broadcast.emit("said", { from: "anna", text }));
});
http.listen(0, "127.0.0.1");
await once(http, "listening");
const tap = await proxy(`http://127.0.0.1:${http.address().port}`, [], () => {});
const watch = await page(`${tap.observers}/es-client`, { viewport: { width: 1440, height: 780 }, deviceScaleFactor: 1.25 });
await watch.waitForSelector('#status[data-state="open"]');

const client = async (name) => {
  const socket = io(tap.url, { transports: ["websocket"], query: { connectionId: name } });
  await once(socket, "connect");
  return socket;
};
const [anna, desk, screen] = [await client("anna"), await client("trading-desk"), await client("wall-screen")];
for (let n = 1; n <= 4; n += 1) {
  await desk.emitWithAck("order", { symbol: ["ACME", "GLOBEX", "INITECH"][n % 3], amount: 40 * n, limit: 101.5 });
  await pause(150);
}
anna.emit("say", "is anybody watching?");
await pause(100);
screen.close();
await pause(100);
await desk.emitWithAck("order", { symbol: "ACME", amount: 10, limit: 104 });
await pause(600);
await watch.click('.event:not([hidden]):has-text("GLOBEX") >> nth=0');
await pause(1200);
await watch.mouse.move(5, 5);
await watch.screenshot({ path: new URL("../pages/watch.png", import.meta.url).pathname });
[anna, desk].forEach((socket) => socket.close());
await end();
await tap.stop();
await server.close();
process.exit(0);
