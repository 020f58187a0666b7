// Link: sends a request that somebody has put together, and reads the answer as it comes. A stream
// is read until it is stopped; what is held of an answer is bounded.

/** Characters of an answer that are kept; of a longer one the newest. */
const KEPT = 200_000;

export class Trial {
  #control = new AbortController();
  #stopped = false;
  /** What came, as text. */
  text = "";
  /** Bytes that came. */
  bytes = 0;
  /** Characters that are not kept any more. */
  dropped = 0;

  /**
   * Sends it; `onhead({ status, words, headers, ms })` and `onpiece()` are called as the answer
   * comes. Resolves with `""` at its end, or with words that say what happened instead.
   */
  async send(url, { method, headers, body }, { onhead, onpiece }) {
    const start = performance.now();
    try {
      const response = await fetch(url, { method, headers, body, signal: this.#control.signal, cache: "no-store" });
      onhead({ status: response.status, words: response.statusText, headers: [...response.headers], ms: performance.now() - start });
      const reader = response.body?.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done) break;
        this.bytes += value.length;
        this.#keep(decoder.decode(value, { stream: true }));
        onpiece();
      }
      this.#keep(decoder.decode());
      return "";
    } catch {
      return this.#stopped ? "stopped" : "the server does not answer, or does not let this page ask";
    }
  }

  #keep(text) {
    const all = this.text + text;
    const over = Math.max(0, all.length - KEPT);
    this.dropped += over;
    this.text = all.slice(over);
  }

  /** Ends it, if it has not ended. */
  stop() {
    this.#stopped = true;
    this.#control.abort();
  }
}

/** Values that a part of a path may have now, by the path before it; none where nobody knows. */
export async function known(path, ask) {
  const list = async (address, name) => (await ask(address)).map((one) => String(one[name])).slice(0, 200);
  try {
    if (path.includes("/connections/")) return await list("connections", "connectionId");
    if (path.includes("/channels/")) return await list("channels", "channel");
    if (path.includes("/listeners/")) return await list("listeners", "id");
    if (path.includes("/events/")) return [(await ask("info")).now.lastEventId].filter(Boolean);
  } catch {
    // Then there is nothing to offer; the answer to the request will say why.
  }
  return [];
}
