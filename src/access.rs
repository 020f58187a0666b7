//! Who may do what: turns the credential of a request into its grant, which the handlers of routes ask
//! for. Without credentials configured every caller may do everything.
//!
//! A handler reaches the hub through an extractor that checks the grant, so that a route without a check
//! cannot be written. A caller whose grant has a filter reads only the events for which it is true,
//! wherever events, connections or channels are read.
//!
//! A credential ends by its time, or when its token file no longer has it. What was opened with it ends
//! too.

mod admit;
mod can;
mod channels;
mod credential;
mod delegate;
mod guesses;
mod layer;
mod lease;
mod narrowed;
pub(crate) mod session;
mod ticket;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub(crate) use admit::{admit, cut_cookie};
pub(crate) use can::{Can, Connect, Control, Guarded, Observe, Publish, needed};
pub use delegate::{Decision, Delegate, Inquiry};
pub(crate) use layer::authenticate;
pub(crate) use lease::Ended;
pub(crate) use narrowed::Narrowed;

use self::guesses::Guesses;
use self::ticket::Tickets;
use crate::audit::Audit;
use crate::auth::{Authority, Denied, Grant, Pending};
use crate::filter::{Expression, FilterError};
use crate::rate::RateLimits;

/// What verifies the credentials of a server. Clones are the same.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Option<Arc<Shared>>,
    /// Limits wrong credentials.
    rates: Option<RateLimits>,
    audit: Audit,
}

struct Shared {
    authorities: RwLock<Vec<Arc<dyn Authority>>>,
    /// Judges requests whose tokens the authorities do not know, and those without.
    delegate: Option<Arc<dyn Delegate>>,
    /// Tokens of this server itself, for callers that the delegate has judged. They live as long as
    /// the callers, and are what private channels are joined with.
    own_tokens: Mutex<HashMap<Box<str>, Arc<Grant>>>,
    /// Counts the changes of the authorities.
    changes: watch::Sender<u64>,
    tickets: Tickets<Caller>,
    /// The filters of grants, compiled once.
    filters: Mutex<HashMap<Arc<str>, Arc<Expression>>>,
}

/// Filters of grants that are kept. Whoever issues tokens chooses them; where each token has a filter of
/// its own, all are dropped from time to time.
const FILTERS: usize = 1024;

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("authorities", &self.authorities()).finish_non_exhaustive()
    }
}

impl Access {
    /// Creates the access of a server without credentials: every caller may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self { shared: None, rates: None, audit: Audit::off() }
    }

    /// Creates the access of a server that asks for credentials. A token is good if one of the
    /// authorities grants something for it.
    #[must_use]
    pub fn guarded(authorities: Vec<Arc<dyn Authority>>) -> Self {
        Self::delegating(authorities, None)
    }

    /// Creates the access of a server that asks for credentials, and asks a delegate about requests
    /// whose tokens no authority knows.
    #[must_use]
    pub fn delegating(
        authorities: Vec<Arc<dyn Authority>>,
        delegate: Option<Arc<dyn Delegate>>,
    ) -> Self {
        let shared = Shared {
            authorities: RwLock::new(authorities),
            delegate,
            own_tokens: Mutex::default(),
            changes: watch::Sender::default(),
            tickets: Tickets::default(),
            filters: Mutex::default(),
        };
        Self { shared: Some(Arc::new(shared)), rates: None, audit: Audit::off() }
    }

    /// Sets the limit of wrong credentials from one address.
    #[must_use]
    pub fn limited(self, rates: RateLimits) -> Self {
        Self { rates: Some(rates), ..self }
    }

    /// Keeps an audit log of requests.
    #[must_use]
    pub fn audited(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Returns whether credentials are asked for.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.shared.is_some()
    }

    /// Replaces the authorities. What was opened with a token that they no longer grant, or grant
    /// otherwise, ends at once.
    pub fn replace(&self, authorities: Vec<Arc<dyn Authority>>) {
        if let Some(shared) = &self.shared {
            *shared.authorities.write().expect("nothing panics while it holds this lock") =
                authorities;
        }
        self.changed();
    }

    /// Asks the authorities again about everything that is open: they may decide otherwise than before.
    pub fn changed(&self) {
        if let Some(shared) = &self.shared {
            shared.changes.send_modify(|changes| *changes += 1);
        }
    }
}

impl Shared {
    /// Returns the filter of a grant.
    fn filter(&self, source: &Arc<str>) -> Result<Arc<Expression>, FilterError> {
        let lock = || self.filters.lock().expect("nothing panics while it holds this lock");
        if let Some(known) = lock().get(source) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(Expression::parse(source)?);
        let mut filters = lock();
        if filters.len() >= FILTERS {
            filters.clear();
        }
        filters.insert(Arc::clone(source), Arc::clone(&new));
        Ok(new)
    }

    fn own_tokens(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Arc<Grant>>> {
        self.own_tokens.lock().expect("nothing panics while it holds this lock")
    }

    fn authorities(&self) -> Vec<Arc<dyn Authority>> {
        self.authorities.read().expect("nothing panics while it holds this lock").clone()
    }
}

/// The authorities of an access, one after the other: a hub asks them for private channels.
impl Authority for Access {
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let Some(shared) = &self.shared else {
            return Err(Denied("this server takes no tokens".to_owned()));
        };
        if let Some(grant) = shared.own_tokens().get(token) {
            return Ok(Grant::clone(grant));
        }
        let mut denied = Denied("this server takes no tokens".to_owned());
        for authority in shared.authorities() {
            match authority.grant(token, now) {
                Ok(grant) if grant.expired(now) => {
                    denied = Denied("the token has expired".to_owned());
                }
                Ok(grant) => return Ok(grant),
                // A token is of the form of one authority, whose words say most. It is the last one
                // that is asked: the others know none of its form.
                Err(why) => denied = why,
            }
        }
        Err(denied)
    }

    fn pending(&self, token: &str, now: u64) -> Option<Pending> {
        let authorities = self.shared.as_ref()?.authorities();
        authorities.iter().find_map(|authority| authority.pending(token, now))
    }

    fn is_ready(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_none_or(|it| it.authorities().iter().all(|authority| authority.is_ready()))
    }

    fn change(&self) -> Option<Pending> {
        let mut changes = self.shared.as_ref()?.changes.subscribe();
        // An error says that there is nobody left who could change anything.
        Some(Box::pin(async move { drop(changes.changed().await) }))
    }
}

/// The bearer of a credential. Clones are the same.
#[derive(Clone)]
pub(crate) struct Caller {
    grant: Arc<Grant>,
    /// The expression that its events are narrowed by.
    filter: Option<Arc<Expression>>,
    /// The credential, and what knows when it ends; `None` if no credentials are asked for.
    held: Option<Arc<Held>>,
    /// The limit of wrong credentials of its address.
    guesses: Option<Guesses>,
}

/// A credential that is held by what it has opened.
struct Held {
    access: Access,
    credential: Shown,
}

/// A credential, as it was shown.
enum Shown {
    /// A token that an authority knows.
    Token(Box<str>),
    /// A request that the delegate has judged, and the own token for it, once it is needed.
    Request(Box<Inquiry>, OnceLock<Box<str>>),
}

impl Held {
    /// Returns the token; for a request that the delegate has judged, an own token.
    fn token(&self, grant: &Arc<Grant>) -> &str {
        match &self.credential {
            Shown::Token(token) => token,
            Shown::Request(_, own) => own.get_or_init(|| {
                // Without random numbers the token is empty, which grants nothing.
                let token: Box<str> = ticket::random().unwrap_or_default().into();
                if let Some(shared) = self.access.shared.as_ref().filter(|_| !token.is_empty()) {
                    shared.own_tokens().insert(token.clone(), Arc::clone(grant));
                }
                token
            }),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Shown::Request(_, own), Some(shared)) = (&self.credential, &self.access.shared)
            && let Some(token) = own.get()
        {
            shared.own_tokens().remove(token);
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stands in no log.
        f.debug_struct("Caller").field("grant", &self.grant).finish_non_exhaustive()
    }
}

impl Caller {
    /// Returns the caller of a server without credentials.
    pub(crate) fn anybody() -> Self {
        static ANYBODY: LazyLock<Arc<Grant>> = LazyLock::new(|| Arc::new(Grant::all()));
        Self { grant: Arc::clone(&ANYBODY), filter: None, held: None, guesses: None }
    }

    /// Returns the grant.
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns the expression that its events are narrowed by.
    pub(crate) fn filter(&self) -> Option<&Arc<Expression>> {
        self.filter.as_ref()
    }

    /// Returns whether it has shown a credential.
    pub(crate) fn is_identified(&self) -> bool {
        self.held.is_some()
    }
}

/// Returns the time in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
