// A WebSocket client: wires the forms to the link.

import { ask, socketAddress } from "./link/server.js";
import { Burst, read } from "./model/burst.js";
import { codeInWords } from "./model/forensics.js";
import { Sent } from "./model/sent.js";
import { bytes, count, toHex } from "./model/text.js";
import { told } from "./model/told.js";
import { Channels } from "./view/channels.js";
import { compose, composeNth } from "./view/compose.js";
import { at, hideClient } from "./view/dom.js";
import { Log } from "./view/log.js";
import { may, refusal } from "./view/session.js";
import { themeSwitch } from "./view/theme.js";
import { Connection } from "./wstap.js";

/** Bytes that may wait to go out before a burst pauses. */
const CROWDED = 4 << 20;

const log = new Log();
const channels = new Channels();
const sent = new Sent({ getItem: (key) => localStorage.getItem(key), setItem: (key, value) => localStorage.setItem(key, value) });
let socket = null;
let burst = null;
let lastLine = null;
let registers = true;
let own = "";

at("id").value = String(Date.now());
ask("api/info").then(
  (info) => {
    hideClient(info);
    if (info.mode === "recording") {
      at("open").disabled = true;
      return fault("connect", `This server shows the recording ${info.recording.name}; it takes no connections.`);
    }
    own = socketAddress(info);
    at("address").value ||= own;
    // In front of an upstream nobody registers: what is sent goes there.
    registers = info.mode !== "proxy";
    for (const id of ["id-label", "to-label", "channels"]) at(id).hidden = !registers;
    return undefined;
  },
  (error) => fault("connect", error.message),
);

function fault(form, words) {
  const box = at(`${form}-fault`);
  box.hidden = words === "";
  box.textContent = words;
}

function state(name, words) {
  at("status").dataset.state = name;
  at("status").textContent = words;
  const connected = name === "open";
  for (const part of ["sending", "closing", "subscribing"]) at(part).disabled = !connected;
  at("open").disabled = connected || name === "waiting";
  for (const field of ["id", "address", "subprotocols"]) at(field).readOnly = connected || name === "waiting";
}

at("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket) return;
  const id = at("id").value;
  at("id").setAttribute("aria-invalid", String(registers && id === ""));
  if (registers && id === "") return fault("connect", "A connection has an id: 1 to 128 characters.");
  if (registers && at("address").value === own && !may("connect")) return fault("connect", refusal("connect"));
  fault("connect", "");
  const subprotocols = at("subprotocols").value.split(/[\s,]+/).filter(Boolean);
  try {
    connect(id, subprotocols);
    state("waiting", "connecting…");
  } catch {
    wrongAddress();
  }
});

function wrongAddress() {
  at("address").setAttribute("aria-invalid", "true");
  fault("connect", "That is no address of a WebSocket; ws://localhost:8080/ws would be one.");
}

/** Opens one connection: whoever looks closely at what happens wants no second one behind their back. */
function connect(id, protocols) {
  const address = at("address").value;
  // Another server may know neither answers nor the command that registers.
  const isOwn = registers && address === own;
  const made = new Connection(address, { id: isOwn ? id : null, protocols, retry: false });
  socket = made;
  channels.clear();
  made.on("frame", ({ data, direction }) => { lastLine = logged(data, direction); });
  if (registers && !isOwn) made.send({ connectionId: id });
  made.on("state", (now) => {
    if (now.state === "open") opened(id, address, now.protocol);
    else if (now.state === "ended" || now.state === "closed") ended(now, address);
  });
}

/** Logs a frame; an answer is shown at what it answers, by whoever waits for it. */
function logged(data, direction) {
  if (typeof data !== "string") return log.add(direction === "in" ? "received" : "sent", toHex(data));
  const line = told(data, direction);
  if (line?.kind === "received" && line.channel !== "") channels.message(line.channel, line.text);
  return line && log.add(line.kind, line.text, line.channel);
}

/** Sends something, and marks its line when the answer comes. */
function answered(promise) {
  const line = lastLine;
  promise.then((id) => { if (id !== null) log.answer(line, id); }, ({ code }) => { if (code !== "unsure" && code !== "closed") log.answer(line, null); });
  return promise;
}

let wasOpen = false;

function opened(id, address, subprotocol) {
  wasOpen = true;
  state("open", registers ? `connected as ${id}` : "connected");
  log.add("state", `connected to ${address}${subprotocol ? `, subprotocol ${subprotocol}` : ""}`);
  at("message").focus();
}

function ended({ status, code, words, reason }, address) {
  socket = null;
  stopBurst("the connection ended");
  channels.end();
  if (wasOpen) {
    state("", `closed, ${status}`);
    log.add(status === 1000 ? "state" : "error", `closed ${codeInWords(status)}${reason ? `: ${reason}` : ""}`);
  } else {
    state("failed", "not connected");
    log.add("error", `could not connect to ${address}`);
    if (status === undefined && /protocol/i.test(words)) fault("connect", "Subprotocols are names without spaces, each once, such as graphql-transport-ws, mqtt.");
    else if (code === "malformed" && status === undefined) wrongAddress();
    else fault("connect", "The server did not accept the connection. Is it running there, does it let this page in (--ws-origin), and does it speak one of the subprotocols?");
  }
  wasOpen = false;
  at("open").focus();
}

for (const field of ["address", "subprotocols"]) at(field).addEventListener("input", () => at(field).setAttribute("aria-invalid", "false"));

function transmit(data) {
  answered(socket.send(data));
}

at("subscribe").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket) return undefined;
  const [name, token, last] = ["channel", "channel-token", "channel-last"].map((id) => at(id).value);
  at("channel").setAttribute("aria-invalid", String(name === ""));
  if (name === "") return fault("subscribe", "A channel has a name: 1 to 256 characters.");
  if (!/^\d{0,6}$/.test(last)) return fault("subscribe", "Kept messages are counted: 0 for none, 10 for the last ten.");
  fault("subscribe", "");
  enter(socket.channel(name), { token: token || undefined, last: Number(last) || undefined });
  at("channel").value = "";
  return at("channel").focus();
});

/** Subscribes to a channel, and shows it for as long as it lasts. */
function enter(channel, options) {
  const { name } = channel;
  if (!channels.names.includes(name)) {
    channels.add(channel);
    for (const type of ["presence", "join", "leave"]) channel.on(type, () => channels.users(name, channel.users));
  }
  answered(channel.subscribe(options)).then(() => channels.entered(name), (error) => {
    if (!channel.isSubscribed) channels.remove(name);
    if (error.code !== "unsure" && error.code !== "closed") fault("subscribe", `${name}: ${error.message}`);
  });
}

channels.onleave = (channel) => {
  if (socket) answered(channel.unsubscribe()).catch(() => {});
  channels.remove(channel.name);
};
channels.ononly = (name) => { log.only = name; };

function kind() {
  return at("send").elements.kind.value;
}

/** The channel that is published in, or "" for the server itself. */
function channel() {
  return registers ? at("to").value : "";
}

/** Shows a message in the field. */
function fill({ kind: name, text }) {
  at("message").value = text;
  at("send").elements.kind.value = name;
  check();
}

/** Says while somebody types whether it can be sent, and what it is. */
function check() {
  const text = at("message").value;
  const typed = compose(kind(), text, channel());
  const made = typed.fault ? composeNth(1, kind(), text, channel()) : typed;
  const box = at("send-check");
  box.dataset.state = made.fault ? "bad" : kind() === "text" ? "" : "good";
  box.textContent = made.fault ?? describe(text, made.data);
  at("message").setAttribute("aria-invalid", String(Boolean(made.fault)));
  if (!made.fault) fault("send", "");
}

function describe(text, data) {
  const size = bytes(typeof data === "string" ? new TextEncoder().encode(data).length : data.length);
  if (kind() === "json") return `JSON, ${size}`;
  return kind() === "binary" ? `Binary, ${size}` : size;
}

for (const id of ["message", "to"]) at(id).addEventListener("input", check);
for (const radio of at("send").querySelectorAll("[name=kind]")) radio.addEventListener("change", check);

at("send").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket) return;
  const text = at("message").value;
  const composed = composeNth(1, kind(), text, channel());
  at("message").setAttribute("aria-invalid", String("fault" in composed));
  fault("send", composed.fault ?? "");
  if (!("data" in composed)) return;
  transmit(composed.data);
  sent.add(kind(), text);
  drawKept();
});

at("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("send").requestSubmit();
  if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    const found = sent.step(event.key === "ArrowUp" ? 1 : -1);
    if (found) fill(found);
    event.preventDefault();
  }
});

at("file").addEventListener("change", async () => {
  const [file] = at("file").files;
  if (!file || !socket) return;
  const array = new Uint8Array(await file.arrayBuffer());
  at("file").value = "";
  if (!socket) return;
  transmit(array);
  if (array.length <= 4096) fill({ kind: "binary", text: toHex(array, 4096) });
});

function drawKept() {
  const options = (list, none) => [new Option(list.length === 0 ? none : "choose one…", ""), ...list];
  at("templates").replaceChildren(...options(sent.templates.map(({ name }) => new Option(name, name)), "none yet"));
  at("history").replaceChildren(...options(sent.history.map(({ kind: name, text }, n) => new Option(`${name === "text" ? "" : `${name}: `}${text.slice(0, 80).replace(/\s+/g, " ")}`, String(n))), "nothing yet"));
}

at("templates").addEventListener("change", () => {
  const found = sent.templates.find(({ name }) => name === at("templates").value);
  if (found) fill(found);
});
at("history").addEventListener("change", () => {
  const found = sent.history[Number(at("history").value)];
  if (at("history").value !== "" && found) fill(found);
});

at("keep").addEventListener("click", () => {
  at("keep-name").value = at("templates").value;
  at("forget").hidden = at("templates").value === "";
  fault("keep", "");
  at("keep-dialog").showModal();
});
at("keep-cancel").addEventListener("click", () => at("keep-dialog").close());
at("keep-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = at("keep-name").value.trim();
  if (name === "") return fault("keep", "A template has a name.");
  if (!sent.keep(name, kind(), at("message").value)) return fault("keep", "This browser does not let the page store anything.");
  drawKept();
  at("templates").value = name;
  return at("keep-dialog").close();
});
at("forget").addEventListener("click", () => {
  sent.forget(at("templates").value);
  drawKept();
  at("keep-dialog").close();
});

at("burst").addEventListener("click", () => {
  if (burst) return stopBurst("stopped");
  const wanted = read(at("burst-count").value, at("burst-rate").value);
  const text = at("message").value;
  const first = composeNth(1, kind(), text, channel());
  const wrong = wanted.fault ?? first.fault;
  at("burst-said").textContent = wrong ?? "";
  if (wrong || !socket) return undefined;
  burst = { model: new Burst(wanted, performance.now()), timer: setInterval(() => tick(text, kind(), channel()), 10) };
  at("burst").textContent = "Stop";
  sent.add(kind(), text);
  return drawKept();
});

function tick(text, name, to) {
  burst.model.tick(performance.now(), (n) => {
    if (!socket || socket.buffered > CROWDED) return false;
    const { data } = composeNth(n, name, text, to);
    if (data !== undefined) transmit(data);
    return true;
  });
  at("burst-said").textContent = `${count(burst.model.sent)} sent`;
  if (burst.model.isDone) stopBurst("done");
}

function stopBurst(words) {
  if (!burst) return;
  clearInterval(burst.timer);
  at("burst-said").textContent = `${count(burst.model.sent)} sent, ${words}`;
  at("burst").textContent = "Send the burst";
  burst = null;
}

at("close").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket) return;
  fault("close", "");
  try {
    socket.close(Number(at("code").value), at("reason").value);
    at("status").textContent = "closing…";
  } catch {
    fault("close", "A page may close with 1000 or 3000 to 4999, and a reason of at most 123 bytes.");
  }
});

themeSwitch();
drawKept();
check();
state("", "not connected");
at("open").focus();
