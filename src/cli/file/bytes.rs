//! The text of a file: compressed (gzip; zlib, as in `.zhar` of mitmproxy), of UTF-16, or within a
//! call of a function, as scripts of HAR viewers have it. Files that are something else are named.

use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// How the text of a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// UTF-8.
    Plain,
    Gzip,
    Zlib,
    Utf16 {
        /// Whether the low byte comes first.
        little: bool,
    },
}

/// The first bytes of files of other kinds, with a description and the right kind.
const OTHERS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "a ZIP file; the file in it would be right"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; gzip, or the file itself, would be right"),
    (b"BZh", "compressed with bzip2; gzip, or the file itself, would be right"),
    (b"\xfd7zXZ", "compressed with xz; gzip, or the file itself, would be right"),
    (b"\x0a\x0d\x0d\x0a", "a capture of packets; NDJSON or an HTTP Archive would be right"),
];

impl Packing {
    /// Recognizes the packing by the first bytes of a file.
    ///
    /// # Errors
    ///
    /// If it is a file of another kind: what it is.
    pub(super) fn of(start: &[u8]) -> Result<Self, &'static str> {
        if let Some((_, what)) = OTHERS.iter().find(|(other, _)| start.starts_with(other)) {
            return Err(what);
        }
        Ok(match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x78, second, ..] if (0x7800 + u16::from(*second)).is_multiple_of(31) => Self::Zlib,
            [0xff, 0xfe, ..] => Self::Utf16 { little: true },
            [0xfe, 0xff, ..] => Self::Utf16 { little: false },
            [first, 0, ..] if *first != 0 => Self::Utf16 { little: true },
            [0, second, ..] if *second != 0 => Self::Utf16 { little: false },
            _ => Self::Plain,
        })
    }

    /// Reads all of a file as text, at most `most` bytes of it.
    ///
    /// # Errors
    ///
    /// If reading fails, or the compressed data is damaged.
    pub(super) fn text(self, file: impl Read, most: u64) -> io::Result<String> {
        let mut bytes = Vec::new();
        match self {
            Self::Plain | Self::Utf16 { .. } => file.take(most).read_to_end(&mut bytes)?,
            Self::Gzip => MultiGzDecoder::new(file).take(most).read_to_end(&mut bytes)?,
            Self::Zlib => ZlibDecoder::new(file).take(most).read_to_end(&mut bytes)?,
        };
        // A compressed file may be of UTF-16 as well.
        let inner = match self {
            Self::Gzip | Self::Zlib => Self::of(&bytes).unwrap_or(Self::Plain),
            other => other,
        };
        Ok(if let Self::Utf16 { little } = inner { utf16(&bytes, little) } else { utf8(bytes) })
    }
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|fault| String::from_utf8_lossy(fault.as_bytes()).into_owned())
}

fn utf16(bytes: &[u8], little: bool) -> String {
    let unit = |pair: &[u8]| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    };
    let units: Vec<u16> = bytes.chunks_exact(2).map(unit).collect();
    String::from_utf16_lossy(&units)
}

/// Returns the JSON within a call of a function: `onInputData({…});`, also after a comment or a
/// condition. Other text is returned as it is.
pub(super) fn without_callback(text: &str) -> &str {
    let trimmed = text.trim_start_matches('\u{feff}').trim();
    if trimmed.starts_with(['{', '[']) {
        return text;
    }
    let before = trimmed.find(['(', '{', '[', '"']).filter(|at| trimmed[*at..].starts_with('('));
    let inner = before.and_then(|at| {
        let call = trimmed[at + 1..].trim_end_matches([';', ' ', '\t', '\r', '\n']);
        Some(call.strip_suffix(')')?.trim())
    });
    inner.filter(|inner| inner.starts_with(['{', '['])).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{GzEncoder, ZlibEncoder};

    fn read(bytes: &[u8]) -> String {
        let packing = Packing::of(bytes).expect("it is read");
        packing.text(bytes, 1 << 20).expect("it is whole")
    }

    #[test]
    fn text_is_read_however_it_is_packed() {
        let text = "{\"log\":{\"ä\":1}}";
        let packed = |mut encoder: Box<dyn Read>| {
            let mut out = Vec::new();
            encoder.read_to_end(&mut out).expect("packed");
            out
        };
        let utf16 = |little: bool| -> Vec<u8> {
            let units = text.encode_utf16();
            units.flat_map(|it| if little { it.to_le_bytes() } else { it.to_be_bytes() }).collect()
        };
        let best = Compression::best();
        for bytes in [
            text.as_bytes().to_vec(),
            packed(Box::new(GzEncoder::new(text.as_bytes(), best))),
            packed(Box::new(ZlibEncoder::new(text.as_bytes(), best))),
            packed(Box::new(ZlibEncoder::new(text.as_bytes(), Compression::default()))),
            utf16(true),
            utf16(false),
        ] {
            assert_eq!(read(&bytes), text, "{bytes:x?}");
        }
        let marked = [b"\xff\xfe".to_vec(), utf16(true)].concat();
        assert_eq!(read(&marked), format!("\u{feff}{text}"));
        assert_eq!(read(b"{\"a\":\"\xff\"}"), "{\"a\":\"\u{fffd}\"}");
        assert!(Packing::of(b"PK\x03\x04...").is_err_and(|what| what.contains("ZIP")));
    }

    #[test]
    fn json_within_a_call_is_found() {
        for text in [
            "onInputData({\"log\":1});",
            " a.b ( {\"log\":1} ) ",
            "\u{feff}f({\"log\":1})\n",
            "// a comment\nwindow.f && f(\n{\"log\":1}\n) ;\n",
        ] {
            assert_eq!(without_callback(text), "{\"log\":1}", "{text}");
        }
        for text in ["{\"log\":1}", "f(1)", "f({)", "(x)", ""] {
            let inner = without_callback(text);
            assert!(inner == text || inner == "{", "{text}");
        }
    }
}
