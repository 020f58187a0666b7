// Messages of Jupyter kernels over WebSocket: JSON; the binary form with buffers of the default
// protocol; and v1.kernel.websocket.jupyter.org (jupyter_server, "WebSocket kernel wire protocols").

import { Fault, Reader, brief, isObject, jsonOf, parse, word } from "./bounded.js";

const V1 = "v1.kernel.websocket.jupyter.org";

/** Parts of a message: channel, header, parent header, metadata, content, and buffers. */
const PARTS = 1000;

function decode(message) {
  if (typeof message.text === "string") return found(jsonOf(message));
  return found(message.subprotocol === V1 || isV1(message.bytes) ? v1(message.bytes) : withBuffers(message.bytes));
}

/** Offsets of eight bytes, little-endian; channel, then four parts of JSON, then buffers. */
function v1(bytes) {
  const reader = new Reader(bytes);
  const count = reader.u64(true);
  if (count < 6 || count > PARTS) throw new Fault(`${count} offsets, where 6 and more are expected`);
  const offsets = Array.from({ length: count }, () => reader.u64(true));
  const [channel, header, parent, metadata, content, ...buffers] = cut(bytes, offsets);
  const text = (part) => new Reader(part).text(part.length);
  return { channel: text(channel), header: parse(text(header)), parent_header: parse(text(parent)), metadata: parse(text(metadata)), content: parse(text(content)), buffers };
}

/** Offsets of four bytes, big-endian; JSON, then buffers. */
function withBuffers(bytes) {
  const reader = new Reader(bytes);
  const count = reader.u32();
  if (count < 1 || count > PARTS) throw new Fault(`${count} parts, where 1 to ${PARTS} are expected`);
  const offsets = Array.from({ length: count }, () => reader.u32());
  const [json, ...buffers] = cut(bytes, [...offsets, bytes.length]);
  return { ...parse(new Reader(json).text(json.length)), buffers };
}

function cut(bytes, offsets) {
  return offsets.slice(0, -1).map((start, n) => {
    const end = offsets[n + 1];
    if (start > end || end > bytes.length) throw new Fault(`a part from byte ${start} to ${end}, in ${bytes.length}`);
    return bytes.subarray(start, end);
  });
}

function found(value) {
  if (!isMessage(value)) throw new Fault("no Jupyter message: it has no header with a msg_type");
  const { header, parent_header: parent, metadata, content, channel, buffers, ...rest } = value;
  const { msg_type: type, msg_id: id, ...about } = header;
  const fields = { type, channel, content, ...(buffers?.length > 0 ? { buffers } : {}), id, parent: parent?.msg_id, header: about, metadata, ...rest };
  return { summary: line(type, channel, content ?? {}), fields, links: linksOf(type, id, parent) };
}

function linksOf(type, id, parent) {
  if (type.endsWith("_request") && id !== undefined) return [{ ask: word(id, 80) }];
  if (parent?.msg_id === undefined) return [];
  // Output and status belong to the request too; its reply is the answer.
  return [{ answer: word(parent.msg_id, 80), more: !type.endsWith("_reply") }];
}

function line(type, channel, content) {
  const words = [type];
  if (channel !== undefined && channel !== null) words.push(`(${word(channel, 20)})`);
  words.push(said(type, content));
  return words.filter(Boolean).join(" ");
}

function said(type, content) {
  if (!isObject(content)) return brief(content, 140);
  const { execution_state: state, status, code, name, text, data, ename, evalue, execution_count: count, comm_id: comm } = content;
  switch (type) {
    case "status": return word(state);
    case "stream": return `${word(name ?? "", 20)} ${brief(text, 140)}`;
    case "execute_request": case "execute_input": case "complete_request": case "inspect_request": return brief(code, 160);
    case "error": return `${word(ename)}: ${word(evalue, 120)}`;
    case "execute_result": case "display_data": case "update_display_data": return isObject(data) ? brief(data["text/plain"] ?? Object.keys(data), 160) : "";
    case "comm_msg": case "comm_open": case "comm_close": return `${word(comm, 12)} ${brief(data, 140)}`;
    default: return [status === undefined ? "" : word(status), ename === undefined ? "" : `${word(ename)}: ${word(evalue, 120)}`, count === undefined ? "" : `[${brief(count, 10)}]`].filter(Boolean).join(" ");
  }
}

const isMessage = (value) => isObject(value) && isObject(value.header) && typeof value.header.msg_type === "string";

/** Whether bytes begin with offsets of eight bytes that lie behind them. */
function isV1(bytes) {
  if (bytes.length < 56 || bytes[1] !== 0 || bytes[4] !== 0) return false;
  const reader = new Reader(bytes);
  const count = reader.u64(true);
  return count >= 6 && count <= PARTS && reader.u64(true) === 8 * (count + 1);
}

export const jupyter = {
  name: "jupyter",
  title: "Jupyter kernel",
  owns: true,
  fit({ subprotocol, text, bytes, value }) {
    if (typeof text === "string") return isMessage(value) && typeof value.header.msg_id === "string" ? 97 : 0;
    if (!bytes) return 0;
    if (subprotocol === V1) return 100;
    if (isV1(bytes)) return 95;
    const reader = new Reader(bytes);
    const count = reader.u32();
    return count >= 1 && count <= PARTS && reader.u32() === 4 * (count + 1) && bytes[4 * (count + 1)] === 0x7b ? 93 : 0;
  },
  decode,
};
