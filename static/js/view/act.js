// View: the dialogs that send to a connection, send an event again, and close a connection.

import { close, send } from "../link/server.js";
import { payload } from "../model/event.js";
import { toHex, visible } from "../model/text.js";
import { compose } from "./compose.js";
import { at, toast } from "./dom.js";
import { nameOf } from "./names.js";

function fault(place, words) {
  at(place).textContent = words;
  at(place).hidden = words === "";
}

/** `isProxy()` says whether there is an upstream to send to. */
export class Acting {
  #id = "";

  constructor(isProxy) {
    this.isProxy = isProxy;
    at("send-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    at("end-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#end();
    });
    at("send-body").addEventListener("input", () => this.#check());
    for (const radio of at("send-form").querySelectorAll("[name=kind]")) radio.addEventListener("change", () => this.#check());
    at("send-body").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("send-form").requestSubmit();
    });
  }

  /** Opens the dialog that sends, filled with a message or empty. */
  send(id, raw = null, event = null) {
    this.#id = id;
    at("send-to").textContent = visible(nameOf(id));
    at("send-title").textContent = raw === null ? "Send to a connection" : "Send again";
    at("send-side").hidden = !this.isProxy();
    const carried = raw === null ? { text: "", json: null, bytes: null } : payload(raw, event);
    const kind = carried.json !== null ? "json" : carried.text === null ? "binary" : "text";
    at("send-form").elements.kind.value = kind;
    at("send-form").elements.to.value = event?.direction === "in" && this.isProxy() ? "server" : "client";
    at("send-body").value = kind === "binary" ? toHex(carried.bytes ?? new Uint8Array(0), 1 << 20) : (carried.text ?? "");
    fault("send-fault", "");
    at("send-dialog").showModal();
    at("send-body").focus();
  }

  /** Opens the dialog that closes. */
  end(id) {
    this.#id = id;
    at("end-of").textContent = visible(nameOf(id));
    fault("end-fault", "");
    at("end-dialog").showModal();
  }

  #check() {
    const kind = at("send-form").elements.kind.value;
    const made = compose(kind, at("send-body").value);
    const wrong = made.fault && at("send-body").value !== "" ? made.fault : "";
    fault("send-fault", wrong);
    at("send-body").setAttribute("aria-invalid", String(wrong !== ""));
    return made;
  }

  async #send() {
    const { kind, to } = at("send-form").elements;
    const made = this.#check();
    if (made.fault) return fault("send-fault", made.fault);
    try {
      await send(this.#id, kind.value, made.data, to.value);
      at("send-dialog").close();
      return toast("Sent; the record marks it as synthetic.");
    } catch (error) {
      return fault("send-fault", error.message);
    }
  }

  async #end() {
    const { code, reason } = at("end-form").elements;
    try {
      await close(this.#id, code.value, reason.value);
      at("end-dialog").close();
      toast("The close is on its way.");
    } catch (error) {
      fault("end-fault", error.message);
    }
  }
}
