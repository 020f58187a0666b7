// A headless Chromium, and what it knows by itself of the traffic of a page.

import { chromium } from "playwright-core";

import { until, within } from "./process.mjs";

let browser;

/** Opens a page, and records its faults and the frames of its WebSockets. */
export async function open(url) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const seen = { faults: [], sockets: [] };
  page.on("pageerror", (error) => seen.faults.push(String(error)));
  page.on("response", (response) => {
    if (response.status() >= 400) seen.faults.push(`${response.status()} ${new URL(response.url()).pathname}`);
  });
  page.on("websocket", (socket) => {
    const frames = { path: new URL(socket.url()).pathname, sent: 0, received: 0, error: null };
    seen.sockets.push(frames);
    socket.on("framesent", () => { frames.sent += 1; });
    socket.on("framereceived", () => { frames.received += 1; });
    socket.on("socketerror", (error) => { frames.error = error; });
  });
  // Nothing but this machine can be reached from many places where this runs.
  await context.route((address) => !["localhost", "127.0.0.1"].includes(address.hostname), (route) => route.abort());
  await page.goto(url, { waitUntil: "domcontentloaded" });
  return { page, seen, close: () => within("the end of a page", context.close(), 20_000) };
}

/** Waits until the text of a page contains something. */
export const shows = (page, text) => until(`"${text}" on the page`, () => page.evaluate((wanted) => document.body.innerText.includes(wanted), text), 60_000);

export async function closeBrowser() {
  await browser?.close();
}
