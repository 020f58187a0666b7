// View: how connections and channels are called and marked, the same in every part of the page.

import { Palette } from "../model/palette.js";

/** Names that are kept, as many as the list of connections has. */
const MOST = 20_000;

const names = new Map();

/** Colours of connections. */
export const connectionMarks = new Palette();

/** Colours of channels, whose names stand in them. */
export const channelMarks = new Palette(12);

/** Takes names of connections: `[id, name]`. */
export function learnNames(pairs) {
  for (const [id, name] of pairs) {
    names.delete(id);
    names.set(id, name);
  }
  for (const id of names.keys()) {
    if (names.size <= MOST) break;
    names.delete(id);
  }
}

/** The name of a connection: its id, or a better one where the server has made the id. */
export function nameOf(id) {
  return names.get(id) ?? id;
}

function write(element, name, value) {
  const text = String(value);
  if (element.dataset[name] !== text) element.dataset[name] = text;
}

/** Marks an element with the colour and the shape of a connection; "" is none. */
export function markConnection(element, id) {
  if (id === "") {
    delete element.dataset.colour;
    delete element.dataset.shape;
    return;
  }
  const { colour, shape } = connectionMarks.of(id);
  write(element, "colour", colour);
  write(element, "shape", shape);
}

/** Marks an element with the colour of a channel. */
export function markChannel(element, name) {
  write(element, "colour", channelMarks.of(name).colour);
}
