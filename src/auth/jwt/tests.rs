//! Tokens made here, and those of the standard.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::compact::MAX_TOKEN_BYTES;
use super::*;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::{hmac, signature};

const SECRET: &str = "a secret of more than thirty-two bytes";
const NOW: u64 = 1_763_670_000;

/// A signing key.
enum Signer {
    Secret(Vec<u8>),
    P256(signature::EcdsaKeyPair),
    Ed25519(signature::Ed25519KeyPair),
}

impl Signer {
    fn secret(secret: &str) -> Self {
        Self::Secret(secret.as_bytes().to_vec())
    }

    fn p256(pkcs8: &[u8]) -> Self {
        let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = signature::EcdsaKeyPair::from_pkcs8(kind, pkcs8, &SystemRandom::new());
        Self::P256(pair.expect("a private key"))
    }

    fn ed25519(pkcs8: &[u8]) -> Self {
        let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8);
        Self::Ed25519(pair.expect("a private key"))
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
            }
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), text);
                signature.expect("it can be signed").as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(text).as_ref().to_vec(),
        }
    }
}

/// Returns a token with a header and claims as they are written here.
fn token(header: &str, claims: &str, key: &Signer) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn denied(why: &str) -> Denied {
    Denied(why.to_owned())
}

fn hs256(claims: &str) -> String {
    token(r#"{"alg":"HS256","typ":"JWT"}"#, claims, &Signer::secret(SECRET))
}

fn key() -> JwtKey {
    JwtKey::read(SECRET.as_bytes()).expect("a secret")
}

/// Returns what claims grant, or the words of the refusal.
fn granted(claims: &str) -> Result<Grant, String> {
    key().grant(&hs256(claims), NOW).map_err(|denied| denied.0)
}

#[test]
fn a_token_says_who_may_enter_and_publish_and_until_when() {
    let grant = granted(
        r#"{"sub":"ann","exp":1763670060,"iss":"x","wstap":{"subscribe":["news/*","a"],"publish":["*"],"control":false}}"#,
    );
    let patterns = |all: &[&str]| all.iter().map(|it| it.parse().expect("a pattern")).collect();
    let right = Grant {
        user: Some("ann".parse().expect("a user")),
        expires: Some(1_763_670_060),
        subscribe: patterns(&["news/*", "a"]),
        publish: patterns(&["*"]),
        ..Grant::default()
    };
    assert_eq!(grant, Ok(right));
}

#[test]
fn a_token_without_the_claim_tells_who_somebody_is_and_grants_nothing() {
    for claims in [
        r#"{"sub":"ann","exp":1763670060}"#,
        r#"{"sub":"ann","exp":1763670060,"wstap":{}}"#,
        r#"{"sub":"ann","exp":1763670060,"wstap":null}"#,
    ] {
        let grant = granted(claims).expect("a token");
        assert!(grant.user.is_some() && grant.subscribe.is_empty() && grant.publish.is_empty());
    }
}

#[test]
fn a_token_is_worth_something_between_nbf_and_exp() {
    for (claims, refusal) in [
        (r#"{"exp":1763670001}"#, None),
        (r#"{"exp":1763670000.9}"#, Some("expired")),
        (r#"{"exp":1763670000}"#, Some("expired")),
        (r#"{"exp":1763669999}"#, Some("expired")),
        (r#"{"exp":-1}"#, Some("expired")),
        (r#"{"exp":1e300}"#, None),
        (r#"{"exp":1763670060,"nbf":1763670030}"#, None),
        (r#"{"exp":1763670060,"nbf":1763670031}"#, Some("not valid yet")),
        (r#"{"exp":"1763670060"}"#, Some("exp in seconds")),
        (r#"{"sub":"ann"}"#, Some("exp in seconds")),
        (r#"{"exp":1763670060,"exp":1}"#, Some("exp in seconds")),
        ("[]", Some("an object")),
    ] {
        match (granted(claims), refusal) {
            (Ok(_), None) => {}
            (Err(words), Some(part)) if words.contains(part) => {}
            (other, _) => panic!("{claims}: {other:?}"),
        }
    }
}

#[test]
fn a_token_that_was_made_for_somebody_else_is_refused() {
    for (audience, right) in [
        (r#""wstap""#, true),
        (r#"["shop","wstap"]"#, true),
        (r#""shop""#, false),
        (r#"["shop"]"#, false),
        ("[]", false),
        ("7", false),
    ] {
        let claims = format!("{{\"exp\":1763670060,\"aud\":{audience}}}");
        assert_eq!(granted(&claims).is_ok(), right, "{audience}");
    }
}

#[test]
fn claims_that_cannot_be_meant_are_refused() {
    for (claims, part) in [
        (r#"{"exp":1763670060,"sub":""}"#, "sub: a user is"),
        (r#"{"exp":1763670060,"sub":7}"#, "maybe sub"),
        (r#"{"exp":1763670060,"wstap":{"subscribe":[""]}}"#, "the claim wstap: a pattern is"),
        (r#"{"exp":1763670060,"wstap":{"subscribe":"*"}}"#, "and wstap"),
        (r#"{"exp":1763670060,"wstap":true}"#, "and wstap"),
    ] {
        let words = granted(claims).expect_err(claims);
        assert!(words.contains(part), "{claims}: {words}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let good = hs256(r#"{"exp":1763670060}"#);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let header = signed.split('.').next().expect("a header");
    let long = format!("{signed}.{}", "A".repeat(MAX_TOKEN_BYTES));
    for text in [
        "",
        ".",
        "..",
        "...",
        "ann",
        signed,
        &format!("{signed}."),
        &format!("{good}="),
        &format!("{good}.{signature}.x"),
        &format!(" {good}"),
        &format!("{header}..{signature}"),
        &format!("{signed}.{}", signature.replace(|c: char| c != '.', "A")),
        &long,
    ] {
        assert!(key().grant(text, NOW).is_err(), "{text}");
    }
    assert!(key().grant(&good, NOW).is_ok());
}

#[test]
fn none_and_other_algorithms_are_refused() {
    let secret = Signer::secret(SECRET);
    for alg in ["none", "None", "", "hs256", "HS384", "RS256", "ES256", "EdDSA"] {
        let header = format!("{{\"alg\":\"{alg}\"}}");
        let signed = token(&header, r#"{"exp":1763670060}"#, &secret);
        let words = key().grant(&signed, NOW).expect_err(alg).0;
        assert_eq!(words, "this server takes tokens of HS256");
        let unsigned = signed.rsplit_once('.').expect("three parts").0;
        assert!(key().grant(&format!("{unsigned}."), NOW).is_err(), "{alg} without a signature");
    }
    let crit =
        token(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"exp":1763670060}"#, &secret);
    assert!(key().grant(&crit, NOW).expect_err("unknown extensions").0.contains("crit"));
}

/// RFC 7515 appendix A.2: a token by RS256 and its key.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
oQIDAQAB
-----END PUBLIC KEY-----
";
const BY_RSA: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515 appendix A.3: the same by ES256.
const EC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
";
const BY_EC: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

#[test]
fn the_examples_of_the_standard_are_read_with_their_keys() {
    for (name, pem, token) in [("RS256", RSA, BY_RSA), ("ES256", EC, BY_EC)] {
        let key = JwtKey::read(pem.as_bytes()).expect(name);
        assert_eq!(key.algorithm(), name);
        let grant = key.grant(token, 1_300_819_379).expect(name);
        assert_eq!((grant.user, grant.expires), (None, Some(1_300_819_380)));
        assert_eq!(key.grant(token, 1_300_819_380), Err(denied("the token has expired")));
        // One bit of the claims, one of the signature.
        for changed in [token.replacen("eyJpc3MiOiJq", "eyJpc3MiOiJr", 1), {
            let (signed, signature) = token.rsplit_once('.').expect("three parts");
            format!("{signed}.E{}", &signature[1..])
        }] {
            assert_ne!(changed, token);
            let words = key.grant(&changed, 1_300_819_379).expect_err("changed").0;
            assert_eq!(words, "the signature of the token is not right");
        }
    }
}

type Read = fn(&[u8]) -> Signer;

#[test]
fn a_made_pair_of_p256_or_ed25519_works_and_no_other_pair_does() {
    let claims = r#"{"sub":"ann","exp":1763670060}"#;
    let kinds: [(_, Read, &[&str]); 2] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Signer::p256, &["ES256"]),
        (&rcgen::PKCS_ED25519, Signer::ed25519, &["EdDSA", "Ed25519"]),
    ];
    for (kind, read, names) in kinds {
        let pair = rcgen::KeyPair::generate_for(kind).expect("a pair");
        let other = rcgen::KeyPair::generate_for(kind).expect("a pair");
        let private = read(&pair.serialize_der());
        let public = JwtKey::read(pair.public_key_pem().as_bytes()).expect("a public key");
        let stranger = JwtKey::read(other.public_key_pem().as_bytes()).expect("a public key");
        for name in names {
            let token = token(&format!("{{\"alg\":\"{name}\"}}"), claims, &private);
            assert!(public.grant(&token, NOW).is_ok(), "{name}");
            assert!(stranger.grant(&token, NOW).is_err(), "{name}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret_of_hmac() {
    for pem in [RSA, EC] {
        let forger = Signer::secret(pem);
        let trimmed = Signer::secret(pem.trim());
        let key = JwtKey::read(pem.as_bytes()).expect("a public key");
        for forger in [forger, trimmed] {
            for alg in ["HS256", key.algorithm()] {
                let header = format!("{{\"alg\":\"{alg}\"}}");
                let token = token(&header, r#"{"exp":1763670060}"#, &forger);
                assert!(key.grant(&token, NOW).is_err(), "{alg}");
            }
        }
    }
}

/// A public key of RSA with 1024 bits.
const SHORT_RSA: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCU6zpCSlgqJV4XldQ02dtnTTjA
IiPtTYZXzrser56RngYxdWtlTTqB1ZcOjCT4lxiwbZkKAe9gy+hA/bHPpe0P0geZ
dBF8h0z7eNyf8l6CHym7I3MWWa5uSahm5bGlQ5BJ+LvEqyNDkMFXBu53czILm4T8
up//8KDWjeKol/YPRwIDAQAB";

#[test]
fn a_file_that_is_no_key_is_told_with_what_would_be_right() {
    let read = |text: &str| JwtKey::read(text.as_bytes()).map(|key| key.algorithm());
    assert_eq!(read(&format!("\n {SECRET}\r\n")), Ok("HS256"));
    assert_eq!(read(&"x".repeat(32)), Ok("HS256"));
    assert_eq!(read(&"x".repeat(31)), Err(InvalidKey::ShortSecret(31)));
    assert_eq!(read(&format!("{}\n", "x".repeat(31))), Err(InvalidKey::ShortSecret(31)));
    assert_eq!(read(""), Err(InvalidKey::ShortSecret(0)));
    let pair = rcgen::KeyPair::generate().expect("a pair");
    assert_eq!(read(&pair.serialize_pem()), Err(InvalidKey::Private));
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("signed");
    assert_eq!(read(&certificate.pem()), Err(InvalidKey::NoPublicKey));
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a pair");
    assert_eq!(read(&p384.public_key_pem()), Err(InvalidKey::NoPublicKey));
    assert_eq!(read(&RSA.replace('M', "N")), Err(InvalidKey::NoPublicKey));
    assert_eq!(read(&RSA[..200]), Err(InvalidKey::NoPublicKey));
    let short = "-----BEGIN PUBLIC KEY-----\n@\n-----END PUBLIC KEY-----\n";
    assert_eq!(read(&short.replace('@', SHORT_RSA)), Err(InvalidKey::ShortRsa));
    for fault in [InvalidKey::ShortSecret(3), InvalidKey::Private] {
        assert!(fault.to_string().contains("openssl"), "{fault}");
    }
}

/// RFC 7517 appendix A.1, its first key.
const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}"#;

#[test]
fn a_public_key_that_is_no_pem_is_no_secret() {
    let armour = |pem: &str| -> String {
        pem.lines()
            .filter(|line| !line.starts_with('-'))
            .map(|line| line.to_owned() + "\n")
            .collect()
    };
    let ssh = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let mut files: Vec<Vec<u8>> = [
        JWK.to_owned(),
        format!("{{\"keys\":[\n{JWK}\n]}}\n"),
        format!("\u{feff} [{JWK}]"),
        format!("{JWK}\n{JWK}\n"),
        format!("ssh-ed25519 {ssh} ann@host"),
        format!("{ssh}\n"),
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY".to_owned(),
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2g".to_owned(),
        format!("---- BEGIN SSH2 PUBLIC KEY ----\n{ssh}\n---- END SSH2 PUBLIC KEY ----"),
    ]
    .map(String::into_bytes)
    .into();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a pair");
    let certificate = rcgen::CertificateParams::default().self_signed(&ed25519).expect("signed");
    for pem in [RSA.to_owned(), EC.to_owned(), ed25519.public_key_pem(), certificate.pem()] {
        let base64 = armour(&pem).replace('\r', "");
        let one_line = base64.replace('\n', "");
        let der = base64::engine::general_purpose::STANDARD.decode(&one_line).expect("base64");
        files.push(pem.encode_utf16().fold(vec![0xff, 0xfe], |mut all, unit| {
            all.extend(unit.to_le_bytes());
            all
        }));
        files.push(base64.replace('\n', "\r\n").into_bytes());
        files.push(URL_SAFE_NO_PAD.encode(&der).into_bytes());
        files.push(one_line.as_bytes()[..44].to_vec());
        files.push(one_line.into_bytes());
        files.push([&der[..], b"\n"].concat());
        files.push(der);
    }
    for file in files {
        let fault = JwtKey::read(&file).map(|key| key.algorithm()).expect_err("no secret");
        let shown = String::from_utf8_lossy(&file);
        assert!(matches!(fault, InvalidKey::Unread(_)), "{shown}: {fault}");
        let words = fault.to_string();
        assert!(words.contains("BEGIN PUBLIC KEY") && words.contains("rand -hex 32"), "{words}");
    }
}

#[test]
fn a_secret_may_begin_as_a_key_does() {
    // As openssl rand makes them with -hex, -base64 and neither, and people without it.
    for secret in [
        "0020a5d3b1f24c7e9a86d0f1c2b3a4958677061524334251607f8e9dacbbcad9",
        "30820122300d06092a864886f70d01010105000382010f003082010a02820101",
        "MIICorrectHorseBatteryStapleAndSomeMore+/==",
        "{correct horse battery staple, and more]",
        "[correct horse battery staple, and more]",
        "secret ssh-ed25519 is a kind of key, and this is none",
    ] {
        assert_eq!(JwtKey::read(secret.as_bytes()).map(|key| key.algorithm()), Ok("HS256"));
    }
    let binary: Vec<u8> = [0x30, 0x1e, 0x99].into_iter().chain(0..30).collect();
    assert!(JwtKey::read(&binary).is_ok());
}

#[test]
fn neither_a_refusal_nor_a_key_shows_a_secret() {
    let token = hs256(r#"{"sub":"ann","exp":1}"#);
    let parts: Vec<&str> = token.split('.').collect();
    let shown = format!("{:?} {:?}", key().grant(&token, NOW), key());
    assert!(shown.contains("expired") && !shown.contains(SECRET));
    assert!(parts.iter().all(|part| !shown.contains(part)), "{shown}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_refused_and_any_claims_are_read_or_refused(text: String, claims: String) {
        prop_assert!(key().grant(&text, NOW).is_err());
        prop_assert!(granted(&claims).is_err(), "claims that are no object with exp");
    }

    #[test]
    fn random_secrets_are_secrets(bytes: [u8; 32]) {
        use base64::engine::general_purpose::STANDARD;
        let hex = bytes.map(|byte| format!("{byte:02x}")).concat();
        prop_assert!(JwtKey::read(hex.as_bytes()).is_ok());
        // Those that look like DER are few enough to be made again.
        if bytes[0] != 0x30 && !bytes[0].is_ascii_whitespace() && !bytes[31].is_ascii_whitespace() {
            prop_assert!(JwtKey::read(STANDARD.encode(bytes).as_bytes()).is_ok());
            let marked = [[0xff, 0xfe], [0xfe, 0xff]].contains(&[bytes[0], bytes[1]]);
            prop_assert!(marked || JwtKey::read(&bytes).is_ok());
        }
    }
}
