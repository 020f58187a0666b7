//! What a grant says of channels, beside the tokens of private ones.

use super::guesses::Outcome;
use super::{Caller, now};
use crate::auth::Authority as _;
use crate::code::Code;
use crate::event::{Channel, EventId};
use crate::hub::{Connection, Credential, Hub, Kept};
use crate::problem::Problem;

impl Caller {
    /// Has a connection join channels, by the grant of the caller or by the token of the command.
    ///
    /// # Errors
    ///
    /// [`Code::Forbidden`] if neither grants one of the channels, [`Code::Unauthorized`] if the token is
    /// not good, [`Code::SlowDown`] if the address has shown too many wrong ones, or why the hub refuses.
    pub(crate) fn join(
        &self,
        hub: &Hub,
        connection: &Connection,
        channels: &[Channel],
        token: Option<&str>,
        kept: Kept,
    ) -> Result<EventId, Problem> {
        let join = |shown: Credential<'_>| {
            Ok(connection.join(channels, self.may_join(channels, shown)?, kept)?)
        };
        let Some(token) = token else { return join(Credential::None) };
        if let Some(guesses) = &self.guesses {
            guesses.may_try(token)?;
        }
        let joined = join(Credential::Token(token));
        if let Some(guesses) = &self.guesses {
            guesses.note(
                token,
                match &joined {
                    Err(problem) if problem.code == Code::Unauthorized => Outcome::Wrong,
                    // Only a private channel has asked for it.
                    Ok(_) if channels.iter().any(|it| hub.rules(it).private) => Outcome::Good,
                    Ok(_) | Err(_) => Outcome::Unknown,
                },
            );
        }
        joined
    }

    /// Returns what counts for the hub.
    fn may_join<'a>(
        &'a self,
        channels: &[Channel],
        shown: Credential<'a>,
    ) -> Result<Credential<'a>, Problem> {
        let Some(held) = &self.held else { return Ok(shown) };
        let missing = channels.iter().find(|channel| !self.grant().may_subscribe(channel));
        let Some(missing) = missing else { return Ok(Credential::Token(held.token(&self.grant))) };
        let refused = |channel: &Channel| {
            let words =
                format!("the credential does not grant subscribe to the channel {channel:?}");
            Problem::new(Code::Forbidden, words)
        };
        let Credential::Token(token) = shown else { return Err(refused(missing)) };
        let grant = held.access.grant(token, now());
        let grant = grant.map_err(|why| Problem::new(Code::Unauthorized, why.to_string()))?;
        match channels.iter().find(|channel| !grant.may_subscribe(channel)) {
            None => Ok(Credential::Lent(token)),
            Some(missing) => Err(refused(missing)),
        }
    }

    /// Checks that the caller may publish to a channel. For a private one the token counts that the
    /// connection has joined with, which the hub knows.
    ///
    /// # Errors
    ///
    /// [`Code::Forbidden`].
    pub(crate) fn may_publish_to(&self, hub: &Hub, channel: &Channel) -> Result<(), Problem> {
        if self.grant().may_publish(channel) || hub.rules(channel).private {
            return Ok(());
        }
        let words = format!("the credential does not grant publish to the channel {channel:?}");
        Err(Problem::new(Code::Forbidden, words))
    }
}
