// View: which decoded messages a search has looked at, in words, beside the conditions.

import { number, moment } from "../model/text.js";
import { button, make } from "./dom.js";

const at = (id) => moment(new Date(parseInt(id, 10)));

export class Searching {
  #words = make("span", "", "", { role: "status" });
  #stop = button("Stop", "small", () => this.onstop(), { title: "Stop the search in decoded messages" });
  element = make("span", "searching dim", "", { hidden: "" });
  #live = "";
  /** Called when the reader ends the search. */
  onstop = () => {};

  #show(words, isRunning = false) {
    this.element.hidden = words === "";
    if (this.#words.textContent !== words) this.#words.textContent = words;
    if (this.#stop.isConnected !== isRunning || !this.#words.isConnected) this.element.replaceChildren(this.#words, ...(isRunning ? [this.#stop] : []));
  }

  /** Shows nothing: there is no search, or it begins. */
  none() {
    this.#live = "";
    this.#show("");
  }

  /**
   * Takes what a search of the live stream looks at. Of its past, decoded messages since an event: "" for
   * all of it, null for none. New ones too, unless a filter leaves out some. Shows it if the stream is shown.
   */
  searched(since, hasFilter, isShown) {
    const past = since === null ? "searched as sent, not as decoded" : since === "" ? "searched as sent and as decoded" : `searched as sent, and as decoded since ${at(since)}`;
    this.#live = hasFilter && since !== null ? `${past}; new messages as sent only, because of the filter` : past;
    if (isShown) this.live();
  }

  /** Says what the search of the live stream looks at. */
  live() {
    this.#show(this.#live);
  }

  /**
   * Says how far a search of the history is. `scan(report)` resolves when it ends; `take(lines, briefs)`
   * takes what it finds and returns how many lines are found in all, and whether there is room for more.
   */
  async history(scan, take) {
    let found = 0;
    let until = "";
    let hasRoom = true;
    const { fault } = await scan(({ lines, briefs, at: id }) => {
      if (!hasRoom) return;
      if (id) until = ` up to ${at(id)}`;
      ({ found, hasRoom } = take(lines, briefs));
      if (hasRoom) this.#show(`searching decoded messages${until}${more(found)}`, true);
      else this.onstop();
    });
    if (!hasRoom) this.#show(`searched as sent, and as decoded${until}${more(found)}, which is all that this page holds`);
    else if (fault === undefined) this.#show(`searched as sent and as decoded${more(found)}`);
    else this.#show(`searched as sent, and as decoded${until || " in part"}${more(found)}${fault && `: ${fault}`}`);
  }
}

function more(found) {
  return found > 0 ? `: ${number(found, "more event")}` : "";
}
