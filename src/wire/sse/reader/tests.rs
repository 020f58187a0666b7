use proptest::prelude::*;

use super::*;

/// An event with its parts owned.
type Event = (Option<String>, String, Result<Vec<u8>, Absent>, u64);

fn read_in(pieces: &[&[u8]], limit: usize) -> (Vec<Event>, Reader) {
    let mut reader = Reader::new(limit);
    let mut all = Vec::new();
    for piece in pieces {
        let read = reader.feed(piece, true, |event| {
            let name = event.name.map(str::to_owned);
            all.push((name, event.id.to_owned(), event.data.map(<[u8]>::to_vec), event.size));
            true
        });
        assert_eq!(read, piece.len());
    }
    (all, reader)
}

fn event(name: &str, id: &str, data: &str) -> Event {
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    (name, id.to_owned(), Ok(data.into()), data.len() as u64)
}

/// The standard, step by step, over a stream that is there as a whole.
fn oracle(bytes: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // The last part is no line: nothing ends it.
    let Some((lines, _)) = text.rsplit_once('\n') else { return Vec::new() };
    let (mut name, mut data, mut id) = (String::new(), String::new(), String::new());
    let mut all = Vec::new();
    for line in lines.split('\n') {
        if line.is_empty() {
            if let Some(data) = data.strip_suffix('\n') {
                let name = if name == "message" { "" } else { &name };
                all.push(event(name, &id, data));
            }
            (name, data) = (String::new(), String::new());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data = format!("{data}{value}\n"),
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            _ => {}
        }
    }
    all
}

#[test]
fn reader_follows_the_standard() {
    let stream = "\u{feff}: hello\nretry: 2500\nid: 1\nevent: add\ndata: a\ndata:  b\n\nid: x\0\ndata\n\n\
                  event: message\rdata:c\r\rid\nunknown: 1\ndatax: 2\ndata: d\r\n\r\n:\n\nevent: lost\n\ndata: not complete\n";
    let (all, reader) = read_in(&[stream.as_bytes()], 100);
    let expected =
        [event("add", "1", "a\n b"), event("", "1", ""), event("", "1", "c"), event("", "", "d")];
    assert_eq!(all, expected);
    assert_eq!((reader.comments(), reader.retry()), (2, Some(Duration::from_millis(2500))));
    assert_eq!(oracle(stream.as_bytes()), expected);
}

#[test]
fn event_is_complete_with_the_first_byte_of_its_last_line_break() {
    let (all, _) = read_in(&[b"data: a\r\n\r"], 100);
    assert_eq!(all, [event("", "", "a")]);
    let (all, _) = read_in(&[b"data: a\r\n\r", b"\ndata: b\n\n"], 100);
    assert_eq!(all.len(), 2);
}

#[test]
fn data_beyond_the_limit_is_counted_and_cut() {
    let mut reader = Reader::new(5);
    let mut all = Vec::new();
    for stream in [
        "data: 123\ndata: 45\n\n",
        "data: 12345\n\n",
        "data: 12345678\ndata: 9\n\n",
        "data: 1234\ndata\n\n",
        "data: 1234\ndata\ndata\ndata\n\n",
        "data: 1\n\n",
    ] {
        reader.feed(stream.as_bytes(), true, |event| {
            let data = String::from_utf8(event.data.expect("it is kept").to_vec());
            all.push((data.expect("text"), event.truncated, event.size));
            true
        });
    }
    let expected = [
        ("123\n4", true, 6),
        ("12345", false, 5),
        ("12345", true, 10),
        ("1234\n", false, 5),
        ("1234\n", true, 7),
        ("1", false, 1),
    ];
    assert_eq!(all, expected.map(|(data, truncated, size)| (data.to_owned(), truncated, size)));
    assert_eq!(reader.held(), 0);
}

#[test]
fn empty_lines_of_data_take_no_memory_either() {
    let mut reader = Reader::new(100);
    let lines = b"data\n".repeat(10_000);
    reader.feed(&lines, true, |_| true);
    assert!(reader.held() <= 101, "{}", reader.held());
}

#[test]
fn endless_lines_take_no_memory() {
    for line in ["data: ", "event: ", "id: ", ":", "x", ""] {
        let mut reader = Reader::new(1000);
        reader.feed(line.as_bytes(), true, |_| true);
        let piece = vec![b'x'; 1 << 16];
        for _ in 0..1000 {
            reader.feed(&piece, true, |_| true);
        }
        assert!(reader.held() <= 1000, "{line}");
        assert!(reader.value.capacity() <= 4 * MAX_TEXT && reader.data.capacity() <= 1 << 17);
        reader.feed(b"\ndata: y\n\n", true, |event| {
            let all = event.name.map_or(0, str::len) + event.id.len();
            assert!(all <= MAX_TEXT + "…".len(), "{line}");
            true
        });
    }
}

#[test]
fn reading_stops_where_it_is_told_to() {
    let mut reader = Reader::new(100);
    let stream = b"data: a\n\ndata: b\n\ndata: c\n\n";
    let (mut at, mut events) = (0, 0);
    while at < stream.len() {
        let mut here = 0;
        at += reader.feed(&stream[at..], true, |_| {
            here += 1;
            false
        });
        assert!(here <= 1);
        events += here;
    }
    assert_eq!(events, 3);
}

#[test]
fn events_that_were_skimmed_in_part_are_absent() {
    let mut reader = Reader::new(100);
    let mut all = Vec::new();
    for (part, keep) in [
        ("data: a\n", true),
        ("data: b\n", false),
        ("data: c\n\ndata: d\n\nda", true),
        ("ta: e\n\ndata: f\n", false),
        ("\ndata: g\n\n", true),
    ] {
        reader.feed(part.as_bytes(), keep, |event| {
            all.push((event.data.map(<[u8]>::to_vec), event.size));
            true
        });
    }
    let skimmed = |size| (Err(Absent::Skimmed), size);
    assert_eq!(
        all,
        [skimmed(5), (Ok(b"d".to_vec()), 1), skimmed(1), skimmed(1), (Ok(b"g".to_vec()), 1)]
    );
}

/// Streams with everything that the standard has a rule for.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "(data|event|id|retry)(:| |: |:  )?",
        4 => "(\r|\n|\r\n|\n\n|\r\r|\r\n\r\n)",
        2 => "[a-c:é\u{feff}\0 ]{0,4}",
        1 => "(: comment|message|datax|dat|12|Data:)",
    ];
    let text = prop::collection::vec(piece, 0..40).prop_map(|parts| parts.concat().into_bytes());
    (any::<bool>(), text, prop::collection::vec((any::<u8>(), any::<u16>()), 0..2)).prop_map(
        |(mark, text, odd)| {
            let mut all = if mark { MARK.to_vec() } else { Vec::new() };
            all.extend(text);
            // Bytes that are no UTF-8.
            for (byte, at) in odd {
                let at = usize::from(at) % (all.len() + 1);
                all.insert(at, byte);
            }
            all
        },
    )
}

proptest! {
    #[test]
    fn reader_and_oracle_agree_however_a_stream_is_cut(
        stream in streams(),
        cuts in prop::collection::vec(any::<u16>(), 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| usize::from(*cut) % (stream.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut at) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([stream.len()]) {
            pieces.push(&stream[at..cut]);
            at = cut;
        }
        let (all, _) = read_in(&pieces, usize::MAX);
        let text = |(name, id, data, _): &Event| {
            let data = data.as_ref().expect("there is no limit");
            (name.clone(), id.clone(), String::from_utf8_lossy(data).into_owned())
        };
        let expected: Vec<_> = oracle(&stream).iter().map(text).collect();
        prop_assert_eq!(all.iter().map(text).collect::<Vec<_>>(), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(read_in(&bytes, usize::MAX).0, all);
    }
}
