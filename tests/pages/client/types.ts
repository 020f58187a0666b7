// Checked by tsc --strict: what a program in TypeScript writes, and what the types refuse.

import { Backoff, Connection, EventStream, SseParser, WstapError, comesBack, type Channel, type ConnectionOptions, type State } from "wstap";

const options: ConnectionOptions = { id: "ann", token: async () => "t", backoff: new Backoff({ first: 10 }), timeout: 1000, heartbeat: 0 };
const hub = new Connection(new URL("http://localhost:8080"), options);
const news: Channel = hub.channel("news");

const stop: () => void = news.on("message", ({ data, id, type }) => { console.log(data.price, id?.length, type); });
news.on("resumed", ({ complete }: { complete: boolean }) => complete);
news.on("end", ({ error }) => { if (error instanceof WstapError) console.log(error.code); });
hub.on("state", (state: State) => console.log(state.state, state.wait?.toFixed()));
hub.on("frame", ({ data, direction }) => { if (direction === "in" && typeof data !== "string") data.byteLength; });
// @ts-expect-error there is no such event
news.on("messages", () => {});
// @ts-expect-error there is no such option
new Connection("/", { retries: 3 });
// @ts-expect-error a channel is made by its connection
new Channel("news");
// @ts-expect-error it is read only
hub.state = "open";

export async function main(): Promise<void> {
  await hub.ready;
  const id: string | null = await news.subscribe({ last: 5, after: "1-0", token: "t" });
  await news.publish({ id });
  await hub.send(new Uint8Array(1));
  stop();
  await hub.close(4000, "enough");
  const events = new EventStream(undefined, { kind: ["message", "join"], direction: "in", last: 1 });
  events.on("message", ({ data }) => console.log(data.connectionId));
  events.on("gap", ({ missed }) => missed?.toFixed());
  // @ts-expect-error there is no such kind
  new EventStream("/", { kind: "open" });
  await events.close();
  new SseParser().feed("data: 1\n\n", (name: string, data: string) => console.log(name, data));
  console.log(comesBack(4409));
}
