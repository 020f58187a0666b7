// Servers without pages of their own, driven by a client of their protocol.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { Client } from "@stomp/stompjs";
import { createClient } from "graphql-ws";
import mqtt from "mqtt";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

import { until, within } from "../process.mjs";

export const protocols = [
  {
    name: "GraphQL",
    npm: ["graphql-ws@6.4.2", "graphql@16.15.0", "ws@8.23.0"],
    start: ({ port, programs, modules }) => ({ command: ["node", join(programs, "graphql.cjs"), port], env: { NODE_PATH: join(modules, "node_modules") } }),
    works: "a subscription and a mutation by graphql-ws, a query by HTTP",
    use: async ({ url, ws, mark }) => {
      const client = createClient({ url: `${ws}/graphql`, webSocketImpl: WebSocket });
      const said = client.iterate({ query: "subscription { said }" });
      const ready = await within("the subscription", said.next());
      const first = said.next();
      const mutation = async () => {
        for await (const answer of client.iterate({ query: "mutation ($word: String!) { say(word: $word) }", variables: { word: mark } })) return answer;
      };
      const spoken = await within("the mutation", mutation());
      const heard = await within("the word", first);
      await said.return();
      await client.dispose();
      const answer = await fetch(`${url}/graphql`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ query: "{ last }" }) });
      return { ready: ready.value, spoken, heard: heard.value, last: await answer.json() };
    },
    tap: [{ path: /^\/graphql$/, subprotocol: "graphql-transport-ws", both: true }],
  },
  {
    name: "MQTT (Aedes)",
    npm: ["aedes@1.2.0", "ws@8.23.0"],
    start: ({ port, programs, modules }) => ({ command: ["node", join(programs, "mqtt.mjs"), port, modules] }),
    works: "publish and subscribe with QoS 0, 1 and 2 by mqtt.js",
    use: async ({ ws, mark }) => {
      const client = mqtt.connect(`${ws}/mqtt`, { reconnectPeriod: 0 });
      await within("the broker", new Promise((open, fail) => client.once("connect", open).once("error", fail)));
      const taken = [];
      client.on("message", (topic, payload, packet) => taken.push([topic, String(payload), packet.qos]));
      await client.subscribeAsync("sensors/#", { qos: 2 });
      for (const qos of [0, 1, 2]) await client.publishAsync(`sensors/${mark}`, `reading ${qos}`, { qos });
      await until("three messages", () => taken.length === 3);
      await client.endAsync();
      return taken.sort();
    },
    tap: [{ path: /^\/mqtt$/, subprotocol: "mqtt", both: true, text: (mark) => `sensors/${mark}` }],
  },
  {
    name: "RabbitMQ",
    apt: ["rabbitmq-server"],
    start: async ({ port, folder, freePort }) => {
      const [epmd, amqp, distribution] = [await freePort(), await freePort(), await freePort()];
      rmSync(join(folder, "data"), { recursive: true, force: true });
      mkdirSync(join(folder, "data"), { recursive: true });
      writeFileSync(join(folder, "enabled_plugins"), "[rabbitmq_web_stomp].\n");
      writeFileSync(join(folder, "rabbitmq.conf"), `listeners.tcp.1 = 127.0.0.1:${amqp}\nweb_stomp.tcp.ip = 127.0.0.1\nweb_stomp.tcp.port = ${port}\nstomp.listeners.tcp = none\n`);
      return {
        before: [["epmd", "-port", epmd, "-address", "127.0.0.1"]],
        command: ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
        env: {
          HOME: join(folder, "data"),
          ERL_EPMD_PORT: String(epmd),
          RABBITMQ_NODENAME: "wstap@localhost",
          RABBITMQ_DIST_PORT: String(distribution),
          RABBITMQ_MNESIA_BASE: join(folder, "data"),
          RABBITMQ_LOG_BASE: join(folder, "data"),
          RABBITMQ_PID_FILE: join(folder, "data", "pid"),
          RABBITMQ_CONF_ENV_FILE: "/dev/null",
          RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
          RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
        },
      };
    },
    works: "a queue by STOMP over Web-Stomp: send, deliver, acknowledge",
    use: async ({ ws, mark }) => {
      const client = new Client({ brokerURL: `${ws}/ws`, connectHeaders: { login: "guest", passcode: "guest" }, webSocketFactory: () => new WebSocket(`${ws}/ws`, ["v12.stomp"]), reconnectDelay: 0 });
      await within("the broker", new Promise((open, fail) => {
        client.onConnect = open;
        client.onStompError = ({ headers }) => fail(new Error(headers.message));
        client.onWebSocketError = (event) => fail(new Error(event.message));
        client.activate();
      }));
      const body = await within("the message", new Promise((got) => {
        client.subscribe("/queue/wstap", (message) => {
          message.ack();
          got(message.body);
        }, { ack: "client" });
        client.publish({ destination: "/queue/wstap", body: mark });
      }));
      await client.deactivate();
      return body;
    },
    tap: [{ path: /^\/ws$/, subprotocol: "v12.stomp", both: true }],
  },
  {
    name: "Yjs (y-websocket)",
    npm: ["y-websocket@2.1.0", "yjs@13.6.33"],
    start: ({ port }) => ({ command: ["y-websocket"], env: { HOST: "127.0.0.1", PORT: String(port) } }),
    works: "two documents become the same",
    use: async ({ ws, mark }) => {
      const [one, two] = [new Y.Doc(), new Y.Doc()];
      const providers = [one, two].map((doc) => new WebsocketProvider(ws, `room-${mark}`, doc, { WebSocketPolyfill: WebSocket, disableBc: true }));
      await until("both to be in step", () => providers.every((provider) => provider.synced));
      one.getText("text").insert(0, `hello ${mark}`);
      await until("the text in the other document", () => two.getText("text").toString() === `hello ${mark}`);
      for (const provider of providers) provider.destroy();
      return two.getText("text").toString();
    },
    tap: [{ path: /^\/room-/, both: true, text: (mark) => `hello ${mark}` }],
  },
  {
    name: "noVNC",
    apt: ["novnc", "websockify", "tigervnc-standalone-server"],
    start: async ({ port, freePort }) => {
      const vnc = await freePort();
      // The X server's own number is beside those of screens.
      return {
        before: [["Xtigervnc", ":7913", "-rfbport", vnc, "-interface", "127.0.0.1", "-SecurityTypes", "None", "-geometry", "640x480", "-desktop", "desktop-of-wstap", "-nolisten", "tcp"]],
        command: ["websockify", "--web", "/usr/share/novnc", `127.0.0.1:${port}`, `127.0.0.1:${vnc}`],
      };
    },
    ready: "/vnc.html",
    works: "a desktop is drawn, pointer and keys are sent",
    use: async ({ visit, mark }) => {
      const page = await visit("/vnc.html?autoconnect=true");
      await page.waitForFunction(() => document.title.includes("desktop-of-wstap"));
      await page.locator("#noVNC_container canvas").waitFor();
      await page.locator("#noVNC_container canvas").click({ position: { x: 20, y: 20 } });
      await page.keyboard.type(mark);
      const size = await page.evaluate(() => {
        const { width, height } = document.querySelector("#noVNC_container canvas");
        return `${width}x${height}`;
      });
      return { size };
    },
    tap: [{ path: /^\/websockify$/, text: () => "desktop-of-wstap" }],
  },
];

