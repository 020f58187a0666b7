// Model: what a frame between a client and wstap says, for a log. Pure.

import { valueOf } from "./event.js";

/**
 * A text frame as a line `{ kind, text, channel }`, or null for an answer, which stands at what it
 * answers. What a channel carried is shown as it was written, with every digit.
 */
export function told(frame, direction) {
  const kind = direction === "in" ? "received" : "sent";
  const value = frame.startsWith("{") ? valueOf(frame) : null;
  if (direction === "in" && value !== null && (typeof value.ack === "string" || "frame" in value)) return value.error ? { kind: "error", text: frame, channel: "" } : null;
  if (direction === "out") return { kind, ...command(frame, value) };
  if (typeof value?.channel !== "string") return { kind: value?.error?.code ? "error" : kind, text: frame, channel: "" };
  const { channel, id, type, user, users } = value;
  const key = id === undefined ? "" : `"id":${JSON.stringify(id)},`;
  if ("data" in value) return { kind, text: inner(frame, `{"channel":${JSON.stringify(channel)},${key}"data":`, 1), channel };
  if (type === "join" || type === "leave") return { kind: type, text: `${user} ${type === "join" ? "came" : "left"}`, channel };
  if (type === "presence" && Array.isArray(users)) return { kind: "state", text: `here: ${users.join(", ")}`, channel };
  return { kind, text: frame, channel };
}

/** What a client says: in a channel, or to the server. */
function command(frame, value) {
  const { channel, channels } = value?.params ?? {};
  if (value?.type === "publish" && typeof channel === "string") {
    return { text: inner(frame, `{"type":"publish","params":{"channel":${JSON.stringify(channel)},"message":`, 2), channel };
  }
  const isMember = value?.type === "subscribe" || value?.type === "unsubscribe";
  return { text: frame, channel: isMember && Array.isArray(channels) ? String(channels[0]) : "" };
}

/** What stands between a known beginning and the last characters; all of it if it begins otherwise. */
function inner(frame, prefix, end) {
  return frame.startsWith(prefix) ? frame.slice(prefix.length, -end) : frame;
}
