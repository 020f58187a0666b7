//! The settings of the API of Channelstream: fields are flags, as in the file above.

use std::time::Duration;

use crate::channelstream::{Admin, ChannelstreamSettings, Network, Secret};
use crate::config::values;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Channelstream")]
pub(in crate::config) struct ChannelstreamArgs {
    /// Serves the API of Channelstream below /channelstream, for servers that sign with this
    /// secret. The variable keeps it out of the list of processes
    #[arg(long = "channelstream-secret", value_name = "SECRET", value_parser = values::secret)]
    secret: Option<String>,
    /// Source of signed calls: an address or a network such as 10.0.0.0/8. Without it, this machine;
    /// 0.0.0.0/0 is every address
    #[arg(long = "channelstream-allow-from", value_name = "ADDRESS")]
    allow_from: Vec<Network>,
    /// Proxy whose X-Forwarded-For and X-Forwarded-Proto are believed: an address or a network.
    /// Without it, those on this machine
    #[arg(long = "channelstream-trusted-proxy", value_name = "ADDRESS")]
    trusted_proxy: Vec<Network>,
    /// Answers 406 to requests that, by the word of a trusted proxy, did not come over https
    #[arg(long = "channelstream-enforce-https")]
    enforce_https: bool,
    /// Accepts signatures of any age; without it, for one minute
    #[arg(long = "channelstream-any-age")]
    any_age: bool,
    /// Time after which a connection without listener is removed
    #[arg(long = "channelstream-gc-connections", value_name = "DURATION", default_value = "30s", value_parser = values::nonzero_duration)]
    gc_connections: Duration,
    /// Time after which a user without connections is removed, with its state
    #[arg(long = "channelstream-gc-users", value_name = "DURATION", default_value = "24h", value_parser = values::nonzero_duration)]
    gc_users: Duration,
    /// Time after which an empty channel is removed, with its settings and history
    #[arg(long = "channelstream-gc-channels", value_name = "DURATION", default_value = "72h", value_parser = values::nonzero_duration)]
    gc_channels: Duration,
    /// User name for /channelstream/admin
    #[arg(long = "channelstream-admin-user", value_name = "NAME", default_value = "admin", value_parser = values::secret)]
    admin_user: String,
    /// Password for /channelstream/admin; without it, signing in is not possible
    #[arg(long = "channelstream-admin-secret", value_name = "PASSWORD", value_parser = values::secret)]
    admin_secret: Option<String>,
}

impl ChannelstreamArgs {
    /// Returns the settings of the API, or `None` without a secret.
    pub(in crate::config) fn settings(self) -> Option<ChannelstreamSettings> {
        let networks = |given: Vec<Network>| {
            if given.is_empty() { Network::loopback() } else { given }
        };
        let password = self.admin_secret;
        let admin = |password: String| Admin::new(&self.admin_user, Secret::new(&password));
        Some(ChannelstreamSettings {
            allow_from: networks(self.allow_from),
            trusted_proxies: networks(self.trusted_proxy),
            enforce_https: self.enforce_https,
            any_age: self.any_age,
            gc_connections: self.gc_connections,
            gc_users: self.gc_users,
            gc_channels: self.gc_channels,
            admin: password.map(admin),
            ..ChannelstreamSettings::new(&self.secret?)
        })
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
    fn api_is_on_with_a_secret() {
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
    fn wrong_values_are_reported() {
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
