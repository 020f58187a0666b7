//! Signatures of calls: the `TimestampSigner` of the Python package `itsdangerous`, which all clients
//! of the API use. Pure.
//!
//! ```text
//! channelstream.XlBvAA.FktB9ImnoY1rZoZBmHvYDi5f9fA
//! value         time   HMAC-SHA1(SHA1("itsdangerous.Signer" "signer" secret), "value.time")
//! ```
//!
//! The scheme requires SHA-1, which is not broken as the hash of an HMAC.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac as _};
use sha1::{Digest as _, Sha1};

/// How many seconds a signature is valid.
const MAX_AGE: u64 = 60;

/// How many seconds the clock of a caller may be ahead. The scheme sets no limit, so that a signature
/// could be made today for next year.
const MAX_AHEAD: u64 = 60;

/// Accepts signatures with and without padding, and with unused bits in the last character.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Signs values, and verifies signatures with the same secret.
#[derive(Clone)]
pub struct Signer {
    key: Hmac<Sha1>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

/// A secret word. Its `Debug` form does not show it.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Creates a secret.
    #[must_use]
    pub fn new(word: &str) -> Self {
        Self(word.into())
    }

    /// Returns whether a guess is right. The time does not depend on how close the guess is.
    #[must_use]
    pub fn is(&self, guess: &str) -> bool {
        let hash = |word: &str| Signer::new(word.as_bytes()).key;
        let own = hash(&self.0).finalize().into_bytes();
        hash(guess).verify_slice(&own).is_ok()
    }
}

/// A signature is wrong or has expired. The error does not tell which, so that it does not help to
/// guess one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not right, or older than {MAX_AGE} s")]
pub struct BadSignature;

impl Signer {
    /// Creates a signer with a secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let mut derived = Sha1::new();
        derived.update(b"itsdangerous.Signersigner");
        derived.update(secret);
        let key = Hmac::new_from_slice(&derived.finalize()).expect("a key may have any length");
        Self { key }
    }

    /// Signs a value, at `now` in seconds since 1970.
    #[must_use]
    pub fn sign(&self, value: &str, now: u64) -> String {
        let bytes = now.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let signed = format!("{value}.{}", BASE64.encode(&bytes[zeros..]));
        let mut mac = self.key.clone();
        mac.update(signed.as_bytes());
        let signature = BASE64.encode(mac.finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    /// Verifies a signature that is at most a minute old at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`BadSignature`].
    pub fn check(&self, token: &[u8], now: u64) -> Result<(), BadSignature> {
        let signed_at = self.signed_at(token)?;
        let (age, ahead) = (now.saturating_sub(signed_at), signed_at.saturating_sub(now));
        if age <= MAX_AGE && ahead <= MAX_AHEAD { Ok(()) } else { Err(BadSignature) }
    }

    /// Verifies a signature of any age, and returns its time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`BadSignature`].
    pub fn signed_at(&self, token: &[u8]) -> Result<u64, BadSignature> {
        let (signed, signature) = split(token)?;
        let signature = decode(signature)?;
        let mut mac = self.key.clone();
        mac.update(signed);
        // The comparison takes constant time.
        mac.verify_slice(&signature).map_err(|_| BadSignature)?;
        let (_, time) = split(signed)?;
        let time = decode(time)?;
        if time.len() > size_of::<u64>() {
            return Err(BadSignature);
        }
        Ok(time.iter().fold(0, |time, byte| time << 8 | u64::from(*byte)))
    }
}

/// Splits at the last dot, since values may contain dots.
fn split(text: &[u8]) -> Result<(&[u8], &[u8]), BadSignature> {
    let dot = memchr::memrchr(b'.', text).ok_or(BadSignature)?;
    Ok((&text[..dot], &text[dot + 1..]))
}

/// Decodes base64 of either alphabet: the signer in JavaScript replaces only the first `+`, `/` and
/// `=` by those of the URL alphabet.
fn decode(text: &[u8]) -> Result<Vec<u8>, BadSignature> {
    let url = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    };
    let text: Vec<u8> = text.iter().map(url).collect();
    BASE64.decode(text).map_err(|_| BadSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Signatures of itsdangerous 1.1.0 for a secret, a value and a time.
    const VECTORS: [(&str, &str, u64, &str); 3] = [
        (
            "secret",
            "channelstream",
            1_582_329_600,
            "channelstream.XlBvAA.FktB9ImnoY1rZoZBmHvYDi5f9fA",
        ),
        ("pa55-wörd", "/connect", 1_700_000_000, "/connect.ZVPxAA.ngA3UE0zwI0SKbqZ7ai7mv9euAI"),
        ("s", "a.b", 4_294_967_296, "a.b.AQAAAAA.TsiutfBiuG9zTuPqAYgPV0Pm02g"),
    ];

    #[test]
    fn it_signs_as_itsdangerous_does() {
        for (secret, value, time, token) in VECTORS {
            let signer = Signer::new(secret.as_bytes());
            assert_eq!(signer.sign(value, time), token);
            assert_eq!(signer.signed_at(token.as_bytes()), Ok(time));
        }
    }

    #[test]
    fn the_signer_in_javascript_leaves_padding_and_is_understood() {
        let signer = Signer::new(b"secret");
        let token = b"channelstream.XlBvAA=.TqTM5XkLKpGuxjIIUMlJX_cM1DI";
        assert_eq!(signer.signed_at(token), Ok(1_582_329_600));
        for odd in [
            "channelstream.XlBvAA.FktB9ImnoY1rZoZBmHvYDi5f9fA=",
            "channelstream.XlBvAA=.TqTM5XkLKpGuxjIIUMlJX/cM1DI=",
        ] {
            assert_eq!(signer.signed_at(odd.as_bytes()), Ok(1_582_329_600), "{odd}");
        }
    }

    #[test]
    fn a_signature_is_good_for_a_minute() {
        let signer = Signer::new(b"secret");
        let (token, at) = (signer.sign("channelstream", 1_000_000), 1_000_000);
        for (now, good) in
            [(at, true), (at + 60, true), (at + 61, false), (at - 60, true), (at - 61, false)]
        {
            assert_eq!(signer.check(token.as_bytes(), now).is_ok(), good, "{now}");
        }
    }

    #[test]
    fn a_changed_token_is_invalid() {
        let signer = Signer::new(b"secret");
        let token = VECTORS[0].3;
        for at in 0..token.len() - 1 {
            let mut changed = token.as_bytes().to_vec();
            changed[at] = if changed[at] == b'B' { b'C' } else { b'B' };
            assert_eq!(signer.signed_at(&changed), Err(BadSignature), "{at}");
        }
        assert_eq!(Signer::new(b"Secret").signed_at(token.as_bytes()), Err(BadSignature));
        for odd in ["", ".", "..", "channelstream", "a.b", "channelstream.XlBvAA."] {
            assert_eq!(signer.signed_at(odd.as_bytes()), Err(BadSignature), "{odd:?}");
        }
        // Rightly signed, and no time in it.
        let timeless = Signer::new(b"s").sign("a", 7);
        let (without, _) = timeless.rsplit_once('.').expect("a signature");
        assert_eq!(Signer::new(b"s").signed_at(without.as_bytes()), Err(BadSignature));
    }

    #[test]
    fn debug_form_of_a_signer_does_not_show_its_key() {
        assert_eq!(format!("{:?}", Signer::new(b"secret")), "Signer(…)");
        let secret = Secret::new("secret");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.is("secret") && !secret.is("Secret") && !secret.is(""));
    }

    proptest! {
        #[test]
        fn own_signatures_are_valid(secret: Vec<u8>, value: String, time: u64) {
            let signer = Signer::new(&secret);
            let token = signer.sign(&value, time);
            prop_assert_eq!(signer.signed_at(token.as_bytes()), Ok(time));
            prop_assert_eq!(signer.check(token.as_bytes(), time), Ok(()));
        }

        #[test]
        fn no_token_causes_a_panic(token: Vec<u8>, now: u64) {
            let _ = Signer::new(b"secret").check(&token, now);
        }
    }
}
