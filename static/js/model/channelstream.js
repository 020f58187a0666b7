// What the page of the API of Channelstream shows of its numbers. No DOM.

import { count } from "./text.js";

/** Channels that are shown; a page with more is no help. */
export const SHOWN = 200;

/** Messages of a history that are shown, the newest first. */
const MESSAGES = 20;

/** Returns names and values for the top of the page. */
export function numbers(told) {
  return [
    ["Up for", told.uptime],
    ["Users remembered", count(told.remembered_user_count)],
    ["Users connected", count(told.unique_user_count)],
    ["Connections", count(told.total_connections)],
    ["Channels", count(told.total_channels)],
    ["Messages", count(told.total_unique_messages)],
    ["Frames delivered", count(told.total_messages)],
  ];
}

/** Returns the channels with the most connections, in words, and how many are left out. */
export function channels(told) {
  const all = Object.values(told.channels);
  all.sort((a, b) => b.total_connections - a.total_connections || (a.name < b.name ? -1 : 1));
  return { shown: all.slice(0, SHOWN).map(inWords), left: Math.max(0, all.length - SHOWN) };
}

function inWords(channel) {
  const on = Object.entries(channel.settings).filter(([, value]) => value === true).map(([name]) => name);
  const settings = [...on, `history_size ${channel.settings.history_size}`];
  return {
    name: channel.name,
    about: `${count(channel.total_connections)} connections, ${count(channel.total_users)} users, ${count(channel.history.length)} kept`,
    settings: settings.join(", "),
    users: channel.users.length === 0 ? "nobody is here" : channel.users.join(", "),
    history: channel.history.slice(-MESSAGES).reverse().map((item) => `${item.timestamp} ${item.user} ${JSON.stringify(item.message ?? null)}`),
  };
}
