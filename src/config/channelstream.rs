//! The settings of the API of Channelstream.

use super::sources::Reader;
use super::values;
use crate::channelstream::{Admin, Network, Secret, Settings};

impl Reader<'_> {
    /// Takes them; without a secret there is no such API.
    pub(super) fn channelstream(&mut self) -> Option<Settings> {
        let secret = self.maybe("channelstream-secret", values::secret);
        let user = self.one("channelstream-admin-user", values::secret);
        let password = self.maybe("channelstream-admin-secret", values::secret);
        let mut networks = |name| match self.all(name, str::parse) {
            none if none.is_empty() => Network::loopback(),
            some => some,
        };
        let allow_from = networks("channelstream-allow-from");
        let trusted_proxies = networks("channelstream-trusted-proxy");
        let settings = Settings {
            allow_from,
            trusted_proxies,
            enforce_https: self.one("channelstream-enforce-https", values::switch),
            any_age: self.one("channelstream-any-age", values::switch),
            gc_connections: self.one("channelstream-gc-connections", values::nonzero_duration),
            gc_users: self.one("channelstream-gc-users", values::nonzero_duration),
            gc_channels: self.one("channelstream-gc-channels", values::nonzero_duration),
            admin: password.map(|password| Admin::new(&user, Secret::new(&password))),
            ..Settings::new(secret.as_deref().unwrap_or_default())
        };
        secret.is_some().then_some(settings)
    }
}
