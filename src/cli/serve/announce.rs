//! Prints the addresses of a server, and what to do next.

use tokio::net::TcpListener;

use crate::config::{Config, LogFormat};
use crate::server::Listen;
use crate::web::Web;

/// Returns the URL of an address for people: with its host name and its real port.
pub(super) fn url(scheme: &str, (asked, listeners): &(Listen, Vec<TcpListener>)) -> String {
    let port = listeners
        .first()
        .and_then(|listener| listener.local_addr().ok())
        .map_or(asked.port, |a| a.port());
    let host = match asked.host.as_str() {
        "0.0.0.0" | "::" => "localhost".to_owned(),
        host => host.to_owned(),
    };
    format!("{scheme}://{}", Listen { host, port })
}

/// Prints the addresses, and what to do next.
pub(super) fn announce(web: &Web, config: &Config) {
    let (sockets, observers) = (web.websocket.join(" and "), web.observers.join(" and "));
    if config.log_format == LogFormat::Json {
        return tracing::info!(websockets = %sockets, observers = %observers, "wstap is ready");
    }
    let first = web.observers.first().map_or("", String::as_str);
    let bold = anstyle::Style::new().bold();
    let link = anstyle::AnsiColor::Cyan.on_default().underline();
    let place = |name: &str, url: &str| anstream::eprintln!("  {name:<12}{link}{url}{link:#}");
    anstream::eprintln!("{bold}wstap {}{bold:#}\n", env!("CARGO_PKG_VERSION"));
    if let Some(path) = &config.open {
        place("Recording", path);
        place("Events", &format!("{first}/events"));
        place("Watch", &format!("{first}/es-client"));
        anstream::eprintln!("\nNext: open Watch, or");
    } else if let Some(proxy) = &web.proxy {
        let scheme =
            if proxy.upstreams().any(|url| url.starts_with("http")) { "http" } else { "ws" };
        for url in &web.websocket {
            place("Connect to", &url.replacen("ws", scheme, 1));
        }
        let several = proxy.routes().nth(1).is_some();
        for route in proxy.routes() {
            let whole = format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path);
            let part = if several { format!("  for {whole}") } else { String::new() };
            place("instead of", &format!("{}{part}", route.upstream.url));
        }
        place("Events", &format!("{first}/events"));
        place("Watch", &format!("{first}/es-client"));
        anstream::eprintln!("\nNext: point your client at the first address, open Watch, or");
    } else {
        let path = if web.apart { "" } else { "/ws" };
        web.websocket.iter().for_each(|url| place("WebSockets", &format!("{url}{path}")));
        place("Events", &format!("{first}/events"));
        place("Watch", &format!("{first}/es-client"));
        place("Try it", &format!("{first}/ws-client"));
        if let (true, Some(url)) = (config.channelstream.is_some(), web.websocket.first()) {
            place("Signed API", &format!("{}/channelstream", url.replacen("ws", "http", 1)));
        }
        anstream::eprintln!("\nNext: open Watch and Try it in two windows, or");
    }
    let token = if web.access.is_guarded() { "-H 'Authorization: Bearer TOKEN' " } else { "" };
    anstream::eprintln!("  {bold}curl -N {token}{first}/events{bold:#}");
    if config.no_auth {
        anstream::eprintln!(
            "\nEverybody who reaches these addresses may read and do everything (--no-auth)."
        );
    }
    anstream::eprintln!("\nCtrl-C stops.");
}
