// View: shorthand for the document. Text is inserted as text only.

export const at = (id) => document.getElementById(id);

/** An element with text and attributes. */
export function make(tag, name = "", text = "", attributes = {}) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A button with its action. */
export function button(text, name, act, attributes = {}) {
  const element = make("button", name, text, { type: "button", ...attributes });
  element.addEventListener("click", act);
  return element;
}

/** Hides the links to the WebSocket client while the server shows a recording: it takes no WebSockets. */
export function hideClient({ mode }) {
  for (const link of document.querySelectorAll('a[href="ws-client"]')) link.hidden = mode === "recording";
}

/** A copy of the content of a template. */
export function stamp(id) {
  return at(id).content.firstElementChild.cloneNode(true);
}

/** Announces words to screen readers. */
export function announce(words) {
  at("announce").textContent = words;
}

/** Shows words for a moment. */
export function toast(words) {
  const box = at("toast");
  box.textContent = words;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.hidden = true; }, 2500);
}

/** Copies a text; without a secure context there is no clipboard, and an older way serves. */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    toast(what);
  } catch {
    const area = make("textarea", "offstage", "", { "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    toast(copied ? what : "The browser does not let this page copy.");
  }
}

/** Offers a text as a file. */
export function download(name, type, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", "", "", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
