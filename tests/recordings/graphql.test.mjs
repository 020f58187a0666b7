// A session of GraphQL over WebSocket, with the ids that graphql-ws makes up: its server played again
// for clients that make up others.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GraphQLObjectType, GraphQLInt, GraphQLSchema, GraphQLString } from "graphql";
import { createClient } from "graphql-ws";
import { useServer } from "graphql-ws/use/ws";
import WebSocket, { WebSocketServer } from "ws";
import { running, until } from "./harness.mjs";

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: "Query", fields: { hello: { type: GraphQLString, args: { name: { type: GraphQLString } }, resolve: (_, { name }) => `hello ${name}` } } }),
  subscription: new GraphQLObjectType({
    name: "Subscription",
    fields: {
      count: {
        type: GraphQLInt,
        args: { to: { type: GraphQLInt } },
        async *subscribe(_, { to }) { for (let count = 1; count <= to; count += 1) yield { count }; },
      },
    },
  }),
});

/** A server of graphql-ws. */
async function server(t) {
  const http = createServer();
  const sockets = new WebSocketServer({ server: http, path: "/graphql" });
  useServer({ schema }, sockets);
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => { sockets.clients.forEach((socket) => socket.terminate()); http.close(); });
  return `http://127.0.0.1:${http.address().port}`;
}

/** The answers to a client: to a query, then to two subscriptions at the same time. */
async function session(url) {
  const client = createClient({ url: `${url}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 });
  const all = async (query) => {
    const heard = [];
    for await (const { data, errors } of client.iterate({ query })) heard.push(errors ?? Object.values(data)[0]);
    return heard;
  };
  const heard = [await all('{ hello(name: "ann") }')];
  heard.push(...await Promise.all([all("subscription { count(to: 3) }"), all("subscription { count(to: 2) }")]));
  await client.dispose();
  return heard;
}

const HEARD = [["hello ann"], [1, 2, 3], [1, 2]];

test("a client of graphql-ws with ids of its own is answered as the recorded one was", async (t) => {
  const tap = await running(t, "Ctrl-C stops.", "--upstream", await server(t), "--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0");
  const folder = await mkdtemp(join(tmpdir(), "wstap-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "session.ndjson");
  const record = await running(t, "", "record", /(http:\S+)\/events\s/.exec(tap.words)[1], file, "--last", "1000");
  const front = /Connect to\s+http(\S+)/.exec(tap.words)[1];
  assert.deepEqual(await session(`ws${front}`), HEARD);
  await until("the end", async () => (await readFile(file, "utf8").catch(() => "")).includes('"kind":"close"'));
  await record.stop("SIGINT");
  const ids = (text) => [...text.matchAll(/"id":"([0-9a-f]{8}-[0-9a-f-]{27})","type":"subscribe"/g)].map(([, id]) => id);
  assert.equal(new Set(ids(await readFile(file, "utf8"))).size, 3, "each operation has an id that no other client makes");
  const standing = await running(t, "Ctrl-C stops.", "replay", "--serve", file, "--listen", "127.0.0.1:0", "--speed", "10");
  const url = /ws(:\/\/\S+)/.exec(standing.words)[1];
  for (let round = 0; round < 2; round += 1) assert.deepEqual(await session(`ws${url}`), HEARD);
  assert.doesNotMatch(standing.words, /a message that is not recorded/);
});
