//! HTTP Archives with WebSockets, in the form of Chrome: HAR 1.2
//! (<http://www.softwareishard.com/blog/har-12-spec/>), an entry for each connection, with its
//! messages in `_webSocketMessages`.
//!
//! ```json
//! {"log":{"version":"1.2","creator":{"name":"wstap","version":"0.2.0"},"pages":[],"entries":[
//!  {"startedDateTime":"…","time":1500.0,"request":{…},"response":{…},"cache":{},"timings":{…},
//!   "_resourceType":"websocket",
//!   "_webSocketClose":{"code":1000,"reason":"","timestamp":1763670001.5,"wasClean":true,"by":"client"},
//!   "_webSocketMessages":[{"type":"send","time":1763670000.123,"opcode":1,"data":"hello"}],
//!   "_wstap":{"connectionId":"a","connect":{…},"control":[…],"close":{…}}}]}}
//! ```
//!
//! The entry of an event stream is one of HTTP with the `_resourceType` `eventsource` and, in the place
//! of the WebSocket's fields, `_eventSourceMessages`:
//!
//! ```json
//! [{"time":1763670000.123,"eventName":"message","eventId":"7","data":"hello"}]
//! ```
//!
//! `_wstap` has what HAR has no field for: id and transport data of a message; the full JSON of the
//! `connect`, the `close` and the control frames of a connection. [`read()`] reads `_wstap`, and
//! archives of other programs without it. The objects are declared once, for both ways.

mod clock;
mod ending;
mod lenient;
mod model;
mod read;
mod streams;
mod write;

pub use read::{Archived, NotRead, Skipped, is_har, read};
pub use write::{Entry, begin, control, end, has_place};
