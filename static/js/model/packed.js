// Model: the text of a file that is compressed (gzip; zlib, as in .zhar of mitmproxy) or of UTF-16, as
// src/cli/file/bytes.rs reads it. No DOM.

/** First bytes of files of other kinds, and the kind that would be right. */
const OTHERS = [
  [[0x50, 0x4b, 3, 4], "a ZIP file; the file in it would be right"],
  [[0x28, 0xb5, 0x2f, 0xfd], "compressed with zstd; gzip, or the file itself, would be right"],
  [[0x42, 0x5a, 0x68], "compressed with bzip2; gzip, or the file itself, would be right"],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], "compressed with xz; gzip, or the file itself, would be right"],
];

/** The text of a file. */
export async function textOf(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const other = OTHERS.find(([start]) => start.every((byte, n) => bytes[n] === byte));
  if (other) throw new Error(`this is ${other[1]}`);
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return decoded(await inflated(bytes, "gzip"));
  if (bytes[0] === 0x78 && (bytes[0] * 256 + bytes[1]) % 31 === 0) return decoded(await inflated(bytes, "deflate"));
  return decoded(bytes);
}

async function inflated(bytes, format) {
  try {
    return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format))).arrayBuffer());
  } catch {
    throw new Error(`the ${format === "gzip" ? "gzip" : "zlib"} data of this file is damaged`);
  }
}

function decoded(bytes) {
  const [a, b] = bytes;
  const little = (a === 0xff && b === 0xfe) || (a !== 0 && b === 0);
  const big = (a === 0xfe && b === 0xff) || (a === 0 && b !== 0 && b !== undefined);
  return new TextDecoder(little ? "utf-16le" : big ? "utf-16be" : "utf-8").decode(bytes);
}
