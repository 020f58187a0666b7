// Model: the end of a connection in words. No DOM.

import { duration } from "./text.js";

const CODES = {
  1000: "normal end", 1001: "going away", 1002: "protocol violation", 1003: "data it cannot take", 1005: "no code in the close frame",
  1006: "no close frame came", 1007: "text that is no UTF-8", 1008: "against its policy", 1009: "message too large",
  1010: "an extension was missing", 1011: "server error", 1012: "service restart", 1013: "try again later", 1014: "bad gateway", 1015: "TLS failed",
  4400: "malformed", 4401: "no or bad credential", 4403: "not allowed", 4404: "no such thing", 4408: "silent too long",
  4409: "replaced by a newer connection", 4429: "too slow",
};

/** The meaning of a close code, or "". */
export function meaning(code) {
  if (CODES[code]) return CODES[code];
  if (code >= 4000) return "a code of the application";
  return code >= 3000 ? "a registered code" : "";
}

/** A close code in words: `4408 (silent too long)`. */
export function codeInWords(code) {
  return meaning(code) ? `${code} (${meaning(code)})` : String(code);
}

/** The end of a connection as a row has room for it. */
export function endInShort({ code, reason, clean, by } = {}, status = 101, transport = "websocket") {
  if (transport === "sse") return `${clean ? "ended" : "broken off"} by the ${by}${reason ? `: ${reason}` : ""}`;
  if (status !== 101) return by === "tap" ? `upstream not reached: ${status}` : `refused by the upstream: ${status}`;
  if (by === "network") return `lost${reason ? `: ${reason}` : ""}`;
  if (isGone({ code, by })) return `the ${by} left without a close frame`;
  return `${code} by the ${by}${clean ? "" : ", not clean"}${reason ? `: ${reason}` : ""}`;
}

/** Whether a side ended the connection itself, and not the WebSocket. */
function isGone({ code, by }) {
  return code === 1006 && (by === "client" || by === "server");
}

const WHO = { client: "the client", server: "the server", tap: "wstap", network: "the network" };

/** The end of an event stream as sentences. */
function streamEnd({ close = {}, duration: lasted, messages, comments }) {
  const said = [close.clean ? `${capital(WHO[close.by] ?? "wstap")} ended the stream.` : `The stream broke off${close.reason ? `: ${close.reason}` : ""}.`];
  if (typeof lasted === "number") said.push(`It lasted ${duration(lasted)}.`);
  if (messages?.out === 0 && comments > 0) said.push("It had comments, such as heartbeats, and no events.");
  return said;
}

/**
 * The end of a connection as sentences. `before` are the values of its last events, oldest
 * first, as far as they are known, and `time` is when it ended.
 */
export function forensics(event, before = [], time = 0) {
  const { close = {}, silence, duration: lasted } = event;
  if (event.status && !lasted) return refusal(event);
  if (event.transport === "sse") return streamEnd(event);
  const who = WHO[close.by] ?? "somebody";
  const said = [];
  const since = sinceLast(before, time, silence);
  if (isGone(close)) said.push(`${capital(who)} ended the connection without a close frame${since ? `, ${since}` : ""}.`);
  else if (close.by === "network") said.push(since ? `The network ended it ${since}: no close frame came from either side.` : "The network ended it: no close frame came from either side.");
  else if (close.code === 4408) said.push(`${capital(who)} ended it${since ? ` ${since}` : ""}: the client had been silent too long.`);
  else said.push(`${capital(who)} closed it with ${codeInWords(close.code)}${close.reason ? `, “${close.reason}”` : ""}${since && !close.clean ? `, ${since}` : ""}.`);
  if (close.by !== "network" && !isGone(close)) said.push(close.clean ? "Both sides said goodbye." : "The other side did not answer the close.");
  if (typeof lasted === "number") said.push(`It lasted ${duration(lasted)}.`);
  const quiet = quietSide(silence);
  if (quiet) said.push(quiet);
  return said;
}

function refusal(event) {
  if (event.close?.by === "tap") {
    return [
      `wstap did not reach the upstream and answered the handshake with status ${event.status}; the connection never opened.`,
      event.close.reason ? `The reason: ${event.close.reason.replace(/\.$/, "")}.` : "",
      "Whether the upstream runs, and the address in --upstream, are the first things to look at.",
    ].filter(Boolean);
  }
  return [
    `The upstream refused the handshake with status ${event.status}; the connection never opened.`,
    event.headers?.host ? `It got Host ${event.headers.host} and ${event.headers.origin ? `Origin ${event.headers.origin}` : "no Origin"}.` : "",
    event.hint ? `Hint: ${event.hint}.` : "",
    !event.hint && (event.status === 401 || event.status === 403) ? "What the client sent as credential or Origin is the first thing to look at." : "",
    !event.hint && event.status === 404 ? "The path is the first thing to look at." : "",
    event.status >= 500 ? "The upstream itself failed; its log will say more." : "",
  ].filter(Boolean);
}

/** "31 s after the last pong", from the last event of the client, or from the silence. */
function sinceLast(before, time, silence) {
  const last = before.findLast((event) => event.kind === "message");
  if (last && time) {
    const what = { ping: "ping", pong: "pong", binary: "message", text: "message" }[last.opcode] ?? "message";
    const whose = last.opcode === "pong" || last.opcode === "ping" ? "" : last.direction === "in" ? " of the client" : " to the client";
    const seconds = (time - Date.parse(last.time)) / 1000;
    if (seconds >= 0) return `${duration(seconds)} after the last ${what}${whose}`;
  }
  if (silence?.in !== undefined && silence?.in !== null) return `${duration(silence.in)} after the last byte of the client`;
  return "";
}

function quietSide(silence) {
  if (!silence || silence.in == null || silence.out == null) return "";
  if (silence.in > 2 * silence.out + 5) return `The client had been silent for ${duration(silence.in)}, the server for ${duration(silence.out)}: the client's side went first.`;
  if (silence.out > 2 * silence.in + 5) return `The server had been silent for ${duration(silence.out)}, the client for ${duration(silence.in)}: the server's side went first.`;
  return "";
}

function capital(words) {
  return words === WHO.tap ? words : words[0].toUpperCase() + words.slice(1);
}

/** Why a message is smaller on the wire, or larger: "310 B on the wire, 26 % of it". */
export function wireShare(size, wire) {
  if (!size || wire === undefined || wire === null) return "";
  return `${Math.round((wire / size) * 100)} % of it`;
}
