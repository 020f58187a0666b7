// View: the address of the page as the description of a view. Each view is a step that the back and forward
// buttons of the browser go by; the steps of typing in a field are one.

/** Milliseconds after which a field that is typed in begins a new step. */
const TYPING = 3000;

export class Address {
  #typing = { field: "", at: 0 };
  #continues = false;
  #isFirst = true;

  /** `onstep(params)` is called when the browser has gone to another step. */
  constructor(onstep) {
    addEventListener("popstate", () => onstep(new URLSearchParams(location.search)));
  }

  /** Notes that the view changes, and the field in which it is typed, or "". */
  changes(field) {
    this.#continues = field !== "" && field === this.#typing.field && Date.now() - this.#typing.at < TYPING;
    this.#typing = { field, at: Date.now() };
  }

  /** Writes the query of a view. The first one corrects the address with which the page was opened. */
  write(query) {
    const next = query.size > 0 ? `?${query}` : location.pathname;
    const isSame = next === (location.search || location.pathname);
    if (!isSame && (this.#continues || this.#isFirst)) history.replaceState(null, "", next);
    else if (!isSame) history.pushState(null, "", next);
    this.#isFirst = false;
    this.#continues = false;
  }
}
