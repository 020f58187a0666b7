// An update of a Yjs document in its first encoding (yjs, UpdateDecoderV1): inserted structs of each
// client, then deleted ranges.

import { Fault, amount, brief, maybeJson } from "./bounded.js";
import { any, bytes, string, varuint } from "./lib0.js";

const TYPES = ["Array", "Map", "Text", "XmlElement", "XmlFragment", "XmlHook", "XmlText"];

/** Reads an update: `{ inserts, deletes }`. */
export function update(reader) {
  const inserts = [];
  for (let clients = varuint(reader); clients > 0; clients -= 1) {
    const count = varuint(reader);
    const client = varuint(reader);
    let clock = varuint(reader);
    for (let left = count; left > 0; left -= 1) {
      reader.spend(1);
      const one = struct(reader);
      inserts.push({ id: `${client}:${clock}`, ...one.fields });
      clock += one.length;
    }
  }
  return { inserts, deletes: deleteSet(reader) };
}

/** A state vector: the next clock of each client. */
export function stateVector(reader) {
  const state = {};
  for (let left = varuint(reader); left > 0; left -= 1) {
    reader.spend(1);
    state[varuint(reader)] = varuint(reader);
  }
  return state;
}

function deleteSet(reader) {
  const deletes = [];
  for (let clients = varuint(reader); clients > 0; clients -= 1) {
    const client = varuint(reader);
    for (let left = varuint(reader); left > 0; left -= 1) {
      reader.spend(1);
      const clock = varuint(reader);
      deletes.push({ id: `${client}:${clock}`, length: varuint(reader) });
    }
  }
  return deletes;
}

/** An item, or a range of collected or skipped ones. */
function struct(reader) {
  const info = reader.u8();
  const type = info & 31;
  if (type === 0 || type === 10) {
    const length = varuint(reader);
    return { length, fields: { content: type === 0 ? "collected" : "skipped", length } };
  }
  const fields = {};
  if (info & 128) fields.after = `${varuint(reader)}:${varuint(reader)}`;
  if (info & 64) fields.before = `${varuint(reader)}:${varuint(reader)}`;
  // Only the first item of a parent names it; the others are found by their neighbours.
  if ((info & 192) === 0) {
    fields.parent = varuint(reader) === 1 ? string(reader) : `${varuint(reader)}:${varuint(reader)}`;
    if (info & 32) fields.key = string(reader);
  }
  const { length, ...found } = content(reader, type);
  return { length, fields: { ...fields, ...found } };
}

function content(reader, type) {
  const list = (read) => {
    const values = [];
    for (let left = varuint(reader); left > 0; left -= 1) {
      reader.spend(1);
      values.push(read());
    }
    return { length: values.length, values };
  };
  switch (type) {
    case 1: {
      const length = varuint(reader);
      return { length, content: `${length} deleted` };
    }
    case 2: return list(() => maybeJson(string(reader)));
    case 3: return { length: 1, value: bytes(reader) };
    case 4: {
      const text = string(reader);
      return { length: text.length, text };
    }
    case 5: return { length: 1, embed: maybeJson(string(reader)) };
    case 6: return { length: 1, format: string(reader), value: maybeJson(string(reader)) };
    case 7: {
      const kind = varuint(reader);
      return { length: 1, type: TYPES[kind] ?? `type ${kind}`, ...(kind === 3 || kind === 5 ? { name: string(reader) } : {}) };
    }
    case 8: return list(() => any(reader));
    case 9: return { length: 1, subdocument: string(reader), options: any(reader) };
    default: throw new Fault(`no content has the type ${type}, at byte ${reader.at}`);
  }
}

/** An update in a line: inserted text and values with their parents, and how much is deleted. */
export function line({ inserts, deletes }) {
  const words = inserts.slice(0, 6).map(({ parent, key, text, values, type, name, embed, format, value, content: what }) => {
    const where = [parent, key].filter((one) => one !== undefined).join(".");
    const shown = text ?? values ?? embed ?? (format === undefined ? value : undefined);
    const said = format !== undefined ? `format ${format} ${brief(value, 30)}` : type !== undefined ? [type, name].filter(Boolean).join(" ") : what ?? brief(Array.isArray(shown) && shown.length === 1 ? shown[0] : shown, 80);
    return where ? `${where}: ${said}` : said;
  });
  if (inserts.length > 6) words.push(`${inserts.length - 6} more`);
  const gone = deletes.reduce((sum, one) => sum + one.length, 0);
  if (gone > 0) words.push(`${amount(gone, "item")} deleted`);
  return words.join(", ") || "nothing";
}
