//! What a reader costs, and what it gives up.

use super::conversations::compress;
use super::*;

/// Reads one message and returns its note and size.
fn sole(reader: &mut Reader, bytes: &[u8]) -> (bool, Option<Note>, u64) {
    let mut seen = Vec::new();
    for piece in bytes.chunks(16 << 10) {
        reader.feed(piece, |one| {
            if let Seen::Message { payload, note, size, .. } = one {
                seen.push((payload == Payload::Absent, note, size));
            }
        });
    }
    assert_eq!(seen.len(), 1);
    seen[0]
}

fn compressed(deflate: &mut flate2::Compress, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(0xC2, &compress(deflate, payload, true), KEY, &mut bytes);
    bytes
}

#[test]
fn messages_of_every_size_are_read_in_pieces_of_any() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
        let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
        for key in [None, KEY] {
            let mut bytes = Vec::new();
            data_frame(Opcode::Binary, &payload, key, &mut bytes);
            let side = if key.is_some() { Side::Client } else { Side::Server };
            for piece in [bytes.len(), 16 << 10, 1000, 7] {
                let mut reader = Reader::new(side, Extensions::None, 1 << 20, false);
                let mut seen = 0;
                for part in bytes.chunks(piece) {
                    reader.feed(part, |one| {
                        seen += 1;
                        let Seen::Message { payload: Payload::Bytes(read), note: None, .. } = one
                        else {
                            panic!("{one:?}");
                        };
                        assert!(read == payload, "{length} in pieces of {piece}");
                    });
                }
                assert_eq!(seen, 1, "{length} in pieces of {piece}");
                assert_eq!(reader.kept.capacity(), 0);
            }
        }
    }
}

#[test]
fn a_message_in_one_piece_is_not_copied() {
    let mut bytes = Vec::new();
    data_frame(Opcode::Text, &[b'a'; 1000], None, &mut bytes);
    let range = bytes.as_ptr_range();
    Reader::new(Side::Server, Extensions::None, 1 << 20, false).feed(&bytes, |seen| {
        let Seen::Message { payload: Payload::Text(text), .. } = seen else { panic!("{seen:?}") };
        assert!(range.contains(&text.as_ptr()));
    });
}

/// Reads one binary message in pieces, and returns its payload, whether it is cut, and its size.
fn kept(reader: &mut Reader, bytes: &[u8], piece: usize) -> (Vec<u8>, bool, u64) {
    let mut all = Vec::new();
    for part in bytes.chunks(piece) {
        reader.feed(part, |one| {
            let Seen::Message { payload: Payload::Bytes(bytes), truncated, size, note, .. } = one
            else {
                panic!("{one:?}")
            };
            assert_eq!(truncated, matches!(note, Some(Note::TooLarge(_))), "{note:?}");
            all.push((bytes.to_vec(), truncated, size));
        });
    }
    assert_eq!(all.len(), 1);
    assert_eq!(reader.held(), 0);
    all.remove(0)
}

#[test]
fn message_over_the_limit_is_cut_there_and_has_its_whole_size() {
    let limit = 1000;
    for (extensions, key) in
        [(Extensions::None, KEY), (Extensions::None, None), (DEFLATE, KEY), (NO_TAKEOVER, KEY)]
    {
        let sender = if key.is_some() { Side::Client } else { Side::Server };
        let mut reader = Reader::new(sender, extensions, limit, false);
        let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
        for length in [999, 1000, 1001, 4097, 1 << 20, 10] {
            let payload: Vec<u8> =
                (0..length as u64).flat_map(|n| (n * n).to_le_bytes()).take(length).collect();
            for piece in [16 << 10, 7, 1 << 22] {
                let mut bytes = Vec::new();
                if extensions == Extensions::None {
                    data_frame(Opcode::Binary, &payload, key, &mut bytes);
                } else {
                    bytes = compressed(&mut deflate, &payload);
                }
                if extensions == NO_TAKEOVER {
                    deflate.reset();
                }
                let (bytes, truncated, size) = kept(&mut reader, &bytes, piece);
                assert!(bytes == payload[..length.min(limit)], "{length} in pieces of {piece}");
                assert_eq!((truncated, size), (length > limit, length as u64));
            }
        }
        // In fragments that would each be kept.
        if key.is_some() {
            let mut bytes = Vec::new();
            frame(0x02, &[7; 600], key, &mut bytes);
            frame(0x80, &[8; 600], key, &mut bytes);
            let cut = [[7; 600], [8; 600]].concat()[..limit].to_vec();
            assert_eq!(kept(&mut reader, &bytes, 100), (cut, true, 1200));
        }
    }
}

#[test]
fn text_is_cut_between_two_characters() {
    let mut reader = Reader::new(Side::Server, Extensions::None, 4, false);
    for (text, seen) in [
        ("abcd", "text abcd"),
        ("abcéé", "text abc… | larger than the limit of 4 bytes, cut there"),
        ("aéé", "text aé… | larger than the limit of 4 bytes, cut there"),
    ] {
        let mut bytes = Vec::new();
        data_frame(Opcode::Text, text.as_bytes(), None, &mut bytes);
        reader.feed(&bytes, |one| assert_eq!(told(&one), seen));
    }
    let note = "bytes a\\xffbc… | protocol violation: text that is not UTF-8";
    reader.feed(b"\x81\x06a\xffbcde", |one| assert_eq!(told(&one), note));
}

#[test]
fn a_length_that_is_announced_takes_no_memory() {
    let mut reader = Reader::new(Side::Server, Extensions::None, 1 << 30, false);
    reader.feed(b"\x82\x7F\x00\x00\x00\x00\x3F\x00\x00\x00abc", |_| panic!("not complete"));
    assert!(reader.kept.capacity() < 100, "{}", reader.kept.capacity());
}

#[test]
fn deflate_bomb_is_counted_and_cut_and_the_next_message_is_read() {
    for extensions in [DEFLATE, NO_TAKEOVER] {
        let mut reader = Reader::new(Side::Client, extensions, 1 << 20, false);
        let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
        let bomb = vec![b'x'; 8 << 20];
        let bytes = compressed(&mut deflate, &bomb);
        assert!(bytes.len() < 100_000);
        let mut most = 0;
        for piece in bytes.chunks(1000) {
            reader.feed(piece, |seen| {
                let Seen::Message { payload: Payload::Bytes(kept), size, note, .. } = seen else {
                    panic!("{seen:?}")
                };
                assert_eq!((size, note), (8 << 20, Some(Note::TooLarge(1 << 20))));
                assert!(kept == &bomb[..1 << 20]);
            });
            most = most.max(reader.kept.capacity());
        }
        assert!(most <= (1 << 20) + (8 << 10), "{most}");
        assert_eq!(reader.kept.capacity(), 0);
        if extensions == NO_TAKEOVER {
            deflate.reset();
        }
        let next = compressed(&mut deflate, b"and the next, xxxxxxxxxxxxxx");
        assert_eq!(sole(&mut reader, &next), (false, None, 28));
    }
}

#[test]
fn a_message_far_beyond_the_limit_ends_decoding_where_the_context_is_carried_over() {
    let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
    let bomb = compressed(&mut deflate, &vec![0; 65 << 20]);
    let next = compressed(&mut deflate, &[0; 1000]);
    let plain = b"\x82\x81\0\0\0\0x";
    let mut reader = Reader::new(Side::Client, DEFLATE, 1000, false);
    let given_up =
        |bytes: &[u8], head: u64| (true, Some(Note::NotDecoded), bytes.len() as u64 - head);
    assert_eq!(sole(&mut reader, &bomb), given_up(&bomb, 14));
    assert_eq!(sole(&mut reader, &next), given_up(&next, 6));
    assert_eq!(sole(&mut reader, plain), (false, None, 1));
    assert!(!reader.carries_context());

    let mut reader = Reader::new(Side::Client, NO_TAKEOVER, 1000, false);
    assert_eq!(sole(&mut reader, &bomb), given_up(&bomb, 14));
    deflate.reset();
    let next = compressed(&mut deflate, &[0; 1000]);
    assert_eq!(sole(&mut reader, &next), (false, None, 1000));
}

#[test]
fn budget_stops_reading_and_changes_nothing() {
    for extensions in [DEFLATE, NO_TAKEOVER] {
        let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
        let mut bytes = Vec::new();
        for length in [3 << 20, 10, 1 << 20, 300_000] {
            bytes.extend(compressed(&mut deflate, &vec![b'x'; length]));
            if extensions == NO_TAKEOVER {
                deflate.reset();
            }
        }
        bytes.extend_from_slice(b"\x89\x81\0\0\0\0p\x82\x81\0\0\0\0x\x88\x80\0\0\0\0");
        let read = |budget: usize| {
            let mut reader = Reader::new(Side::Client, extensions, 1 << 20, true);
            let (mut seen, mut calls, mut rest) = (Vec::new(), 0, &bytes[..]);
            while !rest.is_empty() {
                let before = reader.counts().decoded;
                let count = reader.feed_within(rest, &mut budget.clone(), |one| match one {
                    Seen::Message { size, note, payload, .. } => {
                        seen.push(format!("{size} {note:?} {}", payload == Payload::Absent));
                    }
                    other => seen.push(told(&other)),
                });
                assert!(count > 0, "each call goes on");
                let decoded =
                    usize::try_from(reader.counts().decoded - before).expect("it is small");
                assert!(decoded <= budget.saturating_add(5 << 20), "{decoded}");
                rest = &rest[count..];
                calls += 1;
            }
            (seen, calls)
        };
        let (whole, once) = read(usize::MAX);
        assert_eq!((whole.len(), once), (7, 1));
        for budget in [1, 1000, 100_000, 1 << 20] {
            let (seen, calls) = read(budget);
            assert_eq!(seen, whole);
            assert!(calls > 1, "{budget}");
        }
    }
}

#[test]
fn dropped_payload_is_noted_and_the_next_message_is_read() {
    for extensions in [Extensions::None, DEFLATE, NO_TAKEOVER] {
        let mut reader = Reader::new(Side::Client, extensions, 1 << 20, false);
        let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
        let mut message = |text: &[u8]| {
            let mut bytes = Vec::new();
            if extensions == Extensions::None {
                data_frame(Opcode::Binary, text, KEY, &mut bytes);
            } else {
                bytes = compressed(&mut deflate, text);
            }
            if extensions == NO_TAKEOVER {
                deflate.reset();
            }
            bytes
        };
        let payload: Vec<u8> = (0..300_000_u32).flat_map(u32::to_be_bytes).take(900_000).collect();
        let (first, next) = (message(&payload), message(&payload[..1000]));
        let (half, rest) = first.split_at(first.len() / 2);
        reader.feed(half, |_| panic!("not complete"));
        assert!(reader.held() > 100_000);
        reader.drop_payload();
        assert_eq!(reader.held(), 0);
        assert_eq!(sole(&mut reader, rest), (true, Some(Note::NoRoom), 900_000));
        assert_eq!(sole(&mut reader, &next), (false, None, 1000));
    }
}

#[test]
fn a_silent_reader_holds_nothing() {
    assert!(size_of::<Reader>() <= 288, "{}", size_of::<Reader>());
    let mut deflate = flate2::Compress::new(flate2::Compression::fast(), false);
    let bytes = compressed(&mut deflate, &[1; 1000]);
    for (extensions, inflater) in [(DEFLATE, true), (NO_TAKEOVER, false)] {
        let mut reader = Reader::new(Side::Client, extensions, 1 << 20, false);
        assert!(!reader.inflate.holds());
        for piece in bytes.chunks(5) {
            reader.feed(piece, |_| {});
        }
        assert_eq!(reader.counts().messages, 1);
        assert_eq!((reader.kept.capacity(), reader.piece.capacity()), (0, 0));
        assert_eq!(reader.inflate.holds(), inflater);
    }
}

#[test]
fn skimming_loses_the_message_under_way_and_no_other() {
    let bytes = b"\x81\x02ab\x01\x01c\x80\x01d\x81\x01e";
    for (cut, skim, rest) in [
        (1, 2, &["absent | began before anybody listened, not kept", "text cd", "text e"][..]),
        (2, 2, &["text cd", "text e"]),
        (5, 1, &["absent | began before anybody listened, not kept", "text e"]),
    ] {
        let mut reader = Reader::new(Side::Server, Extensions::None, 100, false);
        let mut seen = Vec::new();
        let (before, after) = bytes.split_at(cut);
        reader.feed(before, |_| {});
        let (between, after) = after.split_at(skim);
        reader.skim(between, |one| panic!("{one:?}"));
        reader.feed(after, |one| seen.push(told(&one)));
        assert_eq!(seen, rest, "{cut}");
        assert_eq!(reader.counts(), Counts { messages: 3, payload: 5, decoded: 5 });
    }
}

#[test]
fn skimming_tells_of_the_end() {
    let mut seen = Vec::new();
    let mut reader = Reader::new(Side::Client, Extensions::None, 100, true);
    let bytes = b"\x81\x80\0\0\0\0\x89\x80\0\0\0\0\x88\x84\0\0\0\0\x03\xE8ok\x83\x80\0\0\0\0";
    for byte in bytes {
        reader.skim(&[*byte], |one| seen.push(told(&one)));
    }
    assert_eq!(seen, ["close 1000 ok"]);
    let mut seen = Vec::new();
    reader.skim(b"\x81\xFF\xFF\0\0\0\0\0\0\0\0\0\0\0\0", |one| seen.push(told(&one)));
    assert!(matches!(&*seen, [one] if one.starts_with("unreadable")), "{seen:?}");
    reader.feed(b"\x81\x80\0\0\0\0", |one| panic!("{one:?}"));
}

#[test]
fn skimming_a_compressed_message_costs_the_context_only_where_there_is_one() {
    let hello = b"\xC1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    for (extensions, next) in
        [(DEFLATE, "absent | compressed, not decoded"), (NO_TAKEOVER, "text Hello")]
    {
        let mut reader = Reader::new(Side::Server, extensions, 100, false);
        let mut seen = Vec::new();
        reader.feed(hello, |one| seen.push(told(&one)));
        assert_eq!(reader.carries_context(), extensions == DEFLATE);
        reader.skim(b"\x81\x01a", |_| {});
        reader.feed(hello, |one| seen.push(told(&one)));
        reader.skim(hello, |_| {});
        reader.feed(hello, |one| seen.push(told(&one)));
        assert_eq!(seen, ["text Hello", "text Hello", next]);
        assert!(!reader.carries_context());
    }
}
