//! Stands in for the pages in a build without the feature `pages`.

use axum::Router;
use axum::extract::OriginalUri;
use axum::response::Response;
use http::HeaderMap;

use crate::code::Code;
use crate::problem::Problem;

/// Returns no routes.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
}

/// Answers `GET /`: there is no page.
pub(crate) async fn index(
    OriginalUri(uri): OriginalUri,
    _: HeaderMap,
) -> Result<Response, Problem> {
    Err(Problem::new(Code::NotFound, format!("there is no page at {uri}; this build has none")))
}
