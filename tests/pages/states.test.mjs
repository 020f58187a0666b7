// What the inspector says and bears when things are not as they should be. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BEGIN, fake, history, message, problem, sse } from "./fake.mjs";
import { accessible, client, connections, drawn, end, page, rows, says, state, tap, text, until, violations } from "./harness.mjs";

after(end);

async function watched(t, answers, query = "") {
  const site = await fake(answers);
  t.after(() => site.stop());
  return { site, watch: await page(`${site.url}/es-client${query}`) };
}

/** Events that the page has, and those that it says it could not take. */
async function counted(watch) {
  const counts = await text(watch, "#counts");
  const number = (pattern) => Number(pattern.exec(counts)?.[1].replaceAll(",", "") ?? 0);
  return number(/^([\d,]+) events/) + number(/([\d,]+) came faster/);
}

const banner = (watch, words) => until(String(words), async () => words.test(await text(watch, "#banner")));

test("an expression is completed, checked while it is typed, and its fault shown at its place", async (t) => {
  const asked = [];
  const { watch } = await watched(t, {
    "/events": (_, outgoing, query, open) => {
      asked.push(query.get("filter"));
      open();
      outgoing.write(sse([message(1, "x", { message: { price: 5 } })]));
    },
    "/api/events": (_, outgoing, query) => {
      if (query.get("filter")?.includes("prize")) return problem(outgoing, 400, { code: "malformed", detail: "there is no such field", position: 18 });
      return outgoing.writeHead(200).end(query.get("format") === "marks" ? '{"every":1,"marks":[],"count":0,"first":null,"last":null}' : "[]");
    },
  });
  await state(watch, "open");
  await until("a message to learn from", async () => (await rows(watch)).length === 1);
  await watch.keyboard.press("e");
  await watch.keyboard.type("ki");
  await watch.waitForSelector("#filter-list:not([hidden])");
  await watch.keyboard.press("ArrowDown");
  assert.equal(await watch.getAttribute("#filter", "aria-activedescendant"), "offer-0");
  await watch.keyboard.press("Enter");
  assert.equal(await watch.inputValue("#filter"), "kind");
  await watch.fill("#filter", "true && message.prize > 1");
  await watch.waitForSelector("#filter-fault:not([hidden])");
  await says(watch, "#filter-fault mark", "r");
  await says(watch, "#filter-fault", /there is no such field/);
  await watch.keyboard.press("Escape");
  await watch.keyboard.press("Enter");
  assert.deepEqual(asked, [null], "what is wrong is not asked for");
  await watch.fill("#filter", "message.pr");
  await watch.keyboard.press("ArrowDown");
  await watch.keyboard.press("Tab");
  assert.equal(await watch.inputValue("#filter"), "message.price");
  await watch.keyboard.type(" > 1");
  await watch.keyboard.press("Enter");
  await until("the stream", () => asked.at(-1) === "message.price > 1");
  await until("the address", () => /filter=message\.price/.test(watch.url()));
});

test("refused, full, broken and back are told with what to do next", async (t) => {
  let answer = (outgoing) => problem(outgoing, 403, { code: "forbidden", detail: "this server does not answer to that name" });
  const { watch } = await watched(t, { "/events": (_, outgoing, __, open) => answer(outgoing, open) });
  await banner(watch, /does not let this page listen.*does not answer to that name.*--host.*Try now/s);
  await accessible(watch, "refused");
  answer = (outgoing) => problem(outgoing, 401, { code: "unauthorized", detail: "a token is needed" });
  await watch.click("#banner button");
  await banner(watch, /wants to know who you are/);
  answer = (outgoing) => problem(outgoing, 503, { code: "full", detail: "10 listeners are here" });
  await watch.click("#banner button");
  await banner(watch, /takes no more listeners.*10 listeners are here.*--max-listeners/s);
  await until("the blank", async () => /No room for this page/.test(await text(watch, "#blank")));
  let stream = null;
  answer = (outgoing, open) => {
    open();
    stream = outgoing;
  };
  await watch.click("#banner button");
  await state(watch, "open");
  assert.equal(await watch.isHidden("#banner"), true);
  answer = (outgoing) => outgoing.destroy();
  stream.destroy();
  await state(watch, "waiting");
  await banner(watch, /The stream is interrupted.*does not answer.*resumes where it was.*again in/s);
  await accessible(watch, "reconnecting");
  answer = (_, open) => open();
  await watch.click("#banner button");
  await state(watch, "open");
});

test("a page that waits for its first answer says so", async (t) => {
  const { watch } = await watched(t, { "/events": () => {} });
  await until("the words", async () => /Connecting/i.test(await text(watch, "#blank")));
  await accessible(watch, "connecting");
});

test("a filter in a link that the server cannot read is shown with its fault", async (t) => {
  const { watch } = await watched(t, {
    "/events": (_, outgoing, query, open) => (query.has("filter") ? problem(outgoing, 400, { code: "malformed", detail: "a value is missing", position: 9 }) : open()),
  }, "?filter=kind+%3D%3D+");
  await banner(watch, /cannot answer that.*a value is missing/is);
  await until("its fault", async () => /a value is missing/.test(await text(watch, "#filter-fault")));
  await watch.click('#banner button:text-is("Clear the filter")');
  await state(watch, "open");
  assert.equal(await watch.inputValue("#filter"), "");
});

test("a gap is a line, a notice, and what would keep more", async (t) => {
  const { watch } = await watched(t, {
    "/events": (_, outgoing, __, open) => {
      open();
      outgoing.write(`${sse([message(1)])}event: gap\ndata: {"missed":1234,"after":"${BEGIN + 10}-0","before":"${BEGIN + 90}-0"}\n\n${sse([message(9)])}`);
    },
  });
  await until("three lines", async () => (await rows(watch)).map((row) => row.kind).join() === "in,gap,in");
  await says(watch, "#notice", /1,234 events were forgotten.*--history-events/s);
  await watch.click(".event[data-kind=gap]");
  await says(watch, "#detail-body", /--history-bytes.*Events1,234/s);
  await accessible(watch, "gap");
});

test("what a proxy knows is told: wire sizes, violations, refusals, silence, what was sent by hand", async (t) => {
  const at = (n, rest) => JSON.stringify({ id: `${BEGIN + n}-0`, time: new Date(BEGIN + n).toISOString(), connectionId: "p1", ...rest });
  const lines = [
    at(1, { kind: "connect", remote: "10.0.0.1:5", path: "/chat", headers: { origin: "http://x" }, subprotocol: "mqtt", extensions: "permessage-deflate", upstream: "ws://up:1", status: 101, upstreamTime: 0.0124 }),
    at(2, { kind: "message", direction: "in", opcode: "text", size: 4000, wire: 1000, compressed: true, fragments: 3, channel: null, message: "compressed words" }),
    at(3, { kind: "message", direction: "out", opcode: "text", size: 1, channel: null, message: "x", synthetic: true }),
    at(4, { kind: "message", direction: "in", opcode: null, size: 2, channel: null, message: "AP8=", encoding: "base64", note: "protocol violation: reserved bits" }),
    at(5, { kind: "message", direction: "in", opcode: "pong", size: 0, channel: null, message: "" }),
    at(31_005, { kind: "close", close: { code: 1006, reason: "", clean: false, by: "network" }, duration: 31, messages: { in: 3, out: 1 }, bytes: { in: 9, out: 1 }, wire: { in: 20, out: 3 }, silence: { in: 31, out: 2.5 } }),
    JSON.stringify({ id: `${BEGIN + 31_006}-0`, time: new Date(BEGIN + 31_006).toISOString(), connectionId: "p2", kind: "close", close: { code: 1006, reason: "", clean: false, by: "server" }, status: 403, remote: "10.0.0.2:6", path: "/private", headers: {} }),
  ];
  const { watch } = await watched(t, {
    "/api/info": (_, outgoing) => outgoing.writeHead(200).end(JSON.stringify({ version: "0", mode: "proxy", addresses: { websocket: [], observers: [], apart: false }, now: { lastEventId: null, history: { events: 0, bytes: 0 } } })),
    "/events": (_, outgoing, __, open) => { open(); outgoing.write(sse(lines)); },
    "/api/events": (_, outgoing, query) => outgoing.writeHead(200).end(query.get("format") === "marks" ? '{"every":1,"marks":[],"count":0,"first":null,"last":null}'
      : query.get("kind") === "message" ? `${[...lines.slice(1, 5)].reverse().join("\n")}\n` : query.get("format") === "ndjson" ? "" : "[]"),
  });
  const detail = async (n, pattern) => {
    await watch.click(`.event[aria-posinset="${n}"]`);
    await until(String(pattern), async () => pattern.test(await text(watch, "#detail-body")));
  };
  await until("all", async () => (await rows(watch)).length === lines.length);
  await detail(1, /ws:\/\/up:1.*Status101.*12 ms.*mqtt.*permessage-deflate.*http:\/\/x/s);
  await detail(2, /3\.9 KiB 4,000 bytes.*1000 B 25 % of it, compressed.*Fragments3/s);
  await detail(3, /sent by hand/);
  assert.equal(await watch.textContent('.event[aria-posinset="3"] .badge'), "synthetic");
  await detail(4, /protocol violation: reserved bits.*00 ff/s);
  await detail(6, /The network ended it 31 s after the last pong.*client had been silent for 31 s.*client's side went first/s);
  await accessible(watch, "close of a proxy");
  await detail(7, /refused the handshake with status 403.*Path\/private/s);
  assert.equal((await rows(watch))[6].what, "refused by the upstream: 403");
  await detail(2, /compressed words/);
  await watch.click('button:text-is("Send again…")');
  assert.equal(await watch.isVisible("#send-side"), true);
  assert.equal(await watch.isChecked("#send-side [value=server]"), true, "what came from the client goes to the server again");
  assert.deepEqual(watch.faults, []);
});

test("a page that falls behind says so with the number, and goes on", async (t) => {
  let stream = null;
  const { watch } = await watched(t, { "/events": (_, outgoing, __, open) => { open(); stream = outgoing; } });
  await state(watch, "open");
  await until("the stream", () => stream !== null);
  const busy = watch.evaluate(() => new Promise((done) => setTimeout(() => {
    for (const until = Date.now() + 4000; Date.now() < until;);
    done();
  }, 50)));
  await new Promise((wake) => setTimeout(wake, 300));
  for (let from = 1; from <= 150_000; from += 5000) stream.write(sse(Array.from({ length: 5000 }, (_, n) => message(from + n, "x"))));
  await busy;
  await until("the last", async () => (await rows(watch)).at(-1)?.kind !== undefined && /came faster/.test(await text(watch, "#counts")));
  await until("every one to be counted", async () => (await counted(watch)) === 150_000);
  await says(watch, "#notice", /This page fell behind: [\d,]+ events/);
  stream.write(sse([message(200_000, "the next")]));
  await until("the next", async () => (await rows(watch)).at(-1).what === "the next");
});

test("a million events are scrolled, searched by time and read anywhere, and only what is seen is loaded", async (t) => {
  const past = history(1_000_000);
  const { watch } = await watched(t, past, "?history=1");
  await until("the count", async () => /1,000,000 events of the history/.test(await text(watch, "#counts")));
  const whats = async () => (await rows(watch)).map((row) => row.what);
  await until("the last", async () => (await whats()).at(-1) === "message 999999");
  await watch.focus("#events");
  await watch.keyboard.press("Home");
  await until("the first", async () => (await whats())[0] === "message 0");
  await watch.mouse.move(700, 500);
  await watch.mouse.wheel(0, 2600);
  await until("a hundred lines further", async () => (await whats())[2] === "message 100");
  for (const share of [0.25, 0.5, 0.75]) {
    await watch.evaluate((part) => { const box = document.getElementById("events"); box.scrollTop = part * (box.scrollHeight - box.clientHeight); }, share);
    await until(`the part at ${share}`, async () => {
      const n = Number(/^message (\d+)$/.exec((await whats())[5] ?? "")?.[1] ?? -1);
      return Math.abs(n - share * 1_000_000) < 2000;
    });
  }
  await watch.keyboard.press("t");
  const local = await watch.evaluate((ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 23), BEGIN + 1_234_551);
  await watch.fill("#time-from", local);
  await watch.click("#time-go");
  await until("that time", async () => (await whats()).includes("message 123456"));
  assert.equal(await watch.getAttribute("#events [aria-selected=true]", "aria-posinset"), "123457");
  const loaded = past.asked.filter((query) => query.includes("ndjson")).length;
  assert.ok(loaded < 60, `${loaded} parts`);
  assert.deepEqual(watch.faults, []);
});

test("hostile traffic is text and nothing else", async (t) => {
  const server = await tap("--max-message-bytes", "12MiB", "--history-bytes", "256MiB");
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client`);
  await state(watch, "open");
  const id = '<img src=x onerror="document.title=1">';
  const socket = await client(server, id);
  socket.send("<script>document.title = 'broken'</script>\u202Eevil");
  socket.send(JSON.stringify({ connectionId: id, message: { "</pre><script>": "</script><svg onload=alert(1)>", ["__proto__"]: 1, "\u202Ekey": "\u2066x" } }));
  socket.send('"\\ud800"');
  await until("all of it", async () => (await rows(watch)).length === 4);
  const [connect, script] = await rows(watch);
  assert.equal(connect.who, id);
  assert.equal(script.what, "<script>document.title = 'broken'</script>\\u{202e}evil");
  await watch.click(".event:not([hidden]):has-text('svg onload')");
  await until("its tree", async () => /<\/pre><script>:"<\/script><svg onload/.test(await text(watch, ".tree")));
  await says(watch, ".tree", /\\u\{202e\}key:"\\u\{2066\}x"/);
  await until("its name in the list", async () => (await connections(watch))[0]?.name === id);
  socket.send("ten megabytes ".repeat(750_000));
  socket.send(`${"[".repeat(50_000)}${"]".repeat(50_000)}`);
  socket.send(`{"wide":{${Array.from({ length: 50_000 }, (_, n) => `"k${n}":${n}`)}}}`);
  await until("the long ones", async () => (await rows(watch)).length === 7);
  for (const what of ["ten megabytes", "[[[[", '{"wide"']) {
    await watch.click(`.event:not([hidden]):has-text(${JSON.stringify(what)})`);
    await until("its content", async () => (await watch.$$(".content pre, .content .tree")).length > 0);
    await drawn(watch);
    await watch.keyboard.press("Escape");
  }
  await watch.click(".event:not([hidden]):has-text('{\"wide\"')");
  await watch.click(".node .more");
  await until("more of it", async () => (await watch.$$(".node")).length > 200);
  assert.equal(await watch.title(), "Inspector – wstap");
  assert.equal(await watch.$$eval("img[src='x'], main script, svg", (all) => all.length), 0);
  assert.deepEqual(watch.faults, []);
});

test("a hundred thousand names leave the page working", async (t) => {
  const { watch } = await watched(t, {
    "/events": async (_, outgoing, __, open) => {
      open();
      for (let from = 0; from < 100_000; from += 2000) {
        outgoing.write(sse(Array.from({ length: 2000 }, (_, n) => {
          const ms = BEGIN + from + n;
          return JSON.stringify({ id: `${ms}-0`, time: new Date(ms).toISOString(), kind: "connect", connectionId: `name-${from + n}`, remote: "1.1.1.1:1", path: "/", headers: {} });
        })));
        await new Promise((wake) => setTimeout(wake, 5));
      }
    },
  });
  await until("all", async () => (await counted(watch)) === 100_000);
  await until("the list", async () => /not listed/.test(await text(watch, "#who-count")));
  assert.ok((await watch.$$(".connection")).length < 60);
  await watch.fill("#connection-search", "name-19999");
  await until("the one", async () => (await connections(watch)).map((one) => one.name).join() === "name-19999");
  assert.deepEqual(watch.faults, []);
});

test("axe finds nothing on any page in any state, light and dark, wide and narrow", async (t) => {
  const server = await tap();
  t.after(() => server.kill());
  const faults = [];
  const look = async (opened, name) => {
    faults.push(...await violations(opened, name));
  };
  const kinds = [["light", 1440], ["dark", 1440], ["light", 900], ["light", 390], ["dark", 390]];
  for (const [colorScheme, width] of kinds) {
    const options = { colorScheme, viewport: { width, height: 860 } };
    const name = (what) => `${what}, ${colorScheme}, ${width}`;
    const watch = await page(`${server.url}/es-client`, options);
    await state(watch, "open");
    await look(watch, name("inspector, empty"));
    const socket = await client(server, "a");
    const ended = await client(server, "b");
    socket.send('{"a":{"b":[1,"x",null,true]}}');
    socket.send(Uint8Array.of(1, 2));
    await fetch(`${server.url}/api/connections/a/messages`, { method: "POST", body: "back" });
    ended.close(4000, "x");
    await until("them", async () => (await rows(watch)).some((row) => row.kind === "close"));
    await look(watch, name("inspector, live"));
    await watch.click(".event[data-kind=in]:not([hidden]):has-text('null')");
    await look(watch, name("inspector, message"));
    await watch.keyboard.press("m");
    await watch.keyboard.press("Escape");
    await watch.click(".event[data-kind=close]:not([hidden]) >> nth=0");
    await look(watch, name("inspector, close and comparison"));
    await watch.keyboard.press("Escape");
    for (const key of ["?", "t", "v", "w"]) {
      await watch.keyboard.press(key);
      await watch.waitForSelector("dialog[open]");
      await look(watch, name(`inspector, ${key}`));
      await watch.keyboard.press("Escape");
    }
    await watch.keyboard.press("e");
    await watch.keyboard.type("k");
    await look(watch, name("inspector, completion"));
    await watch.keyboard.type("%%");
    await watch.waitForSelector("#filter-fault:not([hidden])");
    await look(watch, name("inspector, fault"));
    await watch.goto(`${server.url}/es-client?history=1&text=a&kind=message`);
    await look(watch, name("inspector, history and conditions"));
    for (const path of ["", "ws-client"]) {
      await watch.goto(`${server.url}/${path}`);
      await look(watch, name(`/${path}`));
    }
    await watch.context().close();
    socket.close();
  }
  const site = await fake({ "/events": (_, outgoing) => problem(outgoing, 503, { code: "full", detail: "full" }) });
  t.after(() => site.stop());
  for (const colorScheme of ["light", "dark"]) {
    const refused = await page(`${site.url}/es-client`, { colorScheme });
    await state(refused, "failed");
    await look(refused, `inspector, full, ${colorScheme}`);
    await refused.context().close();
  }
  assert.deepEqual(faults, []);
});
