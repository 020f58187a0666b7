// View: two events beside each other, with their differences.

import { diff, words } from "../model/diff.js";
import { payload, valueOf } from "../model/event.js";
import { step } from "../model/json.js";
import { clock, count, delta, toHex, visible } from "../model/text.js";
import { make } from "./dom.js";
import { nameOf } from "./names.js";

/** Characters of a value in a comparison. */
const MOST = 300;

/** Characters of a text around a difference, and of a difference. */
const AROUND = 120;
const LONGEST = 2000;

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
  const named = (event) => `${clock(new Date(event?.time ?? 0))} ${visible(nameOf(String(event?.connectionId ?? "")))}`;
  const line = make("p", "dim");
  line.append(make("span", "removed", named(a)), " and ", make("span", "added", named(b)), `, ${delta(Date.parse(b?.time) - Date.parse(a?.time))}`);
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
  const title = lines.length === 0 ? "They are equal." : `${count(lines.length)}${cut ? " and more" : ""} ${lines.length === 1 ? "value differs" : "values differ"}, ${count(same)} equal.`;
  box.append(make("p", "", title));
  if (lines.length === 0) return box;
  const made = make("table");
  const head = made.createTHead().insertRow();
  for (const title of ["Path", "First", "Second"]) head.append(make("th", "", title, { scope: "col" }));
  const body = made.createTBody();
  for (const line of lines.slice(0, 500)) {
    const row = body.insertRow();
    row.className = line.kind;
    row.append(make("th", "mono", visible(line.path.map(place).join("").replace(/^\./, "") || "all of it"), { scope: "row" }));
    row.append(make("td", "mono removed", line.kind === "added" ? "" : short(line.a)), make("td", "mono added", line.kind === "removed" ? "" : short(line.b)));
  }
  box.append(made);
  return box;
}

/** A step of a path; an item of a list that has moved has both of its places. */
function place(one) {
  return Array.isArray(one) ? `[${one[0]} → ${one[1]}]` : step(one);
}

function texts(a, b) {
  const box = make("div");
  if (a === b) {
    box.append(make("p", "", "They are equal."));
    return box;
  }
  const pieces = words(a, b);
  for (const own of ["removed", "added"]) {
    const line = make("pre", "differing", "", { "aria-label": own === "removed" ? "The first" : "The second" });
    const parts = pieces.filter(({ kind }) => kind === "same" || kind === own);
    parts.forEach(({ kind, text }, n) => line.append(kind === "same" ? around(text, n > 0, n < parts.length - 1) : make("mark", own, visible(text.slice(0, LONGEST)))));
    box.append(line);
  }
  return box;
}

/** A text between differences, of which only the ends are shown if it is long. */
function around(text, hasBefore, hasAfter) {
  const room = AROUND * (Number(hasBefore) + Number(hasAfter));
  if (text.length <= room) return visible(text);
  return `${hasBefore ? visible(text.slice(0, AROUND)) : ""}…${hasAfter ? visible(text.slice(-AROUND)) : ""}`;
}
