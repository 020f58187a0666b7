// Streams of the Kubernetes API (exec, attach, port-forward): the first byte, or digit, of a message
// is its channel. Subprotocols v4.channel.k8s.io, v5.channel.k8s.io and their base64 forms.

import { fromBase64 } from "../model/text.js";
import { Fault, amount, brief, bytesOf, maybeJson, readable } from "./bounded.js";

const CHANNELS = ["stdin", "stdout", "stderr", "error", "resize"];
const CLOSE = 255;

/** Bytes of a message that are shown as text. */
const SHOWN = 65_536;

const OWN = /channel\.k8s\.io$/;

function decode(message, state) {
  const { channel, data } = /^base64\./.test(message.subprotocol ?? "") ? digits(message.text ?? readable(bytesOf(message)) ?? "") : bytes(bytesOf(message));
  if (/\/portforward(\?|$)/.test(message.path ?? "")) return port(channel, data, state);
  if (channel === CLOSE) {
    const closed = CHANNELS[data[0]] ?? `channel ${data[0]}`;
    return { summary: `close ${closed}`, fields: { channel: "close", closed } };
  }
  const name = CHANNELS[channel] ?? `channel ${channel}`;
  if (data.length === 0) return { summary: `${name}, empty`, fields: { channel: name } };
  const shown = plain(data);
  const text = readable(shown);
  const content = text === null ? data : channel >= 3 ? maybeJson(text) : text;
  const colours = text !== null && data.length !== shown.length;
  return { summary: `${name} ${brief(content, 200)}`, fields: { channel: name, size: data.length, data: content, ...(colours ? { note: `escape sequences of the terminal${data.length > SHOWN ? " and what is long" : ""} are left out`, bytes: data } : {}) } };
}

/** Without the escape sequences and bells of terminals, which are no text that people read. */
function plain(all) {
  const data = all.subarray(0, SHOWN);
  const out = [];
  for (let at = 0; at < data.length; at += 1) {
    if (data[at] === 27) {
      if (data[at + 1] === 0x5b) for (at += 2; at < data.length && (data[at] < 0x40 || data[at] > 0x7e); at += 1);
      else at += 1;
    } else if (data[at] !== 7 && data[at] !== 8) out.push(data[at]);
  }
  return Uint8Array.from(out);
}

/** Port-forward has two channels a port, data and error; the first message of each names the port. */
function port(channel, data, state) {
  const own = (state.kubernetes ??= { ports: [] });
  const kind = channel % 2 === 0 ? "data" : "error";
  if (own.ports[channel] === undefined && data.length === 2) {
    own.ports[channel] = data[0] + data[1] * 256;
    return { summary: `port ${own.ports[channel]}, ${kind}`, fields: { channel, kind, port: own.ports[channel] } };
  }
  const text = readable(data);
  return { summary: `${kind} ${text === null ? amount(data.length) : brief(text, 200)}`, fields: { channel, kind, port: own.ports[channel], size: data.length, data: text ?? data } };
}

function bytes(all) {
  if (all.length === 0) throw new Fault("the message is empty; it has no channel");
  return { channel: all[0], data: all.subarray(1) };
}

function digits(text) {
  const data = fromBase64(text.slice(1));
  if (!/^\d/.test(text) || data === null) throw new Fault("no digit of a channel with base64");
  return { channel: Number(text[0]), data };
}

export const kubernetes = {
  name: "kubernetes",
  title: "Kubernetes streams",
  owns: true,
  fit({ subprotocol, path, bytes: all, text }) {
    if (OWN.test(subprotocol ?? "")) return 100;
    const known = /\/(exec|attach|portforward)(\?|$)/.test(path ?? "") && /\/pods\//.test(path ?? "");
    return known && all && typeof text !== "string" && (all[0] <= 4 || all[0] === CLOSE) ? 90 : 0;
  },
  decode,
};
