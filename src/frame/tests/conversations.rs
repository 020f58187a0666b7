//! Random conversations are read exactly, whatever the pieces.

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use tungstenite::protocol::Role;
use tungstenite::{Message as Sent, WebSocket};

use super::*;

/// What somebody says.
#[derive(Debug, Clone)]
enum Say {
    /// A message cut into fragments, pings between them.
    Message {
        text: bool,
        payload: Vec<u8>,
        cuts: Vec<usize>,
        compressed: bool,
        pings: bool,
    },
    Pong(Vec<u8>),
}

/// Compresses one message (RFC 7692 section 7.2.1).
pub(super) fn compress(deflate: &mut Compress, payload: &[u8], takeover: bool) -> Vec<u8> {
    if !takeover {
        deflate.reset();
    }
    let (mut out, mut done) = (Vec::new(), 0);
    loop {
        out.reserve(payload.len() / 2 + 64);
        let before = deflate.total_in();
        deflate
            .compress_vec(&payload[done..], &mut out, FlushCompress::Sync)
            .expect("can be compressed");
        done += usize::try_from(deflate.total_in() - before).expect("small");
        if done == payload.len() && out.len() < out.capacity() {
            break;
        }
    }
    if out.is_empty() {
        // A second flush with nothing in between makes nothing.
        return vec![0];
    }
    assert!(out.ends_with(&[0, 0, 0xFF, 0xFF]), "{out:?}");
    out.truncate(out.len() - 4);
    out
}

/// Encodes a conversation, and says what has to be seen.
fn encode(says: &[Say], side: Side, takeover: bool, bits: u8) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut expected) = (Vec::new(), Vec::new());
    let mut deflate = Compress::new_with_window_bits(Compression::default(), false, bits);
    let mut key = 0x1234_5678_u32;
    let mut put = |first: u8, payload: &[u8], bytes: &mut Vec<u8>| {
        key = key.wrapping_mul(0x9E37_79B9).wrapping_add(1);
        frame(first, payload, (side == Side::Client).then_some(key.to_be_bytes()), bytes);
    };
    for say in says {
        match say {
            Say::Pong(payload) => {
                put(0x8A, payload, &mut bytes);
                expected.push(format!("Pong {}", payload.escape_ascii()));
            }
            Say::Message { text, payload, cuts, compressed, pings } => {
                let sent = if *compressed {
                    compress(&mut deflate, payload, takeover)
                } else {
                    payload.clone()
                };
                let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (sent.len() + 1)).collect();
                ends.extend([0, sent.len()]);
                ends.sort_unstable();
                for (n, range) in ends.windows(2).enumerate() {
                    let opcode = match n {
                        0 if *text => 1,
                        0 => 2,
                        _ => 0,
                    };
                    let rsv = if n == 0 && *compressed { 0x40 } else { 0 };
                    let fin = if n + 2 == ends.len() { 0x80 } else { 0 };
                    put(opcode | rsv | fin, &sent[range[0]..range[1]], &mut bytes);
                    if *pings && fin == 0 {
                        put(0x89, b"?", &mut bytes);
                        expected.push("Ping ?".to_owned());
                    }
                }
                expected.push(match std::str::from_utf8(payload) {
                    Ok(said) if *text => format!("text {said}"),
                    _ => format!("bytes {}", payload.escape_ascii()),
                });
            }
        }
    }
    close_frame(1000, "bye", (side == Side::Client).then_some([9, 8, 7, 6]), &mut bytes);
    expected.push("close 1000 bye".to_owned());
    (bytes, expected)
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        20 => 0..300_usize,
        2 => Just(125_usize),
        2 => Just(126_usize),
        1 => 65_530..65_540_usize,
    ]
}

fn payload() -> impl Strategy<Value = (bool, Vec<u8>)> {
    prop_oneof![
        length().prop_map(|length| (false, (0..=250).cycle().take(length).collect())),
        vec(any::<u8>(), 0..200).prop_map(|bytes| (false, bytes)),
        "\\PC{0,100}".prop_map(|text| (true, text.into_bytes())),
        length().prop_map(|length| (
            true,
            "wie schön ".bytes().cycle().take(length / 11 * 11).collect()
        )),
    ]
}

fn say() -> impl Strategy<Value = Say> {
    let message = (payload(), vec(any::<usize>(), 0..4), any::<bool>(), any::<bool>()).prop_map(
        |((text, payload), cuts, compressed, pings)| Say::Message {
            text,
            payload,
            cuts,
            compressed,
            pings,
        },
    );
    prop_oneof![8 => message, 1 => vec(any::<u8>(), 0..=125).prop_map(Say::Pong)]
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

fn extensions() -> impl Strategy<Value = Extensions> {
    prop_oneof![Just(Extensions::None), Just(DEFLATE), Just(NO_TAKEOVER), Just(Extensions::Unknown)]
}

/// Cuts bytes into pieces of these lengths, again and again.
fn pieces<'a>(mut bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    lengths.iter().cycle().map_while(move |length| {
        let (piece, rest) = bytes.split_at_checked(*length).unwrap_or((bytes, &[]));
        let more = !bytes.is_empty();
        bytes = rest;
        more.then_some(piece)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_conversation_is_read_exactly_in_any_pieces(
        says in vec(say(), 0..12),
        side in side(),
        takeover: bool,
        bits in 9..=15_u8,
        lengths in vec(1..5000_usize, 1..6),
        small in vec(1..9_usize, 1..6),
    ) {
        let (bytes, expected) = encode(&says, side, takeover, bits);
        let extensions = if takeover { DEFLATE } else { NO_TAKEOVER };
        let all = [bytes.len()];
        for lengths in [&all[..], &lengths, &small] {
            let mut reader = Reader::new(side, extensions, 1 << 20, true);
            let mut seen = Vec::new();
            for piece in pieces(&bytes, lengths) {
                reader.feed(piece, |one| seen.push(told(&one)));
            }
            prop_assert_eq!(&seen, &expected);
            let messages = says.iter().filter(|say| matches!(say, Say::Message { .. })).count();
            prop_assert_eq!(reader.counts().messages, messages as u64);
            prop_assert!(!reader.boundaries().open());
        }
    }

    #[test]
    fn what_is_read_after_skimming_is_right(
        says in vec(say(), 0..12),
        side in side(),
        takeover: bool,
        lengths in vec(1..400_usize, 1..20),
        skims in vec(any::<bool>(), 1..20),
    ) {
        let (bytes, expected) = encode(&says, side, takeover, 15);
        let extensions = if takeover { DEFLATE } else { NO_TAKEOVER };
        let messages: Vec<_> =
            expected.iter().filter(|one| one.starts_with("text ") || one.starts_with("bytes ")).collect();
        let mut reader = Reader::new(side, extensions, 1 << 20, false);
        let mut closes = 0;
        for (piece, skim) in pieces(&bytes, &lengths).zip(skims.iter().cycle()) {
            let mut read = Vec::new();
            let mut each = |one: Seen<'_>| match one {
                Seen::Close { .. } => closes += 1,
                one => read.push(told(&one)),
            };
            if *skim {
                reader.skim(piece, &mut each);
                prop_assert!(read.is_empty());
            } else {
                reader.feed(piece, &mut each);
            }
            let until = usize::try_from(reader.counts().messages).expect("few");
            for (read, expected) in read.iter().zip(&messages[until - read.len()..until]) {
                if !read.starts_with("absent | ") {
                    prop_assert_eq!(read, *expected);
                }
            }
        }
        prop_assert_eq!(closes, 1);
        prop_assert_eq!(reader.counts().messages, messages.len() as u64);
        let mut whole = Reader::new(side, extensions, 1 << 20, false);
        whole.feed(&bytes, |_| {});
        prop_assert_eq!(reader.counts().payload, whole.counts().payload);
    }

    #[test]
    fn a_message_may_be_put_wherever_the_boundaries_say(
        says in vec(say(), 0..8),
        side in side(),
        lengths in vec(1..400_usize, 1..20),
        turn in 0..10_usize,
    ) {
        let (bytes, mut expected) = encode(&says, side, true, 15);
        let key = (side == Side::Client).then_some([4, 3, 2, 1]);
        let (mut boundaries, mut out, mut wait) = (Boundaries::new(), Vec::new(), turn);
        for piece in pieces(&bytes, &lengths) {
            let mut at = boundaries.scan(piece);
            if let Some(offset) = at.take_if(|_| wait == 0) {
                out.extend_from_slice(&piece[..offset]);
                data_frame(Opcode::Text, b"injected", key, &mut out);
                out.extend_from_slice(&piece[offset..]);
                wait = usize::MAX;
            } else {
                out.extend_from_slice(piece);
                wait = wait.saturating_sub(1);
            }
        }
        let mut seen = Vec::new();
        Reader::new(side, DEFLATE, 1 << 20, true).feed(&out, |one| seen.push(told(&one)));
        if let Some(at) = seen.iter().position(|one| one == "text injected") {
            expected.insert(at, "text injected".to_owned());
        }
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn garbage_is_read_the_same_in_any_pieces_and_in_bounded_memory(
        bytes in vec(any::<u8>(), 0..3000),
        heads in vec((any::<u16>(), 0..2000_usize), 0..20),
        side in side(),
        extensions in extensions(),
        lengths in vec(1..300_usize, 1..6),
    ) {
        let mut bytes = bytes;
        // Garbage alone has few frames that end before it does.
        for (head, at) in heads {
            let [first, second] = head.to_be_bytes();
            if let Some([one, two]) = bytes.get_mut(at..at + 2) {
                (*one, *two) = (first, second % 100);
            }
        }
        let mut whole = (Reader::new(side, extensions, 500, true), Vec::new());
        whole.0.feed(&bytes, |one| whole.1.push(format!("{one:?}")));
        let mut cut = (Reader::new(side, extensions, 500, true), Vec::new());
        for piece in pieces(&bytes, &lengths) {
            cut.0.feed(piece, |one| cut.1.push(format!("{one:?}")));
            prop_assert!(cut.0.kept.capacity() <= (8 << 10) && cut.0.piece.capacity() <= 250);
        }
        prop_assert_eq!(whole.1, cut.1);
        prop_assert_eq!(whole.0.counts(), cut.0.counts());
        prop_assert_eq!(whole.0.boundaries().open(), cut.0.boundaries().open());
    }

    #[test]
    fn what_tungstenite_says_is_read(
        messages in vec(payload(), 0..10),
        side in side(),
        lengths in vec(1..3000_usize, 1..6),
    ) {
        let role = if side == Side::Client { Role::Client } else { Role::Server };
        let mut socket = WebSocket::from_raw_socket(std::io::Cursor::new(Vec::new()), role, None);
        let mut expected = Vec::new();
        for (text, payload) in messages {
            if text {
                let text = String::from_utf8(payload).expect("text");
                expected.push(format!("text {text}"));
                socket.send(Sent::text(text)).expect("sent");
            } else {
                expected.push(format!("bytes {}", payload.escape_ascii()));
                socket.send(Sent::binary(payload)).expect("sent");
            }
        }
        let mut reader = Reader::new(side, Extensions::None, 1 << 20, true);
        let mut seen = Vec::new();
        for piece in pieces(socket.get_ref().get_ref(), &lengths) {
            reader.feed(piece, |one| seen.push(told(&one)));
        }
        prop_assert_eq!(seen, expected);
    }
}
