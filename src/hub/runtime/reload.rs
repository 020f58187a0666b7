//! Replaces settings of a hub that runs.

use crate::hub::Hub;
use crate::hub::settings::Settings;

impl Hub {
    /// Replaces the settings that can change while the hub runs: `redaction`, `channels`,
    /// `max_connections`, `max_listeners`, `max_channels`, `duplicate_id` and `slow_client`. The other
    /// fields of `new` are ignored.
    ///
    /// Nothing that is open ends: limits count for what comes, members of a channel that has become
    /// private stay, and events that are kept are not redacted again. Channels that were set with
    /// [`Hub::configure`] keep their rules.
    pub fn replace_settings(&self, new: &Settings) {
        let mut settings = (*self.settings()).clone();
        let are_channels_changed = settings.channels != new.channels;
        settings.redaction.clone_from(&new.redaction);
        settings.channels.clone_from(&new.channels);
        settings.max_connections = new.max_connections;
        settings.max_listeners = new.max_listeners;
        settings.max_channels = new.max_channels;
        settings.duplicate_id = new.duplicate_id;
        settings.slow_client = new.slow_client;
        self.shared.slow.set_policy(new.slow_client);
        self.shared.settings.replace(settings);
        if are_channels_changed {
            self.declare_again();
        }
    }

    /// Gives channels that exist the rules that are declared for them now.
    fn declare_again(&self) {
        let settings = self.settings();
        for seen in self.channels() {
            let mut dropped = Vec::new();
            let mut sequence = self.shared.sequence();
            let declared = settings.channels.iter().find(|it| it.name.fits(&seen.channel));
            let rules = declared.map(|it| it.rules.clone()).unwrap_or_default();
            sequence.state.channels.declare(&seen.channel, rules, &mut dropped);
            drop(sequence);
            drop(dropped);
        }
    }
}
