// Takes pictures of the pages, light and dark, wide and narrow, to be looked at:
// `node screenshots.mjs FOLDER`.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { client, drawn, end, page, rows, state, tap, until } from "./harness.mjs";

const folder = process.argv[2];
if (!folder) {
  process.stderr.write("usage: node screenshots.mjs FOLDER\n");
  process.exit(2);
}
await mkdir(folder, { recursive: true });
const server = await tap();

/** Some traffic: orders and prices, bytes, a channel, an end that is told and one that is not. */
async function traffic() {
  const [desk, phone, wall] = [await client(server, "trading-desk"), await client(server, "phone-anna"), await client(server, "wall-screen")];
  for (let n = 1; n <= 12; n += 1) {
    desk.send(JSON.stringify({ type: "order", symbol: ["ACME", "GLOBEX", "INITECH"][n % 3], amount: 40 * n, limit: 101.5, tags: ["day", "retail"], by: { desk: 7, name: "Grüße 🦀" } }));
    await fetch(`${server.url}/api/connections/wall-screen/messages`, { method: "POST", body: JSON.stringify({ price: 101.25 + n / 4 }) });
    if (n % 4 === 0) wall.send(Uint8Array.from({ length: 40 }, (_, k) => k * n));
    await new Promise((wake) => setTimeout(wake, 60));
  }
  phone.send("is anybody watching?");
  phone.close(4000, "battery low");
  wall.terminate();
  return desk;
}

/** Each page and what is done on it; a picture each. */
const PAGES = {
  overview: ["", (opened) => state(opened, "open")],
  inspector: ["es-client", (opened) => until("rows", async () => (await rows(opened)).length > 10)],
  detail: ["es-client?text=GLOBEX", async (opened) => {
    await opened.click(".event[data-kind=in]:not([hidden]) >> nth=0");
    await opened.waitForSelector(".content .tree");
  }],
  close: ["es-client?kind=close", (opened) => opened.click(".event[data-kind=close]:not([hidden]) >> nth=0")],
  keys: ["es-client", async (opened) => {
    await until("rows", async () => (await rows(opened)).length > 10);
    await opened.keyboard.press("?");
  }],
  client: ["ws-client", async (opened) => {
    await opened.waitForFunction(() => document.getElementById("address").value !== "");
    await opened.click("#open");
    await state(opened, "open");
    await opened.click("#sending button.main");
    await opened.check("[value=json]");
    await opened.fill("#message", '{"price":');
  }],
  api: ["api/docs", (opened) => opened.waitForSelector("#list a")],
};

try {
  const desk = await traffic();
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1440, 900, 390]) {
      for (const [name, [path, prepare]] of Object.entries(PAGES)) {
        const opened = await page(`${server.url}/${path}`, { colorScheme, viewport: { width, height: width > 400 ? 900 : 844 } });
        await prepare(opened);
        await drawn(opened);
        await opened.waitForTimeout(300);
        await opened.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) });
        await opened.context().close();
      }
    }
  }
  desk.close();
} finally {
  await end();
  await server.kill();
}
