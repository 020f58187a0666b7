// Signs in: the server sets a cookie, and the page that was asked for is loaded again.

import { here } from "./link/server.js";
import { at } from "./view/dom.js";

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [token, submit, fault] = [at("token"), at("submit"), at("fault")];
  submit.disabled = true;
  fault.hidden = true;
  try {
    const body = JSON.stringify({ token: token.value.trim() });
    const answer = await fetch(here("api/session"), { method: "POST", headers: { "content-type": "application/json" }, body });
    if (answer.ok) return location.reload();
    const problem = await answer.json().catch(() => null);
    fault.textContent = sentence(problem?.detail ?? `the server answers ${answer.status}`);
  } catch {
    fault.textContent = "The server does not answer.";
  }
  fault.hidden = false;
  submit.disabled = false;
  token.setAttribute("aria-invalid", "true");
  token.select();
});

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}
