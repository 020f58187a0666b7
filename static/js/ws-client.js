// A WebSocket client: wires the form to the link.

import { ask, socketAddress } from "./server.js";
import { Socket, codeInWords } from "./socket.js";
import { clock, count, fromHex, toHex, visible } from "./text.js";

const at = (id) => document.getElementById(id);

/** Lines that the log keeps. */
const MOST = 500;

let socket = null;
let dropped = 0;

at("id").value = String(Date.now());
ask("api/info").then(
  (info) => { at("address").value ||= socketAddress(info); },
  (error) => fault("connect", error.message),
);

// ---------------------------------------------------------------- the log

const SIGNS = { sent: "→", received: "←", state: "·", error: "!" };

function log(kind, text) {
  const entry = at("entry").content.firstElementChild.cloneNode(true);
  const [time, sign, words] = entry.children;
  entry.dataset.kind = kind;
  time.textContent = clock(new Date());
  sign.textContent = SIGNS[kind];
  const shown = text.slice(0, 4000).split("\n").map(visible).join("\n");
  words.textContent = text.length > 4000 ? `${shown}… (${count(text.length)} characters)` : shown;
  const box = at("log");
  const following = box.scrollHeight - box.clientHeight - box.scrollTop < 30;
  box.append(entry);
  while (box.children.length > MOST) {
    box.firstElementChild.remove();
    dropped += 1;
  }
  at("dropped").textContent = dropped > 0 ? `(${count(dropped)} older lines dropped)` : "";
  at("empty").hidden = true;
  box.hidden = false;
  if (following) box.scrollTop = box.scrollHeight;
}

at("clear").addEventListener("click", () => {
  at("log").replaceChildren();
  at("log").hidden = true;
  at("empty").hidden = false;
  at("dropped").textContent = "";
  dropped = 0;
});

function fault(form, words) {
  const box = at(`${form}-fault`);
  box.hidden = words === "";
  box.textContent = words;
}

// ---------------------------------------------------------------- the connection

function state(name, words) {
  at("status").dataset.state = name;
  at("status").textContent = words;
  const connected = name === "open";
  at("sending").disabled = !connected;
  at("closing").disabled = !connected;
  at("open").disabled = connected || name === "waiting";
  at("id").readOnly = at("address").readOnly = connected || name === "waiting";
}

at("connect").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket) return;
  const id = at("id").value;
  at("id").setAttribute("aria-invalid", String(id === ""));
  if (id === "") return fault("connect", "A connection has an id: 1 to 128 characters.");
  fault("connect", "");
  try {
    socket = new Socket(at("address").value, {
      open() {
        state("open", `connected as ${id}`);
        log("state", `connected to ${at("address").value}`);
        transmit(JSON.stringify({ connectionId: id }));
        at("message").focus();
      },
      message(data) {
        log("received", typeof data === "string" ? data : toHex(data));
      },
      close(code, reason, wasOpen) {
        socket = null;
        const words = `${codeInWords(code)}${reason ? `: ${reason}` : ""}`;
        if (wasOpen) {
          state("", `closed, ${code}`);
          log(code === 1000 ? "state" : "error", `closed ${words}`);
        } else {
          state("failed", "not connected");
          log("error", `could not connect to ${at("address").value}`);
          fault("connect", "The server did not accept the connection. Is it running there, and does it let this page in (--ws-origin)?");
        }
        at("open").focus();
      },
    });
    state("waiting", "connecting…");
  } catch {
    at("address").setAttribute("aria-invalid", "true");
    fault("connect", "That is no address of a WebSocket; ws://localhost:8080/ws would be one.");
  }
});

at("address").addEventListener("input", () => at("address").setAttribute("aria-invalid", "false"));

// ---------------------------------------------------------------- sending

function transmit(data) {
  socket.send(data);
  log("sent", typeof data === "string" ? data : toHex(data));
}

/** The message as it goes out, or a sentence that says why it cannot. */
function compose(kind, text) {
  if (kind === "binary") {
    const array = fromHex(text);
    return array ? { data: array } : { fault: "Binary is written in pairs of hexadecimal digits, such as 00 ff 1a." };
  }
  if (kind === "json") {
    try {
      JSON.parse(text);
    } catch (error) {
      return { fault: `That is no JSON: ${error.message}. Send it as text if it is meant so.` };
    }
  }
  return { data: text };
}

at("send").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket) return;
  const kind = new FormData(at("send")).get("kind");
  const composed = compose(kind, at("message").value);
  at("message").setAttribute("aria-invalid", String("fault" in composed));
  fault("send", composed.fault ?? "");
  if ("data" in composed) transmit(composed.data);
});

at("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("send").requestSubmit();
});

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

state("", "not connected");
at("open").focus();
