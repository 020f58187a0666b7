// Events of the OpenAI Realtime API: JSON with a type, audio in base64.

import { Fault, amount, brief, isObject, jsonOf, word } from "./bounded.js";

const TYPE = /^(session|transcription_session|input_audio_buffer|output_audio_buffer|conversation|response|rate_limits|mcp_list_tools)\.[a-z_.]+$/;
const OWN = /^realtime$/;

function decode(message) {
  const value = jsonOf(message);
  if (!isObject(value) || typeof value.type !== "string") throw new Fault("no Realtime event: it has no type");
  const { type, event_id: id, ...rest } = value;
  const fields = { type, event_id: id, ...rest };
  if (isAudio(type)) for (const name of ["audio", "delta"]) if (typeof rest[name] === "string") fields[name] = `${amount(sizeOf(rest[name]))} of audio`;
  return { summary: [type, said(type, fields)].filter(Boolean).join(" "), fields, links: linksOf(value) };
}

const isAudio = (type) => type === "input_audio_buffer.append" || /audio\.delta$/.test(type);

/** Bytes of a text in base64. */
function sizeOf(base64) {
  const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
  return Math.floor(((base64.length - padding) * 3) / 4);
}

function said(type, { delta, audio, text, transcript, item, session, response, error, rate_limits: limits, name, arguments: args }) {
  if (isObject(error)) return `${word(error.code ?? error.type ?? "", 60)}: ${word(error.message ?? "", 160)}`;
  if (typeof delta === "string") return isAudio(type) ? delta : brief(delta, 160);
  if (audio !== undefined) return word(audio);
  if (transcript !== undefined) return brief(transcript, 160);
  if (typeof args === "string") return `${word(name ?? "", 60)}(${args.slice(0, 120)})`;
  if (text !== undefined) return brief(text, 160);
  if (isObject(item)) return itemOf(item);
  if (isObject(session)) return brief(session.model ?? session.type ?? Object.keys(session), 120);
  if (isObject(response)) return [word(response.status ?? "", 30), isObject(response.usage) ? `${brief(response.usage.total_tokens, 12)} tokens` : ""].filter(Boolean).join(", ");
  if (Array.isArray(limits)) return limits.slice(0, 4).map((one) => `${word(one?.name)} ${brief(one?.remaining, 12)} of ${brief(one?.limit, 12)}`).join(", ");
  return "";
}

function itemOf({ type, role, name, content }) {
  const first = Array.isArray(content) ? content.find((part) => typeof (part?.text ?? part?.transcript) === "string") : undefined;
  return [type, role, name].filter((part) => typeof part === "string").join(" ") + (first ? ` ${brief(first.text ?? first.transcript, 120)}` : "");
}

/** A session has one update, commit or response at a time, so that its type is the key. */
function linksOf({ type, item, response }) {
  switch (type) {
    case "session.update": return [{ ask: "update" }];
    case "session.updated": return [{ answer: "update" }];
    case "input_audio_buffer.commit": return [{ ask: "commit" }];
    case "input_audio_buffer.committed": return [{ answer: "commit" }];
    case "conversation.item.create": return isObject(item) && item.id !== undefined ? [{ ask: `item ${word(item.id)}` }] : [{ ask: "item" }];
    case "conversation.item.created": case "conversation.item.added": return isObject(item) ? [{ answer: `item ${word(item.id)}` }, { answer: "item" }] : [];
    case "response.create": return [{ ask: "response" }];
    case "response.created": return [{ answer: "response", more: true }];
    case "response.done": return isObject(response) ? [{ answer: "response" }] : [];
    default: return [];
  }
}

export const realtime = {
  name: "realtime",
  title: "OpenAI Realtime",
  owns: true,
  fit({ subprotocol, path, text, value }) {
    if (typeof text !== "string" || !isObject(value) || typeof value.type !== "string") return 0;
    const known = /\/realtime(\?|$)/.test(path ?? "") || OWN.test(subprotocol ?? "");
    if (TYPE.test(value.type)) return known || typeof value.event_id === "string" ? 97 : 60;
    return value.type === "error" && isObject(value.error) && (known || typeof value.event_id === "string") ? 90 : 0;
  },
  decode,
};
