//! Histories of channels that are older than the process: the hub has read them from its log.
//!
//! The log has what was published, not the `uuid` that the message had. An edit or a deletion is
//! therefore not applied to a message of an earlier process: the history begins after it.

use serde::Deserialize;

use super::channels::MAX_HISTORY;
use super::encoding::post_of;
use super::request::ChannelSettings;
use super::shape::Post;
use super::shared::Shared;
use super::state::Tables;
use crate::event::{Body, Channel, Event, EventBody, EventId, Message};

impl Shared {
    /// Returns the messages of an earlier process that the history of a channel begins with, the
    /// oldest first.
    pub(super) fn earlier(
        &self,
        tables: &Tables,
        channel: &Channel,
        settings: ChannelSettings,
    ) -> Vec<(EventId, Post)> {
        if !settings.store_history || !tables.earlier.contains(channel) {
            return Vec::new();
        }
        let kept = self.hub.kept_after(channel, None, usize::MAX);
        let messages = kept.iter().filter_map(|event| Some((event, message(event)?)));
        let mut posts = Vec::new();
        for (event, message) in messages {
            if is_change(message) {
                posts.clear();
            } else {
                posts.push((event.id, post_of(event, message)));
            }
        }
        let excess = posts.len().saturating_sub(settings.history_size.min(MAX_HISTORY));
        posts.split_off(excess)
    }
}

fn message(event: &Event) -> Option<&Message> {
    match &event.body {
        EventBody::Message(message) => Some(message),
        _ => None,
    }
}

/// Returns whether a message is the frame of an edit or a deletion.
fn is_change(message: &Message) -> bool {
    #[derive(Deserialize)]
    struct Frame<'a> {
        #[serde(borrow, rename = "type")]
        kind: &'a str,
    }
    let (Body::Value(json) | Body::Object(json)) = &message.body else { return false };
    let frame = serde_json::from_str::<Frame<'_>>(json.as_str());
    frame.is_ok_and(|frame| ["message:edit", "message:delete"].contains(&frame.kind))
}
