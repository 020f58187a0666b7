// View: two events beside each other, with what differs.

import { between, diff } from "../model/diff.js";
import { payload, valueOf } from "../model/event.js";
import { step } from "../model/json.js";
import { clock, count, delta, toHex, visible } from "../model/text.js";
import { make } from "./dom.js";

/** Characters of a value in a comparison. */
const MOST = 300;

/** The comparison of two events, as an element. */
export function comparison(rawA, rawB) {
  const [a, b] = [rawA, rawB].map((raw) => ({ raw, value: valueOf(raw), carried: payload(raw) }));
  const box = make("section", "comparison", "", { "aria-label": "Comparison" });
  box.append(heading(a.value, b.value));
  const documents = [document(a), document(b)];
  if (documents.every((one) => one !== undefined)) box.append(table(diff(...documents)));
  else box.append(texts(asText(a), asText(b)));
  return box;
}

function heading(a, b) {
  const words = (event) => `${clock(new Date(event?.time ?? 0))} ${visible(String(event?.connectionId ?? ""))}`;
  const line = make("p", "dim");
  line.append(make("span", "removed", words(a)), " and ", make("span", "added", words(b)), `, ${delta(Date.parse(b?.time) - Date.parse(a?.time))}`);
  return line;
}

/** What is compared: the message of messages, all of the others. */
function document({ value, carried }) {
  if (value?.kind !== "message") return value ?? undefined;
  if (carried.bytes && carried.text === null) return undefined;
  try {
    const parsed = JSON.parse(carried.json ?? carried.text);
    return parsed !== null && typeof parsed === "object" ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function asText({ raw, carried }) {
  return carried.text ?? (carried.bytes ? toHex(carried.bytes, 2048) : raw);
}

function short(value) {
  return visible(String(JSON.stringify(value) ?? "")).slice(0, MOST);
}

function table({ lines, same, cut }) {
  const box = make("div");
  const words = lines.length === 0 ? "They are equal." : `${count(lines.length)}${cut ? " and more" : ""} ${lines.length === 1 ? "value differs" : "values differ"}, ${count(same)} equal.`;
  box.append(make("p", "", words));
  if (lines.length === 0) return box;
  const made = make("table");
  const head = made.createTHead().insertRow();
  for (const title of ["Path", "First", "Second"]) head.append(make("th", "", title, { scope: "col" }));
  const body = made.createTBody();
  for (const line of lines.slice(0, 500)) {
    const row = body.insertRow();
    row.className = line.kind;
    row.append(make("th", "mono", visible(line.path.map(step).join("").replace(/^\./, "") || "all of it"), { scope: "row" }));
    row.append(make("td", "mono removed", line.kind === "added" ? "" : short(line.a)), make("td", "mono added", line.kind === "removed" ? "" : short(line.b)));
  }
  box.append(made);
  return box;
}

function texts(a, b) {
  const box = make("div");
  if (a === b) {
    box.append(make("p", "", "They are equal."));
    return box;
  }
  const parts = between(a, b);
  for (const [name, middle] of [["removed", parts.a], ["added", parts.b]]) {
    const line = make("pre", "differing");
    const before = parts.start.slice(-MOST);
    line.append(visible((before.length < parts.start.length ? "…" : "") + before), make("mark", name, visible(middle.slice(0, 2000))), visible(parts.end.slice(0, MOST)));
    box.append(line);
  }
  return box;
}
