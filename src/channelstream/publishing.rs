//! Messages are published, edited and deleted.
//!
//! The history of a channel has the order in which its members receive messages: what is published
//! is published and kept under one hold of the lock of the tables.

use std::time::Instant;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::answer::ApiError;
use super::request::{self, Delete, Delivery, Edit, Raw};
use super::shape::{self, Post};
use super::shared::Shared;
use super::time::Moment;
use crate::event::{Body, EventId, Opcode, User};
use crate::hub::Publication;
use crate::json::{self, Json};
use crate::problem::Problem;

impl Shared {
    /// Waits until a channel, and the log on disk, take another message without a backlog.
    pub(super) async fn room_for(&self, delivery: &Delivery) {
        match &delivery.channel {
            Some(channel) => self.hub.room_in(channel).await,
            None => self.hub.room_in_log().await,
        }
    }

    /// Waits until everything that was published is in the log on disk, if there is one.
    pub(super) async fn kept(&self) -> Result<(), ApiError> {
        let (Some(newest), _) = self.hub.head() else { return Ok(()) };
        self.hub.kept(newest).await.map_err(Problem::from)?;
        Ok(())
    }

    /// Publishes a message of `POST /message`.
    pub(super) fn message(&self, message: request::Message) -> Result<Raw, ApiError> {
        let now = Moment::now();
        let post = Post {
            delivery: message.delivery,
            uuid: message.uuid.unwrap_or_else(Uuid::new_v4),
            user: message.user.to_string(),
            timestamp: message.timestamp.unwrap_or(now),
            message: message.payload,
            edited: None,
            extra: message.extra,
        };
        let payload = Json::parse(post.message.as_deref().map_or("null", RawValue::get));
        let publication = publication(&post.delivery, Some(message.user), payload, post.frame())?;
        let mut tables = self.tables();
        let id = self.hub.publish(publication)?;
        tables.accepted += 1;
        let channel = post.delivery.channel.as_ref();
        if let Some(known) = channel.and_then(|it| tables.channels.used(it, Instant::now(), now)) {
            known.keep(id, &post);
        }
        Ok(post.answer())
    }

    /// Publishes an edit of `PATCH /message`.
    pub(super) fn edit(&self, edit: &Edit) -> Result<Raw, ApiError> {
        let now = Moment::now();
        let edited = edit.edited.unwrap_or(now);
        let frame = || shape::edit_frame(edit, edited);
        let publication = (edit.delivery.has_destination())
            .then(|| publication(&edit.delivery, edit.user.clone(), None, frame()))
            .transpose()?;
        let mut tables = self.tables();
        if let Some(publication) = publication {
            self.hub.publish(publication)?;
        }
        let channel = edit.delivery.channel.as_ref();
        if let Some(known) = channel.and_then(|it| tables.channels.used(it, Instant::now(), now)) {
            known.edit(edit, edited);
        } else if let Some(channel) = channel {
            tables.earlier.remove(channel);
        }
        Ok(shape::edit_answer(edit, edited))
    }

    /// Publishes a deletion of `DELETE /message`.
    pub(super) fn delete(&self, delete: &Delete) -> Result<Raw, ApiError> {
        let publication = (delete.delivery.has_destination())
            .then(|| publication(&delete.delivery, None, None, shape::delete_frame(delete)))
            .transpose()?;
        let mut tables = self.tables();
        if let Some(publication) = publication {
            self.hub.publish(publication)?;
        }
        let (channel, now) = (delete.delivery.channel.as_ref(), Moment::now());
        if let Some(known) = channel.and_then(|it| tables.channels.used(it, Instant::now(), now)) {
            known.delete(&delete.uuid);
        } else if let Some(channel) = channel {
            tables.earlier.remove(channel);
        }
        Ok(shape::delete_answer(delete))
    }

    /// Publishes a frame that is about a user, and is in no history. The caller holds the lock of the
    /// tables.
    pub(super) fn announce(
        &self,
        delivery: &Delivery,
        user: User,
        frame: String,
    ) -> Result<EventId, ApiError> {
        Ok(self.hub.publish(publication(delivery, Some(user), None, frame)?)?)
    }
}

/// Makes a publication. Members that speak another protocol receive `payload`, or the frame if there
/// is none.
fn publication(
    delivery: &Delivery,
    user: Option<User>,
    payload: Option<Json>,
    frame: String,
) -> Result<Publication, Problem> {
    let keep = payload.is_some() && !delivery.no_history;
    let body = payload.or_else(|| Json::parse(&frame)).ok_or_else(|| {
        Problem::malformed(format!("a message nests at most {} deep", json::MAX_DEPTH))
    })?;
    Ok(Publication {
        channel: delivery.channel.clone(),
        to: delivery.pm_users.clone(),
        except: delivery.exclude_users.clone(),
        user,
        opcode: Opcode::Text,
        size: body.as_str().len(),
        body: Body::Value(body),
        words: Some(frame.into()),
        keep,
    })
}
