// Action Cable of Ruby on Rails: actioncable-v1-json. Identifier and data are JSON in strings.

import { Fault, brief, isObject, jsonOf, maybeJson, word } from "./bounded.js";

const TYPES = new Set(["welcome", "ping", "disconnect", "confirm_subscription", "reject_subscription"]);
const COMMANDS = new Set(["subscribe", "unsubscribe", "message"]);
const OWN = /^actioncable-/;

function decode(message) {
  const value = jsonOf(message);
  if (!isObject(value)) throw new Fault("no Action Cable message: it is no object");
  const { identifier, data, ...rest } = value;
  const fields = { ...rest };
  if (identifier !== undefined) fields.identifier = inner(identifier);
  if (data !== undefined) fields.data = inner(data);
  return { summary: line(fields), fields, links: linksOf(value) };
}

const inner = (value) => (typeof value === "string" ? maybeJson(value) : value);

function linksOf({ command, type, identifier }) {
  const key = `subscribe ${word(identifier)}`;
  if (command === "subscribe") return [{ ask: key }];
  return type === "confirm_subscription" || type === "reject_subscription" ? [{ answer: key }] : [];
}

function line({ type, command, identifier, data, message, reason }) {
  const words = [type ?? command ?? "message"];
  if (identifier !== undefined) words.push(channel(identifier));
  if (isObject(data) && typeof data.action === "string") {
    const { action, ...rest } = data;
    words.push(word(action), Object.keys(rest).length > 0 ? brief(rest, 140) : "");
  } else if (data !== undefined) words.push(brief(data, 140));
  if (message !== undefined) words.push(brief(message, 160));
  if (reason !== undefined) words.push(word(reason));
  return words.filter(Boolean).join(" ");
}

/** "ChatChannel {room: 1}" of an identifier. */
function channel(identifier) {
  if (!isObject(identifier) || typeof identifier.channel !== "string") return brief(identifier, 80);
  const { channel: name, ...rest } = identifier;
  return Object.keys(rest).length > 0 ? `${word(name)} ${brief(rest, 60)}` : word(name);
}

export const actioncable = {
  name: "actioncable",
  title: "Action Cable",
  owns: true,
  fit({ subprotocol, text, value }) {
    if (typeof text !== "string" || !isObject(value)) return 0;
    if (OWN.test(subprotocol ?? "")) return 100;
    const isIdentifier = typeof value.identifier === "string" && value.identifier.startsWith('{"channel":');
    if (COMMANDS.has(value.command) && isIdentifier) return 95;
    if (isIdentifier && (TYPES.has(value.type) || "message" in value)) return 90;
    if (value.type === "ping" && Number.isInteger(value.message)) return 86;
    return value.type === "welcome" && Object.keys(value).length === 1 ? 60 : 0;
  },
  decode,
};
