//! Keys and signatures: reads a key file, and verifies signatures with `ring`, the library that
//! `rustls` uses here too.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use serde::Deserialize;
use spki::der::asn1::UintRef;
use spki::der::{Decode as _, Reader as _, SliceReader};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::unread;

/// The shortest secret in bytes (RFC 7518 section 3.2: not shorter than the hash).
const MIN_SECRET_BYTES: usize = 32;

/// The shortest RSA modulus in bytes (RFC 7518 section 3.3: 2048 bits).
const MIN_RSA_BYTES: usize = 256;

/// The longest RSA modulus in bytes: what `ring` verifies.
const MAX_RSA_BYTES: usize = 1024;

/// The length of a point of P-256, not compressed: a byte 4 and two coordinates of 32 bytes.
const P256_POINT_BYTES: usize = 65;

/// The length of a public key of Ed25519.
const ED25519_BYTES: usize = 32;

/// `rsaEncryption` (RFC 8017).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-ecPublicKey` (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `prime256v1`, which is P-256 (RFC 5480).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `id-Ed25519` (RFC 8410).
const ED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a file is not a key for tokens, and what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A secret that is short enough to be guessed.
    #[error(
        "a secret for HS256 has at least 32 bytes, and this one has {0}; openssl rand -hex 32 makes one"
    )]
    ShortSecret(usize),
    /// A key in another form than PEM, which is or may be public.
    #[error(
        "this is {0}, and no secret; a public key as PEM (BEGIN PUBLIC KEY) is right, or a random secret such as openssl rand -hex 32 makes"
    )]
    Unread(&'static str),
    /// PEM that holds something else.
    #[error("PEM has to hold one public key (BEGIN PUBLIC KEY): RSA, EC P-256 or Ed25519")]
    NoPublicKey,
    /// A private key: only the issuer has that.
    #[error("this is the private key; the public one is right, as openssl pkey -pubout writes it")]
    Private,
    /// RSA with fewer than 2048 bits.
    #[error("an RSA key has at least 2048 bits")]
    ShortRsa,
    /// RSA with more than 8192 bits.
    #[error("an RSA key has at most 8192 bits")]
    LongRsa,
}

/// A key with its algorithm. The public kinds hold what `ring` takes: `RSAPublicKey` as DER, a
/// point that is not compressed, the 32 bytes of Ed25519.
#[derive(Clone)]
pub(super) enum Key {
    Secret(hmac::Key),
    Rsa(Box<[u8]>),
    RsaParts(PublicKeyComponents<Box<[u8]>>),
    P256(Box<[u8]>),
    Ed25519(Box<[u8]>),
}

/// A member of a JWKS (RFC 7517 section 4).
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    pub(super) kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<String>,
}

impl Jwk {
    /// Returns whether it is the private half of a pair.
    pub(super) fn is_private(&self) -> bool {
        self.d.is_some()
    }

    /// Returns whether it is a secret, which signs as well as verifies.
    pub(super) fn is_secret(&self) -> bool {
        self.kty == "oct"
    }
}

/// Returns a number without the zeros in front of it, which `ring` refuses.
fn without_zeros(bytes: &[u8]) -> Box<[u8]> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes[start..].into()
}

impl Key {
    pub(super) fn read(content: &[u8]) -> Result<Self, InvalidKey> {
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
        Ok(Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    fn pem(content: &[u8]) -> Result<Self, InvalidKey> {
        if memchr::memmem::find(content, b"PRIVATE KEY-----").is_some() {
            return Err(InvalidKey::Private);
        }
        let pem = pem::parse(content).map_err(|_| InvalidKey::NoPublicKey)?;
        match pem.tag() {
            "PUBLIC KEY" => Self::spki(pem.contents()),
            "RSA PUBLIC KEY" => Self::rsa(pem.contents()),
            // A certificate holds a key too, but says nothing of tokens.
            _ => Err(InvalidKey::NoPublicKey),
        }
    }

    /// Reads a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    fn spki(der: &[u8]) -> Result<Self, InvalidKey> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| InvalidKey::NoPublicKey)?;
        let key = info.subject_public_key.as_bytes().ok_or(InvalidKey::NoPublicKey)?;
        let curve = || info.algorithm.parameters_oid().ok();
        match info.algorithm.oid {
            RSA => Self::rsa(key),
            EC if curve() == Some(P256) && key.len() == P256_POINT_BYTES && key[0] == 4 => {
                Ok(Self::P256(key.into()))
            }
            ED if key.len() == ED25519_BYTES => Ok(Self::Ed25519(key.into())),
            _ => Err(InvalidKey::NoPublicKey),
        }
    }

    /// Reads an `RSAPublicKey` (RFC 8017 appendix A.1.1): modulus and exponent.
    fn rsa(der: &[u8]) -> Result<Self, InvalidKey> {
        let modulus = modulus_bytes(der).map_err(|_| InvalidKey::NoPublicKey)?;
        match modulus {
            ..MIN_RSA_BYTES => Err(InvalidKey::ShortRsa),
            MIN_RSA_BYTES..=MAX_RSA_BYTES => Ok(Self::Rsa(der.into())),
            _ => Err(InvalidKey::LongRsa),
        }
    }

    /// Returns the key of a member of a JWKS; `None` if it verifies no tokens of wstap.
    pub(super) fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let signs = jwk.usage.as_deref().is_none_or(|it| it == "sig")
            && jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|it| it == "verify"));
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let number = |text| Some(without_zeros(&bytes(text)?));
                let (n, e) = (number(&jwk.n)?, number(&jwk.e)?);
                let fits = (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&n.len()) && !e.is_empty();
                fits.then_some(Self::RsaParts(PublicKeyComponents { n, e }))?
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                let point = [&[4], x.as_slice(), &y].concat();
                (x.len() == y.len() && point.len() == P256_POINT_BYTES)
                    .then(|| Self::P256(point.into()))?
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&jwk.x)?;
                (x.len() == ED25519_BYTES).then(|| Self::Ed25519(x.into()))?
            }
            ("oct", _) => {
                let secret = bytes(&jwk.k)?;
                (secret.len() >= MIN_SECRET_BYTES)
                    .then(|| Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, &secret)))?
            }
            _ => return None,
        };
        let named = jwk.alg.as_deref().is_none_or(|alg| key.algorithms().contains(&alg));
        (signs && named).then_some(key)
    }

    /// Returns the names of the algorithm in the header of a token.
    pub(super) fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Self::Secret(_) => &["HS256"],
            Self::Rsa(_) | Self::RsaParts(_) => &["RS256"],
            Self::P256(_) => &["ES256"],
            // The second name is that of RFC 9864.
            Self::Ed25519(_) => &["EdDSA", "Ed25519"],
        }
    }

    /// Returns whether a signature is right.
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, signed, signature),
            Self::Rsa(key) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(signed, signature)
            }
            Self::RsaParts(parts) => parts.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature),
            Self::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
        }
        .is_ok()
    }
}

/// Shows the algorithm only.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.algorithms()[0]).finish()
    }
}

fn modulus_bytes(der: &[u8]) -> spki::der::Result<usize> {
    let mut reader = SliceReader::new(der)?;
    let modulus = reader.sequence(|inside| {
        let modulus: UintRef<'_> = inside.decode()?;
        let _exponent: UintRef<'_> = inside.decode()?;
        Ok(modulus.as_bytes().len())
    })?;
    reader.finish(modulus)
}
