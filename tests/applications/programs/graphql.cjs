// A schema with a query, a mutation and a subscription, over graphql-ws and HTTP.

const { createServer } = require("node:http");
const { buildSchema, graphql } = require("graphql");
const { useServer } = require("graphql-ws/use/ws");
const { WebSocketServer } = require("ws");

const schema = buildSchema("type Query { last: String } type Mutation { say(word: String!): Boolean } type Subscription { said: String }");
const waiting = new Set();
let last = null;

const roots = {
  query: { last: () => last },
  mutation: {
    say: async ({ word }) => {
      // The word is for those who have subscribed; the first may still be on its way.
      while (!waiting.size) await new Promise((wake) => setTimeout(wake, 10));
      last = word;
      for (const wake of waiting) wake(word);
      return true;
    },
  },
  subscription: {
    async *said() {
      for (;;) {
        let wake;
        const word = await new Promise((resolve) => waiting.add(wake = resolve));
        waiting.delete(wake);
        yield { said: word };
      }
    },
  },
};

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  const { query } = request.method === "POST" ? JSON.parse(body) : { query: "{ last }" };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(await graphql({ schema, source: query, rootValue: roots.query })));
});
useServer({ schema, roots }, new WebSocketServer({ server, path: "/graphql" }));
server.listen(Number(process.argv[2]), "127.0.0.1");
