//! The account that may sign in to the page of figures: its tickets, and its bound on guesses.
//!
//! Guesses are limited by the number of passwords that are compared, and the owner is not locked out:
//!
//! - One attempt of each address is compared at a time. A wrong one occupies the address for half a
//!   second.
//! - An attempt from an occupied address is compared as well, as long as such attempts are no more than
//!   100 a second in total. A right password signs in, a wrong one is refused.
//! - A browser that has signed in before shows a cookie, and is then not counted with its address.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// The cookie of a browser that has signed in before.
pub(super) const BROWSER: &str = "auth_browser";

/// How long that cookie is valid: a year, or until the process ends.
pub(super) const BROWSER_AGE: u64 = 365 * 24 * 60 * 60;

/// Addresses that guess at one time. Attempts from further ones are compared like those from an
/// address that guesses already.
const GUESSING: usize = 1024;

/// Passwords that are compared in a second for addresses that guess already. A password of eight
/// random letters and digits withstands as many for 30,000 years, and an owner who shares the address
/// of an attacker is let in unless the attacker sends many times as many.
const BESIDE: u32 = 100;

/// The account that may sign in.
#[derive(Debug, Clone)]
pub struct Admin {
    user: String,
    secret: Secret,
    /// Signs tickets. The key is new in each process.
    signer: Signer,
    state: Arc<Mutex<SignIns>>,
}

/// The tickets, and the attempts to sign in.
#[derive(Debug)]
struct SignIns {
    /// The values of the valid tickets, the oldest first.
    tickets: VecDeque<String>,
    /// The origins of the wrong attempts that are not answered yet.
    guessing: HashSet<Guesser>,
    /// Attempts beside those that may still be compared, and when that number was last increased.
    beside: u32,
    increased: Instant,
}

/// The origin of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Guesser {
    Network(IpAddr),
    /// A browser that has signed in before.
    Browser(Box<str>),
}

/// An attempt to sign in.
#[derive(Debug)]
pub(super) enum Attempt {
    /// A wrong password occupies the origin until the value is dropped.
    Alone(Guess),
    /// The origin is occupied. The password is compared, and the attempt refused if it is wrong.
    Beside,
    /// The attempt is refused.
    Refused,
}

/// Occupies the origin of an attempt until it is dropped.
#[derive(Debug)]
pub(super) struct Guess {
    guesser: Guesser,
    state: Arc<Mutex<SignIns>>,
}

impl Drop for Guess {
    fn drop(&mut self) {
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        state.guessing.remove(&self.guesser);
    }
}

impl Admin {
    /// Creates an account from a name and a password.
    #[must_use]
    pub fn new(user: &str, secret: Secret) -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        let (user, signer) = (user.to_owned(), Signer::new(&random));
        let state = SignIns {
            tickets: VecDeque::new(),
            guessing: HashSet::new(),
            beside: BESIDE,
            increased: Instant::now(),
        };
        Self { user, secret, signer, state: Arc::new(Mutex::new(state)) }
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

    /// Begins an attempt to sign in.
    pub(super) fn attempt(&self, address: IpAddr, headers: &HeaderMap) -> Attempt {
        let guesser = self.browser(headers).unwrap_or(Guesser::Network(network_of(address)));
        let mut state = self.state();
        if state.guessing.len() < GUESSING && state.guessing.insert(guesser.clone()) {
            return Attempt::Alone(Guess { guesser, state: Arc::clone(&self.state) });
        }
        if state.take_beside(Instant::now()) { Attempt::Beside } else { Attempt::Refused }
    }

    /// Makes the value of the cookie of a browser that signs in.
    pub(super) fn know_browser(&self) -> String {
        self.signer.sign(&format!("browser-{}", Uuid::new_v4().simple()), now())
    }

    /// Returns the browser of a request, if it has signed in before.
    fn browser(&self, headers: &HeaderMap) -> Option<Guesser> {
        let cookie = cookie(headers, BROWSER)?;
        let made = self.signer.signed_at(cookie.as_bytes()).ok()?;
        let value = value_of(cookie);
        let known = value.starts_with("browser-") && now().saturating_sub(made) <= BROWSER_AGE;
        known.then(|| Guesser::Browser(value.into()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SignIns> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl SignIns {
    /// Takes one of the attempts that are compared beside others.
    fn take_beside(&mut self, now: Instant) -> bool {
        let more =
            now.saturating_duration_since(self.increased).as_millis() * u128::from(BESIDE) / 1000;
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(BESIDE);
            self.beside = self.beside.saturating_add(more).min(BESIDE);
            self.increased = now;
        }
        self.beside.checked_sub(1).map(|left| self.beside = left).is_some()
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
    cookie(headers, TICKET)
}

/// Returns the value of a cookie of a request.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.split_once('='));
    pairs.find(|(own, _)| own.trim() == name).map(|(_, value)| value.trim())
}

/// Returns the value of a cookie, which precedes its time and its signature.
fn value_of(ticket: &str) -> &str {
    ticket.rsplitn(3, '.').nth(2).unwrap_or_default()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    fn admin() -> Admin {
        Admin::new("admin", Secret::new("pa55"))
    }

    #[test]
    fn attempts_beside_others_are_limited_and_come_back() {
        let mut state = SignIns {
            tickets: VecDeque::new(),
            guessing: HashSet::new(),
            beside: BESIDE,
            increased: Instant::now(),
        };
        let begin = state.increased;
        let taken = |state: &mut SignIns, after| {
            (0..1000).filter(|_| state.take_beside(begin + after)).count()
        };
        assert_eq!(taken(&mut state, Duration::ZERO), 100);
        assert_eq!(taken(&mut state, Duration::from_millis(9)), 0);
        assert_eq!(taken(&mut state, Duration::from_millis(100)), 10);
        assert_eq!(taken(&mut state, Duration::from_hours(1)), 100);
    }

    #[test]
    fn known_browser_is_counted_apart_from_its_address() {
        let (admin, address) = (admin(), IpAddr::from([10, 0, 0, 1]));
        let known = |value: &str| {
            let mut headers = HeaderMap::new();
            let cookie = HeaderValue::from_str(&format!("{BROWSER}={value}")).expect("a value");
            headers.insert(COOKIE, cookie);
            headers
        };
        let stranger = HeaderMap::new();
        let _first = admin.attempt(address, &stranger);
        for _ in 0..BESIDE {
            assert!(matches!(admin.attempt(address, &stranger), Attempt::Beside));
        }
        assert!(!matches!(admin.attempt(address, &known("browser-x.y.z")), Attempt::Alone(_)));
        let ticket = known(&admin.sign_in());
        assert!(!matches!(admin.attempt(address, &ticket), Attempt::Alone(_)), "it is no ticket");
        let own = known(&admin.know_browser());
        let guess = admin.attempt(address, &own);
        assert!(matches!(guess, Attempt::Alone(_)));
        assert!(!matches!(admin.attempt(address, &own), Attempt::Alone(_)), "one at a time");
        drop(guess);
        assert!(matches!(admin.attempt(address, &own), Attempt::Alone(_)));
    }
}
