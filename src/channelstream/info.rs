//! Descriptions of channels and of the users in them.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::channels::KnownChannel;
use super::encoding::channel_uuid;
use super::request::Info;
use super::shape::{ChannelInfo, ChannelsInfo, UserInfo};
use super::shared::Shared;
use super::state::Tables;
use super::time::Moment;
use crate::event::{Channel, User};

impl Shared {
    /// Carries out `/info`.
    pub(super) fn info(&self, call: &Info) -> ChannelsInfo {
        let tables = self.tables();
        let channels = call.channels.clone().unwrap_or_else(|| self.all_channels(&tables));
        self.channels_info(&tables, &channels, call)
    }

    /// Returns all channels in order: those of this API, and those of other protocols.
    pub(super) fn all_channels(&self, tables: &Tables) -> Vec<Channel> {
        let own = tables.channels.iter().map(|(channel, _)| channel.clone());
        let mut all: Vec<_> =
            own.chain(self.hub.channels().into_iter().map(|seen| seen.channel)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Describes channels that exist, and the users in them. A channel of another protocol has the
    /// default settings; describing it does not make it known.
    pub(super) fn channels_info(
        &self,
        tables: &Tables,
        channels: &[Channel],
        info: &Info,
    ) -> ChannelsInfo {
        let mut described = ChannelsInfo::default();
        let mut users = BTreeSet::new();
        for channel in channels.iter().filter(|it| !info.exclude_channels.contains(it)) {
            let inside = self.hub.channel(channel);
            let known = tables.channels.get(channel);
            if known.is_none() && inside.is_none() {
                continue;
            }
            let settings = known.map_or_else(|| self.settings_of(channel), |it| it.settings);
            let kept = info.include_history.then(|| {
                let earlier = || self.earlier(tables, channel, settings);
                let earlier = || earlier().iter().map(|(_, post)| post.kept()).collect();
                known.map_or_else(earlier, KnownChannel::history)
            });
            let (members, inside) =
                inside.map(|it| (it.members.len(), it.users)).unwrap_or_default();
            let shown = if info.include_users { inside } else { Vec::new() };
            let channel = ChannelInfo {
                uuid: channel_uuid(channel).to_string(),
                name: channel.to_string(),
                long_name: None,
                settings,
                history: kept.unwrap_or_default(),
                last_active: known.map_or_else(Moment::now, |it| it.last_active),
                total_connections: members,
                total_users: shown.len(),
                users: shown.iter().map(User::to_string).collect(),
            };
            described.channels.insert(channel.name.clone(), channel);
            users.extend(shown);
        }
        described.users = users.iter().map(|user| user_info(tables, user, info)).collect();
        described
    }
}

fn user_info(tables: &Tables, user: &User, info: &Info) -> UserInfo {
    let known = tables.users.get(user);
    let state = known.map(|known| {
        if info.return_public_state { known.public_state() } else { known.state.clone() }
    });
    let connections = || known.iter().flat_map(|it| &it.connections).map(Uuid::to_string).collect();
    UserInfo {
        user: user.to_string(),
        state: state.unwrap_or_default(),
        connections: info.include_connections.then(connections),
    }
}
