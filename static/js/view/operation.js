// View: one address: what it does, a form to ask it, what it answers.

import { isEndless, isHandshake } from "../model/description.js";
import { limits, resolve, typeWords } from "../model/schema.js";
import { make } from "./dom.js";
import { paragraphs, prose } from "./prose.js";
import { shape } from "./shape.js";

/** Draws an operation; `trial(form, operation)` puts in what sends. Returns what to append. */
export function drawOperation(root, operation, trial) {
  const head = make("header", "head");
  const title = make("h1", "address", "", { tabindex: "-1" });
  title.append(make("span", "method", operation.method, { "data-method": operation.method }), " ", make("span", "path", operation.path));
  head.append(title, prose("p", "summary", operation.summary), ...paragraphs(operation.about));
  const answers = make("section", "answers", "", { "aria-labelledby": "answers-title" });
  answers.append(make("h2", "", "Answers", { id: "answers-title" }), ...operation.responses.map((response) => answer(root, response)));
  return [head, ask(root, operation, trial), answers];
}

function ask(root, operation, trial) {
  const form = make("form", "card ask", "", { "aria-labelledby": "ask-title", novalidate: "" });
  form.append(make("h2", "", "Try it", { id: "ask-title" }));
  for (const parameter of operation.parameters) form.append(field(root, parameter));
  if (operation.body) form.append(body(operation.body));
  trial(form, operation, { endless: isEndless(operation), handshake: isHandshake(operation) });
  return form;
}

const PLACES = { path: "in the address", query: "query", header: "header" };

function field(root, parameter) {
  const { schema } = resolve(root, parameter.schema);
  const item = schema.type === "array" ? resolve(root, schema.items).schema : null;
  const key = `${parameter.in} ${parameter.name}`;
  const id = `field-${key.replace(/\W+/g, "-")}`;
  const box = make("div", "field");
  const about = make("div", "about", "", { id: `${id}-about` });
  const words = item || schema.enum ? "" : typeWords(root, schema).replace(/^string$/, "");
  const type = [PLACES[parameter.in], parameter.required ? "needed" : "", words, limits(schema)].filter(Boolean);
  about.append(make("span", "type", type.join(", ")), " ", prose("span", "", parameter.description ?? ""));
  if (item?.enum) {
    const group = make("fieldset", "boxes", "", { "aria-describedby": about.id });
    group.append(make("legend", "", parameter.name));
    for (const value of item.enum) {
      const label = make("label");
      label.append(make("input", "", "", { type: "checkbox", value, "data-key": key }), value);
      group.append(label);
    }
    box.append(group, about);
    return box;
  }
  const label = make("label", "", parameter.name, { for: id });
  box.append(label, control(schema, item, parameter, { id, "data-key": key, "aria-describedby": about.id }), about);
  return box;
}

function control(schema, item, parameter, attributes) {
  const values = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  if (values) {
    const select = make("select", "mono", "", attributes);
    select.append(new Option("", ""), ...values.map((value) => new Option(value, value)));
    return select;
  }
  const sample = parameter.example ?? "";
  if (item) {
    return make("textarea", "", "", { ...attributes, rows: "1", spellcheck: "false", placeholder: `${[sample].flat().join("\n")}  (one a line)` });
  }
  return make("input", "mono", "", { ...attributes, autocomplete: "off", spellcheck: "false", placeholder: String(sample), ...(parameter.required ? { required: "" } : {}) });
}

function body({ about, media }) {
  const box = make("div", "field body");
  const select = make("select", "mono", "", { id: "body-type" });
  select.append(...media.map(({ type }) => new Option(type, type)));
  const text = make("textarea", "", "", { id: "body-text", spellcheck: "false", "aria-label": "Body" });
  const file = make("input", "", "", { id: "body-file", type: "file", "aria-label": "Body from a file" });
  const pick = () => {
    const chosen = media.find(({ type }) => type === select.value);
    const [first] = chosen.examples;
    const binary = chosen.type === "application/octet-stream";
    text.hidden = binary;
    file.hidden = !binary;
    text.value = first === undefined ? "" : /[/+]json$/.test(chosen.type) ? JSON.stringify(first.value) : String(first.value);
  };
  const preferred = media.find(({ type }) => type === "text/plain");
  if (preferred) select.value = preferred.type;
  select.addEventListener("change", pick);
  pick();
  box.append(make("label", "", "Body", { for: "body-type" }), select, text, file, prose("div", "about", about));
  return box;
}

function answer(root, { status, about, media }) {
  const box = make("details", "answer", "", { "data-class": status[0] });
  box.open = status.startsWith("2");
  const summary = make("summary");
  summary.append(make("strong", "", status), " ", prose("span", "", about));
  box.append(summary);
  for (const one of media) {
    box.append(make("p", "dim media", one.type), ...shape(root, one, `${status}, ${one.type}`));
  }
  if (media.length === 0) box.append(make("p", "dim media", "without a body"));
  return box;
}
