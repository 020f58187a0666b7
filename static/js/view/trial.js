// View: sends what stands in the form of an address, and shows the answer as it comes.

import { Trial } from "../link/trial.js";
import { curl, indented, request } from "../model/call.js";
import { bytes, count } from "../model/text.js";
import { button, make } from "./dom.js";
import { code } from "./shape.js";

/** Puts the line for a shell, the button and the answer into a form; `url(path)` is absolute. */
export function wireTrial(form, operation, endless, { url, offer }) {
  const line = code("", "The same in a shell");
  line.classList.add("shell");
  const fault = make("p", "bad", "", { role: "alert", hidden: "" });
  const send = make("button", "main", operation.method === "DELETE" ? "Send DELETE" : "Send", { type: "submit" });
  const stop = button("Stop", "", () => trial?.stop(), { hidden: "" });
  const said = make("span", "said grow", "", { role: "status" });
  const buttons = make("div", "row center");
  const hint = make("span", "dim keys");
  hint.append(make("kbd", "", "Ctrl"), " ", make("kbd", "", "Enter"));
  buttons.append(send, stop, hint, said);
  const got = make("div", "got", "", { hidden: "" });
  const foot = make("div", "foot");
  foot.append(line, fault, buttons);
  form.append(foot, got);
  let trial = null;

  const read = () => request(operation, values(form), bodyOf(form));
  const draw = () => {
    const made = read();
    const file = form.querySelector("#body-file:not([hidden])");
    const options = { endless, file: file ? file.files[0]?.name ?? "FILE" : "" };
    line.firstElementChild.textContent = made.fault ? curl(read.unfilled(), url(read.unfilled().path), options) : curl({ ...made, body: options.file ? null : made.body }, url(made.path), options);
  };
  // What is missing stands in the line by its name.
  read.unfilled = () => {
    const all = values(form);
    for (const { in: place, name } of operation.parameters) if (place === "path") all[`path ${name}`] ||= name.toUpperCase();
    return request(operation, all, bodyOf(form));
  };

  form.addEventListener("input", () => {
    fault.hidden = true;
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    draw();
  });
  form.addEventListener("change", draw);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === "Escape") trial?.stop();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (trial) return;
    const made = read();
    if (made.fault) {
      fault.textContent = made.fault;
      fault.hidden = false;
      const field = form.querySelector(`[data-key="${made.field}"]`);
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    const file = form.querySelector("#body-file:not([hidden])")?.files[0];
    const sent = new Trial();
    trial = sent;
    stop.hidden = false;
    send.disabled = true;
    said.classList.remove("offstage");
    said.textContent = "asked…";
    got.hidden = true;
    let show = null;
    const ended = await sent.send(url(made.path), { ...made, body: file ?? made.body }, {
      onhead(head) { show = answer(got, head, sent, said, operation.method); },
      onpiece() { show.piece(); },
    });
    trial = null;
    stop.hidden = true;
    send.disabled = false;
    if (show) show.end(ended);
    else said.textContent = ended;
  });
  for (const field of form.querySelectorAll('input[data-key^="path "]')) {
    field.addEventListener("focus", async () => {
      const list = make("datalist", "", "", { id: `${field.id}-known` });
      list.append(...(await offer(operation.path)).map((value) => new Option(value, value)));
      document.getElementById(list.id)?.remove();
      field.after(list);
      field.setAttribute("list", list.id);
    });
  }
  draw();
  return () => trial?.stop();
}

/** Puts the line that connects a WebSocket into a form; `address` is where, and may come later. */
export function wireHandshake(form, operation, address) {
  const line = code("", "The line that connects in a page");
  const hint = make("p", "dim", "What is said then is under Frames. To say something without a program there is ");
  hint.append(make("a", "", "a client", { href: "../ws-client" }), ".");
  form.append(line, hint);
  let base = "";
  const draw = () => {
    const { path } = request(operation, values(form));
    const [, query] = path.split("?");
    line.firstElementChild.textContent = `new WebSocket(${JSON.stringify(base + (query ? `?${query}` : ""))})`;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", draw);
  address((found) => {
    base = found;
    draw();
  });
}

/** What stands in the fields, by `in` and name. */
function values(form) {
  const all = {};
  for (const field of form.querySelectorAll("[data-key]")) {
    const { key } = field.dataset;
    if (field.type === "checkbox") {
      all[key] ??= [];
      if (field.checked) all[key].push(field.value);
    } else all[key] = field.tagName === "TEXTAREA" ? field.value.split("\n") : field.value;
  }
  return all;
}

function bodyOf(form) {
  const type = form.querySelector("#body-type");
  return type ? { type: type.value, text: form.querySelector("#body-text").value } : null;
}

/** Shows an answer; returns what to call at each piece and at the end. */
function answer(got, { status, words, headers, ms }, trial, said, method) {
  const type = headers.find(([name]) => name === "content-type")?.[1] ?? "";
  const title = `${status}${words ? ` ${words}` : ""}`;
  const head = make("p", "answered", "", { "data-class": String(status)[0] });
  head.append(make("strong", "", title), ` in ${Math.max(1, Math.round(ms))} ms`);
  const fold = make("details", "members");
  const list = make("ul", "rows headers");
  for (const [name, value] of headers) {
    const line = make("li");
    line.append(make("code", "name", name), " ", make("span", "", value));
    list.append(line);
  }
  fold.append(make("summary", "", `${count(headers.length)} header fields`), list);
  const body = code("", "The answer");
  const [pre] = body.children;
  body.hidden = true;
  const note = make("p", "dim");
  got.replaceChildren(head, fold, body, note);
  got.hidden = false;
  // Those who see it have it below.
  said.textContent = title;
  said.classList.add("offstage");
  got.scrollIntoView({ block: "nearest" });
  let drawn = false;
  let over = false;
  const draw = (done) => {
    drawn = false;
    if (over && !done) return;
    const bottom = pre.scrollTop + pre.clientHeight > pre.scrollHeight - 8;
    body.hidden = trial.text === "";
    pre.textContent = done && /json$/.test(type.split(";")[0]) ? indented(trial.text) : trial.text;
    if (bottom && !done) pre.scrollTop = pre.scrollHeight;
    const dropped = trial.dropped > 0 ? `; ${count(trial.dropped)} older characters dropped` : "";
    note.textContent = `${bytes(trial.bytes)}${dropped}`;
  };
  return {
    piece() {
      if (!drawn) requestAnimationFrame(() => draw(false));
      drawn = true;
    },
    end(words) {
      over = true;
      draw(true);
      if (trial.bytes === 0) note.textContent = method === "HEAD" ? "" : "without a body";
      if (words) {
        note.textContent += `; ${words}`;
        said.textContent = `${title}, ${words}`;
      }
    },
  };
}
