//! The operations, one function without a body each: `utoipa` derives a description from what is
//! written above it. A test compares them with the routes and with the answers of a server.

#![expect(dead_code, reason = "the functions carry a description and are never called")]

use super::names::{ChannelName, ConnectionName, FullEvent, KnownId};
use super::parameters::{ChannelPage, Found, LastEventId};
use super::problems::problems;
use crate::access::session::{Session, SignIn, Ticket};
use crate::control::answers::{Connection, Listener, Sent, Server};
use crate::control::channels::ChannelLine;
use crate::control::list::{Named, Numbered};
use crate::control::query::{Closing, Publishing, Sending};
use crate::outlet::query::{Beginning, Finite, Live, Selection, Waiting};

problems!(Streaming: Malformed, Unauthorized, Forbidden, UriTooLong, Full, Stopping);
problems!(Searching: Malformed, Unauthorized, Forbidden);
problems!(Asking: Unauthorized, Forbidden);
problems!(SigningIn: Malformed, Unauthorized, Timeout, TooLarge, Full);
problems!(TakingTickets: Unauthorized, SlowDown);
problems!(FindingFiles: Malformed, NotFound);
problems!(Finding: Malformed, Unauthorized, Forbidden, NotFound);
problems!(NotSent: Malformed, Unauthorized, Forbidden, NotFound, Timeout, TooLarge, SlowDown, Unavailable, Full);
problems!(NotPublished: Malformed, Unauthorized, Forbidden, Timeout, TooLarge, Unavailable, Full);
problems!(NotReady: Stopping);
problems!(Refusing: Malformed, Unauthorized, Forbidden, NotFound, Replaced, UriTooLong, UpgradeRequired, Full, Stopping);

#[utoipa::path(get, path = "/events", tag = "Events",
    summary = "The live stream",
    description = "Server-Sent Events, or one line of JSON per event. The stream does not end by itself. Every event \
        has an id, from which a listener resumes without loss and without duplicates. Events that are lost for good \
        are reported as an event `gap`. A full or stopping server answers an EventSource \
        (`Accept: text/event-stream`) with 200, a `retry:` of 1 to 5 s and the end of the stream, because an \
        EventSource gives up for ever at any other status. The frames are described at `asyncapi.json`.",
    params(Selection, Beginning, LastEventId, Live),
    responses((status = OK, description = "The stream.", content(
        ("text/event-stream",
            example = json!("id: 1763670000123-0\ndata: {\"connectionId\":\"a\",\"message\":\"hello\"}\n\n")),
        (String = "application/x-ndjson"),
    )), Streaming))]
pub(super) fn stream() {}

#[utoipa::path(get, path = "/listen", tag = "Events",
    summary = "Long polling, for clients that cannot hold a stream open",
    description = "Answers with the events after an event as soon as there are any, or with `[]` when the wait is \
        over. The next request continues from the id of the last one.",
    params(Selection, Waiting),
    responses((status = OK, description = "Full events.", body = Vec<FullEvent>), Streaming))]
pub(super) fn listen() {}

#[utoipa::path(get, path = "/api/events", tag = "Events",
    summary = "Events as a finite response",
    description = "Selects events of the history by the same parameters as the stream. A search that takes longer \
        than `--search-time` ends with a gap that has `\"unfinished\":true`: repeat it with `last_event_id` of its \
        `after`.",
    params(Selection, Beginning, LastEventId, Finite),
    responses((status = OK, description = "The events.", content(
        (Found = "application/json"),
        (String = "application/x-ndjson"),
    )), Searching))]
pub(super) fn events() {}

#[utoipa::path(get, path = "/api/events/{id}", tag = "Events",
    summary = "One event",
    params(("id" = inline(KnownId), Path, description = "Its id.", example = "1763670000123-0")),
    responses((status = OK, description = "Full JSON.", body = FullEvent), Finding))]
pub(super) fn event() {}

#[utoipa::path(get, path = "/api/connections", tag = "Connections",
    summary = "List the live connections",
    description = "In the order of registration. A server that shows a recording lists the connections of the \
        recording, with their ends. The answer is sent in pieces.",
    params(Numbered),
    responses((status = OK, description = "All of them, or a page.", body = Vec<Connection>, headers(
        ("Link" = String, description = "With `limit`: the address of the next page as `<?limit=…&after=…>; \
            rel=\"next\"`, if there is one."))), Searching))]
pub(super) fn connections() {}

#[utoipa::path(get, path = "/api/connections/{id}", tag = "Connections",
    summary = "One live connection",
    description = "Of a recording it is the last connection with that id.",
    params(("id" = inline(ConnectionName), Path, description = "Its connectionId.", example = "a")),
    responses((status = OK, description = "The connection.", body = Connection), Finding))]
pub(super) fn connection() {}

#[utoipa::path(post, path = "/api/connections/{id}/messages", tag = "Connections",
    summary = "Send a message to a client, or to the server behind it",
    description = "The body is the message. It is on the stream with `\"synthetic\":true`.",
    params(
        ("id" = inline(ConnectionName), Path, description = "Its connectionId.", example = "a"),
        Sending,
    ),
    request_body(description = "Text and JSON are sent unchanged as a text frame, bytes as a binary frame. \
        A body without Content-Type is text, no body is an empty text.", content(
        (Value = "application/json", example = json!({"price": 100.5})),
        (String = "text/plain", example = json!("hello")),
        ("application/octet-stream"),
    )),
    responses((status = ACCEPTED, description = "The message waits to be sent.", body = Sent), NotSent))]
pub(super) fn send() {}

#[utoipa::path(delete, path = "/api/connections/{id}", tag = "Connections",
    summary = "Close a connection",
    description = "In proxy mode both sides are closed. The connection is not found any more once this is answered; \
        its `close` event follows on the stream when it has ended.",
    params(
        ("id" = inline(ConnectionName), Path, description = "Its connectionId.", example = "a"),
        Closing,
    ),
    responses((status = NO_CONTENT, description = "It has been told to close."), Finding))]
pub(super) fn close() {}

#[utoipa::path(get, path = "/api/channels", tag = "Channels",
    summary = "List the channels",
    description = "The channels that have members or a history, in the order of their names. The answer is sent \
        in pieces.",
    params(Named),
    responses((status = OK, description = "All of them, or a page.", body = Vec<ChannelLine>, headers(
        ("Link" = String, description = "With `limit`: the address of the next page as `<?limit=…&after=…>; \
            rel=\"next\"`, if there is one."))), Searching))]
pub(super) fn channels() {}

#[utoipa::path(get, path = "/api/channels/{channel}", tag = "Channels",
    summary = "One channel: its members and its history",
    params(("channel" = inline(ChannelName), Path, description = "Its name.", example = "news")),
    responses((status = OK, description = "The channel.", body = ChannelPage), Finding))]
pub(super) fn channel() {}

#[utoipa::path(post, path = "/api/channels/{channel}/messages", tag = "Channels",
    summary = "Publish a message to a channel",
    description = "The body is the message. It goes to all members of the channel and to the stream. A channel is \
        created on first use.",
    params(
        ("channel" = inline(ChannelName), Path, description = "Its name.", example = "news"),
        Publishing,
    ),
    request_body(description = "A body without Content-Type is text, no body is an empty text; text that is JSON \
        is published as JSON.", content(
        (Value = "application/json", example = json!({"price": 100.5})),
        (String = "text/plain", example = json!("hello")),
        ("application/octet-stream"),
    )),
    responses((status = ACCEPTED, description = "It is on the stream.", body = Sent), NotPublished))]
pub(super) fn publish() {}

#[utoipa::path(get, path = "/api/listeners", tag = "Listeners",
    summary = "List the listeners of the stream",
    description = "In the order in which they subscribed. The answer is sent in pieces.",
    params(Numbered),
    responses((status = OK, description = "All of them, or a page.", body = Vec<Listener>, headers(
        ("Link" = String, description = "With `limit`: the address of the next page as `<?limit=…&after=…>; \
            rel=\"next\"`, if there is one."))), Searching))]
pub(super) fn listeners() {}

#[utoipa::path(delete, path = "/api/listeners/{id}", tag = "Listeners",
    summary = "End the stream of a listener",
    description = "An EventSource reconnects by itself.",
    params(("id" = String, Path, description = "Its number in the list.", example = "1")),
    responses((status = NO_CONTENT, description = "The stream has ended."), Finding))]
pub(super) fn dismiss() {}

#[utoipa::path(get, path = "/api/info", tag = "Server",
    summary = "Version, mode, addresses, limits and current numbers of the server",
    responses((status = OK, description = "The server.", body = Server), Asking))]
pub(super) fn info() {}

#[utoipa::path(get, path = "/api/session", tag = "Access",
    summary = "Who calls, and what the caller may do",
    description = "Answers without a credential too, so that a page knows whether to ask for one.",
    responses((status = OK, description = "The caller.", body = Session), Asking))]
pub(super) fn session() {}

#[utoipa::path(post, path = "/api/session", tag = "Access", operation_id = "signIn",
    summary = "Sign in a browser: set a cookie",
    description = "A server that asks for no credentials sets none, and takes no body too. The cookie is `wstap`, under TLS `__Host-wstap`; scripts cannot read it, and other sites cannot \
        use it. It ends with the token.",
    request_body(content = SignIn, example = json!({"token": "wstap_…"})),
    responses((status = OK, description = "The caller.", body = Session), SigningIn))]
pub(super) fn sign_in() {}

#[utoipa::path(delete, path = "/api/session", tag = "Access", operation_id = "signOut",
    summary = "Sign out a browser: remove the cookie",
    responses((status = NO_CONTENT, description = "The cookie is removed."), Asking))]
pub(super) fn sign_out() {}

#[utoipa::path(post, path = "/api/tickets", tag = "Access",
    summary = "Make a ticket for one request",
    description = "For an EventSource or a WebSocket of a browser, as `?ticket=`: it stands in logs and is good once, \
        for 30 s.",
    responses((status = CREATED, description = "The ticket.", body = Ticket), TakingTickets))]
pub(super) fn ticket() {}

#[utoipa::path(get, path = "/api/openapi.json", tag = "Server",
    summary = "This description",
    responses((status = OK, description = "OpenAPI 3.1.", body = Object)))]
pub(super) fn openapi() {}

#[utoipa::path(get, path = "/api/asyncapi.json", tag = "Server",
    summary = "The frames of WebSockets and of the stream",
    responses((status = OK, description = "AsyncAPI 3.", body = Object)))]
pub(super) fn asyncapi() {}

#[utoipa::path(get, path = "/metrics", tag = "Server",
    summary = "Metrics for Prometheus",
    responses((status = OK, description = "OpenMetrics text; names begin with `wstap_`.",
        content_type = "application/openmetrics-text", body = String), Asking))]
pub(super) fn metrics() {}

#[utoipa::path(get, path = "/healthz", tag = "Server",
    summary = "Whether the process answers",
    responses((status = OK, description = "It does.", content_type = "text/plain", body = String,
        example = json!("ok\n"))))]
pub(super) fn alive() {}

#[utoipa::path(get, path = "/readyz", tag = "Server",
    summary = "Whether new connections and listeners are accepted",
    responses((status = OK, description = "They are.", content_type = "text/plain", body = String,
        example = json!("ready\n")), NotReady))]
pub(super) fn ready() {}

#[utoipa::path(get, path = "/ws", tag = "WebSocket",
    summary = "Connect a WebSocket",
    description = "By HTTP/1.1, as in RFC 6455. Any other path without a route accepts a handshake too. Browsers may \
        connect from loopback origins, the server's own host, and the origins of `--ws-origin`. If the observers' \
        side has an address of its own, this is at the other one.",
    params(
        ("connectionId" = inline(Option<ConnectionName>), Query, description = "Registers. Without it the first frame \
            does.", example = "a"),
        ("ack" = Option<bool>, Query, description = "Whether every accepted frame is answered \
            `{\"ack\":\"EVENT-ID\"}`."),
        ("ping" = Option<String>, Query, description = "`time`: pings carry the seconds since 1970 as text.",
            pattern = "^time$", example = "time"),
    ),
    responses((status = SWITCHING_PROTOCOLS, description = "The WebSocket is open."), Refusing))]
pub(super) fn connect() {}

#[utoipa::path(get, path = "/", tag = "Pages",
    summary = "The overview",
    description = "The handshake of a WebSocket is answered as at `/ws`, if both sides share an address.",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(super) fn overview() {}

#[utoipa::path(get, path = "/es-client", tag = "Pages",
    summary = "The inspector: all connections and events as they happen",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(super) fn inspector() {}

#[utoipa::path(get, path = "/ws-client", tag = "Pages", operation_id = "wsClient",
    summary = "A WebSocket client",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(super) fn ws_client() {}

#[utoipa::path(get, path = "/wstap.js", tag = "Pages", operation_id = "clientModule",
    summary = "The client for pages and programs: an ES module",
    responses((status = OK, description = "The module.", content_type = "text/javascript", body = String)))]
pub(super) fn module() {}

#[utoipa::path(get, path = "/wstap/{file}", tag = "Pages", operation_id = "clientModulePart",
    summary = "The modules that `/wstap.js` imports",
    params(("file" = String, Path, description = "Its name.", example = "index.js")),
    responses((status = OK, description = "The module.", content_type = "text/javascript", body = String), Finding))]
pub(super) fn module_part() {}

#[utoipa::path(get, path = "/api/docs", tag = "Pages",
    summary = "This description, to read and to try",
    responses((status = OK, description = "The page.", content_type = "text/html", body = String)))]
pub(super) fn docs() {}

#[utoipa::path(get, path = "/static/{file}", tag = "Pages",
    summary = "Scripts and styles of the pages",
    params(("file" = String, Path, description = "Its path; may contain slashes.", example = "wstap.css")),
    responses((status = OK, description = "The file.", content_type = "*/*", body = String), FindingFiles))]
pub(super) fn asset() {}
