//! Decompression of the copy of an event stream (RFC 9110 section 8.4.1).

use flate2::{Decompress, FlushDecompress, Status};

/// Bits of the largest window of deflate.
const WINDOW: u8 = 15;

/// The bytes of a copy as they were before compression.
#[derive(Debug)]
pub(super) enum Decoder {
    /// It is not compressed.
    Plain,
    /// It is compressed.
    Inflate(Box<Inflate>),
}

/// Inflates gzip or deflate.
#[derive(Debug)]
pub(super) struct Inflate {
    coding: Coding,
    /// `None` before the first byte, which tells the form of deflate.
    stream: Option<Decompress>,
    /// Whether there was no room for all that the bytes inflate to.
    has_more: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// The bytes are not of the coding that the head names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Decoder {
    /// Returns the decoder for a `Content-Encoding`; `None` if there is none for it.
    pub(super) fn of(encoding: Option<&str>) -> Option<Self> {
        let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
        let coding = match encoding.as_str() {
            "" | "identity" => return Some(Self::Plain),
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            _ => return None,
        };
        Some(Self::Inflate(Box::new(Inflate { coding, stream: None, has_more: false })))
    }
}

impl Inflate {
    /// Returns whether [`inflate`](Self::inflate) may have more without another byte.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Inflates into `out` as far as there is room, and returns the number of bytes that were read.
    pub(super) fn inflate(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Broken> {
        let Self { coding, stream, .. } = self;
        if let (None, Some(first)) = (&stream, bytes.first()) {
            *stream = Some(coding.stream(*first));
        }
        let Some(stream) = stream else { return Ok(0) };
        let (before, room) = (stream.total_in(), out.capacity() - out.len());
        let status =
            stream.decompress_vec(bytes, out, FlushDecompress::Sync).map_err(|_| Broken)?;
        let read = usize::try_from(stream.total_in() - before).unwrap_or(bytes.len());
        let left = out.capacity() - out.len();
        self.has_more = left == 0 && status != Status::StreamEnd;
        if status == Status::StreamEnd {
            // Another member of gzip may follow (RFC 1952 section 2.2).
            self.stream = None;
        } else if read == 0 && left == room && room > 0 && !bytes.is_empty() {
            return Err(Broken);
        }
        Ok(read)
    }
}

impl Coding {
    /// Returns a stream. Deflate is with a header of zlib, or without, as some servers send it.
    fn stream(self, first: u8) -> Decompress {
        match self {
            Self::Gzip => Decompress::new_gzip(WINDOW),
            Self::Deflate => Decompress::new(first & 0x0F == 8 && first >> 4 <= 7),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"data: one\n\ndata: two\n\n";

    /// Inflates bytes in pieces of a size, with room for five bytes at a time.
    fn inflated(encoding: &str, bytes: &[u8], size: usize) -> Result<Vec<u8>, Broken> {
        let Some(Decoder::Inflate(mut inflate)) = Decoder::of(Some(encoding)) else {
            panic!("{encoding} is inflated");
        };
        let mut all = Vec::new();
        for mut piece in bytes.chunks(size) {
            while !piece.is_empty() || inflate.has_more() {
                let mut out = Vec::with_capacity(5);
                let read = inflate.inflate(piece, &mut out)?;
                piece = &piece[read..];
                all.extend(out);
            }
        }
        Ok(all)
    }

    #[test]
    fn every_form_is_inflated_however_it_is_cut() {
        let level = Compression::default();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        for out in [&mut gzip as &mut dyn std::io::Write, &mut zlib, &mut raw] {
            out.write_all(&TEXT[..11]).expect("memory");
            out.flush().expect("memory");
            out.write_all(&TEXT[11..]).expect("memory");
            out.flush().expect("memory");
        }
        let forms = [
            ("gzip", gzip.finish().expect("memory")),
            ("deflate", zlib.finish().expect("memory")),
            ("Deflate", raw.finish().expect("memory")),
        ];
        for (encoding, bytes) in forms {
            for size in [1, 2, 7, bytes.len()] {
                assert_eq!(
                    inflated(encoding, &bytes, size),
                    Ok(TEXT.to_vec()),
                    "{encoding} {size}"
                );
            }
            let twice = [&bytes[..], &bytes].concat();
            if encoding == "gzip" {
                assert_eq!(inflated(encoding, &twice, 3), Ok([TEXT, TEXT].concat()));
            }
        }
    }

    #[test]
    fn unknown_codings_and_broken_bytes_are_told_apart() {
        for encoding in ["br", "zstd", "gzip, br", "compress"] {
            assert!(Decoder::of(Some(encoding)).is_none(), "{encoding}");
        }
        assert!(matches!(Decoder::of(Some(" Identity ")), Some(Decoder::Plain)));
        assert!(matches!(Decoder::of(None), Some(Decoder::Plain)));
        assert_eq!(inflated("gzip", b"data: one\n\n", 100), Err(Broken));
    }
}
