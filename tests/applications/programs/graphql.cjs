// A schema with a query, a mutation and a subscription, over graphql-ws and HTTP.

const { createServer } = require("node:http");
const { buildSchema, graphql } = require("graphql");
const { useServer } = require("graphql-ws/use/ws");
const { WebSocketServer } = require("ws");

const schema = buildSchema("type Query { last: String } type Mutation { say(word: String!): Boolean } type Subscription { said: String }");
const subscribers = new Set();
let last = null;

const roots = {
  query: { last: () => last },
  mutation: {
    say: ({ word }) => {
      last = word;
      for (const subscriber of subscribers) subscriber(word);
      return true;
    },
  },
  subscription: {
    async *said() {
      const words = ["ready"];
      let wake = () => {};
      const subscriber = (word) => {
        words.push(word);
        wake();
      };
      subscribers.add(subscriber);
      try {
        for (;;) {
          while (words.length) yield { said: words.shift() };
          await new Promise((resolve) => { wake = resolve; });
        }
      } finally {
        subscribers.delete(subscriber);
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
