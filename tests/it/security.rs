//! Who may do what from a browser, and how much anybody may take.

use wstap::auth::{Hosts, Origins};
use wstap::hub::Settings;

use crate::harness::Tap;

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn the_observers_side_answers_to_its_own_names_only() {
    let tap = Tap::with(Settings::default(), |web| {
        web.hosts = Hosts::new(&[], &["tap.example".to_owned()]).into();
    })
    .await;
    for host in ["localhost", "127.0.0.1:8080", "[::1]", "tap.example:443"] {
        assert_eq!(
            tap.fetch("GET", "/api/info", &[("host", host)], "").await.status,
            200,
            "{host}"
        );
    }
    for path in ["/", "/events", "/api/events", "/metrics", "/es-client"] {
        let answer = tap.fetch("GET", path, &[("host", "rebound.example")], "").await;
        answer.is_problem(403, "forbidden", "--host");
    }
    let none = tap.raw(b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(none.starts_with("HTTP/1.1 400 "), "{none}");
}

#[tokio::test]
async fn an_upgrade_passes_the_guard_at_a_door_only() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let with = |more: (&'static str, &'static str)| UPGRADE.into_iter().chain([more]);
    let rebound: Vec<_> = with(("host", "rebound.example")).collect();
    for path in
        ["/events", "/api/events", "/api/info", "/metrics", "/es-client", "/static/wstap.css"]
    {
        tap.fetch("GET", path, &rebound, "").await.is_problem(403, "forbidden", "--host");
    }
    let stranger: Vec<_> = with(("origin", "http://evil.example")).collect();
    for (method, path) in [
        ("POST", "/api/connections/a/messages"),
        ("DELETE", "/api/connections/a"),
        ("DELETE", "/api/listeners/1"),
        ("POST", "/ws"),
        ("POST", "/elsewhere"),
    ] {
        let answer = tap.fetch(method, path, &stranger, "").await;
        answer.is_problem(403, "forbidden", "may not change anything");
    }
    for path in ["/", "/ws", "/elsewhere"] {
        let answer = tap.fetch("GET", path, &stranger, "").await;
        answer.is_problem(403, "forbidden", "--ws-origin");
    }
}

#[tokio::test]
async fn strangers_pages_open_no_websocket() {
    let tap = Tap::start().await;
    let open = |origin: &'static str| {
        let tap = &tap;
        let headers: Vec<_> = UPGRADE.into_iter().chain([("origin", origin)]).collect();
        async move { tap.request("GET", "/ws", &headers, "").await.status().as_u16() }
    };
    for origin in ["http://localhost:3000", "http://127.0.0.1", "https://localhost"] {
        assert_eq!(open(origin).await, 101, "{origin}");
    }
    for origin in ["null", "http://evil.example", "http://localhost.evil.example", "file://", ""] {
        assert_eq!(open(origin).await, 403, "{origin}");
    }
    // DNS rebinding: Origin and Host agree, and are both a stranger's.
    let headers: Vec<_> = UPGRADE
        .into_iter()
        .chain([("origin", "http://evil.example"), ("host", "evil.example")])
        .collect();
    tap.fetch("GET", "/ws", &headers, "").await.is_problem(
        403,
        "forbidden",
        "--ws-origin http://evil.example",
    );
}

#[tokio::test]
async fn listed_pages_open_websockets() {
    let tap = Tap::with(Settings::default(), |web| {
        web.ws_origins = Origins::Listed(vec!["https://app.example".to_owned()]);
    })
    .await;
    for (origin, status) in [
        ("https://app.example", 101),
        ("https://app.example.evil.org", 403),
        ("http://app.example", 403),
    ] {
        let headers: Vec<_> = UPGRADE.into_iter().chain([("origin", origin)]).collect();
        assert_eq!(tap.request("GET", "/ws", &headers, "").await.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn strangers_pages_change_nothing() {
    let tap = Tap::start().await;
    let _ws = tap.registered("a").await;
    let host = tap.addr.to_string();
    let own = format!("http://{host}");
    for origin in ["null", "http://evil.example", "http://localhost:3000", "http://127.0.0.1:1"] {
        for (method, path) in [
            ("POST", "/api/connections/a/messages"),
            ("DELETE", "/api/connections/a"),
            ("DELETE", "/api/listeners/1"),
        ] {
            let answer = tap.fetch(method, path, &[("origin", origin)], "").await;
            answer.is_problem(403, "forbidden", "may not change anything");
        }
    }
    assert_eq!(
        tap.fetch("POST", "/api/connections/a/messages", &[("origin", &own)], "x").await.status,
        202
    );
    assert_eq!(
        tap.fetch("POST", "/api/connections/a/messages", &[], "x").await.status,
        202,
        "programs send no Origin"
    );
}

#[tokio::test]
async fn a_listed_origin_may_read_and_change_and_others_may_not_read() {
    let tap = Tap::with(Settings::default(), |web| {
        web.cors = Origins::Listed(vec!["https://app.example".to_owned()]);
    })
    .await;
    let _ws = tap.registered("a").await;
    let listed = [("origin", "https://app.example")];
    let answer = tap.fetch("POST", "/api/connections/a/messages", &listed, "x").await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (202, "https://app.example")
    );
    for origin in ["https://app.example.evil.org", "null"] {
        let answer = tap.fetch("GET", "/api/events", &[("origin", origin)], "").await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
    }
}

#[tokio::test]
async fn pages_run_no_script_but_their_own() {
    let tap = Tap::start().await;
    for path in ["/", "/es-client", "/es-client.html", "/ws-client", "/ws-client.html"] {
        let page = tap.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(page.header("content-security-policy").contains("script-src 'self'"));
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        let tag = page.header("etag").to_owned();
        assert_eq!(tap.fetch("GET", path, &[("if-none-match", &tag)], "").await.status, 304);
        assert!(
            !page.body.contains("<script>")
                && !page.body.contains(" style=")
                && !page.body.contains(" onclick"),
            "{path}"
        );
    }
    let sandbox = tap.get("/static/js/link/sandbox.js").await;
    assert_eq!(
        sandbox.header("content-security-policy"),
        "default-src 'none'; script-src blob:; connect-src 'none'; worker-src 'none'; base-uri 'none'",
        "decoders of the reader connect to nothing"
    );
    tap.get("/static/nothing.js").await.is_problem(404, "not_found", "nothing.js");
    tap.get("/static/..%2fCargo.toml").await.is_problem(404, "not_found", "");
}
