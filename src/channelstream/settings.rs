//! The settings of the API, with their defaults.

use std::time::Duration;

use super::account::Admin;
use super::signature::Signer;
use crate::auth::Network;

/// Settings of the API.
#[derive(Debug, Clone)]
pub struct ChannelstreamSettings {
    /// Checks signatures with the secret.
    pub signer: Signer,
    /// Whether signatures of any age are valid.
    pub any_age: bool,
    /// Addresses that signed calls may come from.
    pub allow_from: Vec<Network>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether calls must arrive over TLS.
    pub enforce_https: bool,
    /// How long a connection without a listener is kept.
    pub gc_connections: Duration,
    /// How long a user without connections is remembered.
    pub gc_users: Duration,
    /// How long a channel without members is remembered.
    pub gc_channels: Duration,
    /// The account that may sign in to the page of figures; `None` for no account.
    pub admin: Option<Admin>,
}

impl ChannelstreamSettings {
    /// Creates settings with all defaults, for servers that sign with this secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self {
            signer: Signer::new(secret.as_bytes()),
            any_age: false,
            allow_from: Network::loopback(),
            trusted_proxies: Network::loopback(),
            enforce_https: false,
            gc_connections: Duration::from_secs(30),
            gc_users: Duration::from_hours(24),
            gc_channels: Duration::from_hours(72),
            admin: None,
        }
    }
}
