// The page of the API of Channelstream: asks for its numbers from time to time and shows them.

import { channels, numbers } from "./model/channelstream.js";
import { at } from "./view/dom.js";
import { themeSwitch } from "./view/theme.js";

/** How often the numbers are asked for. */
const PERIOD = 5000;

const rows = new Map();

themeSwitch();

async function look() {
  try {
    const answer = await fetch("admin/admin.json", { redirect: "error" });
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    show(await answer.json());
    state("open", "up to date");
  } catch (fault) {
    state("failed", `no numbers: ${fault.message}`);
  }
  setTimeout(look, PERIOD);
}

function state(name, words) {
  at("status").dataset.state = name;
  at("status").textContent = words;
}

function show(told) {
  at("numbers").replaceChildren(...numbers(told).map(([name, value]) => {
    const box = at("number").content.cloneNode(true);
    box.querySelector("dt").textContent = name;
    box.querySelector("dd").textContent = value;
    return box;
  }));
  const { shown, left } = channels(told);
  at("more").textContent = left > 0 ? `the first ${shown.length}; ${left} more` : "";
  at("empty").hidden = shown.length > 0;
  for (const [name, row] of rows) {
    if (!shown.some((channel) => channel.name === name)) {
      row.remove();
      rows.delete(name);
    }
  }
  shown.forEach((channel, place) => {
    const row = rows.get(channel.name) ?? fresh(channel.name);
    fill(row, channel);
    // Rows that stay where they are keep what is open and where the focus is.
    if (at("channels").children[place] !== row) at("channels").insertBefore(row, at("channels").children[place] ?? null);
  });
}

function fresh(name) {
  const row = at("channel").content.cloneNode(true).querySelector("details");
  rows.set(name, row);
  return row;
}

function fill(row, channel) {
  row.querySelector(".name").textContent = channel.name;
  row.querySelector(".about").textContent = channel.about;
  row.querySelector(".settings").textContent = channel.settings;
  row.querySelector(".users").textContent = channel.users;
  row.querySelector(".history").replaceChildren(...channel.history.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

look();
