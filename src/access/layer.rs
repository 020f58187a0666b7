//! The layer in front of the routes: turns the credential of a request into its [`Caller`].

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::can::Refusal;
use super::credential::{self, Place};
use super::delegate::{Delegate, Inquiry};
use super::guesses::{Guesses, Outcome};
use super::{Access, Caller, Held, Shown, now, ticket};
use crate::audit::Trail;
use crate::auth::{Authority as _, Denied, Grant, Observe};
use crate::code::Code;
use crate::event::User;
use crate::problem::Problem;
use crate::request::remote;

/// Puts the caller of each request beside it. A request without a credential goes on without one, and
/// is refused where it needs a grant; one with a bad credential is refused here.
pub(crate) async fn authenticate(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let found = access.caller(&parts).await;
    let caller = match &found {
        Ok(Found::Caller(caller)) => Some(caller),
        Ok(Found::Refused(_) | Found::Nothing) | Err(_) => None,
    };
    let trail = access.trail(&parts, caller);
    let response = match found {
        Ok(found) => {
            match found {
                Found::Caller(caller) => drop(parts.extensions.insert(caller)),
                Found::Refused(problem) => drop(parts.extensions.insert(Refusal(problem))),
                Found::Nothing => {}
            }
            if let Some(trail) = &trail {
                parts.extensions.insert(trail.clone());
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    if let Some(trail) = trail {
        trail.answered(&response);
    }
    response
}

fn used_ticket() -> Problem {
    let used = "the ticket is used, or older than 30 s; POST /api/tickets makes one";
    Problem::new(Code::Unauthorized, used)
}

/// What a request shows.
pub(crate) enum Found {
    /// A good credential.
    Caller(Caller),
    /// No credential.
    Nothing,
    /// The delegate refuses it, which matters to routes that need a grant.
    Refused(Problem),
}

impl Access {
    /// Begins the trail of a request in the audit log; `None` if there is no log.
    pub(super) fn trail(&self, parts: &Parts, caller: Option<&Caller>) -> Option<Trail> {
        let grant = caller.map(Caller::grant);
        let user = grant.and_then(|grant| grant.user.as_ref()).map(User::as_str);
        let filter = grant.and_then(|grant| match &grant.observe {
            Observe::Matching(filter) => Some(&**filter),
            Observe::All | Observe::Nothing => None,
        });
        self.audit.trail(parts, user, filter)
    }

    /// Returns the caller of a request.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the credential is not good, [`Code::AuthUnavailable`] if it cannot be
    /// verified now, [`Code::SlowDown`] if its address has shown too many wrong ones.
    pub(crate) async fn caller(&self, parts: &Parts) -> Result<Found, Problem> {
        let guesses = self.guesses(parts);
        let Some(shared) = &self.shared else {
            return Ok(Found::Caller(Caller { guesses, ..Caller::anybody() }));
        };
        let found = credential::find(parts);
        let offered = found.as_ref().map(|(_, credential)| credential.as_str());
        if let (Some(guesses), Some(credential)) = (&guesses, offered) {
            guesses.may_try(credential)?;
        }
        let mut shown = match &found {
            None => Ok(Found::Nothing),
            Some((Place::Ticket, ticket)) => self.redeemed(ticket, parts).await.map(Found::Caller),
            // A page has to be served to sign in again.
            Some((Place::Cookie, token)) => Ok(match self.bearer(token).await {
                Ok(caller) => Found::Caller(caller),
                Err(problem) if Outcome::of(&problem) == Outcome::Wrong => Found::Nothing,
                Err(problem) => Found::Refused(problem),
            }),
            Some((_, token)) => self.bearer(token).await.map(Found::Caller),
        };
        let is_ticket = matches!(found, Some((Place::Ticket, _)));
        if let (Some(delegate), false, Ok(Found::Nothing | Found::Refused(_)) | Err(_)) =
            (&shared.delegate, is_ticket, &shown)
        {
            let found = found.as_ref().map(|(place, token)| (*place, token.as_str()));
            let asked = self.judged(&**delegate, Inquiry::of(parts, found)?).await;
            shown = Ok(asked.map_or_else(Found::Refused, Found::Caller));
        }
        if let (Some(guesses), Some(credential)) = (&guesses, offered) {
            let outcome = match &shown {
                Ok(Found::Caller(_)) => Outcome::Good,
                Ok(Found::Refused(problem)) | Err(problem) => Outcome::of(problem),
                Ok(Found::Nothing) => Outcome::Wrong,
            };
            guesses.note(credential, outcome);
        }
        if let Ok(Found::Caller(caller)) = &mut shown {
            caller.guesses = guesses;
        }
        shown
    }

    /// Returns the limit of wrong credentials of the address of a request, if there is one.
    fn guesses(&self, parts: &Parts) -> Option<Guesses> {
        Some(Guesses::new(self.rates.clone()?, remote(parts).ip()))
    }

    /// Puts the caller of a proxied request beside it, and returns where its credential was, if it is one
    /// of wstap itself.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] without a good credential, or what the delegate answers.
    pub(super) async fn admitted(&self, parts: &mut Parts) -> Result<Option<Place>, Problem> {
        let Some(shared) = &self.shared else {
            parts.extensions.insert(Caller::anybody());
            return Ok(None);
        };
        let guesses = self.guesses(parts);
        let may_try = |shown: &str| guesses.as_ref().map_or(Ok(()), |it| it.may_try(shown));
        let note = |shown: &str, outcome| {
            if let Some(guesses) = &guesses {
                guesses.note(shown, outcome);
            }
        };
        let (mut refused, mut wrong) = (None, Vec::new());
        // What stands in one of the places may be of the application: it counts as wrong only if none of
        // them has a good credential.
        for (place, shown) in credential::of_proxied(parts) {
            let tried = match may_try(&shown) {
                Ok(()) if place == Place::Ticket => self.redeemed(&shown, parts).await,
                Ok(()) => self.bearer(&shown).await,
                Err(too_fast) => Err(too_fast),
            };
            match tried {
                Ok(caller) => {
                    note(&shown, Outcome::Good);
                    parts.extensions.insert(caller);
                    return Ok(Some(place));
                }
                Err(problem) => {
                    if Outcome::of(&problem) == Outcome::Wrong {
                        wrong.push(shown);
                    }
                    refused = Some(problem);
                }
            }
        }
        if shared.delegate.is_none() {
            for shown in &wrong {
                note(shown, Outcome::Wrong);
            }
        }
        if let Some(delegate) = &shared.delegate {
            let found = credential::find(parts);
            let found = found.as_ref().map(|(place, token)| (*place, token.as_str()));
            let place = found.map(|(place, _)| place).filter(|it| *it != Place::Header);
            if let Some((_, shown)) = found {
                may_try(shown)?;
            }
            let caller = self.judged(&**delegate, Inquiry::of(parts, found)?).await;
            if let Some((_, shown)) = found {
                note(shown, caller.as_ref().err().map_or(Outcome::Good, Outcome::of));
            }
            parts.extensions.insert(caller?);
            return Ok(place);
        }
        refused.map_or(Ok(None), Err)
    }

    /// Returns the bearer of a token that a page has sent to sign in.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the token is not good, or what the delegate answers.
    pub(super) async fn signed_in(&self, parts: &Parts, token: &str) -> Result<Caller, Problem> {
        let guesses = self.guesses(parts);
        if let Some(guesses) = &guesses {
            guesses.may_try(token)?;
        }
        let known = self.bearer(token).await;
        let caller = match (known, self.shared.as_ref().and_then(|it| it.delegate.clone())) {
            (Err(_), Some(delegate)) => {
                let shown = Some((Place::Cookie, token));
                self.judged(&*delegate, Inquiry::of(parts, shown)?).await
            }
            (known, _) => known,
        };
        if let Some(guesses) = &guesses {
            guesses.note(token, caller.as_ref().err().map_or(Outcome::Good, Outcome::of));
        }
        caller
    }

    /// Returns the caller who has made a ticket. Where a delegate has judged that request, it judges this
    /// one too, with the credentials of that one: it may decide by path.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the ticket is used or too old, or what the delegate answers.
    async fn redeemed(&self, ticket: &str, parts: &Parts) -> Result<Caller, Problem> {
        let shared = self.shared.as_ref().ok_or_else(used_ticket)?;
        let caller = shared.tickets.take(ticket, Instant::now()).ok_or_else(used_ticket)?;
        match (caller.held.as_ref().map(|held| &held.credential), &shared.delegate) {
            (Some(Shown::Request(made, _)), Some(delegate)) => {
                let headers = made.headers.clone();
                let inquiry = Inquiry { headers, ..Inquiry::of(parts, None)? };
                self.judged(&**delegate, inquiry).await
            }
            _ => Ok(caller),
        }
    }

    /// Returns the bearer of a token. Waits for the keys that its authority fetches.
    ///
    /// # Errors
    ///
    /// [`Code::Unauthorized`] if the token is not good, [`Code::AuthUnavailable`] if there are no keys
    /// yet.
    async fn bearer(&self, token: &str) -> Result<Caller, Problem> {
        let grant = match self.grant(token, now()) {
            Ok(grant) => Ok(grant),
            Err(denied) => match self.pending(token, now()) {
                Some(pending) => {
                    pending.await;
                    self.grant(token, now())
                }
                None => Err(denied),
            },
        };
        let grant = grant.map_err(|Denied(why)| {
            let code = if self.is_ready() { Code::Unauthorized } else { Code::AuthUnavailable };
            Problem::new(code, why)
        })?;
        self.bearing(grant, Shown::Token(token.into()))
    }

    /// Returns the caller whose request a delegate judges.
    async fn judged(&self, delegate: &dyn Delegate, inquiry: Inquiry) -> Result<Caller, Problem> {
        let grant = delegate.decide(&inquiry).await?;
        self.bearing(grant, Shown::Request(Box::new(inquiry), OnceLock::new()))
    }

    fn bearing(&self, grant: Grant, credential: Shown) -> Result<Caller, Problem> {
        let filter = match (&grant.observe, &self.shared) {
            (Observe::Matching(source), Some(shared)) => {
                Some(shared.filter(source).map_err(|fault| {
                    let words = format!("the filter of the credential is not right: {fault}");
                    Problem::new(Code::Unauthorized, words)
                })?)
            }
            _ => None,
        };
        let held = Held { access: self.clone(), credential };
        Ok(Caller { grant: grant.into(), filter, held: Some(held.into()), guesses: None })
    }

    /// Makes a ticket for a caller.
    ///
    /// # Errors
    ///
    /// If too many tickets wait to be used.
    pub(crate) fn ticket(&self, caller: Caller) -> Result<String, Problem> {
        match &self.shared {
            Some(shared) => {
                let holder = caller.holder();
                shared.tickets.make(&holder, caller, Instant::now())
            }
            // It is not looked at, so that clients need not know whether it has to be.
            None => ticket::random(),
        }
    }
}

impl Caller {
    /// Returns a text that is the same for all requests with the same credential.
    fn holder(&self) -> String {
        match self.held.as_ref().map(|held| &held.credential) {
            Some(Shown::Token(token)) => token.to_string(),
            Some(Shown::Request(inquiry, _)) => {
                let user = self.grant.user.as_ref().map_or("", |user| user.as_str());
                format!("{} {user}", inquiry.remote.ip())
            }
            None => String::new(),
        }
    }
}

impl Held {
    /// Returns whether the credential still grants the same.
    pub(super) async fn still_grants(&self, grant: &Grant) -> bool {
        match &self.credential {
            Shown::Token(token) => self.access.grant(token, now()).is_ok_and(|now| now == *grant),
            Shown::Request(inquiry, _) => {
                let shared = self.access.shared.as_ref();
                let Some(delegate) = shared.and_then(|it| it.delegate.clone()) else {
                    return false;
                };
                match delegate.decide(inquiry).await {
                    Ok(now) => now == *grant,
                    // What is open stays open while the delegate does not answer.
                    Err(problem) => Outcome::of(&problem) != Outcome::Wrong,
                }
            }
        }
    }
}
