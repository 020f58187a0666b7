// Pure: Server-Sent Events out of chunks of text, as HTML section 9.2.6 has them.

export class SseParser {
  #pieces = [];
  #name = "";
  #data = "";
  #hasData = false;
  #id = "";
  /** The id to resume from: the last that came with a completed event. */
  lastId = "";
  /** How long the server wants its readers to wait, in milliseconds, or null. */
  retry = null;

  constructor(lastId = "") {
    this.lastId = lastId;
    this.#id = lastId;
  }

  /** Reads a chunk; `each(name, data)` is called for every event that it completes. */
  feed(chunk, each) {
    // A long line comes in many chunks; they are joined once, at its end.
    if (!chunk.includes("\n")) {
      this.#pieces.push(chunk);
      return;
    }
    const text = this.#pieces.length > 0 ? this.#pieces.join("") + chunk : chunk;
    let from = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", from)) {
      const stop = text.charCodeAt(end - 1) === 13 && end > from ? end - 1 : end;
      this.#line(text, from, stop, each);
      from = end + 1;
    }
    this.#pieces = from < text.length ? [text.slice(from)] : [];
  }

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

  #append(value) {
    this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
    this.#hasData = true;
  }

  #dispatch(each) {
    this.lastId = this.#id;
    if (this.#hasData) each(this.#name || "message", this.#data);
    this.#name = "";
    this.#data = "";
    this.#hasData = false;
  }
}
