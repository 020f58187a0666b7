//! The handshake of a connection that is played.

use std::fmt;

use http::header::InvalidHeaderValue;
use http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio_tungstenite::WebSocketStream;

use super::head::{Fault, ask};
use super::played::Ended;
use super::script::Script;
use super::settings::ReplaySettings;
use crate::proxy::{Dialer, Io};

/// Opens a connection with the handshake of a script.
pub(super) async fn open(
    script: &Script,
    settings: &ReplaySettings,
    dialer: &Dialer,
) -> Result<WebSocketStream<Io>, Ended> {
    let failed = |error: &dyn fmt::Display| Ended::Failed(error.to_string());
    let fields = fields(script, settings).map_err(|error| failed(&error))?;
    let server = &settings.server.upstream;
    let scheme = if server.tls { "https" } else { "http" };
    let uri = format!("{scheme}://{}", server.authority);
    let uri: Uri = uri.parse().map_err(|error: http::uri::InvalidUri| failed(&error))?;
    let io = dialer
        .dial(&uri)
        .await
        .map_err(|error| Ended::Failed(format!("{}: {error}", server.url)))?;
    let target = settings.server.path.as_deref().unwrap_or(&script.path);
    ask(io, target, &fields).await.map_err(|fault| match fault {
        Fault::Refused(status) => Ended::Refused(status),
        Fault::Failed(why) => Ended::Failed(format!("{}: {why}", server.url)),
    })
}

/// Returns whether an origin is that of the recorded server itself, or one of this machine: the page
/// came from the server. The server that is played to then expects its own.
fn is_own(origin: &str, script: &Script) -> bool {
    let host = |url: &str| {
        let authority = url.split_once("://")?.1.split('/').next()?;
        let end = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        Some(authority[..end.unwrap_or(authority.len())].to_ascii_lowercase())
    };
    let Some(origin) = host(origin) else { return false };
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&origin.as_str());
    local || script.upstream.as_deref().and_then(host).is_some_and(|server| server == origin)
}

/// Returns the header fields of the handshake, without those that RFC 6455 asks for.
fn fields(script: &Script, settings: &ReplaySettings) -> Result<HeaderMap, InvalidHeaderValue> {
    let server = &settings.server.upstream;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, server.host.clone());
    let offered = script.headers.iter().any(|(name, _)| *name == SEC_WEBSOCKET_PROTOCOL.as_str());
    // The Host of a refused handshake is that of another server.
    for (name, value) in script.headers.iter().filter(|(name, _)| *name != HOST.as_str()) {
        let own = (*name == ORIGIN.as_str() && is_own(value, script)).then(|| {
            let scheme = if server.tls { "https" } else { "http" };
            format!("{scheme}://{}", server.authority)
        });
        if let Ok(value) = HeaderValue::from_str(own.as_deref().unwrap_or(value)) {
            let name = HeaderName::from_static(name);
            debug_assert!([ORIGIN, USER_AGENT, SEC_WEBSOCKET_PROTOCOL].contains(&name));
            headers.insert(name, value);
        }
    }
    // The recording may lack the offered subprotocols, and still have the one that was accepted.
    if let Some(protocol) = script.subprotocol.as_deref().filter(|_| !offered) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol)?);
    }
    for (name, value) in &settings.headers {
        headers.insert(name, value.clone());
    }
    Ok(headers)
}
