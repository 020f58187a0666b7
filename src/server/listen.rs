//! Addresses to listen on, as text. Pure.

use std::fmt;
use std::str::FromStr;

/// An address to bind: a host name or an IP address, and a port, such as `localhost:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Host name or IP address. An IPv6 address has no brackets here.
    pub host: String,
    /// Port. 0 stands for any free port.
    pub port: u16,
}

/// The error of a text that is no [`Listen`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is a host and a port, such as localhost:8080 or [::1]:8080")]
pub struct InvalidListen;

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidListen)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or(InvalidListen)?,
            None if host.contains(':') => return Err(InvalidListen),
            None => host,
        };
        if host.is_empty() || host.contains(char::is_whitespace) || host.contains('/') {
            return Err(InvalidListen);
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| InvalidListen)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for text in ["localhost:8080", "127.0.0.1:0", "[::1]:443"] {
            let listen = text.parse::<Listen>().map(|listen| listen.to_string());
            assert_eq!(listen.as_deref(), Ok(text));
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
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
