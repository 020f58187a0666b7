// Search, filter, saved views, and the browser's back and forward. Names are claims.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { holds } from "../../static/js/model/query.js";
import { isShort, translate } from "../../static/js/model/shorthand.js";
import { accessible, client, end, page, rows, says, state, tap, text, until } from "./harness.mjs";

after(end);

async function inspector(t, query = "") {
  const server = await tap();
  t.after(() => server.kill());
  const watch = await page(`${server.url}/es-client${query}`);
  await state(watch, "open");
  const socket = await client(server, "a");
  return { server, watch, socket, whats: async () => (await rows(watch)).map((row) => row.what).join() };
}

const filterState = (watch) => watch.$eval("#filter-state", (box) => (box.hidden ? "" : box.textContent));

test("short terms are translated as `wstap watch` translates them", async () => {
  const said = (word) => `(text(message).contains(${word}) || text(fields).contains(${word}))`;
  const isExpression = async (term) => /^[a-z.]+(==|<=|>|<)\d/.test(term);
  for (const [terms, expression] of [
    ["conn:room-7", 'connectionId == "room-7"'],
    ["connection:room-*", 'connectionId.startsWith("room-")'],
    ["channel:a user:b*", 'channel == "a" && user.startsWith("b")'],
    ["kind:connect kind:close", '(kind == "connect" || kind == "close")'],
    ["op:binary path:/ws", 'opcode == "binary" && path.startsWith("/ws")'],
    ['conn:"a b"', 'connectionId == "a b"'],
    ["re:'^a b$'", 'text(message).matches("^a b$")'],
    ["!kind:close", '!(kind == "close")'],
    ["size>100 message.price<=5", "size>100 && message.price<=5"],
    ['conn:room-7 dir:out kind:message "text" size>100', `connectionId == "room-7" && direction == "out" && kind == "message" && ${said('"text"')} && size>100`],
    ["'it is'", said('"it is"')],
    ["a=b", said('"a=b"')],
    ["foo:bar", said('"foo:bar"')],
    ["say\\", said('"say\\\\"')],
  ]) assert.equal(await translate(terms, isExpression), expression, terms);
  await assert.rejects(translate("kind:mesage", isExpression), /kind:mesage: a kind is connect, message, close, join, leave, request, gap/);
  await assert.rejects(translate("dir:up", isExpression), /dir:up: a direction is in, out/);
  await assert.rejects(translate('a "b c', isExpression), /"b c: the quote does not end/);
  assert.deepEqual(["conn:1", "size>1 !kind:close", "localhost:8080", "word", 'message.a == "conn:1"', "message.x > 1"].map(isShort), [true, true, false, false, false, false]);
});

test("a text is found in the content, or anywhere in the event", () => {
  const line = (rest) => `{"id":"1700000000000-0","time":"2023-11-14T22:13:20.000Z",${rest}}`;
  const message = line('"kind":"message","connectionId":"desk","direction":"in","opcode":"text","size":9,"channel":null,"message":{"say":"Hello \\"you\\""}');
  const binary = line('"kind":"message","connectionId":"desk","direction":"in","opcode":"binary","size":4,"channel":null,"message":"SGnDpA==","encoding":"base64"');
  const close = line('"kind":"close","connectionId":"desk","close":{"code":4000,"reason":"Battery low","clean":true,"by":"client"}');
  const connect = line('"kind":"connect","connectionId":"desk","remote":"10.0.0.1:5","path":"/chat","headers":{"origin":"http://x"}');
  const own = line('"kind":"message","connectionId":"desk","direction":"in","opcode":"text","size":9,"channel":null,"message":"x","fields":{"room":"lobby"}');
  for (const [raw, word, content, anywhere] of [
    [message, "hello \"YOU", true, true], [message, "direction", false, true], [message, "desk", false, true], [message, "2023", false, true], [message, "nothing", false, false],
    [binary, "hiä", true, true], [binary, "SGnD", false, true], [binary, "base64", false, true],
    [close, "battery", true, true], [close, "client", false, true], [connect, "/CHAT", true, true], [connect, "10.0.0", false, true], [own, "lobby", true, true],
  ]) assert.deepEqual([holds(raw, word, "content"), holds(raw, word, "event")], [content, anywhere], `${word} in ${raw}`);
  assert.equal(holds(binary, "publish", "content", "PUBLISH home/temp"), true, "what a decoder reads is content");
});

test("a search looks at the content, and with the switch at all of the event, live and in the past", async (t) => {
  const { watch, socket, whats } = await inspector(t);
  socket.send("direction of travel");
  socket.send("other");
  await until("them", async () => (await rows(watch)).length === 3);
  await watch.fill("#text", "direction");
  await until("the one", async () => (await whats()) === "direction of travel");
  socket.send("new direction");
  socket.send("not this");
  await until("the new one", async () => (await whats()) === "direction of travel,new direction");
  await watch.click("#within");
  await until("each message", async () => (await whats()) === "direction of travel,other,new direction,not this");
  assert.match(watch.url(), /within=event/);
  await says(watch, "#conditions", /“direction”, anywhere in the event/);
  await watch.reload();
  await until("the same", async () => (await rows(watch)).length === 4);
  assert.equal(await watch.getAttribute("#within", "aria-pressed"), "true");
  assert.deepEqual(watch.faults, []);
});

test("a valid filter applies itself, short terms too, and the field says when the list does not follow it", async (t) => {
  const { watch, socket, whats } = await inspector(t);
  for (const n of [1, 20, 300]) socket.send(`{"price":${n}}`);
  await until("them", async () => (await rows(watch)).length === 4);
  assert.equal(await filterState(watch), "");
  await watch.fill("#filter", "message.price > 10");
  assert.equal(await filterState(watch), "not applied");
  await until("the filter", async () => (await whats()) === '{"price":20},{"price":300}');
  assert.equal(await filterState(watch), "applied");
  await watch.fill("#filter", "message.price > ");
  await watch.waitForSelector("#filter-fault:not([hidden])");
  assert.equal(await filterState(watch), "not applied");
  assert.equal(await whats(), '{"price":20},{"price":300}', "the list follows the last valid one");
  await accessible(watch, "a filter that is not applied");
  await watch.fill("#filter", "dir:in conn:a message.price<100");
  await until("the short terms", async () => (await whats()) === '{"price":1},{"price":20}');
  assert.equal(await watch.inputValue("#filter"), "dir:in conn:a message.price<100", "the field keeps what was typed");
  assert.equal(await filterState(watch), "applied");
  await watch.fill("#filter", "dir:sideways");
  await until("the fault", async () => /dir:sideways: a direction is in, out/.test(await text(watch, "#filter-fault")));
  await watch.fill("#filter", "");
  await until("all", async () => (await rows(watch)).length === 4);
  assert.equal(await filterState(watch), "");
});

test("back and forward of the browser step through views, and typing is one step", async (t) => {
  const { watch, socket, whats } = await inspector(t);
  for (const word of ["apple", "pear", "plum"]) socket.send(word);
  await until("them", async () => (await rows(watch)).length === 4);
  await watch.focus("#text");
  await watch.keyboard.type("pear", { delay: 200 });
  await until("the search", async () => (await whats()) === "pear");
  await watch.keyboard.press("Escape");
  await watch.click("#text");
  await watch.fill("#text", "p");
  await until("another", async () => (await whats()) === "apple,pear,plum");
  await watch.click("[data-kind=connect][aria-pressed]");
  await until("none", async () => (await rows(watch)).length === 0);
  await watch.click("#history");
  await until("the history", async () => (await text(watch, "#mode")) === "the server's history");
  assert.match(watch.url(), /history=1/);
  await watch.goBack();
  await until("live again", async () => (await text(watch, "#mode")) === "");
  await watch.goBack();
  await until("the search", async () => (await whats()) === "apple,pear,plum");
  assert.equal(await watch.inputValue("#text"), "p");
  await watch.goBack();
  await until("everything", async () => (await rows(watch)).length === 4);
  await watch.goBack();
  await until("the first search, typed in four steps", async () => (await whats()) === "pear");
  assert.equal(await watch.inputValue("#text"), "pear");
  await watch.goBack();
  await until("the beginning", async () => (await rows(watch)).length === 4);
  await watch.goForward();
  await until("forward", async () => (await whats()) === "pear");
  assert.deepEqual(watch.faults, []);
});

test("a saved view is what is seen: the text just typed, and the history", async (t) => {
  const { watch, socket, whats } = await inspector(t);
  for (const word of ["apple", "pear"]) socket.send(word);
  await until("them", async () => (await rows(watch)).length === 3);
  await watch.click("#history");
  await until("the history", async () => (await text(watch, "#mode")) === "the server's history");
  await watch.evaluate(() => {
    const field = document.getElementById("text");
    field.value = "pear";
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    document.getElementById("views").click();
  });
  await watch.fill("#views-name", "fruit");
  await says(watch, "#views-now", /This view: text “pear”\./);
  await watch.click('#views-dialog button:text-is("Save this view")');
  await accessible(watch, "saved views");
  await watch.click("#views-dialog [data-close]");
  await watch.goto(watch.url().replace(/\?.*/, ""));
  await until("everything", async () => (await rows(watch)).length === 3);
  await watch.click("#views");
  await watch.click("#views-list a");
  await until("the one", async () => (await whats()) === "pear");
  await says(watch, "#mode", "the server's history");
});
