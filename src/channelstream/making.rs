//! Channels are made, configured and forgotten.

use std::collections::HashSet;
use std::time::Instant;

use super::request::{Change, Changes, ChannelSettings, Info};
use super::shape::ChannelsInfo;
use super::shared::Shared;
use super::state::Tables;
use super::time::Moment;
use crate::event::Channel;
use crate::hub::NotAllowed;

impl Shared {
    /// Carries out `/channel_config`. Settings that are not named stay as they are.
    pub(super) fn channel_config(
        &self,
        call: &[(Channel, Change)],
    ) -> Result<ChannelsInfo, NotAllowed> {
        let mut tables = self.tables();
        let channels: Vec<_> = call.iter().map(|(channel, _)| channel.clone()).collect();
        let made = self.make_channels(&mut tables, &channels, &Changes::new())?;
        let changed: Vec<_> = call
            .iter()
            .map(|(channel, change)| {
                let old = tables.channels.get(channel).map(|known| known.settings);
                let old = old.unwrap_or_else(|| self.settings_of(channel));
                (channel, old, change.apply(old))
            })
            .collect();
        for (at, (channel, _, new)) in changed.iter().enumerate() {
            if let Err(not) = self.configure(channel, *new) {
                for (channel, old, _) in &changed[..at] {
                    // The hub has the channel, so that this cannot fail for lack of room.
                    let _ = self.configure(channel, *old);
                }
                self.forget_channels(&mut tables, &made);
                return Err(not);
            }
        }
        for (channel, _, new) in &changed {
            if let Some(known) = tables.channels.used(channel, Instant::now(), Moment::now()) {
                known.configure(*new);
            }
        }
        let info = Info { include_history: false, include_users: false, ..Info::default() };
        Ok(self.channels_info(&tables, &channels, &info))
    }

    /// Makes those of the channels that are not known, with the settings that `changes` give them,
    /// and returns them. Where there are too many, channels that have been empty for longest are
    /// forgotten.
    ///
    /// # Errors
    ///
    /// If there is no room for all of them. Then nothing has changed.
    pub(super) fn make_channels(
        &self,
        tables: &mut Tables,
        channels: &[Channel],
        changes: &Changes,
    ) -> Result<Vec<Channel>, NotAllowed> {
        let mut new: Vec<_> =
            channels.iter().filter(|it| tables.channels.get(it).is_none()).cloned().collect();
        new.sort_unstable();
        new.dedup();
        let max = self.hub.settings().max_channels;
        let excess = (tables.channels.len() + new.len()).saturating_sub(max);
        if excess > 0 {
            let wanted: HashSet<_> = channels.iter().collect();
            let is_empty = |it: &Channel| !wanted.contains(it) && self.hub.members(it) == 0;
            let idle = tables.channels.longest_idle(excess, Instant::now(), is_empty);
            if idle.len() < excess {
                return Err(NotAllowed::Full);
            }
            self.forget_channels(tables, &idle);
        }
        for (at, channel) in new.iter().enumerate() {
            let defaults = self.settings_of(channel);
            let change = changes.get(channel.as_str());
            let settings = change.map_or(defaults, |change| change.apply(defaults));
            if let Err(not) = self.configure(channel, settings) {
                self.forget_channels(tables, &new[..at]);
                return Err(not);
            }
            tables.channels.add(channel, settings, Instant::now(), Moment::now());
            let earlier = self.earlier(tables, channel, settings);
            if let Some(known) = tables.channels.get_mut(channel) {
                known.begin_with(earlier);
            }
        }
        for channel in &new {
            tables.earlier.remove(channel);
        }
        Ok(new)
    }

    /// Forgets channels.
    pub(super) fn forget_channels(&self, tables: &mut Tables, channels: &[Channel]) {
        for channel in channels {
            tables.channels.remove(channel);
            self.hub.release(channel);
        }
    }

    /// Forgets some of the channels after `last` that have been empty for long. Returns where to go
    /// on, or `None` if there are no more.
    pub(super) fn collect_channels(&self, last: Option<&Channel>) -> Option<Channel> {
        let mut tables = self.tables();
        let is_empty = |channel: &Channel| self.hub.members(channel) == 0;
        let idle = self.settings.gc_channels;
        let (gone, last) = tables.channels.collect(last, idle, Instant::now(), is_empty);
        for channel in &gone {
            self.hub.release(channel);
        }
        last
    }

    /// Returns the settings of a channel that no call has configured.
    pub(super) fn settings_of(&self, channel: &Channel) -> ChannelSettings {
        let rules = self.hub.rules(channel);
        let (notify_presence, defaults) = (rules.presence, ChannelSettings::default());
        match rules.history {
            0 => ChannelSettings { notify_presence, ..defaults },
            history_size => {
                ChannelSettings { notify_presence, store_history: true, history_size, ..defaults }
            }
        }
    }

    /// Has the hub announce joins and leaves of a channel, or not.
    fn configure(&self, channel: &Channel, settings: ChannelSettings) -> Result<(), NotAllowed> {
        let mut rules = self.hub.rules(channel);
        if rules.presence == settings.notify_presence {
            return Ok(());
        }
        rules.presence = settings.notify_presence;
        self.hub.configure(channel, rules)
    }
}
