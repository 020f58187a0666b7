//! Binds every address of a name; errors say which address would work.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::listen::Listen;

/// Reasons not to serve an address.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address can be reached from other machines, and no authentication is required.
    #[error(
        "{listen} can be reached from other machines, where everybody could read and do everything; \
         ask for tokens (wstap token new me all --token-file wstap.tokens, and then wstap --listen \
         {listen} --token-file wstap.tokens), listen on localhost, or add --no-auth if everybody may"
    )]
    Exposed {
        /// The requested address.
        listen: Listen,
    },
    /// The name has no address.
    #[error("{listen}: no address has this name ({source})")]
    Unknown {
        /// The requested address.
        listen: Listen,
        /// The error of the resolver.
        source: io::Error,
    },
    /// Another program listens there.
    #[error(
        "{address} is taken by another program; stop it, or take another port, for example \
         --{flag} localhost:{other}"
    )]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The flag that names it.
        flag: &'static str,
        /// A port that is free.
        other: u16,
    },
    /// The kernel refuses.
    #[error("cannot listen on {address}: {source}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// The error of the kernel.
        source: io::Error,
    },
}

/// Connections that wait to be accepted; the kernel caps it (`net.core.somaxconn`, 4096).
const BACKLOG: i32 = 4096;

/// Attempts to find a port that is free on all addresses.
const TRIES: usize = 16;

/// Binds all addresses of a name. `localhost` binds both families that the machine has. Port 0 takes
/// the same free port on all addresses.
///
/// # Errors
///
/// See [`BindError`]. Addresses beyond loopback need `exposed`.
pub async fn bind(
    listen: &Listen,
    flag: &'static str,
    exposed: bool,
) -> Result<Vec<TcpListener>, BindError> {
    let addresses = resolve(listen).await?;
    if !exposed && addresses.iter().any(|ip| !ip.to_canonical().is_loopback()) {
        return Err(BindError::Exposed { listen: listen.clone() });
    }
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match bind_all(&addresses, listen.port) {
            Err((_, error)) if listen.port == 0 && tries > 0 && is_taken(&error) => {}
            Err((address, error)) if is_taken(&error) => {
                return Err(BindError::Taken { address, flag, other: free_port(address.ip()) });
            }
            Err((address, source)) => return Err(BindError::Failed { address, source }),
            Ok(listeners) => return Ok(listeners),
        }
    }
}

async fn resolve(listen: &Listen) -> Result<Vec<IpAddr>, BindError> {
    // localhost is both families, whatever the hosts file says (RFC 6761 section 6.3): browsers try
    // ::1 first, old programs use 127.0.0.1 only.
    if listen.host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let unknown = |source| BindError::Unknown { listen: listen.clone(), source };
    let found =
        tokio::net::lookup_host((listen.host.as_str(), listen.port)).await.map_err(unknown)?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

fn bind_all(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for ip in addresses {
        let port =
            listeners.first().and_then(|first| first.local_addr().ok()).map_or(port, |a| a.port());
        let address = SocketAddr::new(*ip, port);
        match bind_one(address) {
            Ok(listener) => listeners.push(listener),
            // A machine without this family reports that in many ways.
            Err(error) if !listeners.is_empty() && !is_taken(&error) && ip.is_loopback() => {
                tracing::debug!(%address, %error, "this address does not exist here");
            }
            Err(error) if !listeners.is_empty() && !is_taken(&error) => {
                tracing::warn!(%address, %error, "cannot listen on this address of the name");
            }
            Err(error) => return Err((address, error)),
        }
    }
    Ok(listeners)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Only the unspecified address includes IPv4; ::1 and 127.0.0.1 are separate.
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn free_port(ip: IpAddr) -> u16 {
    let free = std::net::TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr());
    free.map_or(8081, |address| address.port())
}
