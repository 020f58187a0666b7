//! Targets that `http::Uri` does not hold, on their way to an upstream.
//!
//! hyper writes a placeholder, and the connection replaces it: the bytes of the target pass as they
//! came. The placeholder has a part that clients do not know, so that no body is taken for one.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The longest method before a target that is looked for.
const METHOD: usize = 32;

/// Makes and replaces placeholders.
#[derive(Debug)]
pub(super) struct Targets {
    mark: String,
    /// There has been a placeholder. Until then bytes are not looked at.
    used: AtomicBool,
}

impl Default for Targets {
    fn default() -> Self {
        let mark = format!("/wstap-{:032x}/", fastrand::u128(..));
        Self { mark, used: AtomicBool::new(false) }
    }
}

impl Targets {
    /// Returns a path that stands for a target.
    pub(super) fn placeholder(&self, target: &[u8]) -> String {
        self.used.store(true, Relaxed);
        let mut path = String::with_capacity(self.mark.len() + 2 * target.len());
        path.push_str(&self.mark);
        for byte in target {
            write!(path, "{byte:02x}").expect("a String takes all");
        }
        path
    }

    /// Returns the start of a request with its target in place, and the length of the bytes that it
    /// replaces, if these begin with a request that has a placeholder.
    pub(super) fn replace(&self, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        if !self.used.load(Relaxed) {
            return None;
        }
        let start = memchr::memchr(b' ', &bytes[..bytes.len().min(METHOD)])? + 1;
        let digits = bytes[start..].strip_prefix(self.mark.as_bytes())?;
        let length = memchr::memchr(b' ', digits)?;
        let (pairs, _) = digits[..length].as_chunks::<2>();
        let mut replaced = bytes[..start].to_vec();
        for pair in pairs {
            let pair = std::str::from_utf8(pair).ok()?;
            replaced.push(u8::from_str_radix(pair, 16).ok()?);
        }
        Some((replaced, start + self.mark.len() + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_out_as_they_went_in() {
        let targets = Targets::default();
        let all: Vec<u8> = (b'!'..=0xff).collect();
        let path = targets.placeholder(&all);
        assert!(path.parse::<http::Uri>().is_ok());
        let request = format!("GET {path} HTTP/1.1\r\n");
        let (start, length) = targets.replace(request.as_bytes()).expect("a placeholder");
        assert_eq!(start, [b"GET ", &all[..]].concat());
        assert_eq!(&request[length..], " HTTP/1.1\r\n");
        for other in ["GET / HTTP/1.1\r\n", "", "data", &path] {
            assert_eq!(targets.replace(other.as_bytes()), None);
        }
        assert_eq!(Targets::default().replace(request.as_bytes()), None);
    }
}
