// Server-Sent Events from chunks of text (HTML standard, section 9.2.6).

export class SseParser {
  /** @type {string[]} */
  #pieces = [];
  /** Whether the last chunk ended with a CR, which a LF may follow. */
  #isAfterCr = false;
  #name = "";
  #data = "";
  #hasData = false;
  #id = "";
  /** The id to resume from: the last one of a completed event. */
  lastId = "";
  /** The delay that the server asks for, in milliseconds. @type {number | null} */
  retry = null;

  constructor(lastId = "") {
    this.lastId = lastId;
    this.#id = lastId;
  }

  /**
   * Reads a chunk; calls `each` for every event that it completes.
   * @param {string} chunk
   * @param {(name: string, data: string) => void} each
   */
  feed(chunk, each) {
    if (chunk === "") return;
    const rest = this.#isAfterCr && chunk.charCodeAt(0) === 10 ? chunk.slice(1) : chunk;
    this.#isAfterCr = chunk.charCodeAt(chunk.length - 1) === 13;
    // A long line comes in many chunks, which are joined once, at its end.
    if (!rest.includes("\n") && !rest.includes("\r")) {
      if (rest !== "") this.#pieces.push(rest);
      return;
    }
    const text = this.#pieces.length > 0 ? this.#pieces.join("") + rest : rest;
    let from = 0;
    let [lf, cr] = [text.indexOf("\n"), text.indexOf("\r")];
    while (lf !== -1 || cr !== -1) {
      const end = lf === -1 ? cr : cr === -1 ? lf : Math.min(lf, cr);
      this.#line(text, from, end, each);
      from = end === cr && lf === end + 1 ? end + 2 : end + 1;
      // Streams of wstap have no CR, which is then looked for once and not at every line.
      if (lf !== -1 && lf < from) lf = text.indexOf("\n", from);
      if (cr !== -1 && cr < from) cr = text.indexOf("\r", from);
    }
    this.#pieces = from < text.length ? [text.slice(from)] : [];
  }

  /** @param {string} text @param {number} from @param {number} end @param {(name: string, data: string) => void} each */
  #line(text, from, end, each) {
    if (from === end) return this.#dispatch(each);
    if (text.startsWith("data: ", from)) return this.#append(text.slice(from + 6, end));
    const line = text.slice(from, end);
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#append(value);
    else if (field === "event") this.#name = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  /** @param {string} value */
  #append(value) {
    this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
    this.#hasData = true;
  }

  /** @param {(name: string, data: string) => void} each */
  #dispatch(each) {
    this.lastId = this.#id;
    if (this.#hasData) each(this.#name || "message", this.#data);
    this.#name = "";
    this.#data = "";
    this.#hasData = false;
  }
}
