// The models of the pages, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Archive, spacing } from "../../static/js/model/archive.js";
import { Burst, filled, read } from "../../static/js/model/burst.js";
import { Names } from "../../static/js/model/complete.js";
import { between, diff } from "../../static/js/model/diff.js";
import { connectionOf, describe, idOf, payload, timeOf, findId } from "../../static/js/model/event.js";
import { forensics } from "../../static/js/model/forensics.js";
import { toHar } from "../../static/js/model/har.js";
import { dice } from "./decode.kit.mjs";
import { Folding } from "../../static/js/model/folding.js";
import { Journal } from "../../static/js/model/journal.js";
import { isDocument, members, skipValue, step } from "../../static/js/model/json.js";
import { SavedViews, all, both, conditions, fromQuery, isAll, passes, toQuery } from "../../static/js/model/query.js";
import { fromFile } from "../../static/js/model/recording.js";
import { Roster } from "../../static/js/model/roster.js";
import { Sent } from "../../static/js/model/sent.js";
import { bytes, delta, dump, duration, fromHex, rate, short, toHex, visible } from "../../static/js/model/text.js";
import { told } from "../../static/js/model/told.js";
import { compose } from "../../static/js/view/compose.js";

const line = (n, rest) => JSON.stringify({ id: `${1_700_000_000_000 + n}-0`, time: new Date(1_700_000_000_000 + n).toISOString(), ...rest });
const message = (n, who = "a", text = `m${n}`, more = {}) => line(n, { kind: "message", connectionId: who, direction: "in", opcode: "text", size: new TextEncoder().encode(text).length, channel: null, message: text, ...more });
const connect = (n, who) => line(n, { kind: "connect", connectionId: who, remote: "1.2.3.4:5", path: "/ws", headers: {} });
const close = (n, who, how = {}) => line(n, { kind: "close", connectionId: who, close: { code: 1001, reason: "", clean: true, by: "client", ...how }, duration: 1, messages: { in: 1, out: 0 }, bytes: { in: 2, out: 0 } });
const value = (raw) => JSON.parse(raw);
const store = () => {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) };
};

test("a journal keeps no more than it may and counts what it drops", () => {
  const journal = new Journal(100);
  for (let n = 1; n <= 1000; n += 1) journal.push([message(n)]);
  assert.deepEqual([journal.length, journal.total, journal.dropped, journal.first], [100, 1000, 900, 900]);
  assert.equal(describe(journal.at(99)).preview, "m1000");
  assert.equal(describe(journal.at(0)).preview, "m901");
});

test("a journal is bounded in size too", () => {
  const journal = new Journal(1000, 10_000);
  for (let n = 1; n <= 100; n += 1) journal.push([message(n, "a", "x".repeat(3000))]);
  assert.ok(journal.length <= 3, String(journal.length));
  journal.push([message(101, "a", "x".repeat(50_000))]);
  assert.equal(journal.length, 1, "one that is larger than all is shown alone");
});

test("a pause holds what comes, in bounds, and loses nothing uncounted", () => {
  const journal = new Journal(100);
  journal.push([message(1)]);
  journal.hold("paused");
  for (let n = 2; n <= 301; n += 1) journal.push([message(n)]);
  assert.deepEqual([journal.holding, journal.waiting, journal.length], ["paused", 300, 1]);
  journal.release();
  assert.equal(journal.total, 301);
  assert.equal(describe(journal.at(journal.length - 1)).preview, "m301");
  const hole = Array.from({ length: journal.length }, (_, n) => describe(journal.at(n))).find((one) => one.name === "hole");
  assert.match(hole.preview, /250 events are not held/);
});

test("who scrolls up sees more at the end while there is room, and then the list stands still", () => {
  const journal = new Journal(10);
  journal.push([1, 2, 3].map((n) => message(n)));
  journal.hold("scrolled");
  journal.push([4, 5].map((n) => message(n)));
  assert.deepEqual([journal.length, journal.waiting], [5, 0]);
  for (let n = 6; n <= 20; n += 1) journal.push([message(n)]);
  assert.deepEqual([journal.first, describe(journal.at(0)).preview], [0, "m1"]);
  assert.equal(journal.length + journal.waiting, 20);
  journal.hold("paused");
  journal.hold("scrolled");
  assert.equal(journal.holding, "paused", "scrolling does not end a pause");
});

test("what a page could not take is counted", () => {
  const journal = new Journal();
  journal.push([message(1), '{"kind":"hole","missed":40,"why":"x"}', message(2), '{"kind":"gap","missed":3}']);
  assert.deepEqual([journal.total, journal.missed, journal.length], [2, 40, 4]);
  journal.clear();
  assert.deepEqual([journal.total, journal.missed, journal.length], [0, 0, 0]);
});

test("an event is described by what stands at its beginning, however long it is", () => {
  assert.equal(describe("{broken").preview, "{broken");
  assert.equal(describe(message(1, 'a"b')).who, 'a"b');
  assert.equal(describe(close(1, "a")).preview, "1001 by the client");
  assert.match(describe('{"kind":"gap","missed":null}').preview, /their number is not known/);
  assert.match(describe('{"kind":"gap","missed":1234}').preview, /1,234 events/);
  const long = describe(message(1, "a", "x\n".repeat(5_000_000)));
  assert.deepEqual([long.name, long.size, long.preview.slice(0, 4)], ["in", 10_000_000, "x\nx\n"]);
  const object = line(1, { kind: "message", connectionId: "a", direction: "out", opcode: "text", size: 1 }).slice(0, -1);
  assert.equal(describe(`${object},"message":{"price":1.50,"big":12345678901234567890}}`).preview, '{"price":1.50,"big":12345678901234567890}', "digits stay");
  const own = message(1, "a", null, { message: null, fields: { type: "tick" } });
  assert.equal(describe(own).preview, '{"type":"tick"}');
  const binary = message(1, "a", "", { opcode: "binary", message: "AP8=", encoding: "base64" });
  assert.equal(describe(binary).preview, "00 ff");
  assert.equal(describe(message(1, "a", "x", { synthetic: true })).badge, "synthetic");
  assert.equal(timeOf(message(5)), 1_700_000_000_005);
  assert.equal(idOf('{"kind":"gap"}'), "");
  assert.equal(describe(line(1, { kind: "close", connectionId: "a", close: { code: 1006, reason: "", clean: false, by: "server" }, status: 403 })).preview, "refused by the upstream: 403");
});

test("a folding shows what a journal holds without what is folded, whatever is dropped", () => {
  const roll = dice(7);
  const journal = new Journal(50);
  const isFolded = (one) => Number(idOf(one).split("-")[1]) % 3 === 1;
  const folding = new Folding(journal, isFolded);
  let n = 0;
  let shown = [];
  for (let round = 0; round < 400; round += 1) {
    if (roll(40) === 0) journal.clear();
    if (roll(30) === 0) folding.renew();
    journal.push(Array.from({ length: roll(30) }, () => `{"id":"1000-${(n += 1)}","kind":"message"}`));
    const held = Array.from({ length: journal.length }, (_, at) => journal.at(at));
    const expected = held.filter((one) => !isFolded(one));
    assert.deepEqual(Array.from({ length: folding.length }, (_, at) => folding.at(at)), expected);
    held.forEach((one, at) => assert.equal(folding.indexOf(at), expected.indexOf(one)));
    shown = expected;
  }
  assert.ok(shown.length > 0);
});

test("what was sent is told from what JSON made of it", () => {
  assert.deepEqual(payload(message(1, "a", "hi")).text, "hi");
  const quoted = line(1, { kind: "message", connectionId: "a", direction: "in", opcode: "text", size: 4, message: "hi" });
  assert.deepEqual([payload(quoted).text, payload(quoted).json], ['"hi"', '"hi"']);
  assert.deepEqual([...payload(message(1, "a", "", { message: "AP8=", encoding: "base64" })).bytes], [0, 255]);
  assert.equal(payload(message(1, "a", null, { message: null, fields: { x: 1 } })).json, '{"connectionId":"a","x":1}');
  const exact = '{"id":"1-0","kind":"message","connectionId":"a","opcode":"text","size":60,"channel":null,"message":1.50,"fields":{"big":12345678901234567890}}';
  assert.equal(payload(exact).text, '{"connectionId":"a","message":1.50,"big":12345678901234567890}', "digits stay");
  assert.deepEqual(payload(connect(1, "a")), { text: null, bytes: null, json: null });
});

test("JSON is read where it stands, level by level", () => {
  const text = ' {"a": [1, {"b": "}\\""}], "a": 12345678901234567890, "c\\u0041": null} ';
  const { found, next } = members(text, 1);
  assert.deepEqual(found.map(({ key, start, end }) => [key, text.slice(start, end)]), [["a", '[1, {"b": "}\\""}]'], ["a", "12345678901234567890"], ["cA", "null"]]);
  assert.equal(next, -1);
  const many = `[${Array.from({ length: 500 }, (_, n) => n)}]`;
  const part = members(many, 0, 100);
  assert.deepEqual([part.found.length, members(many, 0, 100, part.next, part.index).found[0].key], [100, 100]);
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  assert.equal(skipValue(deep, 0), deep.length);
  assert.equal(members(deep, 0).found.length, 1);
  assert.deepEqual([isDocument("{}"), isDocument("{"), isDocument("12"), isDocument(" [1] ")], [true, false, false, true]);
  assert.deepEqual(["a", "a b", 3].map(step), [".a", '["a b"]', "[3]"]);
  assert.ok(members('{"a', 0).found.length <= 1, "what is cut does not hang");
  assert.deepEqual(members("[,]", 0).found, []);
});

test("a view is an address and back", () => {
  const view = { ...all(), connections: ["a", "b&c"], kinds: ["message"], direction: "in", filter: 'message.x == "1"', text: "ü", since: 1_700_000_000_000, until: 1_700_000_001_000 };
  assert.deepEqual(fromQuery(toQuery(view)), view);
  assert.deepEqual(fromQuery(new URLSearchParams("kind=evil&direction=up&since=never")), all());
  assert.equal(isAll(all()), true);
  assert.equal(toQuery(all()).size, 0);
  const held = conditions(view, String);
  assert.deepEqual(held.map(({ words }) => words), ["connection a", "connection b&c", "1700000000000 – 1700000001000", "text “ü”", 'message.x == "1"', "client to server", "only message"]);
  assert.deepEqual(held[0].without.connections, ["b&c"]);
  assert.equal(both("", "a == 1"), "a == 1");
  assert.equal(both("a == 1 || b", "c"), "(a == 1 || b) && c");
  assert.equal(both("a && b", "b"), "a && b");
});

test("text, kind, direction and connection select without a server, and gaps always pass", () => {
  const lines = [connect(1, "a"), message(2, "a", 'Apples "quoted"'), message(3, "b", "pears"), '{"kind":"gap","missed":7}'];
  const of = (change) => lines.filter((raw) => passes({ ...all(), ...change }, raw, describe(raw))).map((raw) => lines.indexOf(raw) + 1);
  assert.deepEqual(of({ text: "apple" }), [2, 4]);
  assert.deepEqual(of({ text: '"quoted"' }), [2, 4]);
  assert.deepEqual(of({ kinds: ["connect"] }), [1, 4]);
  assert.deepEqual(of({ connections: ["b"] }), [3, 4]);
  assert.deepEqual(of({ direction: "out" }), [4]);
  assert.deepEqual(of({ since: 1_700_000_000_003 }), [3, 4]);
});

test("a channel is part of a view, of a row, and of what selects without a server", () => {
  const base = { kind: "message", connectionId: "a", direction: "in", opcode: "text", size: 1 };
  const lines = [
    line(1, { ...base, channel: "news", message: 1 }), line(2, { ...base, channel: null, message: { connectionId: "forged", channel: "news" } }),
    line(3, { ...base, connectionId: null, direction: "out", channel: "news", message: { connectionId: "x" }, to: ["bob", "cy"] }),
    line(4, { kind: "join", connectionId: "a", channel: "news", user: "ann" }), line(5, { kind: "leave", connectionId: "a", channel: "other", user: "ann" }),
  ];
  assert.deepEqual(lines.map((raw) => describe(raw)).map(({ name, who, route, preview }) => [name, who, route, preview]), [
    ["in", "a", "news", "1"], ["in", "a", "", '{"connectionId":"forged","channel":"news"}'], ["out", "", "news → bob, cy", '{"connectionId":"x"}'],
    ["join", "a", "news", "ann came"], ["leave", "a", "other", "ann left"],
  ]);
  assert.equal(connectionOf(lines[2]), "", "what stands in the message is nobody's name");
  const view = { ...all(), channels: ["news", "a&b"], kinds: ["join", "leave"] };
  assert.deepEqual(fromQuery(toQuery(view)), view);
  assert.equal(isAll(view), false);
  assert.equal(conditions(view, String)[0].words, "channel news");
  const of = (change) => lines.filter((raw) => passes({ ...all(), ...change }, raw, describe(raw))).map((raw) => lines.indexOf(raw) + 1);
  assert.deepEqual(of({ channels: ["news"] }), [1, 3, 4]);
  assert.deepEqual(of({ kinds: ["join", "leave"] }), [4, 5]);
  assert.deepEqual(fromFile(`[${lines}]`).map((raw) => describe(raw).who), ["a", "a", "", "a", "a"]);
});

test("channels and users that came are offered as values", () => {
  const names = new Names();
  for (const event of [{ kind: "join", channel: "news", user: "ann" }, { kind: "message", channel: 'a"b', message: { price: 1 } }, { kind: "message", channel: null }]) names.see(event);
  const offers = (text) => names.complete(text, text.length).items.map((item) => item.text);
  assert.deepEqual(offers("channel == "), ['"news"', '"a\\"b"']);
  assert.deepEqual(offers('channel == "n'), ['"news"']);
  assert.deepEqual(offers("user != "), ['"ann"']);
  assert.ok(offers("message.p").includes("message.price"));
  assert.deepEqual(offers('kind == "j'), ['"join"']);
});

test("a roster knows channels and users, of a server and of a recording", () => {
  const roster = new Roster();
  const one = { connectionId: "a", since: "2023-11-14T22:13:20.000Z", path: "/x", remote: "r", messages: { in: 0, out: 0 }, bytes: { in: 0, out: 0 }, user: "ann", channels: ["news"] };
  roster.see(value(connect(1, "a")), 1);
  roster.snapshot([one], 2);
  assert.deepEqual(roster.window({ search: "news" }).rows.map(({ id, user, channels }) => [id, user, channels]), [["a", "ann", ["news"]]]);
  const recorded = new Roster();
  for (const kind of ["join", "join", "leave"]) recorded.see({ kind, connectionId: "a", channel: kind === "leave" ? "other" : "news", user: "ann" }, 1, { count: true });
  assert.deepEqual(recorded.window().rows[0].channels, ["news"]);
});

test("a frame of a channel is a line with every digit, and an answer is none", () => {
  assert.deepEqual(told('{"channel":"a\\"b","data":{"price":1.50}}', "in"), { kind: "received", text: '{"price":1.50}', channel: 'a"b' });
  assert.deepEqual(told('{"type":"publish","params":{"channel":"news","message":1.50}}', "out"), { kind: "sent", text: "1.50", channel: "news" });
  assert.equal(told('{"type":"subscribe","params":{"channels":["news"]}}', "out").channel, "news");
  assert.equal(told('{"ack":"1-0"}', "in"), null);
  assert.deepEqual([told('{"channel":"a","type":"join","user":"ann"}', "in").text, told('{"channel":"a","type":"presence","users":["ann","bob"]}', "in").text], ["ann came", "here: ann, bob"]);
  assert.equal(told('{"error":{"code":"x","message":"y"}}', "in").kind, "error");
  assert.deepEqual(told("{plain", "in"), { kind: "received", text: "{plain", channel: "" });
  assert.equal(compose("json", ' {"a":1.50} ', "news").data, '{"type":"publish","params":{"channel":"news","message":{"a":1.50}}}');
  assert.equal(compose("text", 'a"b', "n").data, '{"type":"publish","params":{"channel":"n","message":"a\\"b"}}');
  assert.match(compose("binary", "00", "news").fault, /JSON or text/);
  assert.equal(compose("text", "{", "").data, "{");
});

test("saved views outlive what else is in the store", () => {
  const kept = store();
  const saved = new SavedViews(kept);
  saved.save("b", "kind=close");
  saved.save("b", "kind=connect");
  saved.save("c", "");
  saved.remove("c");
  assert.deepEqual(new SavedViews(kept).list(), [{ name: "b", query: "kind=connect" }]);
  kept.setItem("wstap.views", "[{]");
  assert.deepEqual(saved.list(), []);
  assert.equal(new SavedViews({ getItem: () => { throw new Error("no"); }, setItem: () => { throw new Error("no"); } }).save("a", ""), false);
});

test("a roster knows who is there, at which rate, who closed and why", () => {
  const roster = new Roster(3);
  const see = (raw) => roster.see(value(raw), timeOf(raw));
  for (const [n, who] of ["a", "b", "c"].entries()) see(connect(n, who));
  see(close(5, "b", { code: 4000, reason: "enough" }));
  const ids = (view) => roster.window(view).rows.map(({ id }) => id);
  assert.deepEqual([roster.open, ids({ sort: "name" })], [2, ["a", "b", "c"]]);
  assert.equal(roster.window({ search: "b" }).rows[0].closed.reason, "enough");
  const live = (n) => [{ connectionId: "a", since: "2023-11-14T22:13:20.000Z", path: "/x", remote: "r", messages: { in: n, out: 0 }, bytes: { in: 5 * n, out: 0 }, lastActivity: "", roundTrip: null }];
  roster.snapshot(live(10), 1_700_000_010_000);
  roster.snapshot(live(30), 1_700_000_012_000);
  const [a] = roster.window({ sort: "rate" }).rows;
  assert.deepEqual([a.id, a.rate.in, a.open, a.path], ["a", 10, true, "/x"]);
  assert.equal(roster.open, 1, "who is not in the list is gone");
  see(connect(20_000, "d"));
  assert.equal(roster.unlisted, 1);
  assert.ok(ids({}).includes("d"));
  see(close(3, "d"));
  assert.equal(roster.window({ search: "d" }).rows[0].open, true, "the end of an older connection of that name is old");
});

test("a hundred thousand names leave a roster bounded", () => {
  const roster = new Roster(1000);
  for (let n = 0; n < 100_000; n += 1) {
    roster.see({ kind: "connect", connectionId: `c${n}`, path: "/" }, n + 1);
    if (n % 2) roster.see({ kind: "close", connectionId: `c${n}`, close: { code: 1000, by: "client" } }, n + 1);
  }
  assert.equal(roster.size, 1000);
  assert.equal(roster.open + roster.window({ count: 1000 }).rows.filter((one) => !one.open).length, 1000);
});

test("a history shows inserted lines in their places, and not those that are folded", async () => {
  const roll = dice(11);
  const id = (n) => `${1_700_000_000_000 + n}-0`;
  const counted = Array.from({ length: 1001 }, (_, n) => message(3 * n));
  const archive = new Archive(async (params) => {
    const from = counted.findIndex((one) => timeOf(one) > parseInt(params.get("last_event_id") ?? "0", 10));
    return counted.slice(from, from + Number(params.get("limit")));
  }, { every: 200, marks: [1, 2, 3, 4, 5].map((n) => idOf(counted[n * 200 - 1])), count: 1001, first: id(0), last: id(3000) });
  const shown = [...counted];
  const all = async () => {
    const lines = [];
    for (let at = 0; at < archive.length; at += 1) {
      if (archive.at(at) === null) await new Promise((done) => { archive.onload = done; });
      lines.push(archive.at(at));
    }
    return lines.map(idOf);
  };
  for (let round = 0; round < 30; round += 1) {
    const more = Array.from({ length: roll(8) }, () => message(3 * roll(1200) + 1 + roll(2))).filter((one) => !shown.some((other) => idOf(other) === idOf(one)));
    const fresh = [...new Map(more.map((one) => [idOf(one), one])).values()].sort((a, b) => timeOf(a) - timeOf(b)).filter((one) => timeOf(one) > 1_700_000_000_000 + 100 * round);
    const known = archive.insertedLines.map(timeOf);
    const later = fresh.filter((one) => known.every((time) => time < timeOf(one)));
    assert.ok(archive.insert(later));
    shown.push(...later);
    if (roll(3) === 0) archive.at(roll(archive.length));
  }
  shown.sort((a, b) => timeOf(a) - timeOf(b));
  assert.ok(archive.found > 5);
  assert.deepEqual(await all(), shown.map(idOf));
  const isFolded = (one) => timeOf(one) % 4 === 0;
  const place = archive.placeOf(700);
  archive.fold(isFolded);
  const kept = shown.filter((one) => !isFolded(one));
  assert.deepEqual(await all(), kept.map(idOf));
  kept.forEach((one, at) => assert.equal(archive.indexOf(idOf(one)), at));
  const stood = kept.findLastIndex((one) => timeOf(one) <= parseInt(place.id, 10));
  assert.equal(archive.indexOfPlace(place), stood);
  const folded = shown.find(isFolded);
  assert.deepEqual([archive.indexOf(idOf(folded)), archive.lineOf(idOf(folded))], [-1, folded]);
  archive.fold(null);
  assert.equal(archive.length, shown.length);
});

test("an event is found by its id among lines that have none", () => {
  const roll = dice(3);
  for (let round = 0; round < 200; round += 1) {
    const lines = Array.from({ length: roll(20) }, (_, n) => (roll(3) === 0 ? '{"kind":"gap"}' : message(n)));
    for (let n = 0; n < 20; n += 1) assert.equal(findId(lines.length, (at) => lines[at], idOf(message(n))), lines.findIndex((one) => idOf(one) === idOf(message(n))));
  }
});

test("a million events are read a part at a time, from anywhere", async () => {
  const id = (n) => `${1_700_000_000_000 + n}-0`;
  const every = spacing(1_000_000);
  const marks = Array.from({ length: Math.floor(1_000_000 / every) }, (_, n) => id((n + 1) * every - 1));
  let asked = 0;
  const archive = new Archive(async (params) => {
    asked += 1;
    const from = params.has("last_event_id") ? parseInt(params.get("last_event_id"), 10) - 1_700_000_000_000 + 1 : 0;
    return Array.from({ length: Number(params.get("limit")) }, (_, n) => message(from + n));
  }, { every, marks, count: 1_000_000, first: id(0), last: id(999_999) }, 500_000);
  assert.equal(archive.length, 1_000_000);
  assert.equal(archive.at(700_123), null);
  await new Promise((done) => { archive.onload = done; });
  assert.equal(idOf(archive.at(700_123)), id(700_123));
  assert.equal(await archive.indexOfId(id(123_456)), 123_456);
  assert.equal(await archive.indexOfTime(1_700_000_999_999), 999_999);
  assert.equal(await archive.indexOfTime(0), 0);
  for (let n = 0; n < 100; n += 1) await archive.indexOfId(id(n * 10_000));
  assert.ok(asked < 110 && archive.held < 20, `${asked} asked, ${archive.held} held`);
});

test("the end of a connection is told in words", () => {
  const pong = value(message(1000, "a", "", { opcode: "pong" }));
  const network = value(close(32_000, "a", { by: "network", code: 1006, clean: false }));
  assert.match(forensics(network, [pong], 1_700_000_032_000)[0], /The network ended it 31 s after the last pong/);
  assert.match(forensics(network, [], 0)[0], /^The network ended it: no close frame/);
  assert.match(forensics({ ...network, silence: { in: 40, out: 2 } }, [], 0).join(" "), /40 s after the last byte of the client.*client had been silent for 40 s/);
  assert.match(forensics(value(close(1, "a", { code: 4000, reason: "enough" })))[0], /The client closed it with 4000 \(a code of the application\), “enough”/);
  assert.match(forensics(value(close(1, "a", { code: 4408, by: "tap" })))[0], /^wstap ended it: the client had been silent too long/);
  assert.match(forensics({ kind: "close", close: { code: 1006, by: "server" }, status: 401 })[0], /refused the handshake with status 401/);
  for (const by of ["client", "server"]) {
    const gone = value(close(32_000, "a", { by, code: 1006, clean: false, reason: `the ${by} ended the connection without a close frame` }));
    const said = forensics(gone, [pong], 1_700_000_032_000).join(" ");
    assert.match(said, new RegExp(`^The ${by} ended the connection without a close frame, 31 s after the last pong\\. It lasted 1\\.0* ?s`));
    assert.doesNotMatch(said, /1006|did not answer|goodbye/);
    assert.equal(describe(JSON.stringify(gone)).preview, `the ${by} left without a close frame`);
  }
  assert.equal(describe(close(1, "a", { by: "network", code: 1006, clean: false, reason: "the connection was reset" })).preview, "lost: the connection was reset");
  const unreached = { kind: "close", close: { code: 1006, by: "tap", clean: false, reason: "ws://localhost:1 does not answer: connection refused" }, status: 502, path: "/", duration: 0 };
  const said = forensics(unreached).join(" ");
  assert.match(said, /^wstap did not reach the upstream and answered the handshake with status 502; the connection never opened\. The reason: ws:\/\/localhost:1 does not answer: connection refused\. Whether the upstream runs/);
  assert.doesNotMatch(said, /upstream refused|its log/);
  assert.equal(describe(JSON.stringify(unreached)).preview, "upstream not reached: 502");
});

test("two values are compared by path", () => {
  const { lines, same } = diff({ a: 1, b: [1, 2], c: { d: 1 } }, { a: 1, b: [1, 3, 4], e: null });
  assert.deepEqual(lines.map(({ path, kind }) => [path.map(step).join(""), kind]), [[".b[1]", "changed"], [".b[2]", "added"], [".c", "removed"], [".e", "added"]]);
  assert.equal(same, 2);
  assert.deepEqual(between("hello world", "hello there world"), { start: "hello ", a: "", b: "there ", end: "world" });
  const deep = (n) => Array.from({ length: n }).reduce((inner) => [inner], 1);
  assert.equal(diff(deep(50_000), deep(50_000)).lines.length, 0, "depth is no danger");
});

test("an expression is completed by names of fields, of messages, and by values", () => {
  const names = new Names();
  names.learn({ price: 1, user: { name: "x" }, "not a name": 1 });
  const offers = (text) => names.complete(text, text.length).items.map((item) => item.text);
  assert.deepEqual(offers("message.pr"), ["message.price"]);
  assert.ok(offers("message.user.").includes("message.user.name"));
  assert.deepEqual(offers("kind == "), ['"connect"', '"message"', '"close"', '"join"', '"leave"', '"request"']);
  assert.deepEqual(offers('kind == "me'), ['"message"']);
  assert.ok(offers("kind ").includes("== "));
  assert.ok(offers("message.price.st").includes("message.price.startsWith("));
  assert.deepEqual(offers('path == "/ki'), [], "inside a text there is nothing to complete");
  assert.equal(names.complete("a && ki", 7).from, 5);
});

test("a recording goes to HAR and back", () => {
  const lines = [
    connect(0, "a"), message(1, "a", "hi"), message(2, "a", "", { opcode: "binary", direction: "out", size: 2, message: "AP8=", encoding: "base64" }),
    message(3, "a", "", { opcode: "ping", size: 0, message: "", encoding: "base64", wire: 6 }),
    line(4, { kind: "join", connectionId: "a", channel: "news", user: "ann" }), message(5, "a", "x", { channel: "news", user: "ann", to: ["bob"] }),
    message(6, "a", "", { size: 70_000, message: null, wire: 5, compressed: true, note: "it is too large" }),
    `{"id":"1700000000007-0","time":"2023-11-14T22:13:20.007Z","kind":"message","connectionId":null,"direction":"out","opcode":"text","size":4,"channel":"news","message":1.50}`,
    `{"id":"1700000000008-0","time":"2023-11-14T22:13:20.008Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":60,"channel":null,"message":1.50,"fields":{"big":12345678901234567890}}`,
    `{"kind":"gap","missed":3,"after":"1700000000008-0","before":"1700000000009-0"}`,
    close(9, "a", { code: 4000, reason: "r" }), connect(10, "a"), message(11, "a", "123", { size: 5 }),
  ];
  const har = toHar(lines, "ws://localhost:8080", "1");
  const { entries } = JSON.parse(har).log;
  assert.deepEqual(entries.map((entry) => [entry._wstap.connectionId, entry._wstap.close === null]), [["a", false], ["", true], ["a", true]]);
  const [entry] = entries;
  assert.equal(entry.request.url, "ws://localhost:8080/ws");
  assert.deepEqual(entry._webSocketMessages.map(({ type, opcode, data }) => [type, opcode, data]), [["send", 1, "hi"], ["receive", 2, "AP8="], ["send", 1, "x"], ["send", 1, ""], ["send", 1, '{"connectionId":"a","message":1.50,"big":12345678901234567890}']]);
  const told = (all) => all.map((one) => Object.entries(value(one)).sort());
  assert.deepEqual(told(fromFile(har)), told(lines));
  for (const exact of [7, 8, 9]) assert.equal(fromFile(har)[exact], lines[exact]);
  assert.deepEqual(told(fromFile(JSON.stringify(JSON.parse(har), null, 2))).length, lines.length, "an archive that somebody has formatted");
  assert.deepEqual(fromFile(lines.join("\n")), lines);
  assert.equal(fromFile(JSON.stringify(lines.map(value))).length, lines.length);
  assert.throws(() => fromFile("hello"), /no event in it/);
  assert.throws(() => fromFile('{"log":{"entries":[]}}'), /no WebSocket messages/);
});

test("an archive of others is read without an end that nobody has told", () => {
  const frame = (type, time, data, opcode = 1) => ({ type, time, opcode, data });
  for (const time of [1763670000.5, 1763670000500]) {
    const entry = {
      startedDateTime: "2025-11-20T20:20:00.000Z", time: 1500, request: { url: "https://a.example:1/x?y=1#z", headers: [{ name: "Origin", value: "null" }, { name: "Cookie", value: "secret" }] },
      response: { status: 101, headers: [{ name: "Sec-WebSocket-Protocol", value: "v2" }] }, timings: { wait: 12 },
      _webSocketMessages: [frame("send", time, "hi"), frame("receive", time, "AP8=", 2), frame("error", time, "x", -1), frame("receive", -1, '{"n":1.50}')],
    };
    const lines = fromFile(JSON.stringify({ log: { entries: [{ request: { url: "https://a.example/" } }, entry] } }));
    assert.deepEqual(lines.map((one) => [idOf(one), describe(one).name]), [["1763670000000-0", "connect"], ["1763670000500-0", "in"], ["1763670000500-1", "out"], ["1763670000500-2", "out"]]);
    const { path, headers, subprotocol, upstream, upstreamTime } = value(lines[0]);
    assert.deepEqual([path, headers, subprotocol, upstream, upstreamTime], ["/x?y=1", { origin: "null" }, "v2", "wss://a.example:1", 0.012]);
    assert.equal(describe(lines[2]).preview, "00 ff");
    assert.match(lines[3], /"size":10,"channel":null,"message":\{"n":1\.50\}/);
  }
  const hostile = fromFile(JSON.stringify({ log: { entries: [{ startedDateTime: 5, request: {}, _wstap: { connectionId: 1, connect: "x", control: [1, { id: "\"" }], close: { id: [] } }, _webSocketMessages: [{ type: "send", time: 1e300, data: { a: 1 }, _wstap: { id: '1","kind":"x' } }] }] } }));
  assert.deepEqual(hostile.map((one) => describe(one).name), ["in"]);
  const nobodys = { startedDateTime: "2025-11-20T20:20:00.000Z", request: {}, _wstap: { connectionId: "", control: [], close: null }, _webSocketMessages: [{ type: "send", time: 1763670000, opcode: 1, data: "x", _wstap: { id: "1763670000000-0", size: 1, user: "bob" } }] };
  assert.equal(value(fromFile(JSON.stringify({ log: { entries: [nobodys] } }))[0]).connectionId, null);
});

test("a burst keeps its rate and fills in numbers", () => {
  const burst = new Burst(read("100", "20"), 0);
  const sent = [];
  burst.tick(1000, (n) => sent.push(n) > 0);
  assert.equal(sent.length, 21);
  burst.tick(2000, () => false);
  assert.equal(burst.sent, 21, "what has no room waits");
  burst.tick(60_000, (n) => sent.push(n) > 0);
  assert.deepEqual([burst.isDone, sent.length, sent.at(-1)], [true, 100, 100]);
  assert.match(read("0", "1").fault, /1 to/);
  assert.match(read("1", "x").fault, /a second/);
  assert.equal(filled("{{n}}-{{n}} {{time}}", 3, 7), "3-3 7");
});

test("what was sent comes back, and templates have names", () => {
  const sent = new Sent(store());
  for (let n = 0; n < 60; n += 1) sent.add("text", `m${n}`);
  sent.add("text", "m59");
  assert.deepEqual([sent.history.length, sent.history[0].text], [50, "m59"]);
  assert.deepEqual([sent.step(1).text, sent.step(1).text, sent.step(-1).text, sent.step(-1)], ["m59", "m58", "m59", null]);
  sent.keep("b", "json", "{}");
  sent.keep("a", "text", "x");
  sent.keep("b", "json", "[]");
  assert.deepEqual(sent.templates.map(({ name, text }) => [name, text]), [["a", "x"], ["b", "[]"]]);
});

test("text is made safe to show, and hex is read", () => {
  assert.equal(visible("a\u202Eb\n\u0000\ud800"), "a\\u{202e}b\\n\\u{0}\\u{d800}");
  assert.equal(visible("grüße 🦀"), "grüße 🦀");
  assert.deepEqual([...fromHex("00 ff,0x1A")], [0, 255, 26]);
  assert.equal(fromHex("0"), null);
  assert.equal(fromHex("zz"), null);
  assert.equal(toHex(Uint8Array.of(0, 255)), "00 ff");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(duration(7500), "2 h 5 min");
  assert.deepEqual([short(950), short(1234), short(34_000), short(5_600_000)], ["950", "1.2k", "34k", "5.6M"]);
  assert.deepEqual([rate(0), rate(0.25), rate(1200)], ["0", "0.3", "1.2k"]);
  assert.deepEqual([delta(12), delta(-3200), delta(0)], ["+12 ms", "−3.20 s", "+0 ms"]);
  assert.deepEqual(dump(Uint8Array.of(65, 0))[0].text, "A·");
});
