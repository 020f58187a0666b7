//! Stands in for the pages in a build without the feature `pages`.

use axum::extract::OriginalUri;
use axum::response::Response;
use axum::{Extension, Router};
use http::HeaderMap;

use crate::access::Caller;
use crate::code::Code;
use crate::problem::Problem;

/// Returns no routes.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
}

/// Answers `GET /`: there is no page.
pub(crate) async fn index(
    OriginalUri(uri): OriginalUri,
    _: Option<Extension<Caller>>,
    _: HeaderMap,
) -> Result<Response, Problem> {
    Err(Problem::new(Code::NotFound, format!("there is no page at {uri}; this build has none")))
}
