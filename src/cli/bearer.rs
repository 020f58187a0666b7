//! The token that commands show to a server. It is in no log line and no message.

#![expect(clippy::doc_markdown, reason = "the comments of fields are the help on a terminal")]

use std::time::Duration;

use clap::Args;
use http::HeaderValue;

use super::failure::Failure;
use crate::config::token_variable;

/// Time between two looks at a file for a new token.
const LOOK: Duration = Duration::from_millis(250);

/// The flag.
#[derive(Args)]
pub(super) struct Bearer {
    /// Token for a server that asks for one. @FILE reads it from a file before each connection, so that
    /// a token that is renewed there is used. Other users of this machine can see the flags of a command;
    /// they cannot see the variable [variable: WSTAP_TOKEN]
    #[arg(long, value_name = "TOKEN|@FILE")]
    token: Option<String>,
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer").finish_non_exhaustive()
    }
}

impl Bearer {
    /// Returns where the token comes from: the flag, or the variable.
    ///
    /// # Errors
    ///
    /// If there is a token that no header field can hold, or a file that cannot be read.
    pub(super) fn token(&self) -> Result<Token, Failure> {
        let token = match self.token.clone().or_else(token_variable) {
            None => Token::None,
            Some(text) => match text.strip_prefix('@') {
                Some(path) => Token::File(path.to_owned()),
                None => Token::Text(text),
            },
        };
        token.field().map_err(Failure::Usage)?;
        Ok(token)
    }
}

/// Where a token comes from.
#[derive(Clone)]
pub(super) enum Token {
    /// There is none.
    None,
    /// The token itself.
    Text(String),
    /// A file whose first line is the token.
    File(String),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Returns the value of `Authorization`.
    ///
    /// # Errors
    ///
    /// If a header field cannot hold the token, or the file cannot be read. The words have no token.
    pub(super) fn field(&self) -> Result<Option<HeaderValue>, String> {
        let (text, name) = match self {
            Self::None => return Ok(None),
            Self::Text(text) => (text.clone(), "the token".to_owned()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                (text.map_err(|error| format!("token @{path}: {error}"))?, format!("token @{path}"))
            }
        };
        let token = text.lines().next().unwrap_or_default().trim();
        let graphic = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| graphic);
        let mut value = value.ok_or_else(|| {
            format!("{name}: a token has no spaces, and characters of ASCII only")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Returns whether another token may be had later.
    pub(super) fn is_renewed(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Waits for a time, or until there is another token than `used`.
    pub(super) async fn renewed(&self, used: Option<&HeaderValue>, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            let is_new = self.field().is_ok_and(|now| now.is_some() && now.as_ref() != used);
            if left.is_zero() || is_new {
                return;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_a_text_or_the_first_line_of_a_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("token").to_str().expect("text").to_owned();
        let field = |token: &Token| {
            let field = token.field()?;
            Ok::<_, String>(field.map(|it| it.to_str().expect("text").to_owned()))
        };
        assert_eq!(field(&Token::None), Ok(None));
        assert_eq!(field(&Token::Text("abc".to_owned())), Ok(Some("Bearer abc".to_owned())));
        let file = Token::File(path.clone());
        assert!(field(&file).expect_err("no file").contains(&path));
        std::fs::write(&path, " abc \nmore\n").expect("written");
        assert_eq!(field(&file), Ok(Some("Bearer abc".to_owned())));
        for wrong in ["", "two words", "\n", "ä-secret"] {
            let words = field(&Token::Text(wrong.to_owned())).expect_err("no token");
            assert!(!words.contains("secret"), "{words}");
        }
    }
}
