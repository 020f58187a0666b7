//! The pages, out of the binary: `static/` as it was when the program was built.

use axum::extract::OriginalUri;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::code::Code;
use crate::problem::Problem;
use crate::problem::described::problems;
use crate::request::Segment;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// What the pages may do: run their own scripts, and speak to WebSockets anywhere, since the
/// traffic side may be another address. Whatever hostile traffic holds, it cannot become a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    worker-src 'self'; connect-src 'self' ws: wss:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

/// Answers `GET /`.
#[utoipa::path(get, path = "/", tag = "Pages", operation_id = "overview",
    summary = "The overview",
    description = "A handshake of a WebSocket is answered as at `/ws`, if both sides share an address.",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn index(
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Mounted in another program at `/tap`, the page is at `/tap` and not at `/tap/`, where its
    // relative addresses would be right.
    match uri.path().rsplit_once('/') {
        Some((_, last)) if !last.is_empty() => based(last),
        _ => file("index.html", &headers),
    }
}

/// Answers with the index, whose addresses are relative to a folder beside it.
fn based(folder: &str) -> Result<Response, Problem> {
    let page = Files::get("index.html").ok_or_else(|| not_found("index.html"))?;
    let page = String::from_utf8_lossy(&page.data);
    let folder = folder.replace('&', "&amp;").replace('"', "%22").replace('<', "%3C");
    let page = page.replacen("<head>", &format!("<head>\n  <base href=\"{folder}/\">"), 1);
    let head = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    Ok((head, page).into_response())
}

/// Answers `GET /es-client`.
#[utoipa::path(get, path = "/es-client", tag = "Pages", operation_id = "inspector",
    summary = "The inspector: all connections and events as they happen",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn es_client(headers: HeaderMap) -> Result<Response, Problem> {
    file("es-client.html", &headers)
}

/// Answers `GET /ws-client`.
#[utoipa::path(get, path = "/ws-client", tag = "Pages", operation_id = "wsClient",
    summary = "A WebSocket client",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn ws_client(headers: HeaderMap) -> Result<Response, Problem> {
    file("ws-client.html", &headers)
}

/// Answers `GET /wstap.js`: the client for pages and programs of others, at an address that stays.
/// It connects to where it came from, so that it has to stand at the root.
#[utoipa::path(get, path = "/wstap.js", tag = "Pages", operation_id = "clientModule",
    summary = "The client for pages and programs of others: one ES module",
    responses((status = OK, description = "The module.", content_type = "text/javascript", body = String)))]
pub(crate) async fn module(headers: HeaderMap) -> Result<Response, Problem> {
    file("js/wstap.js", &headers)
}

/// Answers `GET /api/docs`: reads `/api/openapi.json`.
#[utoipa::path(get, path = "/api/docs", tag = "Pages", operation_id = "docs",
    summary = "This description, to read and to try",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(crate) async fn docs(headers: HeaderMap) -> Result<Response, Problem> {
    file("api-docs.html", &headers)
}

/// Answers `GET /static/{file}`: scripts and styles of the pages.
#[utoipa::path(get, path = "/static/{file}", tag = "Pages", operation_id = "asset",
    summary = "Scripts and styles of the pages",
    params(("file" = String, Path, description = "Its path; slashes may stand in it.", example = "wstap.css")),
    responses((status = OK, description = "The file.", content_type = "*/*", body = String), OfFile))]
pub(crate) async fn asset(Segment(name): Segment, headers: HeaderMap) -> Result<Response, Problem> {
    file(&name, &headers)
}

fn file(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let file = Files::get(name);
    let file = file.ok_or_else(|| not_found(name))?;
    let etag = etag(&file);
    let fresh = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let media_type = file.metadata.mimetype().to_owned();
    let media_type = match media_type.as_str() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        _ => media_type,
    };
    let head = [
        (CONTENT_TYPE, media_type),
        (ETAG, etag),
        // The files change with the program only, and the tag with them.
        (CACHE_CONTROL, "no-cache".to_owned()),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    if fresh {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, file.data).into_response())
}

problems!(OfFile: Malformed, NotFound);

fn not_found(name: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no file {name}"))
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let half = u128::from_be_bytes(hash[..16].try_into().expect("16 of 32 bytes"));
    format!("\"{half:032x}\"")
}
