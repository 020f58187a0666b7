// The overview: the server, live counts, lines to copy.

import { ask, clientAddress, here, socketAddress } from "./link/server.js";
import { bytes, count, duration, number } from "./model/text.js";
import { hideClient } from "./view/dom.js";
import "./view/session.js";
import { themeSwitch } from "./view/theme.js";

const at = (id) => document.getElementById(id);
let last = null;

function lines(info) {
  const events = here("events").href;
  const root = here("./").href.replace(/\/$/, "");
  return [
    ["The stream, in a shell", `curl -N ${events}`],
    ["Only messages, one JSON object a line", `curl -sN '${events}?format=ndjson&kind=message' | jq .message`],
    ["In colour, and back after a break", `wstap watch ${root}`],
    ["In a page of your own", `new EventSource("${events}").onmessage = (e) => console.log(e.data)`],
    ...(info.mode === "proxy" ? [] : [["With channels, and back after a break", `import { Connection } from "${root}/wstap.js"`]]),
    ...(info.mode === "hub" ? [["Connect a WebSocket client here; its first message gives its id", `${socketAddress(info)}   {"connectionId":"a"}`]] : []),
    ...(info.mode === "proxy" ? info.upstreams.map((upstream) => [`Point a client here instead of at ${upstream}`, clientAddress(info, upstream)]) : []),
  ];
}

/** The server in a sentence. */
function about({ mode, upstreams, now, recording }) {
  if (mode === "recording") return `A recording, ${recording.name}: its connections, messages and closes, as they were.`;
  if (mode !== "proxy") return "Every connect, message and close of the WebSockets here is on one event stream.";
  const passed = now.requests === 1 ? " 1 plain HTTP request has passed too." : now.requests > 0 ? ` ${count(now.requests)} plain HTTP requests have passed too.` : "";
  return `Every connect, message and close of the WebSockets between clients and ${upstreams.join(", ")} is on one event stream.${passed}`;
}

/** The second step: traffic of the mode. */
function drawTraffic(info) {
  at("traffic").hidden = info.mode === "recording";
  if (info.mode !== "proxy") return;
  const [upstream = ""] = info.upstreams;
  const address = clientAddress(info, upstream);
  const isPage = address.startsWith("http");
  at("traffic-title").textContent = "2. Send traffic through wstap";
  at("traffic-text").textContent = isPage
    ? `Open ${address} instead of ${upstream}. Its WebSockets show up in the stream.`
    : `Connect clients to ${address} instead of ${upstream}, or a WebSocket from this browser.`;
  if (!isPage) return;
  at("traffic-link").textContent = "Open the page";
  at("traffic-link").href = address;
}

function drawLines(info) {
  const box = at("lines");
  if (box.children.length > 0) return;
  for (const [what, code] of lines(info)) {
    const line = at("line").content.firstElementChild.cloneNode(true);
    const [label, text, button] = line.children;
    label.textContent = what;
    text.textContent = code;
    button.setAttribute("aria-label", `Copy: ${what}`);
    button.addEventListener("click", () => copy(text, button));
    box.append(line);
  }
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    // Without a secure context there is no clipboard; the selection can be copied by hand.
    getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

/** Shows a number, and its noun beside it. */
function figure(id, n, noun) {
  at(id).textContent = count(n);
  at(id).previousElementSibling.textContent = n === 1 ? noun : `${noun}s`;
}

function draw(info) {
  const { now, limits } = info;
  const time = performance.now();
  const rate = last ? Math.max(0, (now.events - last.events) * 1000 / (time - last.time)) : 0;
  last = { events: now.events, time };
  figure("connections", now.connections, "connection");
  figure("listeners", now.listeners, "listener");
  at("events").textContent = count(now.events);
  at("rate").textContent = rate < 10 ? rate.toFixed(rate > 0 ? 1 : 0) : count(Math.round(rate));
  at("history").textContent = bytes(now.history.bytes);
  at("history").title = `${number(now.history.events, "event")}; at most ${count(limits.historyEvents)} and ${bytes(limits.historyBytes)}`;
  at("about").textContent = about(info);
  drawTraffic(info);
  hideClient(info);
  at("status").dataset.state = "open";
  at("status").textContent = `wstap ${info.version}, ${info.mode} mode, up for ${duration(info.uptime)}`;
}

async function refresh() {
  try {
    const info = await ask("api/info");
    draw(info);
    drawLines(info);
  } catch (error) {
    at("status").dataset.state = "failed";
    at("status").textContent = error.message;
  }
  setTimeout(refresh, 2000);
}

themeSwitch();
refresh();
