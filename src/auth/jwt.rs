//! JSON Web Tokens (RFC 7519) as grants.
//!
//! The kind of key fixes the algorithm: what a token says of itself is only compared with it, so
//! that neither `none` nor a public key taken for an HMAC secret gets anywhere; a file that holds a
//! public key in another form than PEM is refused. Signatures are checked before anything else of a
//! token is read.
//!
//! ```text
//! {"sub":"ann","exp":1763670000,"wstap":{"subscribe":["news/*"],"publish":["chat"]}}
//! ```

mod unread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Authority, Denied, Grant, Pattern};
use crate::event::User;

/// The longest token that is looked at. Those of identity providers have some 1 to 4 KiB, and a
/// header field of more than 8 KiB is refused by most servers.
const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The shortest secret (RFC 7518 section 3.2: not shorter than the hash).
const MIN_SECRET_BYTES: usize = 32;

/// The shortest RSA modulus (RFC 7518 section 3.3: 2048 bits).
const MIN_RSA_BYTES: usize = 256;

/// How far the clock of whoever issues tokens may be ahead of ours, in seconds. It counts for
/// `nbf` only: a token is worth nothing from the second on that `exp` names.
const AHEAD: f64 = 30.0;

/// The name that `aud` has to hold, in a token that has an `aud` at all.
const AUDIENCE: &str = "wstap";

/// The key that tokens are checked with.
///
/// A token is worth something if its signature is right and it has an `exp` that lies ahead: one
/// without an end could never be taken back. `nbf` is kept to (with 30 s for clocks that differ);
/// an `aud` must name `wstap`, since a token that was issued for somebody else is none for us
/// (RFC 7519 section 4.1.3). `sub` is the user. Without the claim `wstap` a token tells who
/// somebody is and grants nothing.
#[derive(Debug, Clone)]
pub struct JwtKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why a file is no key for tokens, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A secret that could be guessed.
    #[error(
        "a secret for HS256 has at least 32 bytes, and this one has {0}; openssl rand -hex 32 makes one"
    )]
    ShortSecret(usize),
    /// A key in another form than PEM. It is public, or comes from one that is.
    #[error(
        "this is {0}, and no secret; a public key as PEM (BEGIN PUBLIC KEY) is right, or a random secret such as openssl rand -hex 32 makes"
    )]
    Unread(&'static str),
    /// PEM, but with something else inside.
    #[error("PEM has to hold one public key (BEGIN PUBLIC KEY): RSA, EC P-256 or Ed25519")]
    NoPublicKey,
    /// The key that signs, which is nobody's but the issuer's.
    #[error("this is the private key; the public one is right, as openssl pkey -pubout writes it")]
    Private,
    /// RSA with fewer than 2048 bits.
    #[error("an RSA key has at least 2048 bits")]
    ShortRsa,
}

impl JwtKey {
    /// Reads a key: a public key as PEM (RSA for RS256, EC P-256 for ES256, Ed25519 for `EdDSA`),
    /// or, if there is no PEM in it, a secret for HS256, without the white space around it.
    ///
    /// # Errors
    ///
    /// If it is neither: what looks like a key in another form (a JWKS, DER, a key of SSH, base64
    /// without the lines of PEM) is no secret.
    pub fn read(content: &[u8]) -> Result<Self, InvalidKey> {
        if memchr::memmem::find(content, b"-----BEGIN").is_some() {
            return Self::pem(content);
        }
        if let Some(found) = unread::unread(content) {
            return Err(InvalidKey::Unread(found));
        }
        let secret = content.trim_ascii();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(InvalidKey::ShortSecret(secret.len()));
        }
        Ok(Self { algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) })
    }

    fn pem(content: &[u8]) -> Result<Self, InvalidKey> {
        let label = |label: &[u8]| memchr::memmem::find(content, label).is_some();
        if label(b"PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        // The readers below would take a certificate for the key of its issuer's signature.
        if !label(b"-----BEGIN PUBLIC KEY-----") && !label(b"-----BEGIN RSA PUBLIC KEY-----") {
            return Err(InvalidKey::NoPublicKey);
        }
        let (algorithm, key) = if let Ok(key) = DecodingKey::from_rsa_pem(content) {
            (Algorithm::RS256, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(content) {
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_ed_pem(content) {
            (Algorithm::EdDSA, key)
        } else {
            return Err(InvalidKey::NoPublicKey);
        };
        if let (Algorithm::RS256, DecodingKeyKind::SecretOrDer(der)) = (algorithm, key.kind()) {
            let parts = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der);
            let (modulus, _) = parts.map_err(|_| InvalidKey::NoPublicKey)?;
            if modulus.len() < MIN_RSA_BYTES {
                return Err(InvalidKey::ShortRsa);
            }
        }
        // Makes sure of the curve.
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key)
            .map_err(|_| InvalidKey::NoPublicKey)?;
        Ok(Self { algorithm, key })
    }

    /// Returns the name of the one algorithm that tokens may be signed with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.names()[0]
    }

    fn names(&self) -> &'static [&'static str] {
        match self.algorithm {
            Algorithm::RS256 => &["RS256"],
            Algorithm::ES256 => &["ES256"],
            // RFC 9864 has given it a name of its own.
            Algorithm::EdDSA => &["EdDSA", "Ed25519"],
            _ => &["HS256"],
        }
    }

    /// Checks the signature and returns the payload.
    fn verified(&self, token: &str) -> Result<Vec<u8>, Denied> {
        let compact = || denied("a token is a JSON Web Token: three parts of base64url with dots");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(compact)?;
        let (header, payload) = signed.split_once('.').ok_or_else(compact)?;
        if token.len() > MAX_TOKEN_BYTES || payload.contains('.') {
            return Err(compact());
        }
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| compact());
        let header = decoded(header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| compact())?;
        if !self.names().contains(&&*header.alg) {
            return Err(denied(&format!("this server takes tokens of {}", self.algorithm())));
        }
        // RFC 7515 section 4.1.11: what must be understood and is not makes it invalid.
        if header.crit.is_some() {
            return Err(denied("this server understands no extensions of tokens (crit)"));
        }
        let signature = decoded(signature)?;
        // Not the way by the provider of the process: that panics where another crate of the
        // program has asked for another one.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm, &self.key)
            .map_err(|_| denied("the key of this server is no key"))?;
        verifier
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| denied("the signature of the token is not right"))?;
        decoded(payload)
    }
}

impl Authority for JwtKey {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have 31 bits, a double 53")]
    fn grant(&self, token: &str, now: u64) -> Result<Grant, Denied> {
        let payload = self.verified(token)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| {
            denied(
                "the claims are an object with exp in seconds, and maybe sub, nbf, aud and wstap",
            )
        })?;
        let now = now as f64;
        if claims.exp.is_nan() || now >= claims.exp.floor() {
            return Err(denied("the token has expired"));
        }
        if claims.nbf.is_some_and(|begin| now + AHEAD < begin) {
            return Err(denied("the token is not valid yet"));
        }
        if claims.aud.is_some_and(|audience| !audience.names(AUDIENCE)) {
            return Err(denied("the token is for somebody else: its aud does not name wstap"));
        }
        let user = claims.sub.map(|sub| sub.parse::<User>());
        let user = user.transpose().map_err(|fault| denied(&format!("sub: {fault}")))?;
        let channels = claims.wstap.unwrap_or_default();
        Ok(Grant {
            user,
            expires: Some(seconds(claims.exp)),
            subscribe: patterns(&channels.subscribe)?,
            publish: patterns(&channels.publish)?,
        })
    }
}

/// Returns whole seconds, as many as there can be.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and is above a time of now"
)]
fn seconds(time: f64) -> u64 {
    time.floor() as u64
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Denied> {
    let parsed = texts.iter().map(|text| text.parse());
    parsed.collect::<Result<_, _>>().map_err(|fault| denied(&format!("the claim wstap: {fault}")))
}

fn denied(why: &str) -> Denied {
    Denied(why.to_owned())
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: String,
    #[serde(borrow)]
    crit: Option<&'a RawValue>,
}

/// The claims that count; there may be others.
#[derive(Deserialize)]
struct Claims {
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    aud: Option<Audience>,
    wstap: Option<Channels>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

#[derive(Deserialize, Default)]
struct Channels {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
}

#[cfg(test)]
mod tests;
