//! Sets of keys made here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING as ES256, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::json;

use super::*;

const NOW: u64 = 1_763_670_000;

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key")
}

fn p256() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ES256, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(&ES256, pkcs8.as_ref(), &random).expect("a key")
}

fn of_ed25519(id: &str, pair: &Ed25519KeyPair) -> Value {
    let x = base64(pair.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": x})
}

fn of_p256(id: &str, pair: &EcdsaKeyPair) -> Value {
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "x": base64(x), "y": base64(y)})
}

fn set(keys: &[Value]) -> Jwks {
    read(keys, KeySource::Url).expect("a set")
}

fn read(keys: &[Value], source: KeySource) -> Result<Jwks, InvalidJwks> {
    Jwks::read(json!({"keys": keys}).to_string().as_bytes(), source)
}

fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let text = format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let signature = sign(text.as_bytes());
    format!("{text}.{}", base64(&signature))
}

fn claims() -> Value {
    json!({"sub": "ann", "exp": NOW + 60, "wstap": {"observe": true}})
}

fn eddsa(id: &str, pair: &Ed25519KeyPair) -> String {
    signed(&json!({"alg": "EdDSA", "kid": id}), &claims(), |it| pair.sign(it).as_ref().to_vec())
}

fn es256(id: &str, pair: &EcdsaKeyPair) -> String {
    let sign =
        |it: &[u8]| pair.sign(&SystemRandom::new(), it).expect("a signature").as_ref().to_vec();
    signed(&json!({"alg": "ES256", "kid": id}), &claims(), sign)
}

#[test]
fn token_is_verified_with_the_key_that_it_names() {
    let (one, two, three) = (ed25519(), ed25519(), p256());
    let set = set(&[of_ed25519("1", &one), of_ed25519("2", &two), of_p256("3", &three)]);
    assert_eq!((set.len(), set.algorithms().as_str()), (3, "ES256, EdDSA"));
    for token in [eddsa("1", &one), eddsa("2", &two), es256("3", &three)] {
        assert!(set.grant(&token, NOW).is_ok(), "{token}");
        assert!(set.grant(&token, NOW + 60).is_err(), "expired");
    }
    for (token, why) in [
        (eddsa("2", &one), "signature"),
        (eddsa("3", &one), "no key"),
        (es256("1", &three), "no key"),
        (eddsa("4", &one), "no key"),
    ] {
        let denied = set.grant(&token, NOW).expect_err("refused");
        assert!(denied.0.contains(why), "{denied}");
    }
}

#[test]
fn token_without_key_id_needs_a_set_with_one_key_of_its_algorithm() {
    let (one, two) = (ed25519(), ed25519());
    let token = signed(&json!({"alg": "EdDSA"}), &claims(), |it| one.sign(it).as_ref().to_vec());
    assert!(set(&[of_ed25519("1", &one), of_p256("2", &p256())]).grant(&token, NOW).is_ok());
    let both = set(&[of_ed25519("1", &one), of_ed25519("2", &two)]);
    assert!(both.grant(&token, NOW).expect_err("refused").0.contains("kid"));
}

#[test]
fn secrets_are_read_from_files_only() {
    let secret = json!({"kty": "oct", "kid": "s", "k": base64(&[7; 32])});
    assert!(read(std::slice::from_ref(&secret), KeySource::File).is_ok());
    assert!(matches!(read(&[secret], KeySource::Url), Err(InvalidJwks::NoKey)));
    let short = json!({"kty": "oct", "kid": "s", "k": base64(&[7; 31])});
    assert!(matches!(read(&[short], KeySource::File), Err(InvalidJwks::NoKey)));
}

/// The public key of a pair is no secret of HS256, and `none` is no algorithm.
#[test]
fn key_fixes_the_algorithm() {
    let pair = ed25519();
    let set = set(&[of_ed25519("1", &pair)]);
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, pair.public_key().as_ref());
    let header = json!({"alg": "HS256", "kid": "1"});
    let forged = signed(&header, &claims(), |it| ring::hmac::sign(&hmac, it).as_ref().to_vec());
    let none = signed(&json!({"alg": "none", "kid": "1"}), &claims(), |_| Vec::new());
    for token in [forged, none] {
        assert!(set.grant(&token, NOW).is_err(), "{token}");
        assert!(!set.lacks_key_of(&token, NOW), "no key is fetched for it: {token}");
    }
}

#[test]
fn keys_of_other_uses_are_skipped_and_private_ones_refused() {
    let pair = ed25519();
    let with = |key: &str, value: Value| {
        let mut jwk = of_ed25519("1", &pair);
        jwk[key] = value;
        jwk
    };
    for other in [
        with("use", json!("enc")),
        with("alg", json!("RS256")),
        with("key_ops", json!(["sign"])),
        with("crv", json!("X25519")),
        with("x", json!("AAAA")),
        json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "n": base64(&[0xff; 128]), "e": "AQAB"}),
        json!("no object"),
    ] {
        assert!(
            matches!(read(std::slice::from_ref(&other), KeySource::Url), Err(InvalidJwks::NoKey)),
            "{other}"
        );
        assert_eq!(set(&[other, of_ed25519("2", &pair)]).len(), 1);
    }
    let private = with("d", json!("AAAA"));
    assert!(matches!(read(&[private], KeySource::File), Err(InvalidJwks::Private)));
    for text in ["", "[]", "{}", "{\"keys\":1}", "-----BEGIN PUBLIC KEY-----"] {
        let read = Jwks::read(text.as_bytes(), KeySource::Url);
        assert!(matches!(read, Err(InvalidJwks::Malformed)), "{text}");
    }
    let many = vec![of_ed25519("1", &pair); MAX_KEYS + 1];
    assert!(matches!(read(&many, KeySource::Url), Err(InvalidJwks::TooMany)));
}

#[test]
fn unknown_key_is_lacked_by_tokens_that_could_be_valid_only() {
    let (known, unknown) = (ed25519(), ed25519());
    let set = set(&[of_ed25519("1", &known)]);
    assert!(set.lacks_key_of(&eddsa("2", &unknown), NOW));
    let expired = |it: &str| set.lacks_key_of(it, NOW + 60);
    assert!(!expired(&eddsa("2", &unknown)), "an expired token");
    for token in [eddsa("1", &unknown), "a.b.c".to_owned(), "wstap_abc".to_owned(), String::new()] {
        assert!(!set.lacks_key_of(&token, NOW), "{token}");
    }
    let header = json!({"alg": "EdDSA"});
    let unnamed = signed(&header, &claims(), |it| unknown.sign(it).as_ref().to_vec());
    assert!(!set.lacks_key_of(&unnamed, NOW));
}

#[test]
fn audience_and_issuer_are_checked() {
    let pair = ed25519();
    let expected = ExpectedClaims {
        audiences: vec!["tap".to_owned(), "other".to_owned()],
        issuers: vec!["https://id.example".to_owned()],
    };
    let set = set(&[of_ed25519("1", &pair)]).expecting(expected);
    for (more, right) in [
        (json!({"aud": "tap", "iss": "https://id.example"}), true),
        (json!({"aud": ["x", "other"], "iss": "https://id.example"}), true),
        (json!({"aud": "wstap", "iss": "https://id.example"}), false),
        (json!({"iss": "https://id.example"}), false),
        (json!({"aud": "tap", "iss": "https://id.example/"}), false),
        (json!({"aud": "tap"}), false),
    ] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        let header = json!({"alg": "EdDSA", "kid": "1"});
        let token = signed(&header, &claims, |it| pair.sign(it).as_ref().to_vec());
        assert_eq!(set.grant(&token, NOW).is_ok(), right, "{claims}");
    }
}
