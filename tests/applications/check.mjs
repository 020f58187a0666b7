// Compares the use of an application through wstap with its use without, and with what the tap shows.

import assert from "node:assert/strict";

import { until } from "./process.mjs";

/** Asserts that an application works as without wstap. */
export function compare(direct, through) {
  const plain = ({ mark, result, url }) => JSON.parse(JSON.stringify(result ?? null).replaceAll(mark, "MARK").replaceAll(url, "URL"));
  assert.deepEqual(plain(through), plain(direct), "the result differs from that without wstap");
  const faults = (use) => [...new Set(use.pages.flatMap((page) => page.faults.map((fault) => fault.replaceAll(use.url, "URL").replaceAll(use.mark, "MARK").replace(/[0-9a-f-]{20,}/g, "ID"))))];
  const without = faults(direct);
  assert.deepEqual(faults(through).filter((fault) => !without.includes(fault)), [], "the page has faults that it does not have without wstap");
}

/** Asserts that the tap shows what there was. Returns a line for each kind of connection. */
export async function observe(application, tap, { mark, pages }) {
  const connections = await tap.connections();
  const lines = [];
  for (const expected of application.tap) lines.push(await kind(expected, connections, tap, mark));
  browsers(connections, pages);

  const faults = await tap.faults();
  assert.deepEqual(faults.events, [], "the tap shows faults");
  assert.equal(faults.unseen, 0, "messages that the tap had no room for");
  for (const { path, end } of connections) {
    assert.ok(end.close.by === "client" || end.close.by === "server", `${path} is ended by ${end.close.by}: ${end.close.reason}`);
  }
  return lines;
}

/** Asserts that there are connections as expected, whose messages are legible. */
async function kind({ path, subprotocol = null, transport = "websocket", both = false, text }, connections, tap, mark) {
  const found = connections.filter((one) => path.test(one.path) && one.transport === transport);
  const what = () => `there are ${JSON.stringify(connections.map((one) => [one.path, one.transport, one.subprotocol]))}`;
  assert.ok(found.length, `there is no ${transport} ${path}; ${what()}`);
  for (const one of found) assert.equal(one.subprotocol ?? null, subprotocol, what());
  if (text !== null) {
    const wanted = text?.(mark) ?? mark;
    const ids = new Set(found.map((one) => one.connectionId));
    const directions = await until(`"${wanted}" on the tap`, async () => {
      const all = [...await tap.containing(wanted)].filter(([id]) => ids.has(id)).flatMap(([, ways]) => [...ways]);
      return all.length && new Set(all);
    }, 10_000);
    if (both) assert.deepEqual([...directions].sort(), ["in", "out"], `"${wanted}" in both directions`);
  }
  const count = (way) => found.reduce((sum, { end }) => sum + end.messages[way], 0);
  const times = found.length > 1 ? `${found.length} × ` : "";
  const name = found[0].path.replace(/\?.*/, "").replace(/[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{20,}/g, "…");
  const numbers = transport === "sse" ? `${count("out")} events` : `${count("in")} in, ${count("out")} out`;
  return `${times}\`${name}\` (${[transport === "sse" ? "event stream" : null, subprotocol && `\`${subprotocol}\``].filter(Boolean).join(", ") || "no subprotocol"}): ${numbers}`;
}

/** Asserts that messages are counted as the browser has counted them, as far as it had them before the page closed. */
function browsers(connections, pages) {
  const sockets = pages.flatMap((page) => page.sockets).filter(({ error }) => !error);
  const sum = (all, of) => all.reduce((total, one) => total + of(one), 0);
  for (const path of new Set(sockets.map((socket) => socket.path))) {
    const seen = sockets.filter((socket) => socket.path === path);
    const tapped = connections.filter((one) => one.transport === "websocket" && one.path.replace(/\?.*/, "") === path);
    assert.equal(tapped.length, seen.length, `connections to ${path}, as the browser has opened them`);
    const [sent, taken] = [sum(seen, (one) => one.sent), sum(tapped, (one) => one.end.messages.in)];
    assert.ok(taken <= sent && sent - taken <= seen.length, `${path}: the browser has sent ${sent} messages, the tap has ${taken}`);
    const [received, given] = [sum(seen, (one) => one.received), sum(tapped, (one) => one.end.messages.out)];
    assert.ok(received <= given, `${path}: the browser has received ${received} messages, the tap has ${given}`);
  }
}
