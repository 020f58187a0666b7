//! The layouts of the full JSON: the members of an event of each kind, in the order in which they are
//! written, with their types and descriptions.

use super::field::Field;
use crate::event::Kind;

/// The full JSON of a kind of event.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) kind: Kind,
    /// What the event means.
    pub(crate) words: &'static str,
    /// The members, in the order in which they are written.
    pub(crate) members: &'static [MemberLayout],
    /// An event, as JSON.
    pub(crate) example: &'static str,
}

/// A member of a layout.
#[derive(Debug)]
pub(crate) struct MemberLayout {
    pub(crate) field: Field,
    /// Whether every event of the kind has it.
    pub(crate) required: bool,
    /// Its JSON Schema.
    pub(crate) schema: &'static str,
    /// Its description; may be empty.
    pub(crate) words: &'static str,
}

const fn always(field: Field, schema: &'static str, words: &'static str) -> MemberLayout {
    MemberLayout { field, required: true, schema, words }
}

const fn maybe(field: Field, schema: &'static str, words: &'static str) -> MemberLayout {
    MemberLayout { field, required: false, schema, words }
}

const TEXT: &str = r#"{"type":"string"}"#;
const ID: &str = r##"{"$ref":"#/components/schemas/EventId"}"##;
const MAYBE_ID: &str = r##"{"oneOf":[{"$ref":"#/components/schemas/EventId"},{"type":"null"}]}"##;
const TIME: &str = r#"{"type":"string","format":"date-time"}"#;
const SECONDS: &str = r#"{"type":"number"}"#;
const COUNT: &str = r#"{"type":"integer","minimum":0}"#;
const USERS: &str = r#"{"type":"array","items":{"type":"string"}}"#;
const EACH_WAY: &str = r##"{"$ref":"#/components/schemas/EachWay"}"##;
const HEADERS: &str = r#"{"type":"object","additionalProperties":{"type":"string"}}"#;

/// The layouts of all kinds, in the order of [`Kind::ALL`].
pub(crate) static LAYOUTS: [Layout; Kind::ALL.len()] = [
    Layout {
        kind: Kind::Connect,
        words: "A connection registered, or was relayed.",
        members: &[
            always(Field::Id, ID, ""),
            always(Field::Time, TIME, ""),
            always(Field::Kind, r#"{"type":"string","enum":["connect"]}"#, ""),
            always(Field::ConnectionId, TEXT, ""),
            always(Field::Remote, TEXT, "The remote address of its TCP connection."),
            always(
                Field::Transport,
                r#"{"type":"string","enum":["websocket","sse"]}"#,
                "`sse` is an event stream that passed the relay.",
            ),
            maybe(Field::Method, TEXT, "Method of the request. Event streams only."),
            always(Field::Path, TEXT, "Path and query of the request."),
            always(
                Field::Headers,
                HEADERS,
                "Selected fields of the handshake; cookies and credentials are never kept.",
            ),
            maybe(Field::User, TEXT, "The user of the connection, if a credential names one."),
            maybe(
                Field::Subprotocol,
                TEXT,
                "The subprotocol that the upstream selected. Relayed connections only, as are the next four.",
            ),
            maybe(Field::Extensions, TEXT, ""),
            maybe(Field::Upstream, TEXT, "URL of the upstream."),
            maybe(Field::Status, r#"{"type":"integer"}"#, "HTTP status of its answer."),
            maybe(Field::UpstreamTime, SECONDS, "Seconds until it answered."),
            maybe(Field::ContentEncoding, TEXT, "The compression of an event stream."),
            maybe(Field::Note, TEXT, "Why the events of an event stream are not messages."),
        ],
        example: r#"{"id":"1763670000000-0","time":"2025-11-20T20:20:00.000Z","kind":"connect","connectionId":"a","remote":"127.0.0.1:50512","transport":"websocket","path":"/ws","headers":{"user-agent":"Mozilla/5.0"}}"#,
    },
    Layout {
        kind: Kind::Message,
        words: "A message passed.",
        members: &[
            always(Field::Id, ID, ""),
            always(Field::Time, TIME, ""),
            always(Field::Kind, r#"{"type":"string","enum":["message"]}"#, ""),
            always(
                Field::ConnectionId,
                r#"{"type":["string","null"]}"#,
                "`null` for a message that was published over HTTP.",
            ),
            always(
                Field::Direction,
                r#"{"type":"string","enum":["in","out"]}"#,
                "`in` is from the client to the server.",
            ),
            always(
                Field::Opcode,
                r#"{"type":["string","null"],"enum":["text","binary","ping","pong",null]}"#,
                "`null` for bytes that are not a valid frame.",
            ),
            always(Field::Size, COUNT, "Bytes of the payload, decoded."),
            always(Field::Channel, r#"{"type":["string","null"]}"#, ""),
            always(
                Field::Message,
                "{}",
                "The payload, any JSON. Text that is not JSON is a string, binary is base64.",
            ),
            maybe(
                Field::Encoding,
                r#"{"type":"string","enum":["base64"]}"#,
                "The encoding of `message`, if it was binary.",
            ),
            maybe(
                Field::Event,
                TEXT,
                "The name of an event of an event stream, unless that is `message`.",
            ),
            maybe(
                Field::EventId,
                TEXT,
                "The last event id that its event stream has sent, in this event or before.",
            ),
            maybe(Field::Fields, r#"{"type":"object"}"#, "Other members of a client's own object."),
            maybe(Field::User, TEXT, "The user that published it, if that is known."),
            maybe(Field::To, USERS, "It was sent to these users only."),
            maybe(Field::Except, USERS, "It was not sent to these users."),
            maybe(
                Field::Synthetic,
                r#"{"type":"boolean"}"#,
                "Sent by hand or over HTTP, and not by the client or the server.",
            ),
            maybe(
                Field::Wire,
                COUNT,
                "Bytes of its frames on the wire, or of the lines of an event. Relayed messages only, as are the next four.",
            ),
            maybe(Field::Fragments, r#"{"type":"integer","minimum":2}"#, ""),
            maybe(Field::Compressed, r#"{"type":"boolean"}"#, ""),
            maybe(
                Field::Truncated,
                r#"{"type":"boolean"}"#,
                "`message` is its beginning only, because it is larger than `--max-message-bytes`; text is then a string. `size` is that of the whole.",
            ),
            maybe(Field::Note, TEXT, "An anomaly of the message."),
        ],
        example: r#"{"id":"1763670000123-0","time":"2025-11-20T20:20:00.123Z","kind":"message","connectionId":"a","direction":"in","opcode":"text","size":36,"channel":null,"message":"hello"}"#,
    },
    Layout {
        kind: Kind::Close,
        words: "A connection ended. With a `status`, the upstream refused the handshake and there was no connection.",
        members: &[
            always(Field::Id, ID, ""),
            always(Field::Time, TIME, ""),
            always(Field::Kind, r#"{"type":"string","enum":["close"]}"#, ""),
            always(Field::ConnectionId, TEXT, ""),
            always(
                Field::Close,
                r#"{"type":"object","required":["code","reason","clean","by"],"properties":{"code":{"type":"integer","description":"WebSocket close code; 1005 is a close frame without a code, 1006 no close frame. Of an event stream 1005, or 1006 if it broke off."},"reason":{"type":"string"},"clean":{"type":"boolean"},"by":{"type":"string","enum":["client","server","tap","network"],"description":"The side that began the end."}}}"#,
                "",
            ),
            always(Field::Duration, SECONDS, "Seconds that it lasted."),
            always(Field::Messages, EACH_WAY, ""),
            always(Field::Bytes, EACH_WAY, ""),
            maybe(Field::Wire, EACH_WAY, ""),
            maybe(
                Field::Silence,
                r#"{"type":"object","required":["in","out"],"properties":{"in":{"type":"number"},"out":{"type":"number"}}}"#,
                "Seconds since the last byte, each way. Relayed connections only, as are `wire` and `note`.",
            ),
            maybe(Field::Note, TEXT, ""),
            maybe(Field::Comments, COUNT, "Comments of an event stream, such as heartbeats."),
            maybe(
                Field::Remote,
                TEXT,
                "This and the following members: those of a `connect`, if the handshake was refused.",
            ),
            maybe(Field::Transport, TEXT, "`sse` at the end of an event stream."),
            maybe(Field::Path, TEXT, ""),
            maybe(Field::Headers, HEADERS, ""),
            maybe(Field::User, TEXT, ""),
            maybe(Field::Subprotocol, TEXT, ""),
            maybe(Field::Extensions, TEXT, ""),
            maybe(Field::Upstream, TEXT, ""),
            maybe(Field::Status, r#"{"type":"integer"}"#, ""),
            maybe(Field::UpstreamTime, SECONDS, ""),
            maybe(
                Field::Answer,
                TEXT,
                "The first 2 KiB of the body with which the upstream refused the handshake.",
            ),
            maybe(Field::Hint, TEXT, "What would help against the refusal."),
        ],
        example: r#"{"id":"1763670000456-0","time":"2025-11-20T20:20:00.456Z","kind":"close","connectionId":"a","close":{"code":1001,"reason":"","clean":true,"by":"client"},"duration":0.456,"messages":{"in":1,"out":0},"bytes":{"in":36,"out":0}}"#,
    },
    Layout {
        kind: Kind::Join,
        words: "A user joined a channel with a first connection. A connection without a user counts as the user of its connectionId.",
        members: &presence(r#"{"type":"string","enum":["join"]}"#),
        example: r#"{"id":"1763670000200-0","time":"2025-11-20T20:20:00.200Z","kind":"join","connectionId":"a","channel":"news","user":"ann"}"#,
    },
    Layout {
        kind: Kind::Leave,
        words: "A user left a channel with the last connection. It comes before the `close` of that connection, if the connection ended.",
        members: &presence(r#"{"type":"string","enum":["leave"]}"#),
        example: r#"{"id":"1763670000300-0","time":"2025-11-20T20:20:00.300Z","kind":"leave","connectionId":"a","channel":"news","user":"ann"}"#,
    },
    Layout {
        kind: Kind::Request,
        words: "A plain request passed, in proxy mode; with `--tap-http errors`, one that failed. Bodies are not kept.",
        members: &[
            always(Field::Id, ID, ""),
            always(Field::Time, TIME, "When its answer ended."),
            always(Field::Kind, r#"{"type":"string","enum":["request"]}"#, ""),
            always(Field::ConnectionId, r#"{"type":"null"}"#, ""),
            always(Field::Remote, TEXT, "The remote address of its TCP connection."),
            always(Field::Method, TEXT, ""),
            always(Field::Path, TEXT, "Path and query of the request."),
            maybe(Field::Upstream, TEXT, "URL of the upstream."),
            always(Field::Status, r#"{"type":"integer"}"#, "HTTP status of the answer."),
            always(Field::UpstreamTime, SECONDS, "Seconds until the head of the answer."),
            always(Field::Duration, SECONDS, "Seconds until its end."),
            always(Field::Bytes, EACH_WAY, "Bytes of the bodies."),
            maybe(Field::Note, TEXT, "Why it failed, if that is not the answer of the upstream."),
        ],
        example: r#"{"id":"1763670000300-0","time":"2025-11-20T20:20:00.300Z","kind":"request","connectionId":null,"remote":"127.0.0.1:50512","method":"GET","path":"/missing","upstream":"http://localhost:9000","status":404,"upstreamTime":0.001234,"duration":0.002,"bytes":{"in":0,"out":9}}"#,
    },
    Layout {
        kind: Kind::Gap,
        words: "Events that are lost for good. With an `id`, the tap had no room for them, and every listener receives the gap.",
        members: &[
            maybe(Field::Id, ID, ""),
            maybe(Field::Time, TIME, ""),
            always(Field::Kind, r#"{"type":"string","enum":["gap"]}"#, ""),
            always(
                Field::Missed,
                r#"{"type":["integer","null"],"minimum":0}"#,
                "The number of events; `null` if it is unknown.",
            ),
            always(Field::After, MAYBE_ID, ""),
            always(Field::Before, MAYBE_ID, ""),
        ],
        example: r#"{"kind":"gap","missed":1234,"after":"1763670000456-0","before":"1763670009999-0"}"#,
    },
];

const fn presence(kind: &'static str) -> [MemberLayout; 6] {
    [
        always(Field::Id, ID, ""),
        always(Field::Time, TIME, ""),
        always(Field::Kind, kind, ""),
        always(Field::ConnectionId, TEXT, ""),
        always(Field::Channel, TEXT, ""),
        always(Field::User, TEXT, ""),
    ]
}

/// Returns the layout of a kind of event.
pub(crate) fn layout(kind: Kind) -> &'static Layout {
    &LAYOUTS[kind as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_layout() {
        for kind in Kind::ALL {
            assert_eq!(layout(kind).kind, kind);
        }
    }

    #[test]
    fn every_field_is_found_by_its_name_and_stands_in_a_layout() {
        for field in Field::ALL {
            assert_eq!(Field::named(field.name()), Some(*field));
            let declared = LAYOUTS.iter().flat_map(|layout| layout.members);
            assert!(declared.into_iter().any(|it| it.field == *field), "{field:?}");
        }
    }
}
