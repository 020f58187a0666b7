//! The names of secrets: keys of JSON, parameters, elements, flags.

/// Query parameters that are credentials, beside those with the name of a secret key.
const QUERY: [&str; 13] = [
    "code",
    "state",
    "key",
    "sig",
    "signature",
    "ticket",
    "session",
    "nonce",
    "assertion",
    "x-amz-signature",
    "x-amz-credential",
    "mfa",
    "2fa",
];

/// Parts of the keys of secrets, in any case, with or without `_` and `-`.
const IN_KEY: [&str; 7] =
    ["password", "passwd", "passphrase", "passcode", "apikey", "privatekey", "cardnumber"];

/// Words that contain one of these parts, and name no secret.
const HARMLESS: [&str; 1] = ["passwordless"];

/// Ends of the keys of secrets, likewise.
const AT_END: [&str; 39] = [
    "secret",
    "secrets",
    "token",
    "pwd",
    "jwt",
    "authorization",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "secretkey",
    "accesskey",
    "sessionkey",
    "signingkey",
    "otp",
    "otpcode",
    "mfacode",
    "2facode",
    "tfacode",
    "smscode",
    "onetimecode",
    "verificationcode",
    "verifycode",
    "authcode",
    "authenticationcode",
    "authorizationcode",
    "authenticatorcode",
    "twofactorcode",
    "securitycode",
    "confirmationcode",
    "logincode",
    "devicecode",
    "recoverycode",
    "recoverycodes",
    "backupcode",
    "backupcodes",
    "codeverifier",
    "mnemonic",
    "seedphrase",
];

/// Keys of secrets, likewise.
const WHOLE: [&str; 20] = [
    "pass",
    "auth",
    "bearer",
    "pin",
    "totp",
    "hotp",
    "mfa",
    "2fa",
    "tfa",
    "pan",
    "ssn",
    "cvv",
    "cvv2",
    "cvc",
    "cvc2",
    "sessionid",
    "samlresponse",
    "samlrequest",
    "samlart",
    "relaystate",
];

/// Keys of secrets, if their value looks like one: `code` is an error's as often as a login's.
const IF_OPAQUE: [&str; 3] = ["code", "state", "assertion"];

/// What a key says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Secret {
    /// Nothing.
    No,
    /// It is hidden, whatever it is.
    Always,
    /// It is hidden, unless it is `true`, `false` or `null`.
    Value,
    /// It is hidden if it is a string that looks like a code that a program has made.
    Opaque,
}

impl Secret {
    /// Returns whether a value is hidden, which is given as it is written, with its quotes.
    pub(in super::super) fn hides(self, written: &str) -> bool {
        match self {
            Self::No => false,
            Self::Always => true,
            Self::Value => !is_literal(written),
            Self::Opaque => {
                let inner = written.trim_matches(['\\', '"']);
                inner.len() < written.len() && is_opaque(inner)
            }
        }
    }
}

/// Returns whether a value is a word of JSON, which is no secret: `"hasPassword":true`.
pub(super) fn is_literal(value: &str) -> bool {
    matches!(value, "true" | "false" | "null")
}

/// Returns what a key says of its value.
pub(in super::super) fn secret(key: &str) -> Secret {
    let mut folded: String = key
        .chars()
        .filter(|char| !matches!(char, '_' | '-' | ' '))
        .map(|char| char.to_ascii_lowercase())
        .collect();
    for word in HARMLESS {
        if folded.contains(word) {
            folded = folded.replace(word, "");
        }
    }
    if IN_KEY.iter().any(|part| folded.contains(part))
        || AT_END.iter().any(|end| folded.ends_with(end))
        || WHOLE.contains(&&*folded)
    {
        Secret::Value
    } else if IF_OPAQUE.contains(&&*folded) {
        Secret::Opaque
    } else {
        Secret::No
    }
}

/// Returns whether a key names a secret, whatever its value looks like.
pub(in super::super) fn is_secret_key(key: &str) -> bool {
    secret(key) == Secret::Value
}

/// Returns whether a query parameter is a credential.
pub(in super::super) fn is_secret_parameter(name: &str) -> bool {
    is_secret_key(name) || QUERY.iter().any(|query| name.eq_ignore_ascii_case(query))
}

/// Returns whether a string looks like a code that a program has made: six to eight digits, or at
/// least 16 characters with digits among letters.
fn is_opaque(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits == text.len() {
        return matches!(digits, 6..=8);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=%".contains(&byte);
    text.len() >= 16
        && digits >= 3
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_known_in_any_writing() {
        for key in [
            "password",
            "userPassword",
            "new_password",
            "API-Key",
            "accessToken",
            "PIN",
            "session_id",
            "mfa_code",
            "otp",
            "smsOtp",
            "SAMLResponse",
            "verification-code",
            "backupCodes",
            "code_verifier",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "max_tokens",
            "secretary",
            "cookieConsent",
            "keyboard",
            "spin",
            "author",
            "passwordless",
            "isPasswordless",
            "code",
            "state",
            "stateful",
            "desktop",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
        assert!(is_secret_key("passwordlessPassword"));
    }

    #[test]
    fn words_of_json_are_no_secrets() {
        assert!(!secret("hasPassword").hides("true") && !secret("token").hides("null"));
        assert!(secret("pin").hides("1234") && secret("password").hides("\"true\""));
    }

    #[test]
    fn a_code_is_a_secret_if_it_looks_like_one() {
        for value in ["\"123456\"", "\"SplxlOBeZQQYbYS6WxSbI1A2\"", r#"\"a1b2c3d4e5f6a7b8c9d0\""#] {
            assert!(secret("code").hides(value), "{value}");
        }
        for value in ["1006", "123456", "\"ERR_HTTP2_STREAM_123\"", "\"open\"", "\"404\"", "{}"] {
            assert!(!secret("code").hides(value), "{value}");
        }
    }
}
