// Link: requests to the server. All addresses are relative to the page, so that any prefix works.

/** The URL of something on the observers' side. */
export function here(path) {
  return new URL(path, document.baseURI);
}

/** Asks for JSON; rejects with a sentence for people. */
export async function ask(path) {
  let response;
  try {
    response = await fetch(here(path), { headers: { accept: "application/json" } });
  } catch {
    throw new Error("the server does not answer");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.detail ?? `the server answers ${response.status}`);
  return body;
}

/** The URL that WebSocket clients connect to, seen from this page. */
export function socketAddress(info) {
  const own = here("ws");
  own.protocol = own.protocol === "https:" ? "wss:" : "ws:";
  if (!info.addresses.apart || info.addresses.websocket.length === 0) return own.href;
  const apart = new URL(info.addresses.websocket[0]);
  // A server that calls itself localhost is, from another machine, where the page came from.
  if (apart.hostname === "localhost") apart.hostname = location.hostname;
  return apart.href;
}

/** The address that clients of proxy mode use instead of that of an upstream: a page for an upstream of HTTP. */
export function clientAddress(info, upstream) {
  const address = socketAddress(info);
  return upstream.startsWith("http") ? address.replace(/^ws/, "http") : address;
}

/** Acts on a connection; resolves with the answer, rejects with a sentence for people. */
async function order(path, options) {
  let response;
  try {
    response = await fetch(here(path), options);
  } catch {
    throw new Error("the server does not answer");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.detail ?? `the server answers ${response.status}`);
  return body;
}

const TYPES = { text: "text/plain", json: "application/json", binary: "application/octet-stream" };

/** Sends to a connection: `kind` is text, json or binary, `to` client, or server in proxy mode. */
export function send(id, kind, data, to = "client") {
  const query = to === "server" ? "?to=server" : "";
  return order(`api/connections/${encodeURIComponent(id)}/messages${query}`, { method: "POST", headers: { "content-type": TYPES[kind] }, body: data });
}

/** Closes a connection. */
export function close(id, code, reason) {
  const query = new URLSearchParams({ code, reason });
  return order(`api/connections/${encodeURIComponent(id)}?${query}`, { method: "DELETE" });
}
