// The client of wstap for browsers and node (20 or newer): ES modules, no dependencies, no build.
//
//   import { Connection, EventStream } from "http://localhost:8080/wstap.js";
//
//   const hub = new Connection("http://localhost:8080", { id: "ann" });
//   const news = hub.channel("news");
//   news.on("message", ({ data }) => console.log(data));
//   await news.subscribe({ last: 5 });
//   await news.publish({ headline: "it works" });
//
// A page imports `/wstap.js`, which exports the same and connects to the server that it came from.
// Programs install this folder: `npm install PATH/static/js/wstap`.
//
// `Connection` and `EventStream` are EventTargets and not async iterators: several parts of a program
// listen to one connection, and an event is handed over when it arrives. An iterator has one reader,
// and an unbounded queue in front of a slow one.

export { Backoff } from "./backoff.js";
export { Channel } from "./channel.js";
export { comesBack, WstapError } from "./codes.js";
export { Connection } from "./connection.js";
export { SseParser } from "./sse.js";
export { EventStream } from "./stream.js";
