//! The check of `Host` and `Origin` in front of the observers' side.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{HOST, ORIGIN};
use http::{HeaderValue, Method, Version};

use crate::auth::{Hosts, Origins};
use crate::code::Code;
use crate::problem::Problem;
use crate::proxy::{self, Proxy};
use crate::request::{Forwarded, PROXY_NAME, has_passed, is_websocket};

/// Checks requests of browsers on the observers' side.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) hosts: Arc<Hosts>,
    pub(super) cors: Origins,
    pub(super) proxy: Option<Proxy>,
}

/// Passes WebSocket handshakes on: their handler checks `Host` and `Origin` itself. All other
/// requests are checked as by [`guard`].
pub(super) async fn guard_at_door(guard: State<Guard>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET && is_websocket(request.headers()) {
        return next.run(request).await;
    }
    self::guard(guard, request, next).await
}

/// Refuses foreign host names (DNS rebinding), and requests of foreign pages that change something.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if let Err(problem) = guard.check(&request) {
        return problem.into_response();
    }
    let proxy = guard.proxy.filter(|_| has_passed(request.headers(), PROXY_NAME));
    let mut response = next.run(request).await;
    if let Some(proxy) = proxy {
        let name = HeaderValue::from_str(proxy.pseudonym()).expect("a pseudonym is a token");
        response.headers_mut().insert(proxy::OWN_STREAM, name);
    }
    response
}

impl Guard {
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let header = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str());
        let host = match (header(HOST), request.uri().authority()) {
            (_, Some(authority)) => Some(authority.as_str()),
            (Some(host), None) => Some(host.unwrap_or("?")),
            (None, None) => None,
        };
        match host {
            Some(host) if self.hosts.accept(host) => {}
            Some(host) => {
                return Err(Problem::new(
                    Code::Forbidden,
                    format!(
                        "this server does not answer to the name {host:?}; --host NAME lets it"
                    ),
                ));
            }
            // Only HTTP/1.0 may omit it, which no browser uses.
            None if request.version() == Version::HTTP_10 => {}
            None => return Err(Problem::malformed("a request by HTTP/1.1 has a Host header")),
        }
        // The host of the client, which a proxy may replace by its own. Both have to be right: a client
        // may name another one to a proxy that passes it on.
        let forwarded = request.extensions().get::<Forwarded>().and_then(|it| it.host.as_deref());
        let host = match forwarded {
            Some(named) if !self.hosts.accept(named) => {
                let words = format!(
                    "this server does not answer to the name {named:?} of X-Forwarded-Host; --host NAME lets it"
                );
                return Err(Problem::new(Code::Forbidden, words));
            }
            Some(named) => Some(named),
            None => host,
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        match header(ORIGIN) {
            Some(origin) if !reads => {
                let origin = origin.unwrap_or("null");
                let own = ["http://", "https://"].iter().any(|scheme| {
                    origin.strip_prefix(scheme).is_some_and(|there| Some(there) == host)
                });
                let listed = matches!(&self.cors, Origins::Listed(_)) && self.cors.accept(origin);
                if own || listed {
                    return Ok(());
                }
                Err(Problem::new(
                    Code::Forbidden,
                    format!(
                        "pages of {origin} may not change anything here; --cors-origin {origin} lets them"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}
