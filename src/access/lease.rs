//! The end of a credential, for what was opened with it.

use std::pin::Pin;
use std::time::Duration;

use super::{Caller, now};

/// Ends when a credential does.
pub(crate) type Ended = Pin<Box<dyn Future<Output = &'static str> + Send>>;

/// The end of a credential is looked at no later than this, so that a clock that is set does not
/// matter for long.
const LOOK: Duration = Duration::from_mins(1);

impl Caller {
    /// Waits for the end of the credential, and returns the reason. `None` if no credentials are asked
    /// for.
    pub(crate) fn ended(&self) -> Option<Ended> {
        let held = self.held.clone()?;
        let grant = std::sync::Arc::clone(&self.grant);
        Some(Box::pin(async move {
            let Some(shared) = &held.access.shared else { return std::future::pending().await };
            let mut changes = shared.changes.subscribe();
            loop {
                if grant.expired(now()) {
                    return "the token has expired";
                }
                if !held.still_grants(&grant).await {
                    return "the token grants this no more";
                }
                let left = grant.expires.map(|end| Duration::from_secs(end.saturating_sub(now())));
                let next = tokio::time::sleep(left.map_or(LOOK, |left| left.min(LOOK)));
                tokio::select! {
                    () = next => {}
                    // The sender lives as long as the access.
                    _ = changes.changed() => {}
                }
            }
        }))
    }
}
