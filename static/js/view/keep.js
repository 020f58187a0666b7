// View: saves the events that are shown, and takes a file that is dropped on the page or chosen.

import { toHar } from "../model/har.js";
import { number } from "../model/text.js";
import { at, download, toast } from "./dom.js";

/** Most events of a file: more would not fit in the memory of a page. */
export const MOST = 200_000;

function name(ending) {
  return `wstap-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.${ending}`;
}

/** Saves lines as NDJSON. */
export function saveNdjson(lines) {
  download(name("ndjson"), "application/x-ndjson", [lines.join("\n"), "\n"]);
  toast(`Saved ${number(lines.length, "event")}.`);
}

/** Saves lines as HAR. */
export function saveHar(lines, origin, version) {
  download(name("har"), "application/json", [toHar(lines, origin, version)]);
  toast(`Saved ${number(lines.length, "event")}.`);
}

/** Takes files that are dropped or chosen. */
export function takeFiles(open) {
  let depth = 0;
  const hasFile = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFile(event)) return;
    depth += 1;
    at("drop").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!hasFile(event)) return;
    depth = Math.max(0, depth - 1);
    at("drop").hidden = depth === 0;
  });
  addEventListener("dragover", (event) => { if (hasFile(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    at("drop").hidden = true;
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  at("file").addEventListener("change", () => {
    if (at("file").files[0]) open(at("file").files[0]);
    at("file").value = "";
  });
}
