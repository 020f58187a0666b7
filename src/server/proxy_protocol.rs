//! The header of the PROXY protocol, versions 1 and 2: the address of the client, before the first
//! byte of the client.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. A receiver must not guess whether
//! the header is there (section 2), so that a connection of a trusted proxy has to begin with it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line of version 1, with its end (section 2.1).
const LINE: usize = 107;

/// The longest header of version 2 that is read: its addresses have 36 bytes at most, and the
/// certificate of a client in its extensions may have some thousand.
const MAX: usize = 4 << 10;

/// The beginning of version 2 (section 2.2). No header of version 1 is shorter.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The beginning of version 1.
const LINE_BEGIN: &[u8] = b"PROXY ";

/// Reads a header, and no byte after it. Returns the address of the client, or `None` if the proxy
/// speaks for itself or names no address.
///
/// # Errors
///
/// If the connection fails, or begins with anything else.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut begin = [0; SIGNATURE.len()];
    io.read_exact(&mut begin).await?;
    if begin == SIGNATURE {
        return version2(io).await;
    }
    if !begin.starts_with(LINE_BEGIN) {
        return Err(invalid(
            "the connection of a trusted proxy does not begin with a PROXY header",
        ));
    }
    let mut line = begin.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE {
            return Err(invalid("a PROXY line has at most 107 bytes"));
        }
        line.push(io.read_u8().await?);
    }
    let line = &line[..line.len() - 2];
    if line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ") {
        return Ok(None);
    }
    version1(line).map(Some).ok_or_else(|| invalid("a PROXY line that cannot be read"))
}

/// Reads a line without its end: `PROXY TCP4 1.2.3.4 10.0.0.1 5678 443`.
fn version1(line: &[u8]) -> Option<SocketAddr> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.strip_prefix("PROXY ")?.split(' ');
    let family = words.next()?;
    let (source, target) = (words.next()?, words.next()?);
    let (port, target_port) = (words.next()?, words.next()?);
    let source: IpAddr = source.parse().ok()?;
    let target: IpAddr = target.parse().ok()?;
    let fits = match family {
        "TCP4" => source.is_ipv4() && target.is_ipv4(),
        "TCP6" => source.is_ipv6() && target.is_ipv6(),
        _ => false,
    };
    target_port.parse::<u16>().ok()?;
    (fits && words.next().is_none()).then_some(())?;
    Some(SocketAddr::new(source.to_canonical(), port.parse().ok()?))
}

/// Reads what follows the signature.
async fn version2(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut head = [0; 4];
    io.read_exact(&mut head).await?;
    let [version_command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_command >> 4 != 2 {
        return Err(invalid("a PROXY header of an unknown version"));
    }
    if length > MAX {
        return Err(invalid("a PROXY header has at most 4096 bytes"));
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    match (version_command & 0xf, family) {
        (1, 0x11) if length >= 12 => {
            let ip: [u8; 4] = rest[..4].try_into().expect("four bytes");
            Ok(Some(source(Ipv4Addr::from(ip).into(), [rest[8], rest[9]])))
        }
        (1, 0x21) if length >= 36 => {
            let ip: [u8; 16] = rest[..16].try_into().expect("16 bytes");
            Ok(Some(source(Ipv6Addr::from(ip).into(), [rest[32], rest[33]])))
        }
        (1, 0x11 | 0x21) => Err(invalid("a PROXY header that is shorter than its addresses")),
        // LOCAL: a check of the proxy itself. Families without TCP name no address that is used.
        (0 | 1, _) => Ok(None),
        _ => Err(invalid("a PROXY header with an unknown command")),
    }
}

fn source(ip: IpAddr, port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(port))
}

fn invalid(fault: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a header that another text follows, and returns the address.
    async fn header(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
        let all = [bytes, b"GET /"].concat();
        let mut io = &all[..];
        let read = read(&mut io).await?;
        assert_eq!(io, b"GET /", "nothing more is read");
        Ok(read)
    }

    fn version2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    #[tokio::test]
    async fn client_is_read_in_both_versions() {
        let v4 = [[1, 2, 3, 4], [10, 0, 0, 1], [0x1e, 0x61, 1, 0xbb]].concat();
        let longer = [&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        let v6 = [&[0x20; 16][..], &[0; 16], &[0, 80, 1, 0xbb]].concat();
        for (bytes, address) in [
            (b"PROXY TCP4 1.2.3.4 10.0.0.1 7777 443\r\n".to_vec(), Some("1.2.3.4:7777")),
            (b"PROXY TCP6 2001:db8::1 ::1 7777 443\r\n".to_vec(), Some("[2001:db8::1]:7777")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (version2(0x21, 0x11, &v4), Some("1.2.3.4:7777")),
            (version2(0x21, 0x11, &longer), Some("1.2.3.4:7777")),
            (version2(0x21, 0x21, &v6), Some("[2020:2020:2020:2020:2020:2020:2020:2020]:80")),
            (version2(0x20, 0x11, &v4), None),
            (version2(0x20, 0, &[]), None),
            (version2(0x21, 0x31, &[0; 216]), None),
        ] {
            let read = header(&bytes).await.expect("a header").map(|it| it.to_string());
            assert_eq!(read.as_deref(), address, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused_within_its_bound() {
        let long = [b"PROXY TCP4 ", &[b'1'; 200][..]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 1.2.3.4 10.0.0.1 7777\r\n",
            b"PROXY TCP4 ::1 ::1 7777 443\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 7777 443\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 77777 443\r\n",
            b"PROXY TCP4 1.2.3.4 10.0.0.1 7777 443 x\r\n",
            b"PROXY UDP4 1.2.3.4 10.0.0.1 7777 443\r\n",
            b"PROXY",
            &long,
            &version2(0x11, 0x11, &[0; 12]),
            &version2(0x22, 0x11, &[0; 12]),
            &version2(0x21, 0x11, &[0; 11]),
            &version2(0x21, 0x21, &[0; 12]),
            &version2(0x21, 0x11, &[0; 5000]),
        ] {
            assert!(header(bytes).await.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
