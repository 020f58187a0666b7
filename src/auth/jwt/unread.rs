//! What looks like a key that is public, in a form that is not read here. Taken for the secret of
//! an HMAC, it would let everybody who has it sign tokens: that is what a public key is for.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;

/// Base64 as it comes, with `=` at its end or without.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// How the lines of public keys of OpenSSH begin.
const SSH: [&[u8]; 3] = [b"ssh-", b"ecdsa-", b"sk-"];

/// Returns what a file without PEM holds, if that is no secret.
pub(super) fn unread(content: &[u8]) -> Option<&'static str> {
    if [&b"\xff\xfe"[..], b"\xfe\xff"].iter().any(|mark| content.starts_with(mark)) {
        // As some shells write the output of a program: PEM would not be seen in it.
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

/// Returns whether it begins with a whole object or array.
fn is_json(text: &[u8]) -> bool {
    (text.starts_with(b"{") || text.starts_with(b"[")) && {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
        matches!(values.next(), Some(Ok(_)))
    }
}

fn is_ssh(text: &[u8]) -> bool {
    // The other is RFC 4716: `---- BEGIN SSH2 PUBLIC KEY ----`.
    SSH.iter().any(|kind| text.starts_with(kind)) || text.starts_with(b"---- BEGIN ")
}

/// Returns whether bytes begin as a SEQUENCE (0x30) whose first part is another or an INTEGER (0x02),
/// as every key and certificate does. Text does not: a secret in hexadecimal may begin with `0`,
/// which is 0x30. Of secrets of random bytes, one in 60,000 looks so; another is soon made.
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
    // The beginning says it; after that there may be a comment, or another key.
    let start = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(64);
    let decoded = base64.decode(start.collect::<Vec<_>>()).unwrap_or_default();
    // The middle of a line of OpenSSH has four bytes before the kind: its length.
    is_der(&decoded) || decoded.get(4..).is_some_and(|kind| is_ssh(kind) && decoded[0] == 0)
}
