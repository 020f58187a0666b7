// wstap in front of an application with its default flags, and what it tells of the traffic.

import { join } from "node:path";

import { start, until } from "./process.mjs";

const BINARY = process.env.WSTAP_BINARY ?? new URL("../../target/debug/wstap", import.meta.url).pathname;

/** Runs `wstap URL`. Only the addresses that it binds differ from the defaults. */
export async function tap(upstream, folder) {
  const child = start([BINARY, upstream, "--listen", "localhost:0", "--tap-listen", "localhost:0"], { log: join(folder, "wstap.log") });
  const [, url, observers] = await until("wstap", () => {
    child.check();
    return /Connect to\s+(\S+)[\s\S]*Events\s+(\S+)\/events/.exec(child.words());
  });
  const api = async (path) => (await fetch(`${observers}${path}`)).json();
  const events = (parameters) => api(`/api/events?format=json&limit=all&${new URLSearchParams(parameters)}`);
  return {
    url,
    words: child.words,
    stop: child.stop,
    events,
    /** Waits until each connection has its end; returns them with their ends. */
    connections: async () => {
      const [connects, closes] = await until("the end of each connection", async () => {
        const [begun, over] = [await events({ kind: "connect" }), await events({ kind: "close" })];
        return begun.every((one) => over.some((close) => close.connectionId === one.connectionId)) && [begun, over];
      }, 30_000);
      return connects.map((connect) => ({ ...connect, end: closes.find((close) => close.connectionId === connect.connectionId) }));
    },
    /** Connections whose messages contain a text, each with the directions. */
    containing: async (text) => {
      const found = new Map();
      for (const { connectionId, direction } of await events({ kind: "message", text, within: "content" })) {
        found.set(connectionId, (found.get(connectionId) ?? new Set()).add(direction));
      }
      return found;
    },
    /** What should not be: violations, messages that are not shown, gaps, refused handshakes. */
    faults: async () => {
      const all = await events({});
      const { now } = await api("/api/info");
      const unseen = /^wstap_unseen_messages_total (\d+)/m.exec(await (await fetch(`${observers}/metrics`)).text())?.[1];
      const found = all.filter((event) => event.kind === "gap" || event.note || event.truncated || (event.kind === "close" && event.close?.status !== undefined) || (event.kind === "close" && event.status !== undefined));
      return {
        events: found.map((event) => JSON.stringify(event).slice(0, 300)),
        unseen: Number(unseen ?? Number.NaN),
        requests: now.requests,
        failed: all.filter((event) => event.kind === "request").map((event) => `${event.status} ${event.method} ${event.path}`),
      };
    },
  };
}
