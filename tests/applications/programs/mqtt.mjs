// An MQTT broker over WebSockets: node mqtt.mjs PORT FOLDER-OF-MODULES

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [port, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const { Aedes } = await import(pathToFileURL(require.resolve("aedes")));
const { WebSocketServer, createWebSocketStream } = require("ws");

const broker = await Aedes.createBroker();
const server = createServer((request, response) => response.writeHead(426).end());
const sockets = new WebSocketServer({ server, handleProtocols: (offered) => offered.has("mqtt") && "mqtt" });
sockets.on("connection", (socket, request) => broker.handle(createWebSocketStream(socket), request));
server.listen(Number(port), "127.0.0.1");
