// View: the content of a message as a tree, text or bytes, and its decoded form beside it.

import { payload, readableText } from "../model/event.js";
import { isDocument } from "../model/json.js";
import { bytes as inBytes, count, dump, visible } from "../model/text.js";
import { button, copy, download, make } from "./dom.js";
import { Tree } from "./tree.js";

/** Characters and bytes that are shown at first. */
const TEXT = 50_000;
const BYTES = 4096;

export class Content {
  /** Called with a path and a value, as JSON, to filter by. */
  onfilter = () => {};
  /** Resolves with the message of a line as its decoder reads it, or null. */
  decode = async () => null;
  /** The decoders: `[{ name, title }]`. */
  names = () => [];
  /** Called with a connection and the name of its decoder, "off", or null for the one that fits. */
  onchoose = () => {};
  #form = "";
  #decoder = new Map();
  #shown = 0;

  constructor(box) {
    this.box = box;
  }

  /** Shows the content of an event. */
  show(raw, value) {
    const mine = this.#shown += 1;
    const carried = payload(raw, value);
    const forms = this.#forms(carried);
    this.box.replaceChildren();
    if (forms.length === 0) return;
    const decoded = make("section", "decoded", "", { hidden: "" });
    const raws = make("section", "raw-content");
    this.box.append(decoded, raws);
    this.#raw(raws, forms, carried, value);
    this.#decode(decoded, raw, value, () => mine === this.#shown);
  }

  #forms({ text: sent, bytes, json }) {
    const forms = [];
    const text = sent ?? (bytes ? readableText(bytes) : null);
    if (json !== null) forms.push(["Tree", () => this.#tree(json)]);
    else if (text !== null && isDocument(text)) forms.push(["Tree", () => this.#tree(text)]);
    if (text !== null) forms.push(["Text", () => long(visibleLines(text), TEXT)]);
    if (bytes || text) forms.push(["Hex", () => hex(bytes ?? new TextEncoder().encode(text.slice(0, 1_000_000)))]);
    return forms;
  }

  #raw(box, forms, carried, value) {
    const chosen = forms.some(([name]) => name === this.#form) ? this.#form : forms[0][0];
    const head = make("div", "content-head");
    const choice = make("div", "segments", "", { role: "group", "aria-label": "How the content is shown" });
    for (const [name] of forms) {
      choice.append(button(name, "", () => {
        this.#form = name;
        box.replaceChildren();
        this.#raw(box, forms, carried, value);
        box.querySelector('[aria-pressed="true"]').focus();
      }, { "aria-pressed": String(name === chosen) }));
    }
    head.append(make("h3", "", "Content"), choice, make("span", "grow"));
    if (carried.text !== null) head.append(button("Copy", "small", () => copy(carried.text)));
    else if (carried.bytes) head.append(button("Save", "small", () => download(`${value.id}.bin`, "application/octet-stream", [carried.bytes])));
    box.append(head, forms.find(([name]) => name === chosen)[1]());
  }

  #tree(text) {
    const tree = new Tree(text);
    tree.onfilter = (path, json) => this.onfilter(path, json);
    return tree.element;
  }

  // The decoded form stands beside the raw one, never instead of it.
  async #decode(box, raw, value, current) {
    const id = value.connectionId;
    const choice = this.#decoder.get(id) ?? "auto";
    const found = await this.decode(raw);
    if (!current()) return;
    box.replaceChildren(this.#decodedHead(this.names(), found, choice, id, () => this.#decode(box, raw, value, current)));
    box.hidden = false;
    if (!found) return;
    if (found.summary) box.append(make("p", "summary", visible(found.summary)));
    if (found.error) box.append(make("p", "bad", visible(found.error), { role: "status" }));
    if (found.fields !== null && found.fields !== undefined) {
      box.append(new Tree(JSON.stringify(found.fields), "decoded", "The message as decoded").element);
    } else if (found.text) {
      box.append(long(visibleLines(found.text), TEXT));
    }
  }

  #decodedHead(all, found, choice, id, again) {
    const head = make("div", "content-head");
    const select = make("select", "small", "", { "aria-label": "Decoder" });
    const title = all.find(({ name }) => name === found?.name)?.title;
    const automatic = choice === "auto" && title ? `Automatic: ${title}` : "Automatic";
    const options = [["auto", automatic], ["off", "Off"], ...all.map(({ name, title }) => [name, title])];
    for (const [name, words] of options) select.append(new Option(words, name, false, name === choice));
    select.addEventListener("change", () => {
      this.#decoder.set(id, select.value);
      this.onchoose(id, select.value === "auto" ? null : select.value);
      again();
    });
    head.append(make("h3", "", "Decoded"), select);
    if (!found && choice === "auto") head.append(make("span", "dim", "no decoder knows this message"));
    return head;
  }
}

/** Lines with characters written out that could hide text or turn it around. */
function visibleLines(text) {
  return text.split("\n").map(visible).join("\n");
}

/** A text, of which the beginning is shown, and more at the push of a button. */
function long(text, most) {
  const box = make("div", "text-content");
  const pre = make("pre", "", text.slice(0, most), { tabindex: "0", "aria-label": "The message as text" });
  box.append(pre);
  if (text.length > most) {
    const more = button("", "small", () => {
      pre.append(text.slice(pre.textContent.length, pre.textContent.length + 10 * most));
      label();
    });
    const label = () => {
      const left = text.length - pre.textContent.length;
      more.textContent = `${count(left)} more characters; show more`;
      more.hidden = left <= 0;
    };
    label();
    box.append(more);
  }
  return box;
}

function hex(array) {
  const box = make("div", "hex-content");
  let shown = BYTES;
  const draw = () => {
    const table = make("pre", "hex", "", { tabindex: "0", "aria-label": "The message as bytes" });
    for (const { offset, hex: digits, text } of dump(array, shown)) {
      table.append(make("span", "offset", `${offset}  `), digits, make("span", "ascii", `  ${text}\n`));
    }
    box.replaceChildren(table);
    if (array.length > shown) {
      box.append(button(`${inBytes(array.length - shown)} more; show more`, "small", () => {
        shown *= 4;
        draw();
      }));
    }
  };
  draw();
  return box;
}
