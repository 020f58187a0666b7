//! Which upstreams cannot be reached: logged when that begins and when it ends, not for each
//! request. The lock is held for a comparison, never across an await point.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::connect::ConnectError;
use super::route::Route;

/// Time between two warnings about one upstream, for those that answer every other time.
const WARNING: Duration = Duration::from_secs(10);

/// The state of all upstreams.
#[derive(Debug)]
pub(super) struct Health(Vec<Upstream>);

#[derive(Debug)]
struct Upstream {
    url: Arc<str>,
    /// A failure is logged, and no answer came since.
    down: AtomicBool,
    /// When a failure was last logged.
    logged: Mutex<Option<Instant>>,
}

impl Health {
    /// Makes the state of the upstreams of these routes, all of them reachable.
    pub(super) fn new(routes: &[Route]) -> Self {
        let mut all: Vec<Upstream> = Vec::new();
        for route in routes {
            let url = &route.upstream.url;
            if all.iter().all(|known| known.url != *url) {
                let (down, logged) = (AtomicBool::new(false), Mutex::default());
                all.push(Upstream { url: Arc::clone(url), down, logged });
            }
        }
        Self(all)
    }

    /// Notes, and logs, that no connection to an upstream can be made. Returns `false` for an error
    /// that says nothing about the upstream as a whole.
    pub(super) fn failed(&self, url: &str, error: &ConnectError) -> bool {
        let unreachable = matches!(
            error,
            ConnectError::Failed(_)
                | ConnectError::Slow(_)
                | ConnectError::Tls(_)
                | ConnectError::SpeaksTls
        );
        if let Some(upstream) = self.of(url).filter(|_| unreachable)
            && upstream.is_due()
        {
            tracing::warn!("{url} {error}; each request tries again");
        }
        unreachable
    }

    /// Notes that an upstream has answered. Logs it after a failure.
    pub(super) fn answered(&self, url: &str) {
        if let Some(upstream) = self.of(url)
            && upstream.down.load(Relaxed)
            && upstream.down.swap(false, Relaxed)
        {
            tracing::info!("{url} answers again");
        }
    }

    fn of(&self, url: &str) -> Option<&Upstream> {
        self.0.iter().find(|upstream| *upstream.url == *url)
    }
}

impl Upstream {
    /// Returns whether a failure is to be logged now, and notes that it is.
    fn is_due(&self) -> bool {
        let mut logged = self.logged.lock().expect("nothing panics while it holds this lock");
        let recent = logged.is_some_and(|at| at.elapsed() < WARNING);
        if recent || self.down.swap(true, Relaxed) {
            return false;
        }
        *logged = Some(Instant::now());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_logged_once_until_the_upstream_answers() {
        let route = |url: &str| Route::all(url.parse().expect("an upstream"));
        let health = Health::new(&[route("http://a"), route("http://b"), route("http://a")]);
        assert_eq!(health.0.len(), 2);
        let [a, b] = ["http://a", "http://b"].map(|url| health.of(url).expect("it is known"));
        assert!(a.is_due() && !a.is_due() && b.is_due());
        health.answered("http://a");
        assert!(!a.down.load(Relaxed) && b.down.load(Relaxed));
        assert!(!a.is_due(), "the last warning is recent");
        *a.logged.lock().expect("no panic") = Instant::now().checked_sub(WARNING);
        assert!(a.is_due());
    }
}
