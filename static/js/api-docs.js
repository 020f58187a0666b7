// What the server answers, to read and to try: wires the descriptions to the page.

import { ask, here } from "./link/server.js";
import { known } from "./link/trial.js";
import { frames, operations } from "./model/description.js";
import { drawContents, mark, wireSearch } from "./view/contents.js";
import { at, make } from "./view/dom.js";
import { drawFrames } from "./view/frames.js";
import { drawOperation } from "./view/operation.js";
import { paragraphs } from "./view/prose.js";
import { themeSwitch } from "./view/theme.js";
import { wireHandshake, wireTrial } from "./view/trial.js";

let entries = new Map();
let stop = () => {};

/** The URL of an address, from the one that the description names. */
function base(http) {
  const server = here(new URL(http.servers?.[0]?.url ?? "/", here("openapi.json")));
  return (path) => new URL(path, server).href;
}

function draw(http, said) {
  const url = base(http);
  const all = operations(http);
  const tags = (http.tags ?? []).map(({ name }) => name);
  const talk = frames(said);
  const groups = tags.map((tag) => ({ title: tag, entries: all.filter((one) => one.tag === tag) })).filter((group) => group.entries.length > 0);
  groups.splice(Math.max(0, groups.length - 1), 0, { title: "Frames", entries: talk });
  drawContents(groups);
  const trial = (form, operation, { endless, handshake }) => {
    if (handshake) wireHandshake(form, operation, (tell) => socket(url(operation.path.slice(1)), tell));
    else stop = wireTrial(form, operation, endless, { url, offer: (path) => known(path, ask) });
  };
  entries = new Map([
    ...all.map((one) => [one.id, () => drawOperation(http, one, trial)]),
    ...talk.map((one) => [one.id, () => drawFrames(said, one)]),
  ]);
  entries.set("", () => drawAbout(http, groups));
}

/** Tells where WebSockets connect: here, or where the server says that they do. */
function socket(own, tell) {
  tell(own.replace(/^http/, "ws"));
  ask("info").then(
    ({ addresses }) => addresses.apart && addresses.websocket.length > 0 && tell(addresses.websocket[0]),
    // Then the answer to the handshake will say where.
    () => {},
  );
}

/** What stands there before something is chosen. */
function drawAbout(http, groups) {
  const head = make("header", "head");
  head.append(make("h1", "", "What this server answers", { tabindex: "-1" }), ...paragraphs(http.info.description ?? ""));
  const list = make("dl", "about-tags");
  for (const { name, description } of http.tags ?? []) {
    const first = groups.find(({ title }) => title === name)?.entries[0];
    if (!first) continue;
    const term = make("dt");
    term.append(make("a", "", name, { href: `#${first.id}` }));
    list.append(term, make("dd", "", (description ?? "").replaceAll("`", "")));
  }
  return [head, list];
}

/** Shows what the address of the page names. */
function show(moved) {
  const id = decodeURIComponent(location.hash.slice(1));
  const found = entries.get(id) ?? entries.get("");
  if (!found) return;
  stop();
  stop = () => {};
  const back = make("a", "back", "← All addresses", { href: "#" });
  at("page").replaceChildren(back, ...found());
  at("docs").dataset.view = id === "" ? "list" : "one";
  mark(id);
  const title = at("page").querySelector("h1");
  document.title = id === "" ? "API – wstap" : `${title.textContent} – wstap`;
  at("page").scrollTop = 0;
  scrollTo(0, 0);
  if (moved) title.focus({ preventScroll: true });
}

async function start() {
  try {
    const [http, said] = await Promise.all([ask("openapi.json"), ask("asyncapi.json")]);
    draw(http, said);
    at("status").dataset.state = "open";
    at("status").textContent = `wstap ${http.info.version}, OpenAPI ${http.openapi}`;
    show(false);
  } catch (error) {
    at("status").dataset.state = "failed";
    at("status").textContent = "no description";
    at("page").replaceChildren(make("p", "bad", `The description did not come: ${error.message}. Load the page again to try once more.`));
  }
}

addEventListener("hashchange", () => show(true));
themeSwitch();
wireSearch();
start();
