// The list that draws only what is in sight, alone in a real Chromium. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { end, page, tap } from "./harness.mjs";

after(end);

test("a line that is chosen stays in sight when the window grew just before", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const opened = await page(`${server.url}/es-client`);
  const top = await opened.evaluate(async () => {
    const { List } = await import("./static/js/view/list.js");
    const box = document.createElement("div");
    Object.assign(box.style, { position: "fixed", inset: "0 0 auto 0", height: "300px", overflow: "auto" });
    const space = box.appendChild(document.createElement("div"));
    document.body.append(box);
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const list = new List(box, space, { make: () => document.createElement("p"), fill: () => {} });
    list.source = { length: 1000, first: 0 };
    for (let n = 0; n < 3; n += 1) await frame();
    // The browser moves a list that stands at its end, and tells it with the next frame.
    await frame();
    box.style.height = "360px";
    await new Promise((done) => setTimeout(done));
    list.select(100, true);
    for (let n = 0; n < 3; n += 1) await frame();
    return list.top;
  });
  assert.ok(top < 100 && top > 80, `line ${top} is the first in sight`);
});
