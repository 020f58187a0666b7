// All pages by keyboard alone. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { client, end, page, rows, state, tap, text, until } from "./harness.mjs";

after(end);

/** What the Tab key should reach: all that can be operated and is shown; of radio buttons one each group. */
const stops = (opened, root = "body") => opened.evaluate((selector) => {
  const groups = new Set();
  const found = [];
  for (const one of document.querySelector(selector).querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")) {
    if (one.disabled || one.tabIndex < 0 || !one.checkVisibility({ visibilityProperty: true }) || one.closest("fieldset:disabled")) continue;
    if (one.type === "radio") {
      if (groups.has(one.form?.id + one.name)) continue;
      groups.add(one.form?.id + one.name);
      one.dataset.stop = "radio";
    }
    found.push(one);
  }
  found.forEach((one, n) => { one.stop_ = n; });
  window.stops_ = found;
  return found.length;
}, root);

/** Presses Tab until all has been reached; returns what was not, and where the focus cannot be seen. */
async function walk(opened, count) {
  const seen = new Set();
  const unseen = [];
  for (let n = 0; n < 2 * count + 20 && seen.size < count; n += 1) {
    await opened.keyboard.press("Tab");
    const { stop, name, isVisible } = await opened.evaluate(() => {
      const one = document.activeElement;
      const group = one.type === "radio" ? window.stops_.find((other) => other.type === "radio" && other.name === one.name && other.form === one.form) : one;
      const style = getComputedStyle(one);
      const isMarked = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || one.getAttribute("role") === "separator" || one.type === "file";
      return { stop: group?.stop_, name: one.id || one.textContent.trim().slice(0, 30), isVisible: one === document.body || isMarked };
    });
    if (stop !== undefined) seen.add(stop);
    if (!isVisible) unseen.push(name);
  }
  const missed = await opened.evaluate((all) => window.stops_.filter((_, n) => !all.includes(n)).map((one) => one.id || one.outerHTML.slice(0, 80)), [...seen]);
  return { missed, unseen };
}

const complete = async (opened, name, root) => {
  const found = await walk(opened, await stops(opened, root));
  assert.deepEqual(found, { missed: [], unseen: [] }, name);
};

test("Tab reaches everything on every page, and the focus can be seen", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const socket = await client(server, "a");
  socket.send('{"a":[1,2]}');
  for (const width of [1440, 390]) {
    const opened = await page(`${server.url}/`, { viewport: { width, height: 900 } });
    await state(opened, "open");
    await complete(opened, `overview, ${width}`);
    await opened.goto(`${server.url}/es-client`);
    await until("rows", async () => (await rows(opened)).length >= 2);
    await opened.waitForSelector("#blank", { state: "hidden" });
    await complete(opened, `inspector, ${width}`);
    await opened.focus("#events");
    await opened.keyboard.press("Enter");
    await opened.waitForSelector("#detail:not([hidden])");
    await complete(opened, `inspector with a detail, ${width}`);
    await opened.keyboard.press("Escape");
    for (const [key, dialog] of [["t", "time"], ["v", "views"], ["w", "save"], ["s", "send"], ["?", "keys"]]) {
      await opened.focus("#events");
      await opened.keyboard.press(key);
      await opened.waitForSelector(`#${dialog}-dialog[open]`);
      await complete(opened, `${dialog}, ${width}`, `#${dialog}-dialog`);
      await opened.keyboard.press("Escape");
      await until("its end", async () => (await opened.$(`#${dialog}-dialog[open]`)) === null);
    }
    await opened.goto(`${server.url}/ws-client`);
    await opened.waitForFunction(() => document.getElementById("address").value !== "");
    await complete(opened, `client, ${width}`);
    await opened.focus("#open");
    await opened.keyboard.press("Enter");
    await state(opened, "open");
    await complete(opened, `client, connected, ${width}`);
    await opened.goto(`${server.url}/api/docs`);
    await opened.waitForSelector("#list a");
    await complete(opened, `API, ${width}`);
    assert.deepEqual(opened.faults, []);
    await opened.context().close();
  }
});

test("a session of work needs no pointer: search, filter, read, compare, save a view, go back", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  const socket = await client(server, "a");
  for (const price of [1, 2, 3]) socket.send(JSON.stringify({ price, list: [price] }));
  await until("them", async () => (await rows(watch)).length === 4);
  const { keyboard } = watch;
  await keyboard.press("e");
  await keyboard.type("dir:in message.price>1");
  await until("the filter", async () => (await rows(watch)).length === 2);
  await keyboard.press("Escape");
  await keyboard.press("Home");
  await keyboard.press("Enter");
  await until("the first", async () => /price:2/.test(await text(watch, "#detail-body")));
  await keyboard.press("m");
  await keyboard.press("j");
  await until("the comparison", async () => /values? differ/.test(await text(watch, ".comparison")));
  await keyboard.press("Escape");
  await keyboard.press("v");
  await keyboard.type("above one");
  await keyboard.press("Enter");
  await until("the view", async () => /above one/.test(await text(watch, "#views-list")));
  await keyboard.press("Escape");
  await keyboard.press("0");
  await until("all", async () => (await rows(watch)).length === 4);
  // Alt and the left arrow, which a browser without a window does not take.
  await watch.goBack();
  await until("the filter again", async () => (await rows(watch)).length === 2);
  await keyboard.press("o");
  await keyboard.press("ArrowDown");
  await keyboard.press("Enter");
  await until("the connection", async () => /connection a/.test(await text(watch, "#conditions")));
  assert.deepEqual(watch.faults, []);
});
