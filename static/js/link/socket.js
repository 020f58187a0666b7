// Link: one WebSocket.

export class Socket {
  #socket;

  /**
   * Opens a WebSocket. `on.open(subprotocol)`, `on.message(data)` with a string or Uint8Array, and
   * `on.close(code, reason, wasOpen)` tell what happens; throws on an address that is none.
   */
  constructor(url, on, subprotocols = []) {
    let wasOpen = false;
    this.#socket = new WebSocket(url, subprotocols);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      wasOpen = true;
      on.open(this.#socket.protocol);
    };
    this.#socket.onmessage = ({ data }) => on.message(typeof data === "string" ? data : new Uint8Array(data));
    this.#socket.onclose = ({ code, reason }) => on.close(code, reason, wasOpen);
  }

  /** Bytes that wait to go out. */
  get waiting() {
    return this.#socket.bufferedAmount;
  }

  send(data) {
    this.#socket.send(data);
  }

  close(code, reason) {
    this.#socket.close(code, reason);
  }
}
