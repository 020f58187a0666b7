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

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources};

    fn sources(env: &[(&str, &str)]) -> Sources {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Sources { env: env.collect(), ..Sources::default() }
    }

    #[test]
    fn the_api_is_there_once_there_is_a_secret() {
        assert!(Config::load(&sources(&[])).expect("right").channelstream.is_none());
        let env = [
            ("WSTAP_CHANNELSTREAM_SECRET", "s3cret"),
            ("WSTAP_CHANNELSTREAM_ALLOW_FROM", "10.0.0.0/8,::1"),
            ("WSTAP_CHANNELSTREAM_GC_USERS", "1h"),
        ];
        let settings =
            Config::load(&sources(&env)).expect("right").channelstream.expect("a secret");
        assert_eq!(settings.allow_from.len(), 2);
        assert_eq!(settings.gc_users.as_secs(), 3600);
        assert!(settings.admin.is_none() && !settings.enforce_https);
        assert!(settings.signer.check(b"x", 0).is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        let env = [
            ("WSTAP_CHANNELSTREAM_SECRET", "s3cret"),
            ("WSTAP_CHANNELSTREAM_ADMIN_SECRET", "pa55"),
        ];
        let sources = sources(&env);
        let printed = sources.print();
        assert!(printed.contains("channelstream-secret = \"[redacted]\""), "{printed}");
        let config = format!("{:?}", Config::load(&sources).expect("right"));
        for text in [printed, config] {
            assert!(!text.contains("s3cret") && !text.contains("pa55"), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let env = [
            ("WSTAP_CHANNELSTREAM_SECRET", "s"),
            ("WSTAP_CHANNELSTREAM_ALLOW_FROM", "everywhere"),
            ("WSTAP_UPSTREAM", "ws://localhost:9000"),
        ];
        let faults = Config::load(&sources(&env)).expect_err("wrong").0.join("\n");
        assert!(faults.contains("a network such as 10.0.0.0/8"), "{faults}");
        assert!(faults.contains("channelstream-secret is for hub mode"), "{faults}");
    }
}
