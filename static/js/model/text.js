// Pure: values to text and back, as people read them.

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

/** Scripts in which a joiner or a non-joiner between letters is a part of the spelling. */
const JOINING = "(?:" + ["Arabic", "Syriac", "Mongolian", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Khmer"].map((script) => `\\p{Script=${script}}`).join("|") + ")";
const BEFORE_JOINER = new RegExp(`(?:\\p{Extended_Pictographic}\\p{Emoji_Modifier}?\\ufe0f?|${JOINING})$`, "u");
const AFTER_JOINER = new RegExp(`^(?:\\p{Extended_Pictographic}|${JOINING})`, "u");

/** Whether a joiner makes one emoji of two, such as a family, or stands within a word. */
function joins(text, at) {
  return BEFORE_JOINER.test(text.slice(Math.max(0, at - 8), at)) && AFTER_JOINER.test(text.slice(at + 1, at + 3));
}

/** Text on one line: characters that hide, break or turn the line around are written out. */
export function visible(text) {
  return text.replace(CONTROLS, (char, at) => {
    switch (char) {
      case "\u200c":
      case "\u200d":
        if (joins(text, at)) return char;
        return `\\u{${char.codePointAt(0).toString(16)}}`;
      case "\n": return "\\n";
      case "\r": return "\\r";
      case "\t": return "\\t";
      default: return `\\u{${char.codePointAt(0).toString(16)}}`;
    }
  });
}

/** 1234567 as "1,234,567". */
export function count(number) {
  return number.toLocaleString("en");
}

/** A number with its noun: "1 event", "1,200 events"; `plural` where it is not the noun and an s. */
export function number(n, noun, plural = `${noun}s`) {
  return `${count(n)} ${n === 1 ? noun : plural}`;
}

/** Bytes with a unit: 512 as "512 B", 1536 as "1.5 KiB". */
export function bytes(number) {
  if (number < 1024) return `${number} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = number / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Seconds as "12 s", "3 min", "2 h 5 min". */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

/** The time of day of a date, here, to the millisecond. */
export function clock(date) {
  const two = (n) => String(n).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

/** A moment here: the time of day, after the date if that is not today's. */
export function moment(date, today = new Date()) {
  if (date.toDateString() === today.toDateString()) return clock(date);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

/** Bytes of hexadecimal text such as "00 ff 1a", or null if it is none. */
export function fromHex(text) {
  const digits = text.replace(/0x|[\s,:]/gi, "");
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Bytes as "00 ff 1a", the first `most` of them. */
export function toHex(array, most = 256) {
  const shown = Array.from(array.subarray(0, most), (byte) => byte.toString(16).padStart(2, "0"));
  return shown.join(" ") + (array.length > most ? ` … (${bytes(array.length)})` : "");
}

/** A number in few characters: 950, 1.2k, 34k, 5.6M. */
export function short(number) {
  if (number < 1000) return String(Math.round(number));
  for (const [unit, size] of [["k", 1e3], ["M", 1e6], ["G", 1e9]]) {
    const value = number / size;
    if (value < 999.5 || unit === "G") return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`;
  }
  return "";
}

/** A rate in few characters: "0", "0.4", "12", "1.2k". */
export function rate(number) {
  if (number === 0) return "0";
  return number < 9.95 ? number.toFixed(1) : short(number);
}

/** The time between two events: "+12 ms", "+3.20 s", "−5 min". */
export function delta(ms) {
  const sign = ms < 0 ? "−" : "+";
  const size = Math.abs(ms);
  if (size < 1000) return `${sign}${Math.round(size)} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(size < 10_000 ? 2 : 1)} s`;
  return sign + duration(size / 1000);
}

/** Bytes of base64, or null if it is none. */
export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Bytes as base64. */
export function toBase64(array) {
  let text = "";
  for (let at = 0; at < array.length; at += 8192) text += String.fromCharCode(...array.subarray(at, at + 8192));
  return btoa(text);
}

/** Lines of a hex dump: `{ offset, hex, text }`, 16 bytes each, the first `most` bytes. */
export function dump(array, most = 4096) {
  const lines = [];
  for (let at = 0; at < Math.min(array.length, most); at += 16) {
    const part = array.subarray(at, Math.min(at + 16, most));
    const hex = Array.from(part, (byte) => byte.toString(16).padStart(2, "0"));
    lines.push({
      offset: at.toString(16).padStart(6, "0"),
      hex: `${hex.slice(0, 8).join(" ").padEnd(23)}  ${hex.slice(8).join(" ").padEnd(23)}`,
      text: Array.from(part, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join(""),
    });
  }
  return lines;
}
