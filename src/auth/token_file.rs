//! Token files: random tokens by their hashes, and what each grants.
//!
//! ```text
//! # name  grants  hash
//! ann  observe,connect,subscribe=*,publish=news/*  sha256:x3Xnt1ft5jDNCqERO9ECZhqziCnKUqZCKreChi8mhkY
//! bot  {"observe":true,"filter":"channel == \"a\""}  sha256:…
//! ```
//!
//! The name is the user. The grants are words with commas between them, or the JSON of the claim
//! `wstap`. A token has 256 random bits, so that its hash needs neither salt nor many rounds.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::claim::Claim;
use super::{Authority, Denied, Grant, Observe, Pattern};
use crate::event::User;

/// How a token begins, so that scanners for secrets find it.
const PREFIX: &str = "wstap_";

/// How a hash begins.
const ALGORITHM: &str = "sha256:";

type Hash = [u8; SHA256_OUTPUT_LEN];

/// The tokens of a file.
#[derive(Debug, Clone, Default)]
pub struct TokenFile {
    /// The grants of each token, with the number of its line.
    grants: HashMap<Hash, (usize, Grant)>,
}

/// A fault in a token file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct InvalidLine {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right. It contains no part of a hash.
    pub fault: String,
}

impl TokenFile {
    /// Reads the text of a file. Empty lines and lines that begin with `#` are ignored.
    ///
    /// # Errors
    ///
    /// At the first line that is not right.
    pub fn read(text: &str) -> Result<Self, InvalidLine> {
        let mut grants = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fault = |fault| InvalidLine { line: n + 1, fault };
            let (hash, grant) = entry(line).map_err(fault)?;
            if grants.insert(hash, (n + 1, grant)).is_some() {
                return Err(fault("this hash stands in the file twice".to_owned()));
            }
        }
        Ok(Self { grants })
    }

    /// Returns the filter expressions of the grants, each with the number of its line.
    pub fn filters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.grants.values().filter_map(|(line, grant)| match &grant.observe {
            Observe::Matching(filter) => Some((*line, &**filter)),
            Observe::Nothing | Observe::All => None,
        })
    }

    /// Returns the number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }
}

impl Authority for TokenFile {
    fn grant(&self, token: &str, _now: u64) -> Result<Grant, Denied> {
        // A lookup by the hash takes a time that depends on the hash, of which nobody can choose a
        // part without knowing the token.
        let grant = token.starts_with(PREFIX).then(|| self.grants.get(&hash(token))).flatten();
        let grant = grant.map(|(_, grant)| grant.clone());
        grant.ok_or_else(|| Denied("this token is not known".to_owned()))
    }
}

/// Reads a line: name, grants, hash.
fn entry(line: &str) -> Result<(Hash, Grant), String> {
    let right = || "a line is a name, grants and a hash, as wstap token new prints it".to_owned();
    let (name, rest) = line.split_once(char::is_whitespace).ok_or_else(right)?;
    let (grants, hash) = rest.trim().rsplit_once(char::is_whitespace).ok_or_else(right)?;
    let user: User = name.parse().map_err(|fault| format!("{name}: {fault}"))?;
    let hash = hash.strip_prefix(ALGORITHM).ok_or_else(right)?;
    let hash = URL_SAFE_NO_PAD.decode(hash).ok().and_then(|hash| Hash::try_from(hash).ok());
    let hash = hash.ok_or_else(|| "a hash is sha256: and 43 characters of base64url".to_owned())?;
    Ok((hash, Grant { user: Some(user), ..grants_of(grants.trim())? }))
}

/// Reads grants: `observe,connect,subscribe=*,publish=news/*`, or the JSON of the claim `wstap`.
///
/// # Errors
///
/// What is wrong, and what would be right.
pub fn grants_of(text: &str) -> Result<Grant, String> {
    if text.starts_with('{') {
        let claim: Claim =
            serde_json::from_str(text).map_err(|fault| format!("grants: {fault}"))?;
        return claim.grant().map_err(|fault| format!("grants: {fault}"));
    }
    let mut grant = Grant::default();
    for word in text.split(',').map(str::trim) {
        let pattern =
            |text: &str| text.parse::<Pattern>().map_err(|fault| format!("{word}: {fault}"));
        match word.split_once('=') {
            None if word == "observe" => grant.observe = Observe::All,
            None if word == "connect" => grant.connect = true,
            None if word == "control" => grant.control = true,
            None if word == "all" => grant = Grant::all(),
            Some(("subscribe", channels)) => grant.subscribe.push(pattern(channels)?),
            Some(("publish", channels)) => grant.publish.push(pattern(channels)?),
            _ => {
                return Err(format!(
                    "{word}: grants are observe, connect, control, subscribe=CHANNELS, \
                     publish=CHANNELS or all, with commas between them, or JSON such as \
                     {{\"observe\":true,\"filter\":\"channel == \\\"a\\\"\"}}"
                ));
            }
        }
    }
    Ok(grant)
}

/// Makes a token, and returns it with its hash as a line has it.
///
/// # Errors
///
/// If the system has no random numbers.
pub fn new_token() -> Result<(String, String), &'static str> {
    let mut secret = [0; 32];
    SystemRandom::new().fill(&mut secret).map_err(|_| "the system has no random numbers")?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let hash = format!("{ALGORITHM}{}", URL_SAFE_NO_PAD.encode(hash(&token)));
    Ok((token, hash))
}

fn hash(token: &str) -> Hash {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(grants: &str) -> (String, Result<TokenFile, InvalidLine>) {
        let (token, hash) = new_token().expect("random numbers");
        (token, TokenFile::read(&format!("# tokens\n\n  ann {grants}   {hash}\n")))
    }

    #[test]
    fn token_has_the_grants_of_its_line() {
        let (token, read) = file("observe,connect, subscribe=*,publish=news/*,publish=chat");
        let grant = read.expect("a right file").grant(&token, 0).expect("a known token");
        assert_eq!(grant.user.as_ref().map(User::as_str), Some("ann"));
        assert_eq!((&grant.observe, grant.connect, grant.control), (&Observe::All, true, false));
        let channel = |name: &str| name.parse().expect("a channel");
        assert!(grant.may_publish(&channel("news/a")) && grant.may_publish(&channel("chat")));
        assert!(!grant.may_publish(&channel("news")) && grant.may_subscribe(&channel("any")));
        assert_eq!(grant.expires, None);
    }

    #[test]
    fn grants_may_be_the_claim_of_a_token() {
        let (token, read) = file(r#"{"observe": true, "filter": "channel == \"a b\""}"#);
        let file = read.expect("a right file");
        assert_eq!(file.filters().collect::<Vec<_>>(), [(3, r#"channel == "a b""#)]);
        let grant = file.grant(&token, 0).expect("a known token");
        assert_eq!(grant.observe, Observe::Matching(r#"channel == "a b""#.into()));
        assert!(!grant.connect && grant.subscribe.is_empty());
    }

    #[test]
    fn other_tokens_are_denied() {
        let (token, read) = file("all");
        let file = read.expect("a right file");
        for other in ["", "wstap_", &token[1..], &token[..48], &format!("{token}x"), "a.b.c"] {
            assert!(file.grant(other, 0).is_err(), "{other}");
        }
        assert_eq!(file.len(), 1);
    }

    #[test]
    fn faults_name_the_line_and_what_is_right_and_no_hash() {
        let (_, hash) = new_token().expect("random numbers");
        for (line, right) in [
            ("ann".to_owned(), "a name, grants and a hash"),
            (format!("ann {hash}"), "a name, grants and a hash"),
            ("ann observe md5:abc".to_owned(), "a name, grants and a hash"),
            ("ann observe sha256:abc".to_owned(), "43 characters"),
            (format!("ann obsrve {hash}"), "grants are observe"),
            (format!("ann publish= {hash}"), "the name of a channel"),
            (format!("ann {{\"observe\":1}} {hash}"), "grants:"),
            (format!("ann {{\"filter\":\"true\"}} {hash}"), "narrows observe"),
            (format!("ann all {hash}\nbob all {hash}"), "twice"),
        ] {
            let fault = TokenFile::read(&format!("# first\n{line}")).expect_err("wrong");
            assert!(fault.line >= 2 && fault.fault.contains(right), "{fault}");
            assert!(!fault.to_string().contains(&hash[7..]), "{fault}");
        }
    }
}
