//! The account that may sign in to the page of figures: its tickets, and its bound on guesses.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::COOKIE;
use uuid::Uuid;

use super::signature::{Secret, Signer};

/// The cookie that holds a ticket.
pub(super) const TICKET: &str = "auth_tkt";

/// How long a ticket is valid: 30 days.
pub(super) const TICKET_AGE: u64 = 30 * 24 * 60 * 60;

/// Tickets that are valid at one time; beyond it the oldest ends.
const TICKETS: usize = 1000;

/// Addresses that guess at one time. Beyond it nobody signs in for half a second, which takes an
/// attacker with as many addresses.
const GUESSING: usize = 1024;

/// The account that may sign in.
#[derive(Debug, Clone)]
pub struct Admin {
    user: String,
    secret: Secret,
    /// Signs tickets. The key is new in each process.
    signer: Signer,
    state: Arc<Mutex<SignIns>>,
}

/// Who has signed in, and who is trying to.
#[derive(Debug, Default)]
struct SignIns {
    /// The values of the valid tickets, the oldest first.
    tickets: VecDeque<String>,
    /// Addresses whose last guess is not answered yet. A further guess of one of them is refused, so
    /// that many at a time are not faster than one; other addresses are not affected.
    guessing: HashSet<IpAddr>,
}

/// An address that guesses, until it is dropped.
#[derive(Debug)]
pub(super) struct Guess {
    address: IpAddr,
    state: Arc<Mutex<SignIns>>,
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        state.guessing.remove(&self.address);
    }
}

impl Admin {
    /// Creates an account from a name and a password.
    #[must_use]
    pub fn new(user: &str, secret: Secret) -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        let (user, signer) = (user.to_owned(), Signer::new(&random));
        Self { user, secret, signer, state: Arc::default() }
    }

    /// Returns whether a name and a password are those of the account. Both are compared, so that the
    /// time does not show which of them was wrong.
    pub(super) fn is(&self, user: &str, password: &str) -> bool {
        Secret::new(&self.user).is(user) & self.secret.is(password)
    }

    /// Returns whether a request carries a valid ticket.
    pub(super) fn knows(&self, headers: &HeaderMap) -> bool {
        ticket(headers).is_some_and(|ticket| {
            let made = self.signer.signed_at(ticket.as_bytes()).ok();
            let fresh = made.is_some_and(|made| now().saturating_sub(made) <= TICKET_AGE);
            fresh && self.state().tickets.iter().any(|valid| valid == value_of(ticket))
        })
    }

    /// Makes a ticket.
    pub(super) fn sign_in(&self) -> String {
        let value = format!("admin-{}", Uuid::new_v4().simple());
        let ticket = self.signer.sign(&value, now());
        let mut state = self.state();
        if state.tickets.len() == TICKETS {
            state.tickets.pop_front();
        }
        state.tickets.push_back(value);
        ticket
    }

    /// Ends the ticket of a request.
    pub(super) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(ticket) = ticket(headers)
            && self.signer.signed_at(ticket.as_bytes()).is_ok()
        {
            self.state().tickets.retain(|valid| valid != value_of(ticket));
        }
    }

    /// Begins a guess of an address. Returns `None` while the last one is not answered.
    pub(super) fn guess(&self, address: IpAddr) -> Option<Guess> {
        let address = network_of(address);
        let mut state = self.state();
        if state.guessing.len() >= GUESSING || !state.guessing.insert(address) {
            return None;
        }
        Some(Guess { address, state: Arc::clone(&self.state) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SignIns> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// Returns the network of which a single client may use all addresses: a /64 of IPv6.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::from((six.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
    }
}

/// Returns the ticket in the cookies of a request.
fn ticket(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.split_once('='));
    pairs.find(|(name, _)| name.trim() == TICKET).map(|(_, ticket)| ticket.trim())
}

/// Returns the value of a ticket, which precedes its time and its signature.
fn value_of(ticket: &str) -> &str {
    ticket.rsplitn(3, '.').nth(2).unwrap_or_default()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
