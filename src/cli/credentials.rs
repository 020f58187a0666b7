//! The credentials of the configuration: files of keys and tokens, read at the start and when they
//! change.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use crate::access::Access;
use crate::auth::{Authority, JwtKey, TokenFile};
use crate::config::Config;
use crate::filter::Expression;

/// A token that is taken out of its file ends within a second.
const LOOK: Duration = Duration::from_millis(500);

/// What verifies tokens, and the files that it was read from.
#[derive(Debug)]
pub(super) struct Credentials {
    key: Option<Arc<JwtKey>>,
    tokens: Option<Tokens>,
    access: Access,
}

/// A token file.
#[derive(Debug)]
struct Tokens {
    path: String,
    /// What the file was like when it was read last.
    version: Option<Version>,
}

/// Changes with the content of a file: time, length and, where a file is replaced, the file itself.
pub(super) type Version = (SystemTime, u64, u64);

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one is missing, or is not right.
    pub(super) fn read(config: &Config) -> Result<Self, Failure> {
        let key = config.jwt_key.as_deref().map(key).transpose()?;
        let mut tokens = None;
        let mut authorities: Vec<Arc<dyn Authority>> = Vec::new();
        if let Some(path) = &config.token_file {
            let version = version(path);
            authorities.push(Arc::new(token_file(path).map_err(Failure::Usage)?));
            tokens = Some(Tokens { path: path.clone(), version });
        }
        authorities.extend(key.clone().map(|key| key as Arc<dyn Authority>));
        let access =
            if authorities.is_empty() { Access::open() } else { Access::guarded(authorities) };
        Ok(Self { key, tokens, access })
    }

    /// Logs what tokens are verified with.
    pub(super) fn announce(&self) {
        if let Some(key) = &self.key {
            tracing::info!("tokens are checked with {}", key.algorithm());
        }
    }

    /// Returns what the hub verifies the tokens of private channels with.
    pub(super) fn authority(&self) -> Option<Arc<dyn Authority>> {
        self.access.is_guarded().then(|| Arc::new(self.access.clone()) as Arc<dyn Authority>)
    }

    /// Returns what requests are checked with. With `no_auth` none is asked for a credential.
    pub(super) fn access(&self, no_auth: bool) -> Access {
        if no_auth { Access::open() } else { self.access.clone() }
    }

    /// Reads the token file again when it changes, until the server stops. A file that is not right
    /// changes nothing.
    pub(super) fn watch(self, stop: CancellationToken) -> impl Future<Output = ()> + Send {
        let Self { key, tokens, access } = self;
        async move {
            let Some(mut tokens) = tokens else { return };
            while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
                let found = version(&tokens.path);
                if found == tokens.version {
                    continue;
                }
                tokens.version = found;
                match token_file(&tokens.path) {
                    Ok(file) => {
                        tracing::info!("{}: {} tokens", tokens.path, file.len());
                        let file = [Arc::new(file) as Arc<dyn Authority>];
                        access.replace(
                            file.into_iter().chain(key.clone().map(|key| key as _)).collect(),
                        );
                    }
                    Err(fault) => tracing::error!("{fault}; the tokens stay as they were"),
                }
            }
        }
    }
}

/// Reads the key that verifies JSON Web Tokens.
fn key(path: &str) -> Result<Arc<JwtKey>, Failure> {
    let fault = |fault: &dyn fmt::Display| Failure::Usage(format!("jwt-key {path}: {fault}"));
    let content = std::fs::read(path).map_err(|error| fault(&error))?;
    Ok(Arc::new(JwtKey::read(&content).map_err(|invalid| fault(&invalid))?))
}

fn token_file(path: &str) -> Result<TokenFile, String> {
    let fault = |fault: &dyn fmt::Display| format!("token-file {path}: {fault}");
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    let file = TokenFile::read(&text).map_err(|invalid| fault(&invalid))?;
    for filter in file.filters() {
        Expression::parse(filter).map_err(|error| fault(&format!("filter {filter:?}: {error}")))?;
    }
    Ok(file)
}

/// Returns what a file is like.
pub(super) fn version(path: &str) -> Option<Version> {
    let metadata = std::fs::metadata(Path::new(path)).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some((metadata.modified().ok()?, metadata.len(), inode))
}
