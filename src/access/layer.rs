//! The layer in front of the routes: turns the credential of a request into its [`Caller`].

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::credential::{self, Place};
use super::{Access, Caller, Held, now, ticket};
use crate::auth::{Authority as _, Denied, Grant, Observe};
use crate::code::Code;
use crate::problem::Problem;
use crate::rate::RateLimits;
use crate::request::remote;

/// Puts the caller of each request beside it. A request without a credential goes on without one, and
/// is refused where it needs a grant; one with a bad credential is refused here.
pub(crate) async fn authenticate(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match access.caller(&parts) {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Access {
    /// Returns the caller of a request; `None` if it shows no credential where one is asked for.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the credential is not good.
    pub(crate) fn caller(&self, parts: &Parts) -> Result<Option<Caller>, Problem> {
        let Some(shared) = &self.shared else { return Ok(Some(Caller::anybody())) };
        match credential::find(parts) {
            None => Ok(None),
            Some((Place::Ticket, ticket)) => {
                let attempt = self.attempt(parts, &ticket)?;
                let caller = shared.tickets.take(&ticket, Instant::now());
                attempt.note(caller.is_some());
                caller.map(Some).ok_or_else(|| {
                    let used =
                        "the ticket is used, or older than 30 s; POST /api/tickets makes one";
                    Problem::new(Code::Unauthorized, used)
                })
            }
            // A page has to be served to sign in again.
            Some((Place::Cookie, token)) => match self.sign_in(parts, &token) {
                Err(problem) if problem.code == Code::SlowDown => Err(problem),
                caller => Ok(caller.ok()),
            },
            Some((_, token)) => self.sign_in(parts, &token).map(Some),
        }
    }

    /// Returns the bearer of a token that a request shows.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the token is not good, [`Code::SlowDown`] if its address has shown too
    /// many wrong ones.
    pub(crate) fn sign_in(&self, parts: &Parts, token: &str) -> Result<Caller, Problem> {
        let attempt = self.attempt(parts, token)?;
        let caller = self.bearer(token);
        attempt.note(caller.is_ok());
        caller
    }

    /// Returns whether a credential may be verified. What becomes of it has to be noted.
    ///
    /// # Errors
    ///
    /// [`Code::SlowDown`].
    fn attempt<'a>(&'a self, parts: &Parts, credential: &'a str) -> Result<Attempt<'a>, Problem> {
        let from = remote(parts).ip();
        if let Some(rates) = &self.rates {
            rates.may_sign_in(from, credential)?;
        }
        Ok(Attempt { rates: self.rates.as_ref(), from, credential })
    }

    /// Returns the bearer of a token.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the token is not good.
    pub(crate) fn bearer(&self, token: &str) -> Result<Caller, Problem> {
        let refused = |Denied(why)| Problem::new(Code::Unauthorized, why);
        let grant = self.grant(token, now()).map_err(refused)?;
        let filter = match (&grant.observe, &self.shared) {
            (Observe::Matching(source), Some(shared)) => {
                Some(shared.filter(source).map_err(|fault| {
                    let words = format!("the filter of the token is not right: {fault}");
                    Problem::new(Code::Unauthorized, words)
                })?)
            }
            _ => None,
        };
        let held = Held { access: self.clone(), token: token.into() };
        Ok(Caller { grant: grant.into(), filter, held: Some(held.into()) })
    }

    /// Makes a ticket for a caller.
    ///
    /// # Errors
    ///
    /// If too many tickets wait to be used.
    pub(crate) fn ticket(&self, caller: Caller) -> Result<String, Problem> {
        match &self.shared {
            Some(shared) => {
                let holder = caller.held.as_ref().map_or("", |held| &held.token).to_owned();
                shared.tickets.make(&holder, caller, Instant::now())
            }
            // It is not looked at, so that clients need not know whether it has to be.
            None => ticket::random(),
        }
    }
}

/// A credential that may be verified.
struct Attempt<'a> {
    rates: Option<&'a RateLimits>,
    from: IpAddr,
    credential: &'a str,
}

impl Attempt<'_> {
    fn note(self, good: bool) {
        if let Some(rates) = self.rates {
            rates.signed_in(self.from, self.credential, good);
        }
    }
}

impl Held {
    /// Returns whether the token still grants the same.
    pub(super) fn still_grants(&self, grant: &Grant) -> bool {
        self.access.grant(&self.token, now()).is_ok_and(|now| now == *grant)
    }
}
