//! A hub with a log on disk.

use std::sync::Arc;

use super::Hub;
use super::channels::rules::Declared;
use super::clock::now_ms;
use super::history::log::{Log, LogError, LogSettings, Opened};
use super::runtime::shared::{Shared, is_for_all};
use super::runtime::tasks;
use super::sequence::order::Order;
use super::settings::Settings;
use crate::event::Event;

impl Hub {
    /// Makes a hub that keeps its events in a database, and goes on with those that are there.
    ///
    /// # Errors
    ///
    /// If the database cannot be opened, or is open in another process.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn with_log(settings: Settings, log: &LogSettings) -> Result<Self, LogError> {
        let keeps = settings.channels.iter().any(|declared| declared.rules.history > 0);
        let kept = |event: &Event| {
            let rules =
                event.channel().and_then(|channel| Declared::rules(&settings.channels, channel));
            is_for_all(event) && rules.is_some_and(|rules| rules.history > 0)
        };
        let channels = keeps.then_some(&kept as &dyn Fn(&Event) -> bool);
        let Opened { log, position, last, messages, since } =
            Log::open(log, settings.history, channels, Box::new(now_ms))?;
        let order = Order::after(position, last);
        let shared = Shared::with(settings, Box::new(log), order);
        if keeps {
            shared.restore_channels(messages, since.unwrap_or_default());
        }
        let hub = Arc::downgrade(&shared);
        shared.store.announce_to(Box::new(move |segments| {
            if let Some(hub) = hub.upgrade() {
                hub.announce_written(segments);
            }
        }));
        tasks::start(&shared);
        Ok(Self { shared })
    }
}
