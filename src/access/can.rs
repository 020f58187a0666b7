//! What a handler needs of its caller, as an extractor. It is the only way to the hub.

use std::marker::PhantomData;

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use super::{Caller, Narrowed};
use crate::auth::{self, Grant};
use crate::code::Code;
use crate::hub::Hub;
use crate::problem::Problem;

/// The hub, for callers with the grant `G`.
#[derive(Debug)]
pub(crate) struct Can<G> {
    /// The hub.
    pub(crate) hub: Hub,
    /// Who calls.
    pub(crate) caller: Caller,
    needs: PhantomData<G>,
}

/// What a route needs.
pub(crate) trait Need {
    /// The name of the grant, for people.
    const NAME: &'static str;

    /// Returns whether a grant suffices, apart from the channel.
    fn suffices(grant: &Grant) -> bool;
}

/// Reading of events, connections, channels, listeners and numbers.
#[derive(Debug)]
pub(crate) struct Observe;

impl Need for Observe {
    const NAME: &'static str = "observe";

    fn suffices(grant: &Grant) -> bool {
        grant.observe != auth::Observe::Nothing
    }
}

/// Opening of WebSockets.
#[derive(Debug)]
pub(crate) struct Connect;

impl Need for Connect {
    const NAME: &'static str = "connect";

    fn suffices(grant: &Grant) -> bool {
        grant.connect
    }
}

/// Publishing to a channel. The handler asks for the channel.
#[derive(Debug)]
pub(crate) struct Publish;

impl Need for Publish {
    const NAME: &'static str = "publish";

    fn suffices(grant: &Grant) -> bool {
        !grant.publish.is_empty()
    }
}

/// Sending to connections, closing them, ending listeners.
#[derive(Debug)]
pub(crate) struct Control;

impl Need for Control {
    const NAME: &'static str = "control";

    fn suffices(grant: &Grant) -> bool {
        grant.control
    }
}

/// The hub in the state of routes, where only [`Can`] reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Guarded(Hub);

impl Guarded {
    pub(crate) fn new(hub: Hub) -> Self {
        Self(hub)
    }
}

impl<S, G> FromRequestParts<S> for Can<G>
where
    S: Send + Sync,
    Guarded: FromRef<S>,
    G: Need,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Guarded(hub) = Guarded::from_ref(state);
        let caller = needed::<G>(parts)?;
        Ok(Self { hub, caller, needs: PhantomData })
    }
}

fn no_credential() -> Problem {
    Problem::new(
        Code::Unauthorized,
        "this server asks for a credential: Authorization: Bearer TOKEN, or sign in on its page",
    )
}

/// Why a request has no caller, for the routes that need one.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) Problem);

/// Returns the caller of a request.
///
/// # Errors
///
/// [`Code::Unauthorized`], or what the layer has found.
pub(super) fn caller(parts: &Parts) -> Result<&Caller, Problem> {
    parts.extensions.get::<Caller>().ok_or_else(|| {
        parts.extensions.get::<Refusal>().map_or_else(no_credential, |refusal| refusal.0.clone())
    })
}

/// Returns the caller of a request, if its grant suffices.
///
/// # Errors
///
/// [`Code::Unauthorized`] without a credential, [`Code::Forbidden`] with one that does not suffice.
pub(crate) fn needed<G: Need>(parts: &Parts) -> Result<Caller, Problem> {
    let caller = caller(parts)?;
    if G::suffices(caller.grant()) {
        Ok(caller.clone())
    } else {
        Err(Problem::new(Code::Forbidden, format!("the credential does not grant {}", G::NAME)))
    }
}

impl<G> Can<G> {
    /// Returns what the caller may see of the hub.
    pub(crate) fn narrowed(&self) -> Narrowed {
        Narrowed::new(&self.caller)
    }
}
