//! Frames of our own, for what is put into a connection, and the mask (RFC 6455 section 5.3).

use super::boundaries::{BINARY, CLOSE, FIN, LENGTH_16, LENGTH_64, MASKED, TEXT};
use crate::event::Opcode;

/// The most that a control frame carries (RFC 6455 section 5.5).
pub(super) const CONTROL_MAX: usize = 125;

/// Appends a whole message in one frame: reserved bits clear, so that it is not compressed and
/// leaves the context of permessage-deflate alone; masked with `mask`, as a client's has to be.
///
/// ```
/// use wstap::{event::Opcode, frame};
///
/// let mut out = Vec::new();
/// frame::data_frame(Opcode::Text, b"Hi", None, &mut out);
/// assert_eq!(out, b"\x81\x02Hi");
/// ```
pub fn data_frame(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let opcode = match opcode {
        Opcode::Text => TEXT,
        Opcode::Binary => BINARY,
    };
    frame(FIN | opcode, payload, mask, out);
}

/// Appends a close frame. A reason of more than 123 bytes is cut, between two characters.
pub fn close_frame(code: u16, reason: &str, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - 2)];
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    frame(FIN | CLOSE, &payload, mask, out);
}

/// Appends a frame with this first byte.
pub(super) fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    out.reserve(payload.len() + 14);
    out.push(first);
    if let Ok(length @ 0..=125) = u8::try_from(payload.len()) {
        out.push(masked | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        out.push(masked | LENGTH_16);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(masked | LENGTH_64);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    out.extend_from_slice(mask.as_ref().map_or(&[], |key| key.as_slice()));
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
}

/// Masks or unmasks a piece of a payload that begins `at` bytes into it.
pub(super) fn apply_mask(bytes: &mut [u8], key: [u8; 4], at: u64) {
    let mut turned = key;
    turned.rotate_left((at % 4) as usize);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // The compiler makes vector instructions of this.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        close_frame(1000, &"ü".repeat(100), None, &mut out);
        assert_eq!(out.len(), 2 + 2 + 122);
        assert_eq!(std::str::from_utf8(&out[4..]), Ok(&*"ü".repeat(61)));
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut out = Vec::new();
                data_frame(Opcode::Binary, &vec![0; length], mask, &mut out);
                assert_eq!(out.len(), head + length + mask.map_or(0, |_| 4), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_mask_of_pieces_is_the_mask_of_the_whole(
            bytes: Vec<u8>, key: [u8; 4], cut in 0..100_usize,
        ) {
            let plain: Vec<u8> =
                bytes.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut pieces = bytes.clone();
            let (first, second) = pieces.split_at_mut(cut.min(bytes.len()));
            apply_mask(first, key, 0);
            apply_mask(second, key, first.len() as u64);
            prop_assert_eq!(pieces, plain);
        }
    }
}
