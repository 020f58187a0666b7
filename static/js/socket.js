// Link: one WebSocket, with what happens to it in words.

const CODES = {
  1000: "normal", 1001: "going away", 1002: "protocol violation", 1005: "no code", 1006: "lost, without a close frame",
  1007: "text is no UTF-8", 1009: "message too large", 1011: "server error", 1013: "server is full",
  4400: "malformed", 4403: "not allowed", 4408: "silent too long", 4409: "replaced by a newer connection", 4429: "too slow",
};

/** A close code in words. */
export function codeInWords(code) {
  return CODES[code] ? `${code} (${CODES[code]})` : String(code);
}

export class Socket {
  #socket;

  /**
   * Opens a WebSocket. `on.open()`, `on.message(data)` with a string or Uint8Array, and
   * `on.close(code, reason, wasOpen)` tell what happens; throws on an address that is none.
   */
  constructor(url, on) {
    let wasOpen = false;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      wasOpen = true;
      on.open();
    };
    this.#socket.onmessage = ({ data }) => on.message(typeof data === "string" ? data : new Uint8Array(data));
    this.#socket.onclose = ({ code, reason }) => on.close(code, reason, wasOpen);
  }

  send(data) {
    this.#socket.send(data);
  }

  close(code, reason) {
    this.#socket.close(code, reason);
  }
}
