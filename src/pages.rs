//! The pages: `static/` as it was when the program was built, embedded in it.

use axum::Extension;
use axum::Router;
use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::access::Caller;
use crate::code::Code;
use crate::problem::{Problem, status};
use crate::request::Segment;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// The content security policy: pages run their own scripts, and connect to WebSockets anywhere,
/// because the traffic side may have another address. Hostile traffic cannot become a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    worker-src 'self'; connect-src 'self' ws: wss:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// The content security policy of the worker that runs decoders of the reader: its one script, and
/// modules that it makes itself. No connection of any kind.
const SANDBOX_POLICY: &str =
    "default-src 'none'; script-src blob:; connect-src 'none'; worker-src 'none'; base-uri 'none'";

/// The script of that worker.
const SANDBOX: &str = "js/link/sandbox.js";

/// Returns the routes of all pages but that of `/`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/api/docs", get(docs))
        .route("/es-client", get(es_client))
        .route("/es-client.html", get(es_client))
        .route("/ws-client", get(ws_client))
        .route("/ws-client.html", get(ws_client))
        .route("/wstap.js", get(module))
        .route("/wstap/{*file}", get(module_part))
        .route("/static/{*file}", get(asset))
}

/// Answers `GET /`.
pub(crate) async fn index(
    OriginalUri(uri): OriginalUri,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if caller.is_none() {
        return sign_in(&headers);
    }
    // Mounted in another program at `/tap`, the page stands at `/tap` and not at `/tap/`, below
    // which its relative addresses are.
    match uri.path().rsplit_once('/') {
        Some((_, last)) if !last.is_empty() => based(last),
        _ => page("index.html", &headers),
    }
}

/// Answers with the index and a `<base>`: its addresses are relative to a folder beside it.
fn based(folder: &str) -> Result<Response, Problem> {
    let page = Files::get("index.html").ok_or_else(|| not_found("index.html"))?;
    let page = String::from_utf8_lossy(&page.data);
    let folder = folder.replace('&', "&amp;").replace('"', "%22").replace('<', "%3C");
    let page = page.replacen("<head>", &format!("<head>\n  <base href=\"{folder}/\">"), 1);
    let head = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    Ok((head, page).into_response())
}

/// Answers `GET /es-client`.
async fn es_client(
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if caller.is_none() { sign_in(&headers) } else { page("es-client.html", &headers) }
}

/// Answers `GET /ws-client`.
async fn ws_client(
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if caller.is_none() { sign_in(&headers) } else { page("ws-client.html", &headers) }
}

/// Answers a request for a page that has no credential: with 401 and the page to sign in on, at the same
/// address, so that loading it again after that shows the page that was asked for.
fn sign_in(headers: &HeaderMap) -> Result<Response, Problem> {
    let mut response = page("sign-in.html", headers)?;
    *response.status_mut() = status(Code::Unauthorized);
    let head = response.headers_mut();
    head.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    head.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.remove(ETAG);
    Ok(response)
}

/// Answers `GET /wstap.js`: the client for other pages and programs, at a stable address. It
/// connects to the folder that it was loaded from, so it stands at the root.
async fn module(headers: HeaderMap) -> Result<Response, Problem> {
    page("js/wstap.js", &headers)
}

/// Answers `GET /wstap/{file}`: the modules that `/wstap.js` imports, and its types.
async fn module_part(Segment(name): Segment, headers: HeaderMap) -> Result<Response, Problem> {
    page(&format!("js/wstap/{name}"), &headers)
}

/// Answers `GET /api/docs`: reads `/api/openapi.json`.
async fn docs(headers: HeaderMap) -> Result<Response, Problem> {
    page("api-docs.html", &headers)
}

/// Answers `GET /static/{file}`: scripts and styles of the pages.
async fn asset(Segment(name): Segment, headers: HeaderMap) -> Result<Response, Problem> {
    page(&name, &headers)
}

/// Answers with a file of the pages, such as `es-client.html`, for a route of another program. Scripts
/// and styles are expected at `static/` beside the page, which [`assets`] serves.
///
/// # Errors
///
/// If there is no such file.
pub fn page(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = Files::get(name);
    let file = file.ok_or_else(|| not_found(name))?;
    let etag = etag(&file);
    let fresh = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let media_type = file.metadata.mimetype().to_owned();
    let media_type = match media_type.as_str() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        _ => media_type,
    };
    let policy = if name == SANDBOX { SANDBOX_POLICY } else { POLICY };
    let head = [
        (CONTENT_TYPE, media_type),
        (ETAG, etag),
        // The files, and with them the tag, change only with the program.
        (CACHE_CONTROL, "no-cache".to_owned()),
        (CONTENT_SECURITY_POLICY, policy.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    if fresh {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, file.data).into_response())
}

/// Returns the handler of scripts and styles, for a route such as `/static/{*file}`.
pub fn assets<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(asset)
}

fn not_found(name: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no file {name}"))
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let half = u128::from_be_bytes(hash[..16].try_into().expect("16 of 32 bytes"));
    format!("\"{half:032x}\"")
}
