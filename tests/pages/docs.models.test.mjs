// What the page of the API makes of descriptions, without a browser. Names are claims.

import assert from "node:assert/strict";
import { test } from "node:test";
import { curl, indented, quoted, request } from "../../static/js/model/call.js";
import { frames, isEndless, isHandshake, matches, operations } from "../../static/js/model/description.js";
import { example, limits, members, typeWords } from "../../static/js/model/schema.js";

const root = {
  tags: [{ name: "B" }, { name: "A" }],
  paths: {
    "/a/{id}": {
      parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
      get: { operationId: "one", tags: ["A"], summary: "One", parameters: [{ $ref: "#/components/parameters/Kind" }], responses: { 200: { description: "It.", content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } } } } },
      post: { operationId: "make", tags: ["A"], requestBody: { content: { "text/plain": { example: "hello" } } }, responses: { 204: {} } },
    },
    "/b": { get: { operationId: "stream", tags: ["B"], responses: { 200: { content: { "text/event-stream": {} } } } } },
    "/ws": { get: { operationId: "socket", tags: ["B"], responses: { 101: {} } } },
  },
  components: {
    parameters: { Kind: { name: "kind", in: "query", schema: { type: "array", items: { enum: ["x", "y"] } } } },
    schemas: {
      Thing: { type: "object", required: ["id"], properties: { id: { type: "string", example: "t1" }, n: { type: "integer", minimum: 2 }, next: { $ref: "#/components/schemas/Thing" }, when: { type: ["string", "null"], format: "date-time" } } },
      Either: { oneOf: [{ $ref: "#/components/schemas/Thing" }, { type: "array", items: { $ref: "#/components/schemas/Thing" } }] },
      Maybe: { oneOf: [{ $ref: "#/components/schemas/Thing" }, { type: "null" }] },
    },
  },
};
const of = (name) => ({ $ref: `#/components/schemas/${name}` });

test("operations come in the order of the tags, with what their paths share", () => {
  const all = operations(root);
  assert.deepEqual(all.map(({ id }) => id), ["stream", "socket", "one", "make"]);
  assert.deepEqual(all[2].parameters.map(({ name }) => name), ["id", "kind"]);
  assert.equal(all[3].body.media[0].examples[0].value, "hello");
  assert.deepEqual(all.map(isEndless), [true, false, false, false]);
  assert.deepEqual(all.map(isHandshake), [false, true, false, false]);
  assert.equal(matches(all[2], "get ONE"), true);
  assert.equal(matches(all[2], "get two"), false);
});

test("a schema is told in words, and a thing within itself is told once", () => {
  assert.deepEqual(members(root, of("Thing")).map(({ name, level, type, required }) => [name, level, type, required]), [
    ["id", 0, "string", true],
    ["n", 0, "integer", false],
    ["next", 0, "Thing", false],
    ["when", 0, "string, date-time or null", false],
  ]);
  assert.equal(typeWords(root, of("Either")), "Thing or array of Thing");
  assert.deepEqual(members(root, of("Either")).filter(({ choice }) => choice).map(({ choice }) => choice), ["Thing", "array of Thing"]);
  assert.equal(members(root, of("Maybe"))[0].name, "id", "something or nothing is the something");
  assert.equal(limits({ minLength: 1, maxLength: 128 }), "1 to 128 characters");
  assert.equal(limits({ minimum: 2 }), "at least 2");
  assert.equal(limits({ anyOf: [{ minimum: 1, maximum: 3 }, { minimum: 7, maximum: 9 }] }), "1 to 3 or 7 to 9");
  assert.deepEqual(members(root, of("Nowhere")), []);
});

test("an example is that of the schema, or made of its members", () => {
  assert.deepEqual(example(root, of("Thing")), { id: "t1", n: 2, next: null, when: "2025-11-20T20:20:00.000Z" });
  assert.deepEqual(example(root, { type: "array", items: { enum: ["x"] } }), ["x"]);
  assert.equal(example(root, { examples: [7], type: "string" }), 7);
});

test("frames are told by who says them", () => {
  const [said] = frames({
    operations: { say: { title: "Says", channel: { $ref: "#/channels/c" }, messages: [{ $ref: "#/channels/c/messages/m" }] } },
    channels: { c: { address: "/ws", messages: { m: { $ref: "#/components/messages/m" } } } },
    components: { messages: { m: { title: "M", payload: { type: "string" }, examples: [{ payload: "x" }] } } },
  });
  assert.deepEqual([said.id, said.address, said.messages[0].title, said.messages[0].examples], ["frames-say", "/ws", "M", ["x"]]);
});

test("a request is made of what stands in the fields, and what is missing is named", () => {
  const [, , one, make] = operations(root);
  assert.deepEqual(request(one, { "path id": "a/b ü", "query kind": ["x", "", "y&z"] }), { method: "GET", path: "a/a%2Fb%20%C3%BC?kind=x&kind=y%26z", headers: [], body: null });
  assert.deepEqual(request(one, { "path id": "" }), { fault: "id is part of the address.", field: "path id" });
  assert.deepEqual(request(make, { "path id": "a" }, { type: "text/plain", text: "hi" }), { method: "POST", path: "a/a", headers: [["Content-Type", "text/plain"]], body: "hi" });
});

test("the line for a shell is quoted where it has to be", () => {
  assert.equal(quoted("it's"), "'it'\\''s'");
  assert.equal(curl({ method: "GET", headers: [], body: null }, "http://x/events", { endless: true }), "curl -N http://x/events");
  assert.equal(curl({ method: "GET", headers: [], body: null }, "http://x/e?a=1&b=2"), "curl 'http://x/e?a=1&b=2'");
  assert.equal(curl({ method: "POST", headers: [["Content-Type", "text/plain"]], body: "$(rm)" }, "http://x/"), "curl -H 'Content-Type: text/plain' --data-raw '$(rm)' http://x/");
  assert.equal(curl({ method: "DELETE", headers: [], body: null }, "http://[::1]:80/"), "curl -X DELETE -g 'http://[::1]:80/'");
  assert.equal(curl({ method: "POST", headers: [], body: null }, "http://x/", { file: "a b" }), "curl --data-binary '@a b' http://x/");
});

test("JSON is laid out without touching its digits, its order or its repeated keys", () => {
  assert.equal(indented('{"b":1.50,"a":[],"a":{"n":12345678901234567890,"s":"{\\"x\\":[1,2]}"}}'), '{\n  "b": 1.50,\n  "a": [],\n  "a": {\n    "n": 12345678901234567890,\n    "s": "{\\"x\\":[1,2]}"\n  }\n}');
  assert.equal(indented("[1, 2]"), "[\n  1,\n  2\n]");
  assert.equal(indented("no JSON"), "no JSON");
  assert.equal(indented("{}"), "{}");
});
