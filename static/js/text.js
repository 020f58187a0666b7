// Pure: values to text and back, as people read them.

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

/** Text on one line: what could hide, break or turn the line around is written out. */
export function visible(text) {
  return text.replace(CONTROLS, (char) => {
    switch (char) {
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
