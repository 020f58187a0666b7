//! `GET /listen`: long polling, for clients that cannot hold a stream open. The answer is a JSON array
//! of full events: those after `after`, as soon as there is one, or `[]` when the wait ends.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use tokio::time::Instant;

use super::query::{Selection, Wait, Waiting};
use crate::access::{Can, Observe};
use crate::hub::{About, Delivery, Start};
use crate::problem::Problem;
use crate::request::{self, remote};
use crate::wire;

/// How long an answer waits for an event by default.
const WAIT: Duration = Duration::from_secs(25);

/// An answer that reaches this size is sent; the next one continues.
const FULL: usize = 1 << 20;

/// Answers `GET /listen`.
pub(crate) async fn listen(can: Can<Observe>, parts: Parts) -> Result<Response, Problem> {
    let ((selection, waiting), mut faults) =
        request::read::<(Selection, Waiting)>(parts.uri.query());
    let (narrowed, hub) = (can.narrowed(), can.hub);
    let filter = selection.compile(&hub, &mut faults).await;
    let filter = narrowed.filter(&hub, filter, &mut faults).await;
    faults.finish()?;
    request::check_address(&parts.uri)?;
    let about = About {
        remote: remote(&parts),
        form: "poll",
        query: parts.uri.query().unwrap_or_default().to_owned(),
    };
    let mut subscription =
        hub.subscribe(waiting.after.map_or(hub.beginning(), Start::After), filter, about)?;
    let deadline = Instant::now() + waiting.wait.map_or(WAIT, |Wait(wait)| wait);
    let mut out = vec![b'['];
    while out.len() < FULL {
        // After the first event, only events that are ready are added.
        let until = if out.len() > 1 { Instant::now() } else { deadline };
        match tokio::time::timeout_at(until, subscription.next()).await {
            Ok(Some(Delivery::Events(selection))) => {
                selection.events().for_each(|event| item(&mut out, |out| wire::full(event, out)));
            }
            Ok(Some(Delivery::Gap(gap))) => item(&mut out, |out| wire::full_gap(&gap, out)),
            Ok(Some(Delivery::Pulse(_))) => {}
            Ok(None) | Err(_) => break,
        }
    }
    out.push(b']');
    subscription.listener().count_bytes(out.len());
    hub.metrics().delivered_bytes.inc_by(out.len() as u64);
    let json = HeaderValue::from_static("application/json");
    let no_store = HeaderValue::from_static("no-store");
    Ok(([(CONTENT_TYPE, json), (CACHE_CONTROL, no_store)], out).into_response())
}

/// Appends an item to a JSON array that has been begun.
fn item(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if out.len() > 1 {
        out.push(b',');
    }
    write(out);
}
