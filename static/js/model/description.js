// Model: what a server says of its addresses (OpenAPI) and of its frames (AsyncAPI), as lists to
// show, to search and to ask by. No DOM.

import { example, resolve } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

/** The operations of an OpenAPI document, in the order of its tags. */
export function operations(root) {
  const all = Object.entries(root.paths ?? {}).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => {
    const it = item[method];
    return {
      id: it.operationId,
      method: method.toUpperCase(),
      path,
      tag: it.tags?.[0] ?? "",
      summary: it.summary ?? "",
      about: it.description ?? "",
      parameters: [...(item.parameters ?? []), ...(it.parameters ?? [])].map((parameter) => resolve(root, parameter).schema),
      body: it.requestBody ? body(root, it.requestBody) : null,
      responses: Object.entries(it.responses ?? {}).map(([status, given]) => response(root, status, given)),
    };
  }));
  const tags = (root.tags ?? []).map(({ name }) => name);
  return all.sort((a, b) => tags.indexOf(a.tag) - tags.indexOf(b.tag));
}

function body(root, given) {
  const { schema } = resolve(root, given);
  return { about: schema.description ?? "", media: media(root, schema.content) };
}

function response(root, status, given) {
  const { schema } = resolve(root, given);
  return { status, about: schema.description ?? "", media: media(root, schema.content) };
}

function media(root, content = {}) {
  return Object.entries(content).map(([type, given]) => {
    const examples = Object.entries(given.examples ?? {}).map(([name, one]) => ({ name, value: one.value }));
    if (given.example !== undefined) examples.push({ name: "", value: given.example });
    if (examples.length === 0 && given.schema && /[/+]json$/.test(type)) examples.push({ name: "", value: example(root, given.schema) });
    return { type, schema: given.schema ?? null, examples };
  });
}

/** What an AsyncAPI document tells of frames: who says what where. */
export function frames(root) {
  return Object.entries(root.operations ?? {}).map(([id, it]) => {
    const { schema: channel } = resolve(root, it.channel);
    const messages = (it.messages ?? Object.values(channel.messages ?? {})).map((one) => resolve(root, one).schema);
    return {
      id: `frames-${id}`,
      title: it.title ?? id,
      address: channel.address,
      about: channel.description ?? "",
      messages: messages.map((message) => ({
        title: message.title ?? message.name,
        about: message.summary ?? "",
        type: message.contentType ?? "",
        schema: message.payload ?? null,
        examples: (message.examples ?? []).map(({ payload }) => payload),
      })),
    };
  });
}

/** Whether something listed is what a text asks for: each of its words has to be there. */
export function matches(entry, text) {
  const hay = [entry.method, entry.path, entry.address, entry.title, entry.summary, entry.tag, entry.id].filter(Boolean).join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => hay.includes(word));
}

/** Whether an operation answers with a stream that does not end by itself. */
export function isEndless(operation) {
  return operation.responses.some(({ media: all }) => all.some(({ type }) => type === "text/event-stream"));
}

/** Whether it is the handshake of a WebSocket, which no page can send by itself. */
export function isHandshake(operation) {
  return operation.responses.some(({ status }) => status === "101");
}
