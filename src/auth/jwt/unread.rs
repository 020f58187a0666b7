//! Recognizes public keys in forms other than PEM. Used as an HMAC secret, a public key would let
//! everybody sign tokens.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;

/// Base64 with or without `=` at its end.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Beginnings of the lines of OpenSSH public keys.
const SSH: [&[u8]; 3] = [b"ssh-", b"ecdsa-", b"sk-"];

/// Returns the kind of a file without PEM that is not a secret, or `None`.
pub(super) fn unread(content: &[u8]) -> Option<&'static str> {
    if [&b"\xff\xfe"[..], b"\xfe\xff"].iter().any(|mark| content.starts_with(mark)) {
        // Some shells write the output of a program so. PEM is not recognized in it.
        return Some("UTF-16");
    }
    let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii();
    if is_json(text) {
        Some("JSON, such as a JWKS")
    } else if is_ssh(text) {
        Some("a key of SSH")
    } else if is_der(content) {
        Some("DER")
    } else if [STANDARD, URL_SAFE].iter().any(|base64| holds_a_key(base64, text)) {
        Some("the base64 of a key, without its PEM lines")
    } else {
        None
    }
}

/// Returns whether a text begins with a complete object or array.
fn is_json(text: &[u8]) -> bool {
    (text.starts_with(b"{") || text.starts_with(b"[")) && {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
        matches!(values.next(), Some(Ok(_)))
    }
}

fn is_ssh(text: &[u8]) -> bool {
    // The other form is that of RFC 4716: `---- BEGIN SSH2 PUBLIC KEY ----`.
    SSH.iter().any(|kind| text.starts_with(kind)) || text.starts_with(b"---- BEGIN ")
}

/// Returns whether bytes begin as a SEQUENCE (0x30) whose first part is another SEQUENCE or an INTEGER
/// (0x02), as every key and certificate does. Text is excluded: a hexadecimal secret may begin with
/// `0`, which is 0x30. One in 60,000 secrets of random bytes matches.
fn is_der(bytes: &[u8]) -> bool {
    let is_text = || bytes.iter().all(|it| it.is_ascii_graphic() || it.is_ascii_whitespace());
    // The length stands between, in one to three bytes.
    let begins_so = matches!(
        bytes,
        [0x30, 0..=0x7f, 0x30 | 0x02, ..]
            | [0x30, 0x81, _, 0x30 | 0x02, ..]
            | [0x30, 0x82, _, _, 0x30 | 0x02, ..]
    );
    begins_so && !is_text()
}

fn holds_a_key(base64: &GeneralPurpose, text: &[u8]) -> bool {
    // The beginning is enough; a comment or another key may follow.
    let start = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(64);
    let decoded = base64.decode(start.collect::<Vec<_>>()).unwrap_or_default();
    // In the middle part of an OpenSSH line, four bytes of length precede the kind.
    is_der(&decoded) || decoded.get(4..).is_some_and(|kind| is_ssh(kind) && decoded[0] == 0)
}
