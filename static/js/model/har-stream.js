// Model: event streams in archives, by the rules of src/wire/har/streams.rs: entries with
// `_eventSourceMessages`, and responses of the media type, whose body is read as it was sent. No DOM.

import { wellFormed } from "./har-ending.js";
import { fromBase64 } from "./text.js";
import { SseParser } from "../wstap/sse.js";

/** Whether an entry is an event stream. */
export function isStream(entry) {
  const isNamed = entry._resourceType === "eventsource" || isMediaType(entry.response?.content?.mimeType);
  return Array.isArray(entry._eventSourceMessages) || (isNamed && entry.response?.status === 200);
}

const isMediaType = (text) => typeof text === "string" && text.split(";")[0].trim().toLowerCase() === "text/event-stream";

/** The entry with the events of its body, unless they are listed. A body has no times, and is complete. */
export function withBody(entry) {
  const text = entry.response?.content?.text;
  if (Array.isArray(entry._eventSourceMessages) || !isStream(entry) || typeof text !== "string") return entry;
  return { ...entry, _eventSourceMessages: eventsOf(decoded(text, entry.response.content.encoding)), isComplete: true };
}

function decoded(text, encoding) {
  if (typeof encoding !== "string" || encoding.toLowerCase() !== "base64") return wellFormed(text);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(fromBase64(text) ?? []));
}

function eventsOf(body) {
  const parser = new SseParser();
  const events = [];
  parser.feed(body.replace(/^\ufeff/, ""), (eventName, data) => events.push({ time: 0, eventName, eventId: parser.lastId, data }));
  return events;
}
