// Event streams that a real browser reads through proxy mode, and what the inspector shows of them.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { connections, end, page, rows, says, serve, state, tap, text, until } from "./harness.mjs";

after(end);

const PAGE = `<!doctype html><meta charset="utf-8"><title>streams</title><script>
  window.heard = [];
  const source = new EventSource("stream");
  source.onmessage = ({ data, lastEventId }) => heard.push(["message", data, lastEventId]);
  source.addEventListener("price", ({ data, lastEventId }) => heard.push(["price", data, lastEventId]));
  window.leave = () => source.close();
  window.ask = async () => {
    const answer = await fetch("chat", { method: "POST", body: "{}" });
    return answer.text();
  };
</script>`;

test("event streams of a browser pass, and are connections in the inspector", async (t) => {
  let stream;
  const { server, url } = await serve((asked, answer) => {
    if (asked.url === "/chat") {
      answer.writeHead(200, { "content-type": "text/event-stream" });
      return answer.end('data: {"delta":"Hel"}\n\ndata: {"delta":"lo"}\n\ndata: [DONE]\n\n');
    }
    if (asked.url !== "/stream") return answer.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    answer.writeHead(200, { "content-type": "text/event-stream" });
    answer.write("retry: 60000\n: welcome\n\n");
    stream = answer;
    return undefined;
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const proxy = await tap("--upstream", url, "--tap-listen", "127.0.0.1:0");
  t.after(() => proxy.kill());
  const through = /(?:http|ws)(:\/\/[^\s/]+)/.exec(proxy.words.replace(proxy.url, ""))[1];
  const opened = await page(`http${through}/`);
  const watch = await page(`${proxy.url}/es-client`);
  await state(watch, "open");
  await until("the stream", () => stream);

  stream.write("data: one\n\nevent: price\nid: 7\ndata: {\"a\":1.50}\n\n");
  await until("both events in the page", () => opened.evaluate(() => globalThis.heard.length === 2));
  assert.deepEqual(await opened.evaluate(() => globalThis.heard), [["message", "one", ""], ["price", '{"a":1.50}', "7"]]);
  await until("both events in the inspector", async () => (await rows(watch)).filter(({ kind }) => kind === "out").length === 2);
  const seen = await rows(watch);
  assert.match(seen.find(({ kind }) => kind === "connect").what, /event stream: GET\s+\/stream/);
  assert.ok(seen.some(({ kind, what }) => kind === "out" && what.includes("price") && what.includes('{"a":1.50}')), JSON.stringify(seen));
  await until("the connection in the list", async () => (await connections(watch)).some(({ about, open }) => open && about.includes("event stream")));

  await watch.click('.event[data-kind="out"]:not([hidden]) >> text=price');
  await says(watch, "#detail-body", /Event id\s*7/);

  assert.match(await opened.evaluate(() => globalThis.ask()), /\[DONE\]/);
  await until("the answer to a fetch", async () => (await rows(watch)).some(({ what }) => what.includes("[DONE]")));
  await until("its end", async () => (await rows(watch)).some(({ kind, what }) => kind === "close" && what.includes("ended by the server")));
  await opened.evaluate(() => globalThis.leave());
  await until("the end", async () => (await rows(watch)).some(({ kind, what }) => kind === "close" && what.includes("ended by the client")));
  assert.deepEqual([...opened.faults, ...watch.faults], []);
});
