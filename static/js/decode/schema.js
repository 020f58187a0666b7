// Protocol buffers with the descriptor set that the reader has dropped on the page: a decoder that finds
// the type of a message, and one for each type, to be chosen by hand.

import { Fault, brief, bytesOf } from "./bounded.js";
import { Schema } from "./descriptors.js";

/** Types of which the fitting one is searched for each message. */
const SEARCHED = 300;

/** The decoders of a descriptor set: the first finds the type by itself. */
export function fromDescriptors(bytes) {
  const schema = new Schema(bytes);
  const types = schema.names;
  return [
    {
      name: "schema",
      title: "Protocol Buffers, by the descriptor set",
      fit: ({ bytes: all }) => (all && all.length > 0 && typeOf(schema, types, all) ? 84 : 0),
      decode(message, state) {
        const all = bytesOf(message);
        const found = typeOf(schema, types, all, state.schema);
        if (!found) throw new Fault("no type of the descriptor set fits; one can be chosen by hand");
        state.schema = found;
        return shown(schema, found, all);
      },
    },
    ...types.map((type) => ({
      name: `schema:${type}`,
      title: `Protocol Buffers: ${type}`,
      byHand: true,
      fit: () => 0,
      decode: (message) => shown(schema, type, bytesOf(message)),
    })),
  ];
}

function shown(schema, type, bytes) {
  const { value, unknown, error } = schema.decode(type, bytes);
  const note = unknown > 0 ? `${unknown} ${unknown === 1 ? "field is" : "fields are"} not in the type` : undefined;
  return { summary: `${type} ${brief(value, 200)}`, row: `${type.split(".").at(-1)} ${brief(value, 200)}`, fields: { type, message: value }, error: error ?? note };
}

/** The type without unknown fields that has the most of a message; that of the last message if it fits. */
function typeOf(schema, types, bytes, last = null) {
  let best = null;
  let most = 0;
  for (const type of types.slice(0, SEARCHED)) {
    const { unknown, known, error } = schema.decode(type, bytes);
    if (unknown > 0 || error !== undefined || known === 0) continue;
    if (known > most || (known === most && type === last)) [best, most] = [type, known];
  }
  return best;
}
