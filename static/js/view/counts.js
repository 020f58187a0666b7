// View: the line of counts below the list, and the buttons that depend on them.

import { count, number, rate } from "../model/text.js";
import { at } from "./dom.js";

function write(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

/**
 * Draws the counts of a journal, or of an archive that is shown instead: `kind` says which of the server's
 * events it contains, `perSecond` how many come, `isSearched` whether the whole history was searched.
 */
export function drawCounts(journal, archive, { kind, perSecond, isSearched }) {
  const shown = archive ? `${number(archive.count + archive.found, "event")}${kind}` : journal.total === 0 ? "no events yet" : number(journal.total, "event");
  const isPaused = journal.holding === "paused";
  const parts = [shown];
  if (isPaused) parts.push(`paused, ${count(journal.waiting)} new`);
  if (perSecond > 0) parts.push(`${rate(perSecond)}/s`);
  if (journal.dropped > 0) parts.push(`${count(journal.length)} held, ${count(journal.dropped)} older dropped`);
  if (!isSearched) parts.push("the search of the history took too long and is not complete");
  if (journal.missed > 0) parts.push(`${count(journal.missed)} came faster than this page could take them`);
  write("counts", parts.join(" · "));
  write("pause-words", isPaused ? "Resume" : "Pause");
  // The number is for those who hear the button: what is seen of it keeps its width.
  write("pause-waiting", isPaused ? ` (${count(journal.waiting)} new)` : "");
  at("pause").setAttribute("aria-pressed", String(isPaused));
}
