// Addresses of a server, and generated ids.

/** Returns the folder above this one, which is the root of the server that the module came from. */
export const home = () => new URL("..", import.meta.url).href;

/** @param {string | URL} url */
function parsed(url) {
  // Relative addresses are those of the page, or of the script of a worker.
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  try {
    return new URL(url, base);
  } catch {
    throw new TypeError(`${url} is no address of a wstap; http://localhost:8080 would be one`);
  }
}

/** Returns the address of something below the root of a server. @param {string | URL} base @param {string} path */
export function below(base, path) {
  const url = parsed(base);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`${base} is no address of a wstap; http://localhost:8080 would be one`);
  url.search = url.hash = "";
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return new URL(path, url);
}

/** Returns the address of a WebSocket: `ws:` addresses as they are, others are the root of a server. @param {string | URL} url */
export function socketUrl(url) {
  const made = /^wss?:$/.test(parsed(url).protocol) ? parsed(url) : below(url, "ws");
  made.protocol = made.protocol.replace("http", "ws");
  made.hash = "";
  return made;
}

/** Returns whether an address is this machine, which answers without a network. @param {URL} url */
export const isLoopback = ({ hostname }) => /^(localhost|.*\.localhost|127\..*|\[::1\])$/.test(hostname);

/** Returns random hexadecimal digits. `crypto.randomUUID` is missing on pages without TLS, `crypto` in old nodes. @param {number} bytes */
export function randomHex(bytes) {
  const made = globalThis.crypto?.getRandomValues(new Uint8Array(bytes)) ?? Uint8Array.from({ length: bytes }, () => Math.random() * 256);
  return [...made].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
