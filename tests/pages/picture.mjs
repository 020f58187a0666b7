// Takes the README's picture: the real page, on traffic that a few clients make.

import { client, end, page, tap, until } from "./harness.mjs";

const server = await tap();
const watch = await page(`${server.url}/es-client`, { viewport: { width: 1440, height: 780 }, deviceScaleFactor: 1.25 });
await watch.waitForSelector('#status[data-state="open"]');
const [prices, chat, sensor] = [await client(server, "prices"), await client(server, "chat-anna"), await client(server, "sensor-12")];
const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));
for (let n = 0; n < 5; n += 1) {
  prices.send(JSON.stringify({ type: "tick", symbol: ["ACME", "GLOBEX", "INITECH"][n % 3], price: 101.25 + n * 0.75, volume: 1200 - n * 70 }));
  await pause(60);
  sensor.send(Uint8Array.of(0x01, 0x9c, 0x17, n));
  await pause(40);
}
chat.send(JSON.stringify({ connectionId: "chat-anna", message: "is anybody here?" }));
await fetch(`${server.url}/api/connections/chat-anna/messages`, { method: "POST", body: "yes: everybody who watches" });
await pause(80);
sensor.close(4000, "battery low");
await client(server, "sensor-13");
prices.send(JSON.stringify({ type: "tick", symbol: "ACME", price: 105.5, volume: 830 }));
await until("all of it", async () => (await watch.$$(".event:not([hidden])")).length >= 17);
await watch.click('.event:not([hidden]):has-text("GLOBEX") >> nth=0');
await pause(1200);
await watch.mouse.move(5, 5);
await watch.screenshot({ path: new URL("watch.png", import.meta.url).pathname });
await end();
await server.kill();
