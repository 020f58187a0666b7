// The properties of MQTT 5 (section 2.2.2.2): a number, a name, a type.

import { Fault, Reader, toMap } from "./bounded.js";

const byte = (reader) => reader.u8();
const two = (reader) => reader.u16();
const four = (reader) => reader.u32();
const varint = (reader) => Number(reader.varint(4));
const binary = (reader) => reader.take(reader.u16());

/** A string with its length in two bytes. */
export const string = (reader) => reader.text(reader.u16());

const PROPERTIES = new Map([
  [1, ["payloadFormatIndicator", byte]],
  [2, ["messageExpiryInterval", four]],
  [3, ["contentType", string]],
  [8, ["responseTopic", string]],
  [9, ["correlationData", binary]],
  [11, ["subscriptionIdentifier", varint]],
  [17, ["sessionExpiryInterval", four]],
  [18, ["assignedClientIdentifier", string]],
  [19, ["serverKeepAlive", two]],
  [21, ["authenticationMethod", string]],
  [22, ["authenticationData", binary]],
  [23, ["requestProblemInformation", byte]],
  [24, ["willDelayInterval", four]],
  [25, ["requestResponseInformation", byte]],
  [26, ["responseInformation", string]],
  [28, ["serverReference", string]],
  [31, ["reasonString", string]],
  [33, ["receiveMaximum", two]],
  [34, ["topicAliasMaximum", two]],
  [35, ["topicAlias", two]],
  [36, ["maximumQoS", byte]],
  [37, ["retainAvailable", byte]],
  [38, ["userProperty", (reader) => ({ [string(reader)]: string(reader) })]],
  [39, ["maximumPacketSize", four]],
  [40, ["wildcardSubscriptionAvailable", byte]],
  [41, ["subscriptionIdentifiersAvailable", byte]],
  [42, ["sharedSubscriptionAvailable", byte]],
]);

/** Reads properties with their length in front. Those that stand more than once are a list. */
export function properties(reader) {
  const part = new Reader(reader.take(reader.varint(4)), { purse: reader.purse });
  const found = new Map();
  while (part.left > 0) {
    part.spend(1);
    const number = part.u8();
    const [name, read] = PROPERTIES.get(number) ?? [];
    if (!name) throw new Fault(`no property has the number ${number}`);
    const values = found.get(name) ?? [];
    values.push(read(part));
    found.set(name, values);
  }
  return toMap([...found].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}
