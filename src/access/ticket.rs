//! Tickets: credentials for one request, for an EventSource and a WebSocket of a browser, whose
//! addresses stand in logs and histories.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::code::Code;
use crate::problem::Problem;

/// How long a ticket is good.
pub(super) const VALID: Duration = Duration::from_secs(30);

/// Tickets at one time, of all bearers of credentials.
const MOST: usize = 10_000;

/// Tickets of one bearer at one time, so that none takes the room of the others: a page that opens all
/// its streams and sockets at once takes a few.
const OWN: usize = 100;

/// The tickets that are good, and whom each was made for.
pub(super) struct Tickets<T> {
    all: Mutex<HashMap<String, Ticket<T>>>,
}

struct Ticket<T> {
    end: Instant,
    /// The token that it was made with.
    holder: Box<str>,
    of: T,
}

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

impl<T> fmt::Debug for Tickets<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl<T> Tickets<T> {
    /// Makes a ticket for the bearer of the token `holder`.
    ///
    /// # Errors
    ///
    /// [`Code::SlowDown`] if too many wait to be used.
    pub(super) fn make(&self, holder: &str, of: T, now: Instant) -> Result<String, Problem> {
        let mut all = self.lock();
        all.retain(|_, ticket| ticket.end > now);
        let own = all.values().filter(|ticket| *ticket.holder == *holder).count();
        if own >= OWN || all.len() >= MOST {
            return Err(Problem::new(Code::SlowDown, "too many tickets wait to be used"));
        }
        let ticket = random()?;
        all.insert(ticket.clone(), Ticket { end: now + VALID, holder: holder.into(), of });
        Ok(ticket)
    }

    /// Takes a ticket: it is good once.
    pub(super) fn take(&self, ticket: &str, now: Instant) -> Option<T> {
        let Ticket { end, of, .. } = self.lock().remove(ticket)?;
        (end > now).then_some(of)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Ticket<T>>> {
        self.all.lock().expect("nothing panics while it holds this lock")
    }
}

/// Returns 192 random bits as text.
pub(super) fn random() -> Result<String, Problem> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)
        .map_err(|_| Problem::new(Code::Internal, "the system has no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_is_good_once_and_for_its_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let make = || tickets.make("ann", 7, now).expect("room for a ticket");
        let (one, two, three) = (make(), make(), make());
        assert!(tickets.take(&one, now).is_some() && tickets.take(&one, now).is_none());
        assert!(tickets.take(&two, now + VALID).is_none());
        assert!(tickets.take(&three, now + VALID.mul_f32(0.9)).is_some());
        assert!(tickets.take("", now).is_none());
    }

    #[test]
    fn tickets_are_bounded_and_those_that_have_ended_make_room() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for _ in 0..OWN {
            tickets.make("ann", 7, now).expect("room for a ticket");
        }
        let refused = tickets.make("ann", 7, now).expect_err("too many");
        assert_eq!(refused.code, Code::SlowDown);
        assert!(
            tickets.make("bob", 7, now).is_ok(),
            "one bearer does not take the room of another"
        );
        assert!(tickets.make("ann", 7, now + VALID).is_ok());
    }
}
