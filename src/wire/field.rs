//! The members of the full JSON of an event: [`Field`] lists their names, and [`member`] takes their
//! values from an event. `layout` says which of them an event of each kind has.
//!
//! Writing (`full`), reading (`read`), the variables of the filter and the schemas of the descriptions
//! (`schema`) follow this list.

use std::net::SocketAddr;
use std::time::Duration;

use crate::event::{
    Answer, Body, Close, Connect, Event, EventBody, EventId, EventStream, Exchange, Flow,
    FrameInfo, Gap, Kind, Message, Presence, Routing, Transport, TransportStats, User,
};

/// Declares the fields with their names in JSON.
macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        /// A member of the full JSON.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Field { $(#[doc = $name] $field),* }

        impl Field {
            /// All fields.
            pub(crate) const ALL: &[Self] = &[$(Self::$field),*];

            /// Returns the name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$field => $name),* }
            }

            /// Returns what stands before the value of a member that is not the first.
            pub(super) const fn key(self) -> &'static str {
                match self { $(Self::$field => concat!(",\"", $name, "\":")),* }
            }

            /// Returns the field of a name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    Id "id",
    Time "time",
    Kind "kind",
    ConnectionId "connectionId",
    Direction "direction",
    Opcode "opcode",
    Size "size",
    Channel "channel",
    Message "message",
    Encoding "encoding",
    Event "event",
    EventId "eventId",
    Fields "fields",
    Remote "remote",
    Transport "transport",
    Method "method",
    Path "path",
    Headers "headers",
    Close "close",
    Duration "duration",
    Messages "messages",
    Bytes "bytes",
    Subprotocol "subprotocol",
    Extensions "extensions",
    ContentEncoding "contentEncoding",
    Upstream "upstream",
    Status "status",
    UpstreamTime "upstreamTime",
    Answer "answer",
    Hint "hint",
    Wire "wire",
    Fragments "fragments",
    Compressed "compressed",
    Truncated "truncated",
    Note "note",
    Synthetic "synthetic",
    User "user",
    To "to",
    Except "except",
    Silence "silence",
    Comments "comments",
    Missed "missed",
    After "after",
    Before "before",
}

/// The value of a member, borrowed from an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Member<'a> {
    Null,
    Bool(bool),
    Number(u64),
    /// A duration, in seconds with so many digits behind the point.
    Seconds(Duration, i32),
    /// Text without anything to escape.
    Name(&'static str),
    Text(&'a str),
    Id(EventId),
    /// Milliseconds since 1970.
    Time(u64),
    Address(SocketAddr),
    Users(&'a [User]),
    Headers(&'a [(&'static str, String)]),
    Flow(Flow),
    /// Seconds, each way.
    Silence(Duration, Duration),
    Close(&'a Close),
    /// `message`; of a client's own object, `fields` too.
    Body(&'a Body),
}

/// Returns a member of an event, or `None` if the event does not have it. The members of a body are
/// one: `fields` comes with `message`.
pub(crate) fn member(event: &Event, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Id => return Some(Member::Id(event.id)),
        Field::Time => return Some(Member::Time(event.id.ms)),
        Field::Kind => return Some(Member::Name(event.kind().as_str())),
        _ => {}
    }
    match &event.body {
        EventBody::Lost(missed) => {
            of_gap(&Gap { missed: Some(*missed), after: None, before: None }, field)
        }
        // A message that was published over HTTP has no connection.
        _ if field == Field::ConnectionId && event.connection.is_nobody() => Some(Member::Null),
        _ if field == Field::ConnectionId => Some(Member::Text(event.connection.as_str())),
        EventBody::Connect(connect) => of_connect(connect, field),
        EventBody::Message(message) => of_message(message, field),
        EventBody::Close(close) => of_close(close, field),
        EventBody::Join(presence) | EventBody::Leave(presence) => of_presence(presence, field),
        EventBody::Request(exchange) => of_exchange(exchange, field),
    }
}

/// Returns a member that an event is selected by: one that it has, or one of the handshake of its
/// connection, which only its `connect` event writes.
pub(crate) fn selected(event: &Event, field: Field) -> Option<Member<'_>> {
    member(event, field).or_else(|| {
        let handshake = event.handshake.as_ref()?;
        match field {
            Field::Remote => Some(Member::Address(handshake.remote)),
            Field::Path => Some(Member::Text(&handshake.path)),
            Field::Subprotocol => handshake.subprotocol.as_deref().map(Member::Text),
            Field::User => handshake.user.as_ref().map(|user| Member::Text(user.as_str())),
            Field::Transport => Some(Member::Name(handshake.transport.as_str())),
            _ => None,
        }
    })
}

/// Returns a member of a gap.
pub(super) fn of_gap(gap: &Gap, field: Field) -> Option<Member<'static>> {
    let id = |id: Option<EventId>| id.map_or(Member::Null, Member::Id);
    match field {
        Field::Kind => Some(Member::Name(Kind::Gap.as_str())),
        Field::Missed => Some(gap.missed.map_or(Member::Null, Member::Number)),
        Field::After => Some(id(gap.after)),
        Field::Before => Some(id(gap.before)),
        _ => None,
    }
}

fn of_connect(connect: &Connect, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Remote => Some(Member::Address(connect.remote)),
        Field::Transport => Some(Member::Name(connect.transport().as_str())),
        Field::Path => Some(Member::Text(&connect.path)),
        Field::Headers => Some(Member::Headers(&connect.headers)),
        Field::User => connect.user.as_ref().map(|user| Member::Text(user.as_str())),
        other => of_answer(connect.answer.as_ref()?, other),
    }
}

fn of_answer(answer: &Answer, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Subprotocol => answer.subprotocol.as_deref().map(Member::Text),
        Field::Extensions => answer.extensions.as_deref().map(Member::Text),
        Field::Upstream => Some(Member::Text(&answer.upstream)),
        Field::Status => Some(Member::Number(answer.status.into())),
        Field::UpstreamTime => Some(Member::Seconds(answer.time, 6)),
        Field::Answer => answer.body.as_deref().map(Member::Text),
        Field::Hint => answer.hint.as_deref().map(Member::Text),
        other => of_event_stream(answer.event_stream.as_ref()?, other),
    }
}

fn of_event_stream(stream: &EventStream, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Method => Some(Member::Text(&stream.method)),
        Field::ContentEncoding => stream.encoding.as_deref().map(Member::Text),
        Field::Note => stream.note.as_deref().map(Member::Text),
        _ => None,
    }
}

fn of_message(message: &Message, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Direction => Some(Member::Name(message.direction.as_str())),
        Field::Opcode => {
            Some(message.opcode.map_or(Member::Null, |opcode| Member::Name(opcode.as_str())))
        }
        Field::Size => Some(Member::Number(message.size)),
        Field::Channel => {
            let channel = message.routing.as_ref().and_then(|routing| routing.channel.as_ref());
            Some(channel.map_or(Member::Null, |channel| Member::Text(channel.as_str())))
        }
        Field::Message => Some(Member::Body(&message.body)),
        Field::Encoding => {
            matches!(message.body, Body::Binary(_)).then_some(Member::Name("base64"))
        }
        Field::Event => message.event.as_ref()?.name.as_deref().map(Member::Text),
        Field::EventId => message.event.as_ref()?.id.as_deref().map(Member::Text),
        Field::Synthetic => message.synthetic.then_some(Member::Bool(true)),
        Field::User | Field::To | Field::Except => of_routing(message.routing.as_ref()?, field),
        other => of_frame_info(message.frame_info.as_ref()?, other),
    }
}

fn of_routing(routing: &Routing, field: Field) -> Option<Member<'_>> {
    match field {
        Field::User => routing.user.as_ref().map(|user| Member::Text(user.as_str())),
        Field::To => (!routing.to.is_empty()).then_some(Member::Users(&routing.to)),
        Field::Except => (!routing.except.is_empty()).then_some(Member::Users(&routing.except)),
        _ => None,
    }
}

fn of_frame_info(frame_info: &FrameInfo, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Wire => Some(Member::Number(frame_info.wire)),
        Field::Fragments => {
            let fragments = frame_info.fragments;
            (fragments > 1).then(|| Member::Number(fragments.into()))
        }
        Field::Compressed => frame_info.compressed.then_some(Member::Bool(true)),
        Field::Truncated => frame_info.truncated.then_some(Member::Bool(true)),
        Field::Note => frame_info.note.as_deref().map(Member::Text),
        _ => None,
    }
}

fn of_close(close: &Close, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Close => Some(Member::Close(close)),
        Field::Duration => Some(Member::Seconds(close.duration, 3)),
        Field::Messages => Some(Member::Flow(close.messages)),
        Field::Bytes => Some(Member::Flow(close.bytes)),
        Field::Wire | Field::Silence | Field::Note | Field::Comments => {
            of_stats(close.wire.as_ref()?, field)
        }
        Field::Transport if close.wire.as_ref().is_some_and(|wire| wire.comments.is_some()) => {
            Some(Member::Name(Transport::Sse.as_str()))
        }
        // The handshake that the upstream refused.
        other => of_connect(close.refused.as_ref()?, other),
    }
}

fn of_stats(stats: &TransportStats, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Wire => Some(Member::Flow(stats.bytes)),
        Field::Silence => Some(Member::Silence(stats.client_silence, stats.server_silence)),
        Field::Note => stats.note.as_deref().map(Member::Text),
        Field::Comments => stats.comments.map(Member::Number),
        _ => None,
    }
}

fn of_presence(presence: &Presence, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Channel => Some(Member::Text(presence.channel.as_str())),
        Field::User => Some(Member::Text(presence.user.as_str())),
        _ => None,
    }
}

fn of_exchange(exchange: &Exchange, field: Field) -> Option<Member<'_>> {
    match field {
        Field::Remote => Some(Member::Address(exchange.remote)),
        Field::Method => Some(Member::Text(&exchange.method)),
        Field::Path => Some(Member::Text(&exchange.path)),
        Field::Upstream => exchange.upstream.as_deref().map(Member::Text),
        Field::Status => Some(Member::Number(exchange.status.into())),
        Field::UpstreamTime => Some(Member::Seconds(exchange.time, 6)),
        Field::Duration => Some(Member::Seconds(exchange.duration, 3)),
        Field::Bytes => Some(Member::Flow(exchange.bytes)),
        Field::Note => exchange.note.as_deref().map(Member::Text),
        _ => None,
    }
}
