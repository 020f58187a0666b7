//! From text to values. An error is what would be right.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;

use crate::auth::Origins;
use crate::proxy::Upstream;

type Read<T> = Result<T, &'static str>;

/// An address to bind: a name or an address in figures, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Without brackets.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl std::str::FromStr for Listen {
    /// What would be right.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        listen(text)
    }
}

pub(super) fn listen(text: &str) -> Read<Listen> {
    let right = "an address is a host and a port, such as localhost:8080 or [::1]:8080";
    let (host, port) = text.rsplit_once(':').ok_or(right)?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']').ok_or(right)?,
        None if host.contains(':') => return Err(right),
        None => host,
    };
    if host.is_empty() || host.contains(char::is_whitespace) || host.contains('/') {
        return Err(right);
    }
    Ok(Listen { host: host.to_owned(), port: port.parse().map_err(|_| right)? })
}

pub(super) fn count(text: &str) -> Read<usize> {
    text.parse().map_err(|_| "a number is written in digits, such as 10000")
}

pub(super) fn size(text: &str) -> Read<usize> {
    let right = "a size is a number with a unit, such as 64MiB or 500kB";
    let size: ByteSize = text.parse().map_err(|_| right)?;
    usize::try_from(size.as_u64()).map_err(|_| right)
}

pub(super) fn duration(text: &str) -> Read<Duration> {
    let right = "a duration is a number with a unit, such as 15s, 500ms or 1h30m";
    text.parse::<SignedDuration>().ok().and_then(|time| time.try_into().ok()).ok_or(right)
}

pub(super) fn nonzero_duration(text: &str) -> Read<Duration> {
    let right = "a duration above zero is a number with a unit, such as 15s, 500ms or 1h30m";
    duration(text).ok().filter(|time| !time.is_zero()).ok_or(right)
}

pub(super) fn switch(text: &str) -> Read<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err("true or false"),
    }
}

/// Anything but nothing.
pub(super) fn secret(text: &str) -> Read<String> {
    if text.is_empty() { Err("a text that is not empty") } else { Ok(text.to_owned()) }
}

pub(super) fn host(text: &str) -> Read<String> {
    let right = "a host name without scheme and port, such as tap.example";
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | ':' | '*');
    if text.is_empty() || text.contains(odd) { Err(right) } else { Ok(text.to_owned()) }
}

/// The name of a header field or of a query parameter.
pub(super) fn name(text: &str) -> Read<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '=' | '&');
    if text.is_empty() || text.contains(odd) {
        Err("a name alone, such as authorization or access_token")
    } else {
        Ok(text.to_owned())
    }
}

/// An origin as browsers write it (RFC 6454 section 6.2), or `*`.
pub(super) fn origin(text: &str) -> Read<String> {
    let right = "an origin is a scheme, a host and maybe a port, such as https://app.example or http://localhost:3000, or *";
    if text == "*" {
        return Ok(text.to_owned());
    }
    let (scheme, host) = text.split_once("://").ok_or(right)?;
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '*' | '?' | '#' | '@');
    if scheme.is_empty() || host.is_empty() || host.contains(odd) {
        return Err(right);
    }
    Ok(text.to_owned())
}

pub(super) fn upstream(text: &str) -> Read<Upstream> {
    text.parse().map_err(|_| {
        "an upstream is the URL of a server without a path, such as ws://localhost:9000 or https://api.example"
    })
}

pub(super) fn path(text: &str) -> Read<String> {
    let odd = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '*');
    if text.starts_with('/') && !text.contains(odd) {
        Ok(text.to_owned())
    } else {
        Err("a path begins with a slash, such as /chat, and fits all that begins with it")
    }
}

pub(super) fn origins(list: &[String], default: Origins) -> Origins {
    match list {
        [] => default,
        list if list.iter().any(|origin| origin == "*") => Origins::Any,
        list => Origins::Listed(list.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for text in ["localhost:8080", "127.0.0.1:0", "[::1]:443"] {
            assert_eq!(listen(text).map(|listen| listen.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "localhost",
            ":8080",
            "localhost:",
            "localhost:99999",
            "::1:80",
            "[::1:80",
            "http://localhost:80",
            "a b:1",
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_durations_have_units() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("500kB"), Ok(500_000));
        assert_eq!(size("1024"), Ok(1024));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(size("-1").is_err() && size("lots").is_err());
        assert!(duration("-5s").is_err() && duration("5").is_err());
        assert!(nonzero_duration("0s").is_err());
    }

    #[test]
    fn origins_have_a_scheme_and_no_path() {
        for text in ["*", "https://a.example", "http://localhost:3000", "http://[::1]:3000"] {
            assert!(origin(text).is_ok(), "{text}");
        }
        for text in ["", "a.example", "https://a.example/", "https://*.example", "https://"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
