// The decoders of formats without a protocol around them, against libraries and specifications.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encode as packMessage } from "@msgpack/msgpack";
import * as cborg from "cborg";
import { PbfWriter } from "pbf";
import { decode, decodersFor } from "../../static/js/decode/index.js";
import { best, dice, message } from "./decode.kit.mjs";

const VALUES = [null, true, 0, 127, 128, 255, 65_536, 2 ** 40, -1, -32, -33, -129, -40_000, -(2 ** 40), 1.5, 1e300, "", "grüße", "x".repeat(300), [], [1, [2, [3]]], {}, { a: { b: [1, "2", null] } }, { list: Array.from({ length: 20 }, (_, n) => n) }, ...[20, 70_000].map((n) => ({ ["k".repeat(n)]: n }))];

for (const [name, encode] of [["msgpack", packMessage], ["cbor", cborg.encode]]) {
  test(`${name}: what a library writes is read as it was`, () => {
    for (const value of VALUES) {
      const result = decode(name, message(encode(value)));
      assert.equal(result.error, undefined);
      assert.deepEqual(result.fields, value);
    }
    assert.equal(best(name, encode({ n: 1, op: "add" })).summary, '{n: 1, op: "add"}');
    assert.equal(decodersFor(message(encode(1.5), { subprotocol: `wamp.2.${name}` }))[0], name);
    assert.deepEqual(decode(name, message(encode({ raw: new Uint8Array([1, 2]) }))).fields, { raw: { bytes: 2, hex: "01 02" } });
    const two = decode(name, message(Buffer.concat([encode([1]), encode("two")])));
    assert.deepEqual([two.summary, two.fields], ['2 values: [[1], "two"]', [[1], "two"]]);
    const cut = decode(name, message(encode({ a: 1, b: [1, 2, "three"] }).slice(0, -3)));
    assert.deepEqual(cut.fields, { a: 1, b: [1, 2] }, "what was read before the end");
    assert.match(cut.error, /cut short/);
    const own = decode(name, message(encode(JSON.parse('{"__proto__":{"x":1}}')))).fields;
    assert.equal(Object.getPrototypeOf(own), Object.prototype);
  });
}

/** A JSON value at random. */
function any(roll, depth = 0) {
  switch (roll(depth > 3 ? 5 : 7)) {
    case 0: return [null, true, false][roll(3)];
    case 1: return roll(2) ? roll(300) - 150 : roll(2 ** (1 + roll(53))) - roll(2 ** (1 + roll(53)));
    case 2: return roll(1000) / 7;
    case 3: return "aé€😀\n".repeat(roll(60));
    case 4: return "k".repeat(roll(300));
    case 5: return Array.from({ length: roll(20) }, () => any(roll, depth + 1));
    default: return Object.fromEntries(Array.from({ length: roll(20) }, (_, n) => [`k${n}`, any(roll, depth + 1)]));
  }
}

test("what is written at random is read as it was", () => {
  const roll = dice(4);
  for (let n = 0; n < 500; n += 1) {
    const value = any(roll);
    for (const [name, encode] of [["msgpack", packMessage], ["cbor", cborg.encode]]) {
      const { fields, error } = decode(name, message(encode(value)));
      assert.equal(error, undefined);
      assert.deepEqual(fields, value);
    }
  }
});

test("MessagePack has timestamps, extensions, large numbers and keys that are no names", () => {
  const read = (hex) => decode("msgpack", message(Buffer.from(hex, "hex"))).fields;
  assert.deepEqual(decode("msgpack", message(packMessage(new Date(1_700_000_000_123)))).fields, { timestamp: "2023-11-14T22:13:20.123Z" });
  assert.deepEqual(read("d40107"), { extension: 1, data: { bytes: 1, hex: "07" } });
  assert.equal(read("cfffffffffffffffff"), "18446744073709551615");
  assert.deepEqual(read("8190c0"), { entries: [[[], null]] });
  assert.deepEqual(read("82a16101a16102"), { entries: [["a", 1], ["a", 2]] }, "a key that stands twice");
});

test("CBOR reads the examples of RFC 8949", () => {
  const read = (hex) => decode("cbor", message(Buffer.from(hex, "hex"))).fields;
  const EXAMPLES = { "3903e7": -1000, "1bffffffffffffffff": "18446744073709551615", c249010000000000000000: "18446744073709551616", "3bffffffffffffffff": "-18446744073709551616", c349010000000000000000: "-18446744073709551617", f90000: 0, f93c00: 1, f97bff: 65_504, f90001: 5.960464477539063e-8, f90400: 0.00006103515625, f9c400: -4, fa47c35000: 100_000, f97c00: "Infinity", f97e00: "NaN", f0: { simple: 16 }, f8ff: { simple: 255 }, f7: { simple: "undefined" }, c11a514b67b0: { tag: 1, value: 1_363_896_240 }, "5f42010243030405ff": { bytes: 5, hex: "01 02 03 04 05" }, "7f657374726561646d696e67ff": "streaming", "9f018202039f0405ffff": [1, [2, 3], [4, 5]], bf6346756ef563416d7421ff: { Fun: true, Amt: -2 }, a201020304: { 1: 2, 3: 4 } };
  for (const [hex, value] of Object.entries(EXAMPLES)) assert.deepEqual(read(hex), value, hex);
  for (const hex of ["ff", "81ff", "1c", "1f", "fc", "bf01ff", "5f6101ff"]) assert.ok(decode("cbor", message(Buffer.from(hex, "hex"))).error, hex);
});

test("protocol buffers without a schema have numbers, wire types and guesses", () => {
  const writer = new PbfWriter();
  writer.writeVarintField(1, 150);
  writer.writeStringField(2, "testing");
  writer.writeMessage(3, (_, inner) => { inner.writeStringField(1, "0123456789"); inner.writeVarintField(2, -1); }, null);
  writer.writeDoubleField(4, 1.5);
  writer.writeFloatField(5, 2.5);
  writer.writeBytesField(6, new Uint8Array([255, 254]));
  const bytes = writer.finish();
  const result = best("protobuf", bytes);
  assert.equal(result.summary, '1: 150, 2: "testing", 3: {1: "0123456789", 2: 18446744073709551615}, 4: "4609434218613702656", 5: 1075838976, 6: <2 bytes>');
  const [one, two, three, four, five, six] = result.fields;
  assert.deepEqual(one, { field: 1, type: "varint", value: 150 });
  assert.deepEqual(two, { field: 2, type: "text", value: "testing" });
  assert.deepEqual(three.value[1], { field: 2, type: "varint", value: "18446744073709551615", signed: -1 });
  assert.deepEqual([four.double, five.float, six.value.hex], [1.5, 2.5, "ff fe"]);
  const cut = decode("protobuf", message(bytes.slice(0, -1)));
  assert.deepEqual([cut.fields.length, /cut short/.test(cut.error)], [5, true]);
});
