//! Readers over bytes that are written by hand.

mod conversations;
mod limits;

use super::write::frame;
use super::*;
use crate::event::Opcode;

const KEY: Option<[u8; 4]> = Some([0x37, 0xFA, 0x21, 0x3D]);
const DEFLATE: Extensions = Extensions::Deflate(Deflate {
    client_no_context_takeover: false,
    server_no_context_takeover: false,
    client_max_window_bits: 15,
    server_max_window_bits: 15,
});
const NO_TAKEOVER: Extensions = Extensions::Deflate(Deflate {
    client_no_context_takeover: true,
    server_no_context_takeover: true,
    client_max_window_bits: 15,
    server_max_window_bits: 15,
});

/// Returns a result of a reader as a line.
fn told(seen: &Seen<'_>) -> String {
    let (what, note) = match seen {
        Seen::Message { payload, truncated, note, .. } => {
            let cut = if *truncated { "…" } else { "" };
            let what = match payload {
                Payload::Text(text) => format!("text {text}{cut}"),
                Payload::Bytes(bytes) => format!("bytes {}{cut}", bytes.escape_ascii()),
                Payload::Absent => "absent".to_owned(),
            };
            (what, *note)
        }
        Seen::Control { kind, payload, note, .. } => {
            (format!("{kind:?} {}", payload.escape_ascii()), *note)
        }
        Seen::Close { code, reason, note } => (format!("close {code} {reason}"), *note),
        Seen::Reserved { opcode, note, .. } => (format!("reserved {opcode}"), Some(*note)),
        Seen::Unreadable { note } => ("unreadable".to_owned(), Some(*note)),
    };
    note.map_or(what.clone(), |note| format!("{what} | {note}"))
}

/// Reads bytes in one piece and byte by byte, which has to say the same.
fn read(side: Side, extensions: Extensions, bytes: &[u8]) -> Vec<String> {
    let mut whole = (Reader::new(side, extensions, 1 << 20, true), Vec::new());
    whole.0.feed(bytes, |seen| whole.1.push(format!("{seen:?}")));
    let mut single = (Reader::new(side, extensions, 1 << 20, true), Vec::new(), Vec::new());
    for byte in bytes {
        single.0.feed(&[*byte], |seen| {
            single.1.push(format!("{seen:?}"));
            single.2.push(told(&seen));
        });
    }
    assert_eq!(whole.1, single.1);
    assert_eq!(whole.0.counts(), single.0.counts());
    single.2
}

fn server(bytes: &[u8]) -> Vec<String> {
    read(Side::Server, Extensions::None, bytes)
}

fn wrong(what: &str, note: &str) -> String {
    format!("{what} | protocol violation: {note}")
}

#[test]
fn the_examples_of_the_standard_are_read() {
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(server(&unmasked), ["text Hello"]);
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(Side::Client, Extensions::None, &masked), ["text Hello"]);
    let fragmented = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(server(&fragmented), ["text Hello"]);
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(server(&ping), ["Ping Hello"]);
    let answer = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(Side::Client, Extensions::None, &answer), ["Pong Hello"]);
}

#[test]
fn the_examples_of_the_compression_standard_are_read() {
    let one = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let fragments = [0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00];
    let window = [0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
    let stored = [0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let last_block = [0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks =
        [0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    for bytes in [&one[..], &fragments, &stored, &last_block, &two_blocks] {
        for extensions in [DEFLATE, NO_TAKEOVER] {
            let twice = [bytes, bytes].concat();
            assert_eq!(read(Side::Server, extensions, &twice), ["text Hello", "text Hello"]);
        }
    }
    let takeover = [&one[..], &window].concat();
    assert_eq!(read(Side::Server, DEFLATE, &takeover), ["text Hello", "text Hello"]);
    assert_eq!(
        read(Side::Server, NO_TAKEOVER, &takeover),
        ["text Hello", &wrong("absent", "compressed data that cannot be inflated")]
    );
}

#[test]
fn control_frames_stand_between_fragments() {
    let bytes = b"\x01\x01a\x89\x01p\x00\x00\x8A\x00\x80\x01b\x88\x05\x03\xE8bye";
    assert_eq!(server(bytes), ["Ping p", "Pong ", "text ab", "close 1000 bye"]);
    let mut reader = Reader::new(Side::Server, Extensions::None, 10, false);
    let mut seen = Vec::new();
    reader.feed(bytes, |one| seen.push(told(&one)));
    assert_eq!(seen, ["text ab", "close 1000 bye"], "pings are not asked for");
}

#[test]
fn sizes_and_frames_are_told() {
    let mut reader = Reader::new(Side::Server, DEFLATE, 10, false);
    let mut seen = 0;
    reader.feed(b"\x41\x03\xf2\x48\xcd\x89\x00\x80\x04\xc9\xc9\x07\x00", |one| {
        seen += 1;
        let payload = Payload::Text("Hello");
        let (opcode, note) = (Opcode::Text, None);
        let expected = Seen::Message {
            opcode,
            payload,
            truncated: false,
            size: 5,
            wire: 11,
            fragments: 2,
            compressed: true,
            note,
        };
        assert_eq!(one, expected);
    });
    assert_eq!(seen, 1);
    assert_eq!(reader.counts(), Counts { messages: 1, payload: 7, decoded: 5 });
}

#[test]
fn empty_messages_are_messages() {
    assert_eq!(server(b"\x81\x00\x82\x00\x01\x00\x00\x00\x80\x00"), ["text ", "bytes ", "text "]);
    // As the standard has it, without any byte, and in fragments without any.
    for empty in [&b"\xC1\x01\x00"[..], b"\xC1\x00", b"\x41\x00\x80\x00"] {
        let between =
            [b"\xC1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", empty, b"\xc1\x05\xf2\x00\x11\x00\x00"];
        assert_eq!(
            read(Side::Server, DEFLATE, &between.concat()),
            ["text Hello", "text ", "text Hello"]
        );
    }
}

#[test]
fn masks_are_as_the_side_has_to_have_them() {
    let note = wrong("text a", "a client frame that is not masked");
    assert_eq!(read(Side::Client, Extensions::None, b"\x81\x01a"), [note]);
    let note = wrong("text a", "a server frame that is masked");
    assert_eq!(server(b"\x81\x81\0\0\0\0a"), [note]);
}

#[test]
fn reserved_bits_need_an_extension() {
    let note = |what: &str| wrong(what, "reserved bits that no extension explains");
    for first in [0xC1, 0xA1, 0x91, 0xF1] {
        assert_eq!(server(&[first, 1, b'a']), [note("text a")]);
    }
    for first in [0xA1, 0x91] {
        assert_eq!(read(Side::Server, DEFLATE, &[first, 1, b'a']), [note("text a")]);
    }
    assert_eq!(read(Side::Server, DEFLATE, b"\x01\x01a\xC0\x01b"), [note("text ab")]);
    assert_eq!(read(Side::Server, DEFLATE, b"\xC9\x00"), [note("Ping ")]);
}

#[test]
fn an_unknown_extension_hides_what_it_marks_and_no_more() {
    let bytes = b"\xC1\x01a\x81\x01b\x01\x01c\xA0\x01d\x81\x01e";
    let absent = "absent | an extension that is not known, not decoded";
    assert_eq!(
        read(Side::Server, Extensions::Unknown, bytes),
        [absent, "text b", absent, "text e"]
    );
}

#[test]
fn reserved_opcodes_are_told() {
    for opcode in [3, 7, 11, 15] {
        assert_eq!(
            server(&[0x80 | opcode, 1, b'x', 0x81, 1, b'a']),
            [
                wrong(&format!("reserved {opcode}"), &format!("the reserved opcode {opcode}")),
                "text a".to_owned()
            ]
        );
    }
}

#[test]
fn a_length_may_not_be_longer_than_it_needs() {
    let note = wrong("text a", "a length in more bytes than it needs");
    assert_eq!(server(b"\x81\x7E\x00\x01a"), std::slice::from_ref(&note));
    assert_eq!(server(b"\x81\x7F\x00\x00\x00\x00\x00\x00\x00\x01a"), [note]);
}

#[test]
fn a_length_with_the_top_bit_ends_the_reading() {
    let bytes = b"\x81\x01a\x81\x7F\x80\x00\x00\x00\x00\x00\x00\x01a\x81\x01b";
    let note = wrong("unreadable", "a length of 2^63 or more; nothing after it can be read");
    assert_eq!(server(bytes), ["text a", &note]);
}

#[test]
fn control_frames_are_short_and_whole() {
    assert_eq!(
        server(b"\x09\x01a\x81\x01b"),
        [&wrong("Ping a", "a control frame in fragments"), "text b"]
    );
    let mut long = Vec::new();
    frame(0x89, &[b'x'; 126], None, &mut long);
    assert_eq!(
        server(&long),
        [wrong(&format!("Ping {}", "x".repeat(125)), "a control frame of more than 125 bytes")]
    );
}

#[test]
fn fragments_have_a_start_and_an_end() {
    assert_eq!(
        server(b"\x00\x01a\x80\x01b\x80\x01c"),
        [
            wrong("bytes ab", "a continuation of nothing"),
            wrong("bytes c", "a continuation of nothing")
        ]
    );
    assert_eq!(
        server(b"\x01\x01a\x81\x01b\x81\x01c"),
        [&wrong("text a", "a message cut off by the next one"), "text b", "text c"]
    );
    // The part of the message that is cut off is missing in the context.
    let note = "absent | compressed, not decoded";
    let cut = b"\x41\x03\xf2\x48\xcd\x81\x01b\xC1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    let seen = read(Side::Server, DEFLATE, cut);
    assert!(seen[0].ends_with("a message cut off by the next one"), "{}", seen[0]);
    assert_eq!(seen[1..], ["text b", note]);
    assert_eq!(read(Side::Server, NO_TAKEOVER, cut)[1..], ["text b", "text Hello"]);
}

#[test]
fn no_message_follows_a_close() {
    assert_eq!(
        server(b"\x88\x02\x03\xE8\x81\x01a\x8A\x00"),
        ["close 1000 ", &wrong("text a", "a message after the close frame"), "Pong "]
    );
}

#[test]
fn text_that_is_no_utf8_is_told_as_bytes() {
    let note = wrong("bytes \\xff", "text that is not UTF-8");
    assert_eq!(server(b"\x81\x01\xFF"), [note]);
    assert_eq!(server("\u{1}\u{1}\u{0}".as_bytes()).len(), 0, "unfinished");
    // Half a character in each fragment.
    assert_eq!(server(b"\x01\x01\xC3\x80\x01\xBC"), ["text ü"]);
}

#[test]
fn close_frames_say_why_or_what_is_wrong() {
    assert_eq!(server(b"\x88\x00"), ["close 1005 "]);
    assert_eq!(server(b"\x88\x01x"), [wrong("close 1005 ", "a close frame of one byte")]);
    assert_eq!(
        server(b"\x88\x03\x03\xE8\xFF"),
        [wrong("close 1000 \u{FFFD}", "a close reason that is not UTF-8")]
    );
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let [high, low] = code.to_be_bytes();
        assert_eq!(
            server(&[0x88, 2, high, low]),
            [wrong(&format!("close {code} "), &format!("the close code {code} in a frame"))]
        );
    }
}

#[test]
fn what_cannot_be_inflated_is_told_and_costs_the_context() {
    let invalid = wrong("absent", "compressed data that cannot be inflated");
    let bytes = b"\xC1\x02\xFF\xFF\xC1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x01a";
    assert_eq!(
        read(Side::Server, DEFLATE, bytes),
        [&invalid, "absent | compressed, not decoded", "text a"]
    );
    assert_eq!(read(Side::Server, NO_TAKEOVER, bytes), [&invalid, "text Hello", "text a"]);
}

#[test]
fn frames_of_our_own_are_read_as_they_were_meant() {
    let mut bytes = Vec::new();
    data_frame(Opcode::Text, "grüß dich".as_bytes(), KEY, &mut bytes);
    data_frame(Opcode::Binary, &[1; 200], KEY, &mut bytes);
    close_frame(4000, "done", KEY, &mut bytes);
    assert_eq!(
        read(Side::Client, DEFLATE, &bytes),
        ["text grüß dich", &format!("bytes {}", "\\x01".repeat(200)), "close 4000 done"]
    );
}
