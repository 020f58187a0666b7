// JSON-RPC with the header of the Language Server Protocol (base protocol, section "Header Part"), as
// bridges from a language server's pipe to a WebSocket send it: several messages in one, or one over
// several.

import { Unfinished } from "./assemble.js";
import { Fault, LIMITS, brief, bytesOf, parse, utf8 } from "./bounded.js";
import { one as rpc } from "./jsonrpc.js";

const START = /^(?:content-(?:length|type):[^\r\n]*\r\n)+/i;

/** Messages of a frame that are shown. */
const MOST = 100;

function decode(message, state) {
  let bytes = bytesOf(message);
  let messages = 1;
  const started = state.lsp;
  state.lsp = null;
  if (started) {
    started.push(bytes);
    if (started.dropped) throw new Fault(`a message over ${started.messages} messages: ${started.progress}, more than is decoded`);
    if (started.need !== null && started.have < started.need) {
      state.lsp = started;
      return { summary: `goes on: ${started.progress}`, part: true, fields: { split: `${started.progress}, in ${started.messages} messages so far` } };
    }
    messages = started.messages;
    bytes = started.bytes;
  }
  const list = [];
  let at = 0;
  while (at < bytes.length && list.length < MOST) {
    const part = next(bytes, at);
    if (part.end === null || part.end > bytes.length) {
      list.push(unfinished(bytes.subarray(at), part.end === null ? null : part.end - at, state, at === 0 ? messages : 1));
      break;
    }
    const text = utf8(bytes.subarray(part.start, part.end));
    if (text === null) throw new Fault(`the message at byte ${part.start} is not UTF-8`);
    list.push(rpc(parse(text)));
    at = part.end;
  }
  if (list.length === 0) throw new Fault("the message is empty");
  const split = messages > 1 ? ` (over ${messages} messages)` : "";
  return {
    summary: list.map(({ summary }) => summary).join("; ") + split,
    fields: list.length === 1 ? list[0].fields : list.map(({ fields }) => fields),
    part: list.length === 1 && state.lsp !== null,
    links: list.flatMap(({ links }) => links ?? []),
  };
}

/** Where the content of the message at `at` starts and ends; `end` is null if its header is not complete. */
function next(bytes, at) {
  const head = String.fromCharCode(...bytes.subarray(at, at + 512));
  const end = head.indexOf("\r\n\r\n");
  if (end < 0) {
    if (/^[\w:;=\-/ \r\n]*$/.test(head) && head.length < 512) return { end: null };
    throw new Fault(`no header before byte ${at}: ${brief(head, 30)}`);
  }
  const length = Number(/^content-length:\s*(\d{1,9})\s*$/im.exec(head.slice(0, end))?.[1] ?? NaN);
  if (Number.isNaN(length)) throw new Fault(`no Content-Length at byte ${at}`);
  return { start: at + end + 4, end: at + end + 4 + length };
}

function unfinished(bytes, need, state, messages) {
  if ((need ?? 0) > LIMITS.bytes) throw new Fault(`a message of ${need} bytes, more than is decoded`);
  state.lsp = new Unfinished(need, "a message");
  state.lsp.push(bytes);
  state.lsp.messages = messages;
  const split = `${state.lsp.progress} here; the rest is in the next message`;
  return { summary: `a message (${split})`, fields: { split } };
}

export const lsp = {
  name: "lsp",
  title: "JSON-RPC with headers (LSP, DAP)",
  owns: true,
  forget(state) { state.lsp = null; },
  pending: (state) => Boolean(state.lsp),
  fit({ text, bytes }) {
    const start = typeof text === "string" ? text.slice(0, 200) : bytes ? String.fromCharCode(...bytes.subarray(0, 200)) : "";
    return START.test(start) ? 96 : 0;
  },
  decode,
};
