//! From text to values. An error describes a right value.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::SignedDuration;

use crate::auth::Origins;
use crate::hub::{DuplicateId, LogSync, SlowClient};
use crate::proxy::{ForwardedHeaders, InvalidUpstream, TapHttp, Upstream};
use crate::redact::Binary;
use crate::server::{InvalidListen, Listen};

type Read<T> = Result<T, &'static str>;

/// Format of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object on each line.
    Json,
}

pub(super) fn count(text: &str) -> Read<usize> {
    text.parse().map_err(|_| "a number is written in digits, such as 10000")
}

/// An amount a second. 0 is no limit.
pub(super) fn rate(text: &str) -> Read<u64> {
    text.parse().map_err(|_| "a number a second is written in digits, such as 1000; 0 is no limit")
}

pub(super) fn rate_of_bytes(text: &str) -> Read<u64> {
    let right = "a size a second is a number with a unit, such as 10MiB; 0 is no limit";
    if text == "0" { Ok(0) } else { size(text).map(|size| size as u64).map_err(|_| right) }
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

pub(super) fn sync(text: &str) -> Read<LogSync> {
    match text {
        "always" => Ok(LogSync::Always),
        _ => match nonzero_duration(text) {
            Ok(every) => Ok(LogSync::Every(every)),
            Err(_) => Err("always, or a duration above zero with a unit, such as 1s"),
        },
    }
}

pub(super) fn switch(text: &str) -> Read<bool> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err("true or false"),
    }
}

/// A text that is not empty.
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

pub(super) fn duplicate_id(text: &str) -> Read<DuplicateId> {
    match text {
        "replace" => Ok(DuplicateId::Replace),
        "reject" => Ok(DuplicateId::Reject),
        _ => Err("replace or reject"),
    }
}

/// An upstream. A port alone is one on this machine, and a host with a port needs no scheme.
pub(super) fn upstream(text: &str) -> Result<Upstream, InvalidUpstream> {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_port(text) {
        return format!("http://localhost:{text}").parse();
    }
    let whole = text.trim_end_matches('/');
    match whole.rsplit_once(':') {
        Some((host, port)) if is_port(port) && !host.contains('/') => {
            format!("http://{host}:{port}").parse()
        }
        _ => text.parse(),
    }
}

/// An address to serve at. A port alone is one of localhost.
pub(super) fn listen(text: &str) -> Result<Listen, InvalidListen> {
    match text.parse::<u16>() {
        Ok(port) => Ok(Listen { host: "localhost".to_owned(), port }),
        Err(_) => text.parse(),
    }
}

pub(super) fn forwarded_headers(text: &str) -> Read<ForwardedHeaders> {
    match text {
        "add" => Ok(ForwardedHeaders::Add),
        "pass" => Ok(ForwardedHeaders::Pass),
        "strip" => Ok(ForwardedHeaders::Strip),
        _ => Err("add, pass or strip"),
    }
}

pub(super) fn tap_http(text: &str) -> Read<TapHttp> {
    match text {
        "off" => Ok(TapHttp::Off),
        "errors" => Ok(TapHttp::Errors),
        "all" => Ok(TapHttp::All),
        _ => Err("off, errors or all"),
    }
}

pub(super) fn slow_client(text: &str) -> Read<SlowClient> {
    match text {
        "drop" => Ok(SlowClient::Drop),
        "close" => Ok(SlowClient::Close),
        _ => Err("drop or close"),
    }
}

pub(super) fn binary(text: &str) -> Read<Binary> {
    match text {
        "hide" => Ok(Binary::Hide),
        "keep" => Ok(Binary::Keep),
        _ => Err("hide or keep"),
    }
}

/// A filter of logs, as `RUST_LOG` has it.
pub(super) fn log_level(text: &str) -> Read<String> {
    let is_filter = !text.is_empty() && text.parse::<tracing_subscriber::EnvFilter>().is_ok();
    if is_filter {
        Ok(text.to_owned())
    } else {
        Err("a level such as info, or a filter such as wstap=debug,warn")
    }
}

pub(super) fn log_format(text: &str) -> Read<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json"),
    }
}

pub(super) fn path(text: &str) -> Read<String> {
    let odd = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '*');
    if text.starts_with('/') && !text.contains(odd) {
        Ok(text.to_owned())
    } else {
        Err("a path begins with a slash, such as /chat, and matches all paths below it")
    }
}

pub(super) fn origins(list: Vec<String>, default: Origins) -> Origins {
    if list.is_empty() {
        default
    } else if list.iter().any(|origin| origin == "*") {
        Origins::Any
    } else {
        Origins::Listed(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
