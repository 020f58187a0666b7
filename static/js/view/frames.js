// View: what is said in frames of one direction, message by message.

import { make } from "./dom.js";
import { paragraphs, prose } from "./prose.js";
import { shape } from "./shape.js";

/** Draws what AsyncAPI calls an operation. Returns what to append. */
export function drawFrames(root, entry) {
  const head = make("header", "head");
  const title = make("h1", "", entry.title, { tabindex: "-1" });
  const address = make("p", "summary");
  address.append(make("code", "", entry.address));
  head.append(title, address, ...paragraphs(entry.about));
  const messages = entry.messages.map((message) => {
    const box = make("div", "card message");
    box.append(make("h2", "", message.title), prose("p", "", message.about));
    if (message.type) box.append(make("p", "dim media", message.type));
    const examples = message.examples.map((value) => ({ name: "", value: typeof value === "string" ? value : JSON.stringify(value) }));
    box.append(...shape(root, { schema: message.schema, examples }, message.title));
    return box;
  });
  return [head, ...messages];
}
