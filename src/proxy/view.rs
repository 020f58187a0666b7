//! The names of the upstream: its own, and those by which a client knows it. Pure.
//!
//! `Host`, `Origin` and `Referer` of a request are chosen here, and an answer that names the upstream
//! gets the name that its client knows.

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LOCATION, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, ORIGIN, REFERER, SET_COOKIE,
};

use super::route::{Upstream, is_loopback};

/// The `Host` that an upstream gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// That of the client for an upstream on this machine, and the upstream's own name for one
    /// elsewhere.
    #[default]
    Auto,
    /// That of the client.
    Client,
    /// The upstream's own name.
    Upstream,
}

/// The names of one exchange.
#[derive(Debug, Clone)]
pub(super) struct View {
    upstream: Upstream,
    /// The host that the client asks for.
    host: Option<String>,
    /// The scheme that the client uses.
    scheme: &'static str,
    /// The origin of the client, if the upstream got its own name in the place of it.
    origin: Option<HeaderValue>,
}

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl View {
    /// Chooses the names in the head of a request. With `rewrites` the upstream gets its own name as
    /// `Host`, and in the place of that of the client in `Origin` and `Referer`. The caller has
    /// checked the host then: a page of a name that was rebound to this machine would otherwise pass
    /// for one of the upstream.
    pub(super) fn of_request(
        headers: &mut HeaderMap,
        host: Option<&HeaderValue>,
        upstream: &Upstream,
        choice: HostHeader,
        rewrites: bool,
    ) -> Self {
        let asked = host.and_then(|host| host.to_str().ok()).map(str::to_owned);
        let behind_tls = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
        let mut view = Self {
            upstream: upstream.clone(),
            host: asked,
            scheme: if behind_tls { "https" } else { "http" },
            origin: None,
        };
        let own = match choice {
            HostHeader::Auto => rewrites || !upstream.is_local(),
            HostHeader::Client => false,
            HostHeader::Upstream => true,
        };
        match host.filter(|_| !own) {
            // A request in absolute form has its host in the target.
            Some(host) => headers.insert(HOST, host.clone()),
            None => headers.insert(HOST, upstream.host.clone()),
        };
        if rewrites {
            let own = view.own_origin();
            for name in [ORIGIN, REFERER] {
                let Some(value) = headers.get(&name) else { continue };
                let Some(renamed) = view.renamed(value, Side::Client, &own) else {
                    continue;
                };
                let before = headers.insert(name.clone(), renamed);
                if name == ORIGIN {
                    view.origin = before;
                }
            }
        }
        view
    }

    /// Notes that the client speaks TLS with wstap, or with a trusted proxy.
    pub(super) fn client_speaks_tls(&mut self) {
        self.scheme = "https";
    }

    /// Replaces the name of the upstream in the head of an answer by that which the client knows.
    pub(super) fn rewrite_answer(&self, headers: &mut HeaderMap) {
        let Some(host) = &self.host else { return };
        let known = format!("{}://{host}", self.scheme);
        for name in [LOCATION, CONTENT_LOCATION] {
            if let Some(value) = headers.get_mut(name)
                && let Some(renamed) = self.renamed(value, Side::Upstream, &known)
            {
                *value = renamed;
            }
        }
        if let (Some(origin), Some(allowed)) =
            (&self.origin, headers.get_mut(ACCESS_CONTROL_ALLOW_ORIGIN))
            && allowed.as_bytes() == self.own_origin().as_bytes()
        {
            *allowed = origin.clone();
        }
        if let http::header::Entry::Occupied(mut cookies) = headers.entry(SET_COOKIE) {
            for cookie in cookies.iter_mut() {
                if let Some(kept) = self.without_domain(cookie) {
                    *cookie = kept;
                }
            }
        }
    }

    /// Returns the origin of the upstream (RFC 6454 section 6.2).
    fn own_origin(&self) -> String {
        let host = self.upstream.host.to_str().unwrap_or_default();
        format!("{}://{host}", self.upstream.scheme())
    }

    /// Returns an absolute URL with another origin, if its own is that of a side.
    fn renamed(&self, url: &HeaderValue, side: Side, origin: &str) -> Option<HeaderValue> {
        let text = url.to_str().ok()?;
        let (named, rest) = Named::split(self, text)?;
        let is_named = match side {
            Side::Client => named.is_client(),
            Side::Upstream => named.is_upstream(),
        };
        is_named.then(|| HeaderValue::from_str(&format!("{origin}{rest}")).ok())?
    }

    /// Returns a cookie without its `Domain`, if that is the name of the upstream or one above it,
    /// for which the client would not take the cookie.
    fn without_domain(&self, cookie: &HeaderValue) -> Option<HeaderValue> {
        let text = cookie.to_str().ok()?;
        let domain = |attribute: &str| {
            let (name, value) = attribute.split_once('=')?;
            let value = value.trim().trim_start_matches('.').to_ascii_lowercase();
            name.trim().eq_ignore_ascii_case("domain").then_some(value)
        };
        let named = text.split(';').skip(1).find_map(domain).filter(|domain| !domain.is_empty())?;
        let within = |host: &str| {
            let host = host.to_ascii_lowercase();
            host == named || host.strip_suffix(&named).is_some_and(|rest| rest.ends_with('.'))
        };
        let client = self.host.as_deref().map_or("", |host| split_port(host).0);
        if within(client) || !within(self.upstream.authority.host()) {
            return None;
        }
        let kept: Vec<&str> = text
            .split(';')
            .enumerate()
            .filter(|(n, part)| *n == 0 || domain(part).is_none())
            .map(|(_, part)| part)
            .collect();
        HeaderValue::from_str(&kept.join(";")).ok()
    }
}

/// The side whose origin is replaced.
#[derive(Debug, Clone, Copy)]
enum Side {
    Client,
    Upstream,
}

/// The origin of an absolute URL.
struct Named<'a> {
    view: &'a View,
    tls: bool,
    host: &'a str,
    port: u16,
}

impl<'a> Named<'a> {
    /// Splits a URL into its origin and the rest.
    fn split(view: &'a View, url: &'a str) -> Option<(Self, &'a str)> {
        let (scheme, after) = url.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            _ => return None,
        };
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let (host, port) = split_port(authority);
        Some((Self { view, tls, host, port: port.unwrap_or(usual_port(tls)) }, rest))
    }

    /// Returns whether it is the host that the client asks for, by either scheme: TLS may end
    /// before wstap.
    fn is_client(&self) -> bool {
        let asked = self.view.host.as_deref().map(split_port);
        asked.is_some_and(|(host, port)| {
            self.host.eq_ignore_ascii_case(host)
                && self.port == port.unwrap_or(usual_port(self.tls))
        })
    }

    /// Returns whether it is the upstream. All loopback names are one.
    fn is_upstream(&self) -> bool {
        let (upstream, own) = (&self.view.upstream, self.view.upstream.authority.host());
        let same =
            self.host.eq_ignore_ascii_case(own) || is_loopback(self.host) && is_loopback(own);
        same && self.tls == upstream.tls && upstream.authority.port_u16() == Some(self.port)
    }
}

fn usual_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Splits an authority into host and port.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(upstream: &str, host: &'static str, rewrites: bool, origin: &str) -> (View, HeaderMap) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        headers.insert(ORIGIN, HeaderValue::from_str(origin).expect("a value"));
        headers.insert(REFERER, HeaderValue::from_str(&format!("{origin}/a?b")).expect("a value"));
        let upstream: Upstream = upstream.parse().expect("an upstream");
        let asked = HeaderValue::from_static(host);
        let choice = HostHeader::Auto;
        let view = View::of_request(&mut headers, Some(&asked), &upstream, choice, rewrites);
        (view, headers)
    }

    fn names(headers: &HeaderMap) -> [&str; 3] {
        [HOST, ORIGIN, REFERER].map(|name| headers[name].to_str().expect("text"))
    }

    #[test]
    fn upstream_on_this_machine_gets_the_host_of_the_client_and_another_its_own() {
        let page = "http://localhost:8080";
        let referer = "http://localhost:8080/a?b";
        for (upstream, host) in [
            ("http://localhost:3000", "localhost:8080"),
            ("ws://127.0.0.1:3000", "localhost:8080"),
            ("ws://[::1]:3000", "localhost:8080"),
            ("http://app.localhost:3000", "localhost:8080"),
            ("https://api.example", "api.example"),
            ("http://10.0.0.1:3000", "10.0.0.1:3000"),
        ] {
            let (_, headers) = view(upstream, "localhost:8080", false, page);
            assert_eq!(names(&headers), [host, page, referer], "{upstream}");
        }
    }

    #[test]
    fn origin_of_the_client_is_rewritten_and_that_of_other_pages_is_not() {
        let (_, headers) =
            view("http://localhost:3000", "localhost:8080", true, "http://localhost:8080");
        let own = "http://localhost:3000";
        assert_eq!(names(&headers), ["localhost:3000", own, "http://localhost:3000/a?b"]);
        let (_, headers) = view("wss://api.example", "tap.example", true, "https://tap.example");
        let own = "https://api.example";
        assert_eq!(names(&headers), ["api.example", own, "https://api.example/a?b"]);
        for origin in ["http://evil.example", "null", "http://localhost:8081", "http://localhost"] {
            let (_, headers) = view("http://localhost:3000", "localhost:8080", true, origin);
            assert_eq!(names(&headers)[1], origin);
        }
    }

    #[test]
    fn answer_that_names_the_upstream_gets_the_name_that_the_client_knows() {
        let (view, _) =
            view("http://app.example:3000", "localhost:8080", true, "http://localhost:8080");
        for (before, after) in [
            ("http://app.example:3000/next?a#b", "http://localhost:8080/next?a#b"),
            ("http://APP.example:3000", "http://localhost:8080"),
            ("https://app.example:3000/", "https://app.example:3000/"),
            ("http://app.example/", "http://app.example/"),
            ("http://app.example:3000.evil.example/", "http://app.example:3000.evil.example/"),
            ("/next", "/next"),
            ("//app.example:3000/", "//app.example:3000/"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_str(before).expect("a value"));
            view.rewrite_answer(&mut headers);
            assert_eq!(headers[LOCATION], after, "{before}");
        }
        let mut headers = HeaderMap::new();
        let allowed = HeaderValue::from_static("http://app.example:3000");
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        view.rewrite_answer(&mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:8080");
    }

    #[test]
    fn loopback_names_of_one_port_are_one_upstream() {
        let (view, _) = view("http://127.0.0.1:3000", "tap:8080", false, "http://tap:8080");
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("http://localhost:3000/docs/"));
        view.rewrite_answer(&mut headers);
        assert_eq!(headers[LOCATION], "http://tap:8080/docs/");
    }

    #[test]
    fn cookie_loses_a_domain_that_its_client_would_refuse() {
        for (upstream, client, before, after) in [
            (
                "https://api.example.org",
                "localhost:8080",
                "a=1; Domain=api.example.org; Path=/",
                "a=1; Path=/",
            ),
            ("https://api.example.org", "localhost:8080", "a=1; domain=.Example.org", "a=1"),
            (
                "https://api.example.org",
                "localhost:8080",
                "a=1; Domain=other.org",
                "a=1; Domain=other.org",
            ),
            (
                "https://api.example.org",
                "tap.example.org",
                "a=1; Domain=example.org",
                "a=1; Domain=example.org",
            ),
            (
                "https://api.example.org",
                "localhost:8080",
                "domain=api.example.org; Path=/",
                "domain=api.example.org; Path=/",
            ),
        ] {
            let (view, _) = view(upstream, client, false, "null");
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, HeaderValue::from_static("first=1"));
            headers.append(SET_COOKIE, HeaderValue::from_static(before));
            view.rewrite_answer(&mut headers);
            let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
            assert_eq!(cookies, ["first=1", after], "{before}");
        }
    }
}
