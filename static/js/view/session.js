// View: who is signed in, and what that person may do.

import { here } from "../link/server.js";
import { button, make, toast } from "./dom.js";

let session = null;

/** Whether the caller may do something: "observe", "connect" or "control". Until the server has said so, all. */
export function may(grant) {
  return session === null || session.grants[grant] === true;
}

/** Why the caller may not do something. */
export function refusal(grant) {
  const who = session.user ? `${session.user} has` : "this credential has";
  return `Not permitted: ${who} no grant to ${grant}.`;
}

/** Says that the caller may not do something. */
export function refuse(grant) {
  toast(refusal(grant));
}

fetch(here("api/session")).then((answer) => answer.json()).then((told) => {
  session = told;
  if (!told.signedIn) return;
  const name = told.user ?? "signed in";
  const box = make("span", "session");
  box.append(make("span", "", name, { title: permitted(told.grants) }), button("Sign out", "link", signOut));
  document.querySelector("header.bar").append(box);
}, () => {});

async function signOut() {
  await fetch(here("api/session"), { method: "DELETE" }).catch(() => {});
  location.reload();
}

/** What a caller may do, in a sentence. */
function permitted({ observe, filter, connect, publish, subscribe, control }) {
  const can = [
    observe && (filter === null ? "see all events" : `see events for which ${filter}`),
    connect && "open WebSockets",
    subscribe.length > 0 && `join ${subscribe.join(", ")}`,
    publish.length > 0 && `publish to ${publish.join(", ")}`,
    control && "send to connections and close them",
  ].filter(Boolean);
  return can.length === 0 ? "May do nothing" : `May ${can.join("; ")}`;
}
