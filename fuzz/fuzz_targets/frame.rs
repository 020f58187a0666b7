//! Any bytes, in any pieces, are read as they are in one; and nothing panics.

#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use wstap::frame::{Boundaries, Deflate, Extensions, Reader, Side};

#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    client: bool,
    extensions: u8,
    limit: u16,
    control: bool,
    /// Lengths of pieces, again and again; one that is odd is skimmed in a third run.
    pieces: [u8; 4],
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let side = if input.client { Side::Client } else { Side::Server };
    let extensions = match input.extensions % 4 {
        0 => Extensions::None,
        1 => Extensions::Deflate(Deflate::default()),
        2 => Extensions::Deflate(Deflate {
            client_no_context_takeover: true,
            server_no_context_takeover: true,
            ..Deflate::default()
        }),
        _ => Extensions::Unknown,
    };
    let reader = || Reader::new(side, extensions, input.limit.into(), input.control);

    let (mut whole, mut expected) = (reader(), Vec::new());
    whole.feed(input.bytes, |seen| expected.push(format!("{seen:?}")));

    let (mut cut, mut seen) = (reader(), Vec::new());
    let (mut skimmer, mut boundaries) = (reader(), Boundaries::new());
    let (mut rest, mut turn) = (input.bytes, 0);
    while !rest.is_empty() {
        let length = usize::from(input.pieces[turn % 4]);
        let (piece, after) = rest.split_at(length.clamp(1, rest.len()));
        (rest, turn) = (after, turn + 1);
        cut.feed(piece, |one| seen.push(format!("{one:?}")));
        if length % 2 == 1 {
            skimmer.skim(piece, |_| {});
        } else {
            skimmer.feed(piece, |_| {});
        }
        assert!(boundaries.scan(piece).is_none_or(|at| at <= piece.len()));
        assert_eq!(boundaries.open(), cut.boundaries().open());
    }
    assert_eq!(seen, expected);
    assert_eq!(cut.counts(), whole.counts());
    assert_eq!(skimmer.counts().messages, whole.counts().messages);
    assert_eq!(skimmer.counts().payload, whole.counts().payload);
});
