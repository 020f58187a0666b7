// The message types of a protobuf descriptor set (`protoc --descriptor_set_out`, `buf build`), and
// messages decoded by them. Of descriptor.proto only the parts that say how a field is encoded are read.

import { Fault, Reader, put, utf8 } from "./bounded.js";

/** Types of a set; others are left out. */
const TYPES = 5000;

const DEPTH = 64;

/** How a scalar type is encoded, by its number in FieldDescriptorProto.Type: wire type and reading. */
const SCALARS = new Map([
  [1, [1, (reader) => reader.f64(true)]],
  [2, [5, (reader) => reader.f32(true)]],
  [3, [0, (reader) => BigInt.asIntN(64, reader.varint(10))]],
  [4, [0, (reader) => BigInt.asUintN(64, reader.varint(10))]],
  [5, [0, (reader) => Number(BigInt.asIntN(32, reader.varint(10)))]],
  [6, [1, (reader) => reader.u64(true)]],
  [7, [5, (reader) => reader.u32(true)]],
  [8, [0, (reader) => reader.varint(10) !== 0n]],
  [13, [0, (reader) => Number(BigInt.asUintN(32, reader.varint(10)))]],
  [14, [0, (reader) => Number(BigInt.asIntN(32, reader.varint(10)))]],
  [15, [5, (reader) => reader.i32(true)]],
  [16, [1, (reader) => reader.i64(true)]],
  [17, [0, (reader) => Number(zigzag(reader.varint(10)))]],
  [18, [0, (reader) => zigzag(BigInt.asUintN(64, reader.varint(10)))]],
]);
const STRING = 9;
const GROUP = 10;
const MESSAGE = 11;
const BYTES = 12;
const ENUM = 14;

const zigzag = (value) => (value >> 1n) ^ -(value & 1n);

/** One field as it is encoded: its number, its wire type, and a number or bytes. */
function raw(reader) {
  const key = Number(reader.varint(5));
  const [number, wire] = [Math.floor(key / 8), key % 8];
  if (number === 0) throw new Fault(`no field number before byte ${reader.at}`);
  switch (wire) {
    case 0: return { number, wire, value: reader.varint(10) };
    case 1: return { number, wire, value: reader.take(8) };
    case 2: return { number, wire, value: reader.take(reader.varint(5)) };
    case 5: return { number, wire, value: reader.take(4) };
    default: throw new Fault(`wire type ${wire} before byte ${reader.at}`);
  }
}

/** The fields of a message of descriptor.proto, by number. */
function parts(bytes) {
  const reader = new Reader(bytes);
  const found = new Map();
  while (reader.left > 0) {
    const { number, value } = raw(reader);
    if (!found.has(number)) found.set(number, []);
    found.get(number).push(value);
  }
  return found;
}

const all = (fields, number) => fields.get(number) ?? [];
const text = (fields, number) => utf8(all(fields, number).at(-1) ?? new Uint8Array(0)) ?? "";
const integer = (fields, number) => Number(all(fields, number).at(-1) ?? 0n);

/** The types of a descriptor set. */
export class Schema {
  #types = new Map();
  #enums = new Map();

  /** Reads a `FileDescriptorSet`. Throws a `Fault` if the bytes are none. */
  constructor(bytes) {
    for (const file of all(parts(bytes), 1)) {
      const fields = parts(file);
      const scope = text(fields, 2);
      for (const one of all(fields, 4)) this.#message(one, scope);
      for (const one of all(fields, 5)) this.#enum(one, scope);
    }
    if (this.#types.size === 0) throw new Fault("no message type in it; a descriptor set, as `protoc --descriptor_set_out` writes it, has some");
  }

  #message(bytes, scope) {
    const fields = parts(bytes);
    const name = [scope, text(fields, 1)].filter(Boolean).join(".");
    const isEntry = all(fields, 7).some((options) => integer(parts(options), 7) === 1);
    if (this.#types.size < TYPES) this.#types.set(name, { name, isEntry, fields: new Map(all(fields, 2).map(fieldOf)) });
    for (const one of all(fields, 3)) this.#message(one, name);
    for (const one of all(fields, 4)) this.#enum(one, name);
  }

  #enum(bytes, scope) {
    const fields = parts(bytes);
    const values = all(fields, 2).map(parts).map((value) => [Number(BigInt.asIntN(32, BigInt(integer(value, 2)))), text(value, 1)]);
    this.#enums.set([scope, text(fields, 1)].filter(Boolean).join("."), new Map(values));
  }

  /** The full names of the message types. */
  get names() {
    return [...this.#types.values()].filter(({ isEntry }) => !isEntry).map(({ name }) => name);
  }

  /** A message of a type: `{ value, unknown, error }`; `unknown` counts fields that the type does not have. */
  decode(name, bytes) {
    const type = this.#types.get(name);
    if (!type) throw new Fault(`the descriptor set has no type ${name}`);
    const reader = new Reader(bytes);
    const count = { unknown: 0, known: 0 };
    const value = this.#read(reader, type, 0, count);
    return { value, ...count, error: reader.fault ?? undefined };
  }

  #read(reader, type, depth, count) {
    const message = {};
    while (reader.left > 0 && !reader.fault) reader.attempt(() => this.#field(reader, type, depth, message, count));
    return message;
  }

  #field(reader, type, depth, message, count) {
    reader.spend(depth);
    const { number, wire, value } = raw(reader);
    const field = type.fields.get(number);
    if (!field || !fits(field, wire)) {
      count.unknown += 1;
      put(message, `#${number}`, value);
      return;
    }
    count.known += 1;
    const read = (bytes) => this.#value(reader, field, bytes, depth, count);
    if (!field.repeated) put(message, field.name, read(value));
    else if (this.#types.get(field.type)?.isEntry) {
      if (!Object.hasOwn(message, field.name)) put(message, field.name, {});
      const { key = field.zero, value: inner = null } = read(value);
      put(message[field.name], String(key), inner);
    } else {
      if (!Object.hasOwn(message, field.name)) put(message, field.name, []);
      message[field.name].push(...(isPacked(field, wire) ? this.#packed(reader, field, value) : [read(value)]));
    }
  }

  #value(outer, field, value, depth, count) {
    switch (field.kind) {
      case STRING: return utf8(value) ?? value;
      case BYTES: return value;
      case MESSAGE: {
        const type = this.#types.get(field.type);
        if (!type || depth >= DEPTH) return value;
        const reader = new Reader(value, { purse: outer.purse });
        const message = this.#read(reader, type, depth + 1, count);
        if (reader.fault) throw new Fault(`${field.name}: ${reader.fault}`);
        return message;
      }
      default: return this.#scalar(field, typeof value === "bigint" ? value : new Reader(value));
    }
  }

  #scalar(field, source) {
    const [, read] = SCALARS.get(field.kind);
    const number = read(typeof source === "bigint" ? { varint: () => source } : source);
    return field.kind === ENUM ? this.#enums.get(field.type)?.get(number) ?? number : number;
  }

  #packed(outer, field, bytes) {
    const reader = new Reader(bytes, { purse: outer.purse });
    const values = [];
    while (reader.left > 0) {
      reader.spend(0);
      values.push(this.#scalar(field, reader));
    }
    return values;
  }
}

function fieldOf(bytes) {
  const fields = parts(bytes);
  const kind = integer(fields, 5);
  const isText = kind === STRING;
  return [integer(fields, 3), { name: text(fields, 1), kind, repeated: integer(fields, 4) === 3, type: text(fields, 6).replace(/^\./, ""), zero: isText ? "" : 0 }];
}

/** Whether numbers stand one after the other in one field. */
const isPacked = (field, wire) => wire === 2 && SCALARS.has(field.kind);

function fits(field, wire) {
  if (field.kind === GROUP) return false;
  if (field.kind === STRING || field.kind === BYTES || field.kind === MESSAGE) return wire === 2;
  return SCALARS.get(field.kind)?.[0] === wire || (field.repeated && wire === 2);
}
