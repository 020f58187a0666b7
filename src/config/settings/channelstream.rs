//! The settings of the API of Channelstream, as the list has them.

use super::Setting;

const fn setting(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, value, default, repeatable: false, help, group: "Channelstream" }
}

pub(super) const SECRET: Setting = setting(
    "channelstream-secret",
    "SECRET",
    "",
    "Serves the API of Channelstream below /channelstream, for servers that sign with this secret. The variable keeps it out of the list of processes",
);

pub(super) const ALLOW_FROM: Setting = Setting {
    repeatable: true,
    ..setting(
        "channelstream-allow-from",
        "ADDRESS",
        "",
        "Where signed calls may come from: an address or a network such as 10.0.0.0/8. Without it, this machine; 0.0.0.0/0 is everywhere",
    )
};

pub(super) const TRUSTED_PROXY: Setting = Setting {
    repeatable: true,
    ..setting(
        "channelstream-trusted-proxy",
        "ADDRESS",
        "",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, likewise. Without it, those on this machine",
    )
};

pub(super) const ENFORCE_HTTPS: Setting = setting(
    "channelstream-enforce-https",
    "",
    "false",
    "Answers 406 to what a trusted proxy does not say came over https",
);

pub(super) const ANY_AGE: Setting = setting(
    "channelstream-any-age",
    "",
    "false",
    "Takes signatures however old; without it they are good for a minute",
);

pub(super) const GC_CONNECTIONS: Setting = setting(
    "channelstream-gc-connections",
    "DURATION",
    "30s",
    "How long a connection stays that nobody listens to",
);

pub(super) const GC_USERS: Setting = setting(
    "channelstream-gc-users",
    "DURATION",
    "24h",
    "How long a user without connections is remembered, with the state",
);

pub(super) const GC_CHANNELS: Setting = setting(
    "channelstream-gc-channels",
    "DURATION",
    "72h",
    "How long a channel that is empty is remembered, with its settings and history",
);

pub(super) const ADMIN_USER: Setting =
    setting("channelstream-admin-user", "NAME", "admin", "Who may sign in at /channelstream/admin");

pub(super) const ADMIN_SECRET: Setting =
    setting("channelstream-admin-secret", "PASSWORD", "", "With what; without it nobody can");
