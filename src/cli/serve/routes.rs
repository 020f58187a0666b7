//! The routes of the addresses of a server, which can be replaced while it runs.

use tokio::net::TcpListener;

use crate::server::{Endpoint, Listen};
use crate::web::{Replaceable, Web};

/// Addresses of the configuration, and the sockets that are bound for each.
pub(super) type Bound = Vec<(Listen, Vec<TcpListener>)>;

/// The routes of the addresses.
#[derive(Debug, Clone)]
pub(super) struct Routes {
    traffic: Replaceable,
    /// Those of observers, if they have an address of their own.
    observers: Option<Replaceable>,
}

impl Routes {
    pub(super) fn new(web: &Web) -> Self {
        let traffic = if web.apart { web.traffic() } else { web.together() };
        let observers = web.apart.then(|| Replaceable::new(web.observers()));
        Self { traffic: Replaceable::new(traffic), observers }
    }

    /// Replaces all routes by those of changed settings. Which addresses there are stays as it was.
    pub(super) fn replace(&self, web: &Web) {
        match &self.observers {
            Some(observers) => {
                self.traffic.replace(web.traffic());
                observers.replace(web.observers());
            }
            None => self.traffic.replace(web.together()),
        }
    }

    pub(super) fn endpoints(&self, web: &Web, traffic: Bound, observers: Bound) -> Vec<Endpoint> {
        let side = |bound: Bound, router: axum::Router, patient: bool| {
            let listeners = bound.into_iter().flat_map(|(_, all)| all);
            listeners.map(move |listener| Endpoint { listener, router: router.clone(), patient })
        };
        let patient = web.proxy.is_some();
        let mut endpoints: Vec<_> = side(traffic, self.traffic.router(), patient).collect();
        if let Some(routes) = &self.observers {
            endpoints.extend(side(observers, routes.router(), false));
        }
        endpoints
    }
}
