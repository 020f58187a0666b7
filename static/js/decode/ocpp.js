// OCPP-J 1.6, 2.0.1 and 2.1 (OCPP-J specification, section 4): calls of charging stations as JSON lists.

import { Fault, brief, jsonOf, word } from "./bounded.js";

/** Calls of a direction of which the action is kept, for the results. */
const CALLS = 1000;

const OWN = /^ocpp\d/i;

function decode(message, state) {
  const value = jsonOf(message);
  if (!looks(value)) throw new Fault("no OCPP message: it is no list of type 2 to 6 and an id");
  const own = (state.ocpp ??= { actions: new Map() });
  const [type, id] = value;
  if (type === 2 || type === 6) {
    const [, , action, payload] = value;
    if (own.actions.size >= CALLS) own.actions.delete(own.actions.keys().next().value);
    own.actions.set(id, action);
    const fields = { type: type === 2 ? "call" : "send", id, action, payload };
    return { summary: `${word(action)} ${brief(payload, 180)}`, fields, links: type === 2 ? [{ ask: id }] : [] };
  }
  const action = state.peer?.ocpp?.actions.get(id);
  const of = action === undefined ? `#${word(id, 40)}` : word(action);
  if (type === 3) return { summary: `${of} result ${brief(value[2], 180)}`, fields: { type: "result", id, action, payload: value[2] }, links: [{ answer: id }] };
  const [, , code, description, details] = value;
  const fields = { type: type === 4 ? "error" : "result error", id, action, code, description, details };
  return { summary: `${of} error ${[word(code), word(description ?? "", 140)].filter(Boolean).join(": ")}`, fields, links: [{ answer: id }] };
}

function looks(value) {
  if (!Array.isArray(value) || typeof value[1] !== "string" || value.length < 3 || value.length > 5) return false;
  const isObject = (one) => typeof one === "object" && one !== null;
  switch (value[0]) {
    case 2: case 6: return value.length === 4 && typeof value[2] === "string" && isObject(value[3]);
    case 3: return value.length === 3 && isObject(value[2]);
    case 4: case 5: return typeof value[2] === "string";
    default: return false;
  }
}

export const ocpp = {
  name: "ocpp",
  title: "OCPP",
  owns: true,
  fit({ subprotocol, text, value }) {
    if (typeof text !== "string" || !looks(value)) return 0;
    if (OWN.test(subprotocol ?? "")) return 100;
    return value[0] === 2 && /^[A-Z][A-Za-z]+$/.test(value[2]) ? 80 : 55;
  },
  decode,
};
