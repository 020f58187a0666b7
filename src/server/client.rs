//! Notes beside a request who has sent it: the client, or the client that a trusted proxy names.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

use super::per_address::AddressPermit;
use super::proxies::Client;
use super::state::ServerState;
use crate::problem::Problem;
use crate::request::{Encrypted, Forwarded};

/// A connection that requests come by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its other end.
    pub(super) address: SocketAddr,
    /// Whether it has TLS.
    pub(super) encrypted: bool,
    /// Whether requests are relayed to an upstream, which judges them.
    pub(super) relayed: bool,
}

/// Why a request is not handled.
#[derive(Debug)]
pub(super) enum Refused {
    Malformed(Problem),
    /// The client has as many requests and connections as an address may have.
    Full,
}

impl Peer {
    /// Notes the client of a request in `extensions`. Returns its place in the share of its address,
    /// if a proxy has sent the request: the share of the proxy is not limited.
    ///
    /// # Errors
    ///
    /// If the request names two clients, or there is no place.
    pub(super) fn note(
        self,
        state: &ServerState,
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Result<Option<AddressPermit>, Refused> {
        let proxies = &state.transport.proxies;
        let client = proxies.client(headers, self.address).or_else(|two| {
            let client = Client { address: self.address, encrypted: None, host: None };
            if self.relayed { Ok(client) } else { Err(two) }
        });
        let client =
            client.map_err(|two| Refused::Malformed(Problem::malformed(two.to_string())))?;
        extensions.insert(ConnectInfo(client.address));
        if client.encrypted.unwrap_or(self.encrypted) {
            extensions.insert(Encrypted);
        }
        if !proxies.trusts(self.address.ip()) {
            return Ok(None);
        }
        extensions.insert(Forwarded { proxy: self.address, host: client.host });
        let ip = client.address.ip();
        if proxies.trusts(ip) {
            return Ok(None);
        }
        state.per_address.enter(ip).map(Some).ok_or(Refused::Full)
    }
}
