//! Secrets in text, by what stands around them: a name and a value, an element, a flag, a URL, a line
//! of a protocol.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::{Captures, Match, Regex};

use super::keys::{is_literal, is_secret_key, is_secret_parameter};
use super::providers;
use crate::redact::rules::HIDDEN;

/// Matches every text to which a rule of this file may apply, beside those that [`providers::PROBE`]
/// matches.
pub(super) const PROBE: &str = r#"(?i-u: pass | pwd | secret | token | jwt | key | card | cookie
         | authoriz | credential | bearer | basic | otp | mfa | 2fa | tfa | saml | code | state
         | assertion | mnemonic | seed[ _-]?phrase | oauth: | identify | nonce
         | "(?:auth|pin|pan|ssn|cv[vc]2?|session-?_?id)" | <(?:[a-z0-9.-]+:)?(?:auth|pin|pan|ssn|cv[vc]2?|bearer)[\ >]
         | --(?:auth|pin|pan|ssn|cv[vc]2?) )
    | //[^/\ "]*@ | eyJ | -----BEGIN | AUTH | [?&](?:sig|ticket|session|signature|x-amz)
    | [0-9](?:[\ -]?[0-9]){12} | (?i-u: -u[\ \t] | is\ your )"#;

/// A value in quotes or without.
const VALUE: &str = r#"( \\*"(?:[^"\\]|\\.)*"? | '[^']*'? | [^\s"'&;,}\])]+ )"#;

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is one that a test has compiled")
}

/// Patterns; the match of the group is hidden, without its quotes.
static GROUPS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // A field of a head, to the end of its line.
        r#"(?x) (?i-u: authorization | cookie ) ["'\\]* [\ \t]* [=:] [\ \t]*
            ( \\*"(?:[^"\\]|\\.)*"? | [^\r\n]+ )"#,
        r#"(?i-u:\bbearer)[\s:=]+["']?([A-Za-z0-9._~+/-]{8,}=*)"#,
        // JSON Web Tokens, signed or encrypted.
        r"(eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,3})",
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z))",
        // Name and password in a URL; in those of the Web a name alone is a token, and in others if
        // it is long: `ssh://git@host` is none.
        r#"://([^/\s:@"]*:[^/\s@"]+)@"#,
        r#"(?i-u:https?|wss?|ftps?)://([^/\s@"'<>?\#]+)@"#,
        r"://([A-Za-z0-9._~%+-]{16,})@",
        // Lines of IRC, FTP, POP3, SMTP.
        r"(?m)^PASS[ \t]+:?([^\s][^\r\n]*)",
        r"(?i-u:\boauth:)([A-Za-z0-9._-]{6,})",
        r"(?m)^AUTH(?:ENTICATE)?[ \t]+(?:(?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER)[ \t]+)?([A-Za-z0-9+/]{8,}={0,2})[ \t]*\r?$",
        r"(?im)\bNICKSERV[ \t]+:?IDENTIFY[ \t]+([^\r\n]+)",
        // What curl is given.
        r#"(?:^|\s)-u[ \t]+["']?([^\s:"']+:[^\s"']+)"#,
        // One-time codes in sentences.
        r#"(?x) (?i-u: (?-u:\b) (?: otp | totp | mfa | 2fa
                | (?: one[\ -]?time | verification | security | confirmation | login | log[\ -]in | sms
                    | sign[\ -]?in | auth(?:entication|enticator|orization)? | access | recovery
                    | backup | two[\ -]factor | mfa | 2fa | otp ) \  (?:pass)?(?:code|word|pin) )
                (?: \ code )? (?: \ (?:is|was) )? )
            [\s:=>]{1,4} ["']? ( [0-9]{4,8} | [0-9]{3}[\ -][0-9]{3} ) (?-u:\b)"#,
        r"(?x) (?-u:\b) ( [0-9]{4,8} | [0-9]{3}[\ -][0-9]{3} )
            \ (?i-u:is\ your) (?: \ [\w-]+ ){0,3}? \ (?i-u: code | otp | passcode | pin ) (?-u:\b)",
        providers::KEYS,
        providers::WEBHOOKS,
    ]
    .map(compiled)
    .into()
});

/// A name that says it is a secret, and its value, in a form, a header, a log line, the source of a
/// program, or text that resembles JSON.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(
        r#"(?x) (\$)? (?i-u: passwords? | passwd | passphrase | passcode | pwd | secrets? | tokens?
                | jwt | otp | saml(?:response|request|art) | relaystate | code[_-]?verifier
                | (?:mfa|2fa|tfa|sms|otp|totp|auth|verification|authentication|security|onetime
                    |one[_-]time|confirmation|login|recovery|backup|device)[_-]?codes?
                | (?:api|private|secret|access|session|signing)[_-]?key )
            ["'\\]* [\ \t]* (?: => | :?[=:] ) [\ \t]* {VALUE}"#
    ))
});

/// A name and a value whose name is looked up: `--password x`, `?code=x`, `code=x&`, `<pin>x</pin>`.
static FLAG: LazyLock<Regex> = LazyLock::new(|| {
    compiled(&format!(r"(?x) (?:^|[\s\x22']) --([A-Za-z][A-Za-z0-9_-]*) (?: = | [\ \t]+ ) {VALUE}"))
});
static PARAMETER: LazyLock<Regex> =
    LazyLock::new(|| compiled(r#"(?:[?&#;]|\A)([A-Za-z0-9_.-]{1,40})=([^&\s"'<>#]+)"#));
static ELEMENT: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"<(?:[A-Za-z0-9_.-]+:)?([A-Za-z0-9_.-]+)(?:\s[^<>]*)?>\s*(?:<!\[CDATA\[((?s:.*?))\]\]>|([^<]+))",
    )
});
static BASIC: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"(?i-u:\bbasic)\s+([A-Za-z0-9+/]{4,}={0,2})"));

/// A type of GraphQL, and one that is its own: `$password: String!` declares a variable.
static TYPE: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"\A\[*(?:[A-Z][A-Za-z0-9_]*!?|[a-z][A-Za-z0-9_]*!)\]*!?\z"));
static SCALAR: LazyLock<Regex> =
    LazyLock::new(|| compiled(r"\A\[*(?:String|ID|Int|Float|Boolean)!?\]*!?\z"));

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Appends the spans of what looks like a secret.
pub(super) fn spans(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut push = |found: Option<Match<'_>>| {
        let span = found.map(|found| unquoted(text, found.range()));
        let new =
            |span: &Range<usize>| !span.is_empty() && !text[span.clone()].starts_with("[redacted");
        spans.extend(span.filter(new));
    };
    for pattern in GROUPS.iter() {
        pattern.captures_iter(text).for_each(|found| push(found.get(1)));
    }
    for found in NAMED.captures_iter(text).filter(|found| !is_declaration(text, found)) {
        push(found.get(2));
    }
    let flags = FLAG.captures_iter(text).filter(|found| {
        let value = found.get(2).map_or("", |value| value.as_str());
        is_secret_key(&found[1]) && !found[1].starts_with("no-") && !value.starts_with('-')
    });
    flags.for_each(|found| push(found.get(2)));
    let parameters = PARAMETER.captures_iter(text).filter(|found| {
        // `code=1006` alone is no form.
        is_secret_parameter(&found[1])
            && found.get(0).is_some_and(|all| all.start() > 0 || text[all.end()..].starts_with('&'))
    });
    parameters.for_each(|found| push(found.get(2)));
    for found in ELEMENT.captures_iter(text).filter(|found| is_secret_key(&found[1])) {
        push(found.get(2).or(found.get(3)).filter(|value| !value.as_str().trim().is_empty()));
    }
    let pairs = BASIC.captures_iter(text).filter_map(|found| found.get(1));
    pairs
        .filter(|group| BASE64.decode(group.as_str()).is_ok_and(|bytes| bytes.contains(&b':')))
        .for_each(|group| push(Some(group)));
}

/// Returns whether a name and its value are no secret: a declaration or use of a variable of GraphQL,
/// a word of JSON.
fn is_declaration(text: &str, found: &Captures<'_>) -> bool {
    let value = found.get(2).map_or("", |value| value.as_str());
    let is_variable = |name: &str| {
        let mut places = text.match_indices(name);
        places.any(|(at, _)| text[at + name.len()..].trim_start().starts_with(':'))
    };
    let name = value.split(|char: char| !(char.is_ascii_alphanumeric() || "$_".contains(char)));
    is_literal(value)
        || SCALAR.is_match(value)
        || found.get(1).is_some() && TYPE.is_match(value)
        || value.starts_with('$')
            && name.into_iter().next().is_some_and(|name| name == value && is_variable(name))
}

/// Returns a span without the quotes at its ends.
fn unquoted(text: &str, span: Range<usize>) -> Range<usize> {
    let value = &text[span.clone()];
    let escapes = value.bytes().take_while(|byte| *byte == b'\\').count();
    let quote = match value.as_bytes().get(escapes) {
        Some(quote @ (b'"' | b'\'')) => char::from(*quote),
        _ => return span,
    };
    let start = escapes + 1;
    let inner = &value[start..];
    let inner = inner.strip_suffix(quote).unwrap_or(inner);
    let ends = inner.bytes().rev().take_while(|byte| *byte == b'\\').count().min(escapes);
    span.start + start..span.start + start + inner.len() - ends
}

/// Returns a list of subprotocols with its credentials hidden: the item after a name such as
/// `access_token`, or an item such as `base64url.bearer.authorization.k8s.io.TOKEN`.
pub(in super::super) fn subprotocols(list: &str) -> Option<String> {
    let mut after = false;
    items(list, |name| {
        let lower = name.to_ascii_lowercase();
        let within = lower.contains("bearer") && lower.len() > "bearer".len();
        let hide = after || within;
        after = lower == "bearer" || lower == "basic" || is_secret_key(name);
        hide
    })
}

/// Returns a list of offered subprotocols with all hidden but the one agreed on. Browsers send
/// credentials there, because they control no other field, and each server takes them in a form of
/// its own. A client knows only what it has offered to be a protocol once the server has said so.
pub(in super::super) fn offered_subprotocols(list: &str, agreed: Option<&str>) -> Option<String> {
    items(list, |name| Some(name) != agreed)
}

fn items(list: &str, mut hide: impl FnMut(&str) -> bool) -> Option<String> {
    let mut hidden = false;
    let items = list.split(',').map(|item| {
        let name = item.trim();
        let hide = !name.is_empty() && hide(name);
        hidden |= hide;
        if hide { item.replace(name, HIDDEN) } else { item.to_owned() }
    });
    let list = items.collect::<Vec<_>>().join(",");
    hidden.then_some(list)
}
