//! Who may do what: turns the credential of a request into its grant, which the handlers of routes ask
//! for. Without credentials configured every caller may do everything.
//!
//! A handler reaches the hub through an extractor that checks the grant, so that a route without a check
//! cannot be written. A caller whose grant has a filter reads only the events for which it is true,
//! wherever events, connections or channels are read.
//!
//! A credential ends by its time, or when its token file no longer has it. What was opened with it ends
//! too.

mod can;
mod channels;
mod credential;
mod layer;
mod lease;
mod narrowed;
pub(crate) mod session;
mod ticket;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub(crate) use can::{Can, Connect, Control, Guarded, Observe, Publish, needed};
pub(crate) use layer::authenticate;
pub(crate) use lease::Ended;
pub(crate) use narrowed::Narrowed;

use self::ticket::Tickets;
use crate::auth::{Authority, Denied, Grant};
use crate::filter::{Expression, FilterError};
use crate::rate::RateLimits;

/// What verifies the credentials of a server. Clones are the same.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Option<Arc<Shared>>,
    /// Limits wrong credentials.
    rates: Option<RateLimits>,
}

struct Shared {
    authorities: RwLock<Vec<Arc<dyn Authority>>>,
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
        Self { shared: None, rates: None }
    }

    /// Creates the access of a server that asks for credentials. A token is good if one of the
    /// authorities grants something for it.
    #[must_use]
    pub fn guarded(authorities: Vec<Arc<dyn Authority>>) -> Self {
        let shared = Shared {
            authorities: RwLock::new(authorities),
            changes: watch::Sender::default(),
            tickets: Tickets::default(),
            filters: Mutex::default(),
        };
        Self { shared: Some(Arc::new(shared)), rates: None }
    }

    /// Sets the limit of wrong credentials from one address.
    #[must_use]
    pub fn limited(self, rates: RateLimits) -> Self {
        Self { rates: Some(rates), ..self }
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
}

/// The bearer of a credential. Clones are the same.
#[derive(Clone)]
pub(crate) struct Caller {
    grant: Arc<Grant>,
    /// The expression that its events are narrowed by.
    filter: Option<Arc<Expression>>,
    /// The token, and what knows when it ends; `None` if no credentials are asked for.
    held: Option<Arc<Held>>,
}

/// A token that is held by what it has opened.
struct Held {
    access: Access,
    token: Box<str>,
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
        Self { grant: Arc::clone(&ANYBODY), filter: None, held: None }
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
