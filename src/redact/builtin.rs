//! The rules of `--redact-defaults`: common secrets, by their key or by their form.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::Regex;

use super::rules::HIDDEN;

/// Header fields that are credentials.
pub(super) const HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
];

/// Query parameters that are credentials, beside those with the name of a secret key.
const QUERY: [&str; 8] =
    ["code", "key", "sig", "signature", "ticket", "session", "x-amz-signature", "x-amz-credential"];

/// Parts of the keys of secrets, in any case, with or without `_` and `-`.
const IN_KEY: [&str; 7] =
    ["password", "passwd", "passphrase", "passcode", "apikey", "privatekey", "cardnumber"];

/// Ends of the keys of secrets.
const AT_END: [&str; 14] = [
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
];

/// Keys of secrets, in any case.
const WHOLE: [&str; 14] = [
    "pass",
    "auth",
    "bearer",
    "pin",
    "otp",
    "totp",
    "pan",
    "ssn",
    "cvv",
    "cvv2",
    "cvc",
    "cvc2",
    "sessionid",
    "session_id",
];

/// Matches every text to which a rule of this file may apply, in one fast search.
pub(super) const PROBE: &str = r#"(?x)
    (?i-u: pass | pwd | secret | token | jwt | key | card | cookie | authoriz | credential
         | bearer | basic | "(?:auth|pin|otp|totp|pan|ssn|cv[vc]2?|sessionid|session_id)" )
    | //[^/\ "]*@ | eyJ | -----BEGIN | [0-9](?:[\ -]?[0-9]){12}"#;

static IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    let right = "the pattern is one that a test has compiled";
    Regex::new(PROBE).expect(right)
});

/// Patterns; the match of the group is hidden.
static LOOKS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let right = "the patterns are ones that a test has compiled";
    [
        // A name and a value in a form, a header, a log line, or text that resembles JSON.
        r#"(?x) (?i-u: passwords? | passwd | passphrase | passcode | pwd | secrets? | tokens? | jwt
                | (?:api|private|secret|access|session|signing)[_-]?key )
            ["'\\]* [\ \t]* [=:] [\ \t]*
            ( \\*"(?:[^"\\]|\\.)*"? | '[^']*'? | [^\s"'&;,}\])]+ )"#,
        r#"(?x) (?i-u: authorization | cookie ) ["'\\]* [\ \t]* [=:] [\ \t]*
            ( \\*"(?:[^"\\]|\\.)*"? | [^\r\n]+ )"#,
        r#"(?i-u:\bbearer)[\s:=]+["']?([A-Za-z0-9._~+/-]{8,}=*)"#,
        // JSON Web Tokens, signed or encrypted.
        r"(eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,3})",
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z))",
        // Name and password in a URL.
        r#"://([^/\s:@"]*:[^/\s@"]+)@"#,
    ]
    .map(|pattern| Regex::new(pattern).expect(right))
    .into()
});

static BASIC: LazyLock<Regex> = LazyLock::new(|| {
    let right = "the pattern is one that a test has compiled";
    Regex::new(r"(?i-u:\bbasic)\s+([A-Za-z0-9+/]{4,}={0,2})").expect(right)
});

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns whether a key names a secret.
pub(super) fn is_secret_key(key: &str) -> bool {
    let folded: String = key
        .chars()
        .filter(|char| !matches!(char, '_' | '-' | ' '))
        .map(|char| char.to_ascii_lowercase())
        .collect();
    IN_KEY.iter().any(|part| folded.contains(part))
        || AT_END.iter().any(|end| folded.ends_with(end))
        || WHOLE.iter().any(|whole| key.eq_ignore_ascii_case(whole))
}

/// Returns whether a query parameter is a credential.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    is_secret_key(name) || QUERY.iter().any(|query| name.eq_ignore_ascii_case(query))
}

/// Appends the spans of text that has the form of a secret.
pub(super) fn spans(text: &str, spans: &mut Vec<Range<usize>>) {
    if !IN_TEXT.is_match(text) {
        return;
    }
    for pattern in LOOKS.iter() {
        let groups = pattern.captures_iter(text).filter_map(|found| found.get(1));
        spans.extend(groups.map(|group| group.range()));
    }
    let pairs = BASIC.captures_iter(text).filter_map(|found| found.get(1));
    let pairs =
        pairs.filter(|group| BASE64.decode(group.as_str()).is_ok_and(|b| b.contains(&b':')));
    spans.extend(pairs.map(|group| group.range()));
    cards(text.as_bytes(), spans);
}

/// Returns a list of subprotocols with its credentials hidden, which browsers send there because they
/// control no other field: the item after a name such as `access_token`, or an item such as
/// `base64url.bearer.authorization.k8s.io.TOKEN`.
pub(super) fn subprotocols(list: &str) -> Option<String> {
    let mut after = false;
    let mut hidden = false;
    let items = list.split(',').map(|item| {
        let name = item.trim();
        let lower = name.to_ascii_lowercase();
        let within = lower.contains("bearer") && lower.len() > "bearer".len();
        let hide = (after || within) && !name.is_empty();
        after = lower == "bearer" || lower == "basic" || is_secret_key(name);
        hidden |= hide;
        if hide { item.replace(name, HIDDEN) } else { item.to_owned() }
    });
    let list = items.collect::<Vec<_>>().join(",");
    hidden.then_some(list)
}

/// Appends the spans of payment card numbers: 13 to 19 digits, in groups or not, with the prefix of an
/// issuer and a valid check digit (ISO/IEC 7812, Luhn).
fn cards(text: &[u8], spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) {
        let mut digits = Vec::new();
        // The span of each group: in the text, and among the digits.
        let mut groups: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        at = start;
        loop {
            let (begin, first) = (at, digits.len());
            while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
                digits.push(digit - b'0');
                at += 1;
            }
            groups.push((begin..at, first..digits.len()));
            let joined = matches!(text.get(at), Some(b' ' | b'-'));
            if !joined || !text.get(at + 1).is_some_and(u8::is_ascii_digit) {
                break;
            }
            at += 1;
        }
        // 0.4111111111111111 is a fraction.
        let fraction = start > 1 && text[start - 1] == b'.' && text[start - 2].is_ascii_digit();
        if digits.len() < 13 || fraction {
            continue;
        }
        for (n, (from, first)) in groups.iter().enumerate() {
            for (to, last) in &groups[n..] {
                let number = &digits[first.start..last.end];
                if number.len() > 19 {
                    break;
                }
                if is_card(number) {
                    spans.push(from.start..to.end);
                }
            }
        }
    }
}

fn is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    let prefix = digits[..4].iter().fold(0_u32, |value, digit| value * 10 + u32::from(*digit));
    let issued = match prefix {
        4000..=4999 => matches!(digits.len(), 13 | 16 | 19),
        2221..=2720 | 5100..=5599 => digits.len() == 16,
        3400..=3499 | 3700..=3799 => digits.len() == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => digits.len() >= 14,
        2200..=2204 | 3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 | 8100..=8199 => {
            digits.len() >= 16
        }
        5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 => true,
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| match (n % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    issued && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut all = Vec::new();
        spans(text, &mut all);
        all.sort_by_key(|span| (span.start, span.end));
        all.into_iter().map(|span| &text[span]).collect()
    }

    #[test]
    fn secrets_are_known_by_their_looks() {
        for (text, secret) in [
            ("user=a&password=hunter2&x=1", "hunter2"),
            ("Password: \"two words\" x", "\"two words\""),
            ("{'api_key': 'k y'}", "'k y'"),
            ("AWS_SECRET_ACCESS_KEY=abc/def", "abc/def"),
            ("Cookie: a=1; b=2\r\nX: y", "a=1; b=2"),
            ("curl -H 'Authorization: Digest x'", "Digest x'"),
            ("say Bearer abcdef123456.", "abcdef123456."),
            ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            ("x eyJhbGciOiJI.eyJzdWIiOiIx.c2ln y", "eyJhbGciOiJI.eyJzdWIiOiIx.c2ln"),
            ("wss://me:word@host/", "me:word"),
            ("pay 4111 1111 1111 1111 now", "4111 1111 1111 1111"),
            ("5500-0000-0000-0004", "5500-0000-0000-0004"),
            ("n=378282246310005", "378282246310005"),
            ("12 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ] {
            assert_eq!(found(text), [secret], "{text}");
        }
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----";
        assert_eq!(found(&format!("a\n{pem}\nb")), [pem]);
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "Basic training begins at 10",
            "max_tokens 5",
            "1763670000123",
            "4111 1111 1111 1112",
            "0.4111111111111111",
            "1763670000123456789",
            "eyJ.x",
            "https://host/a:b@c",
            "41111111111111111111111111",
        ] {
            assert!(found(text).is_empty(), "{text} {:?}", found(text));
        }
    }

    #[test]
    fn keys_of_secrets_are_known_in_any_writing() {
        for key in ["password", "userPassword", "new_password", "API-Key", "accessToken", "PIN"] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in ["max_tokens", "secretary", "cookieConsent", "keyboard", "spin", "author"] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn credentials_in_subprotocols_are_found() {
        for (list, shown) in [
            ("chat, access_token, abc", "chat, access_token, [redacted]"),
            ("bearer,abc,v2", "bearer,[redacted],v2"),
            ("base64url.bearer.authorization.k8s.io.abc, v4", "[redacted], v4"),
        ] {
            assert_eq!(subprotocols(list).as_deref(), Some(shown), "{list}");
        }
        assert_eq!(subprotocols("graphql-transport-ws, chat"), None);
    }
}
