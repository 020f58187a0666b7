//! Routes that can be replaced while they serve.

use std::convert::Infallible;
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

/// Routes that can be replaced while they serve: each request takes those that are there when it
/// comes. Clones are the same.
#[derive(Debug, Clone)]
pub struct Replaceable(Arc<RwLock<Router>>);

impl Replaceable {
    /// Creates the routes that serve first.
    #[must_use]
    pub fn new(first: Router) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// Replaces the routes. Requests that have begun, and WebSockets, go on with the old ones.
    pub fn replace(&self, routes: Router) {
        *self.0.write().expect("nothing panics while it holds this lock") = routes;
    }

    /// Returns routes that hand each request to the present ones.
    pub fn router(&self) -> Router {
        Router::new().fallback_service(self.clone())
    }
}

impl Service<Request> for Replaceable {
    type Response = Response;
    type Error = Infallible;
    type Future = Oneshot<Router, Request>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let routes = self.0.read().expect("nothing panics while it holds this lock").clone();
        routes.oneshot(request)
    }
}
