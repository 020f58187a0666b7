// View: the little of Markdown that descriptions use: paragraphs, `code` and **strong** words.

import { make } from "./dom.js";

/** Text with its code and strong words, as nodes. */
export function words(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.length > 2 && part.startsWith("`")) return make("code", "", part.slice(1, -1));
    if (part.length > 4 && part.startsWith("**")) return make("strong", "", part.slice(2, -2));
    return document.createTextNode(part.replaceAll("\n", " "));
  });
}

/** An element with such text in it. */
export function prose(tag, name, text, attributes = {}) {
  const element = make(tag, name, "", attributes);
  element.append(...words(text));
  return element;
}

/** Paragraphs. */
export function paragraphs(text) {
  return text.split(/\n{2,}/).filter((part) => part.trim() !== "").map((part) => prose("p", "", part));
}
