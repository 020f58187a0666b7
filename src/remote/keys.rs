//! Keys that a server publishes (`--jwks URL`): fetched at the start, every five minutes, and for a key
//! that is not known.
//!
//! A token never chooses the address. One that names an unknown key has the set fetched at most once a
//! minute, and only if everything in it but the signature would do. The last good set stays when a
//! fetch fails.

use std::fmt;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::{Notify, watch};

use super::address::Address;
use super::fetch::Fetcher;
use crate::auth::{Authority, Denied, ExpectedClaims, Grant, Jwks, KeySource, Pending};
use crate::proxy::TlsError;

/// Time for a whole answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Bytes of a set: a hundred keys with their certificates.
const MAX_BYTES: usize = 512 << 10;

/// Time between two fetches while nothing is amiss: how long a key that is taken back may count.
const REFRESH: Duration = Duration::from_mins(5);

/// Time until the next attempt, as long as there are no keys at all.
const RETRY: Duration = Duration::from_secs(5);

/// Time between two fetches for keys that are not known.
const UNKNOWN: Duration = Duration::from_mins(1);

/// The keys of an address. Clones are the same.
#[derive(Debug, Clone)]
pub struct RemoteKeys(Arc<Shared>);

struct Shared {
    fetcher: Fetcher,
    expected: ExpectedClaims,
    keys: RwLock<Arc<Jwks>>,
    wanted: Mutex<Wanted>,
    wake: Notify,
    /// Counts the attempts that have ended.
    attempts: watch::Sender<u64>,
}

/// A fetch for a key that is not known.
#[derive(Debug, Default)]
struct Wanted {
    /// When the last one was asked for.
    last: Option<Instant>,
    /// Whether one is asked for or under way.
    now: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys").field("address", &self.fetcher.address).finish_non_exhaustive()
    }
}

impl RemoteKeys {
    /// Makes the keys of an address; [`run`](Self::run) fetches them.
    ///
    /// # Errors
    ///
    /// If no root certificates can be read.
    pub fn new(address: Address, expected: ExpectedClaims) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Shared {
            fetcher: Fetcher::new(address, LIMIT)?,
            expected,
            keys: RwLock::default(),
            wanted: Mutex::default(),
            wake: Notify::new(),
            attempts: watch::Sender::default(),
        })))
    }

    /// Asks [`run`](Self::run) to fetch the keys now.
    pub fn fetch_again(&self) {
        self.0.wake.notify_one();
    }

    /// Fetches the keys until it is dropped. `changed` is called with each new set.
    pub async fn run(self, changed: impl Fn()) {
        let shared = &*self.0;
        let address = &shared.fetcher.address;
        let mut failed = false;
        loop {
            match shared.fetch().await {
                Ok(keys) => {
                    if failed || shared.keys().is_empty() {
                        let (count, names) = (keys.len(), keys.algorithms());
                        tracing::info!("jwks {address}: {count} keys, for {names}");
                    }
                    failed = false;
                    *shared.keys.write().expect("nothing panics while it holds this lock") =
                        Arc::new(keys);
                    changed();
                }
                // One line, however long it goes on.
                Err(fault) if !failed => {
                    failed = true;
                    let kept = if shared.keys().is_empty() {
                        "no token is accepted until they can be fetched"
                    } else {
                        "the last ones stay"
                    };
                    tracing::error!("jwks {address}: {fault}; {kept}");
                }
                Err(_) => {}
            }
            shared.wanted().now = false;
            shared.attempts.send_modify(|attempts| *attempts += 1);
            let next = if shared.keys().is_empty() { RETRY } else { REFRESH };
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = shared.wake.notified() => {}
            }
        }
    }
}

impl Shared {
    async fn fetch(&self) -> Result<Jwks, String> {
        let mut headers = HeaderMap::new();
        let types = HeaderValue::from_static("application/jwk-set+json, application/json");
        headers.insert(ACCEPT, types);
        let answer = self.fetcher.get(headers, MAX_BYTES).await.map_err(|it| it.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("answers {}", answer.status()));
        }
        let keys = Jwks::read(answer.body(), KeySource::Url).map_err(|it| it.to_string())?;
        Ok(keys.expecting(self.expected.clone()))
    }

    fn keys(&self) -> Arc<Jwks> {
        Arc::clone(&self.keys.read().expect("nothing panics while it holds this lock"))
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().expect("nothing panics while it holds this lock")
    }

    /// Asks for a fetch because of a key that is not known.
    fn want(&self) {
        let mut wanted = self.wanted();
        if !wanted.now && wanted.last.is_none_or(|last| last.elapsed() >= UNKNOWN) {
            *wanted = Wanted { last: Some(Instant::now()), now: true };
            self.wake.notify_one();
        }
    }
}

impl Authority for RemoteKeys {
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let keys = self.0.keys();
        let granted = keys.grant(token, now);
        if granted.is_err() && !keys.is_empty() && keys.lacks_key_of(token, now) {
            self.0.want();
        }
        granted
    }

    fn is_ready(&self) -> bool {
        !self.0.keys().is_empty()
    }

    fn pending(&self, token: &str, now: u64) -> Option<Pending> {
        let mut attempts = self.0.attempts.subscribe();
        let first = *attempts.borrow_and_update() == 0;
        let wanted = self.0.wanted().now;
        // The last to be read: an attempt that has ended meanwhile has left its keys.
        let keys = self.0.keys();
        if first || wanted && keys.lacks_key_of(token, now) {
            return Some(Box::pin(async move {
                // An attempt takes no longer than its limit. Without a task that fetches, none ends.
                let _ = tokio::time::timeout(2 * LIMIT, attempts.changed()).await;
            }));
        }
        // The keys have come since the token was denied.
        keys.grant(token, now).is_ok().then(|| -> Pending { Box::pin(std::future::ready(())) })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::hmac;

    use super::*;

    const SECRET: &[u8; 32] = b"a secret of thirty-two bytes ...";

    fn token() -> String {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let claims = r#"{"sub":"ann","exp":4000000000,"wstap":{"observe":true}}"#;
        let signed = format!("{}.{}", part(r#"{"alg":"HS256","kid":"1"}"#), part(claims));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The fetch of the keys ends between the refusal of a token and the question what to wait for.
    #[test]
    fn token_that_was_refused_before_its_key_came_is_asked_about_again() {
        let address = "http://127.0.0.1:1/keys".parse().expect("an address");
        let keys = RemoteKeys::new(address, ExpectedClaims::default()).expect("roots");
        assert!(keys.grant(&token(), 0).is_err());
        let jwk = format!(
            r#"{{"keys":[{{"kty":"oct","kid":"1","k":"{}"}}]}}"#,
            URL_SAFE_NO_PAD.encode(SECRET)
        );
        let set = Jwks::read(jwk.as_bytes(), KeySource::File).expect("a set");
        *keys.0.keys.write().expect("no panic") = Arc::new(set);
        keys.0.attempts.send_modify(|attempts| *attempts += 1);
        assert!(keys.pending(&token(), 0).is_some());
        assert!(keys.grant(&token(), 0).is_ok());
        assert!(keys.pending("no token", 0).is_none());
    }
}
