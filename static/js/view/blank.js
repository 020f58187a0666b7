// View: an empty list: the reason, and the next step.

import { clientAddress, socketAddress } from "../link/server.js";
import { count, number } from "../model/text.js";
import { at, button, copy, make } from "./dom.js";

/** Draws the reason of an empty list. `act(name)` performs the action of a button. */
export function drawBlank({ mode, link, info, isFiltered, held, ended }, act) {
  const [title, hint, acts, address] = words({ mode, link, info, isFiltered, held, ended });
  at("blank-text").textContent = title;
  at("blank-hint").textContent = hint;
  at("blank-hint").hidden = hint === "";
  at("blank-copy").hidden = !address;
  if (address) at("blank-address").textContent = address;
  at("blank-acts").replaceChildren(...acts.map(([label, name]) => {
    if (name === "connect" || name === "open") return make("a", "", label, { href: name === "open" ? address : "ws-client", target: "_blank", rel: "noopener" });
    return button(label, "", () => act(name));
  }));
}

function words({ mode, link, info, isFiltered, ended }) {
  const clear = [["Clear the filter", "clear"]];
  if (info?.mode === "recording" && mode !== "file" && link === "open") return isFiltered ? ["No event of the recording passes the filter.", "", clear] : ["The recording is empty.", "It has no events.", []];
  if (mode === "history") return isFiltered ? ["No event of the history passes the filter.", "", clear] : ["The server's history is empty.", "It begins with the next event.", [["Back to live", "live"]]];
  if (mode === "file") return isFiltered ? ["No event of the file passes the filter.", "", clear] : ["Reading the file…", "", []];
  if (link === "connecting") return ["Connecting…", "", []];
  if (link === "full") return ["No room for this page.", "It takes its turn by itself, as soon as there is room.", [["Try now", "now"]]];
  if (link === "refused" || link === "broken") return ["There is no stream to show.", "The line above says why.", []];
  if (link !== "open") return ["The server does not answer.", "This page tries again by itself. A recording needs no server: drop it here, or open it.", [["Try now", "now"], ["Open a file…", "file"]]];
  if (isFiltered) return ["No event here passes the filter.", "Events that do will appear as they happen.", clear];
  if (ended) return ["The list was cleared.", "What happens next will appear here.", [["Look at the server's history", "history"]]];
  if (info?.mode === "proxy" && info.now?.requests > 0) return [requestsOnly(info.now), REASONS, [], socketAddress(info)];
  if (info?.mode === "proxy") return passedOn(info);
  return ["Nothing has happened yet.", "Connect a WebSocket client to the address below. Its first message gives its id: {\"connectionId\":\"a\"}. Or use this browser.", [["Connect a WebSocket from this browser", "connect"]], info ? socketAddress(info) : ""];
}

/** What is said of proxy mode before anything has passed. */
function passedOn(info) {
  const [upstream = "", ...others] = info.upstreams ?? [];
  const address = clientAddress(info, upstream);
  const instead = others.length > 0 ? "the upstreams" : upstream;
  return address.startsWith("http")
    ? ["Nothing has passed yet.", `Open the address below in a browser instead of ${instead}, or point clients at it. The WebSockets between the two appear here.`, [["Open the page", "open"]], address]
    : ["Nothing has passed yet.", `Connect WebSocket clients to the address below instead of ${instead}. Everything between the two appears here.`, [["Connect a WebSocket from this browser", "connect"]], address];
}

const REASONS = "The usual reasons: the page has the address of the upstream built in and goes past wstap; it uses long polling or an event stream; or its WebSocket opens only after some action. WebSocket clients connect to:";

/** The number of plain requests, while there is no WebSocket. */
function requestsOnly({ requests, failedRequests }) {
  return `${number(requests, "HTTP request")} passed${failedRequests > 0 ? ` (${count(failedRequests)} failed)` : ""}, no WebSocket yet.`;
}

at("blank-address-copy").addEventListener("click", () => copy(at("blank-address").textContent));
