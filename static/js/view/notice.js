// View: the line above the list that says what happened to the stream or a file.

import { number } from "../model/text.js";
import { at } from "./dom.js";

/** Shows a sentence, and a button with a label that runs something. */
export function notice(words, bad = false, label = "", run = null) {
  at("notice").hidden = false;
  at("notice").classList.toggle("bad", bad);
  at("notice-text").textContent = words;
  at("notice-act").hidden = run === null;
  at("notice-act").textContent = label;
  at("notice-act").onclick = run;
}

/** Says what a gap of the stream, or a hole of the page, means. `look(id)` shows the history after an event. */
export function gapNotice({ kind, missed, after }, look) {
  if (kind === "hole") notice(`This page fell behind: ${number(missed, "event")} came faster than it could take them. They are counted, and marked in the list.`, true, "Look at the server's history", () => look(after));
  else if (missed == null) notice("There is a gap in the stream: what happened while it was interrupted, or before the server started again, may be missing.", true);
  else notice(`There is a gap in the stream: ${number(missed, "event")} ${missed === 1 ? "was" : "were"} forgotten by the server before this page could read them. A longer --history-events keeps more.`, true);
}
