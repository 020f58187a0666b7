// View: the dialogs for a time, for saved views, and for saving the events.

import { timeOf } from "../model/event.js";
import { clock, count, number } from "../model/text.js";
import { at, button, make } from "./dom.js";

/** A moment as the fields of a dialog have it: local, to the millisecond. */
function local(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 23);
}

/** Buttons marked `data-close` close their dialog; a click beside a dialog does too. */
export function wireDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target.closest("[data-close]") || event.target === dialog) dialog.close();
    });
  }
}

/** The dialog for times: `go(ms)` jumps, `range(since, until)` selects. */
export function timeDialog({ go, range, known }) {
  const fault = (words) => {
    at("time-fault").textContent = words;
    at("time-fault").hidden = words === "";
  };
  const read = (id) => {
    const value = at(id).value === "" ? null : new Date(at(id).value).getTime();
    return Number.isNaN(value) ? null : value;
  };
  at("time-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const from = read("time-from");
    if (from === null) return fault("“From” needs a date and a time.");
    at("time-dialog").close();
    return go(from);
  });
  at("time-range").addEventListener("click", () => {
    const [from, to] = [read("time-from"), read("time-to")];
    if (from === null && to === null) return fault("One of the two has to be a date and a time.");
    if (from !== null && to !== null && from > to) return fault("“From” is later than “to”.");
    at("time-dialog").close();
    return range(from, to);
  });
  return () => {
    const { first, last, at: here } = known();
    fault("");
    at("time-known").textContent = first ? `Events from ${new Date(first).toLocaleDateString()} ${clock(new Date(first))} to ${clock(new Date(last))}, in the time of this browser.` : "No events yet.";
    if (here) at("time-from").value = local(here);
    if (last && at("time-to").value === "") at("time-to").value = local(last);
    at("time-dialog").showModal();
    at("time-from").focus();
  };
}

/**
 * The dialog for saved views: `current()` is the query now, `apply(query)` shows another, `words(query)`
 * describes one; `isApplied()` says whether the list follows the filter that is typed.
 */
export function viewsDialog(saved, { current, apply, link, words, isApplied }) {
  const draw = () => {
    const views = saved.list();
    at("views-list").replaceChildren(...views.map(({ name, query }) => {
      const item = make("li");
      const open = make("a", "", "", { href: `es-client?${query}` });
      open.append(make("span", "", name), " ", make("span", "dim", words(query) || "everything"));
      open.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        at("views-dialog").close();
        apply(query);
      });
      item.append(open, button("Delete", "small", () => {
        saved.remove(name);
        draw();
      }, { "aria-label": `Delete the view ${name}` }));
      return item;
    }));
    if (views.length === 0) at("views-list").append(make("li", "dim", "None yet. A view is the conditions above the list."));
  };
  const fault = (words) => {
    at("views-fault").textContent = words;
    at("views-fault").hidden = words === "";
  };
  at("views-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = at("views-name").value.trim();
    if (name === "") return fault("A saved view has a name.");
    fault(saved.save(name, current()) ? "" : "This browser does not let the page store anything.");
    at("views-name").value = "";
    return draw();
  });
  at("views-link").addEventListener("click", link);
  return () => {
    fault("");
    draw();
    at("views-now").textContent = `This view: ${words(current()) || "everything"}.${isApplied() ? "" : " The filter that is typed is not applied, so it is not part of it."}`;
    at("views-dialog").showModal();
    at("views-name").focus();
  };
}

/** The dialog that saves: `lines()` resolves with the lines that are shown, `save(kind, lines)` saves them. */
export function saveDialog({ size, lines, save }) {
  for (const kind of ["ndjson", "har"]) {
    at(`save-${kind}`).addEventListener("click", async () => {
      at("save-dialog").close();
      save(kind, await lines());
    });
  }
  return () => {
    const { shown, most } = size();
    at("save-what").textContent = shown > most
      ? `The first ${count(most)} of the ${count(shown)} events that are shown; a narrower view or a shorter time has fewer.`
      : shown === 0 ? "No event is shown." : `The ${number(shown, "event")} that ${shown === 1 ? "is" : "are"} shown, in full.`;
    at("save-ndjson").disabled = at("save-har").disabled = shown === 0;
    at("save-dialog").showModal();
  };
}

/** The times of the first and the last line of a list. */
export function extent(source) {
  const time = (index) => timeOf(source.at(index) ?? "");
  return source.length === 0 ? { first: 0, last: 0 } : { first: time(0), last: time(source.length - 1) };
}
