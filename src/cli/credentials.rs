//! The credentials of the configuration: files of keys and tokens, read at the start and when they
//! change, and addresses of servers that judge credentials.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::again::Requests;
use super::failure::Failure;
use crate::access::{Access, Delegate};
use crate::auth::{Authority, ExpectedClaims, Jwks, JwtKey, KeySource, TokenFile};
use crate::config::Config;
use crate::filter::Expression;
use crate::remote::{Address, RemoteKeys, Subrequest};

/// A token that is taken out of its file ends within a second.
const LOOK: Duration = Duration::from_millis(500);

/// What verifies credentials, and where it was read from.
#[derive(Debug)]
pub(super) struct Credentials {
    files: Vec<CredentialFile>,
    remote: Option<RemoteKeys>,
    access: Access,
}

/// A file with tokens or keys.
#[derive(Debug)]
struct CredentialFile {
    kind: Kind,
    path: String,
    claims: ExpectedClaims,
    /// What the file was like when it was read last.
    version: Option<Version>,
    read: Read,
}

/// The kind of a file, by its setting.
#[derive(Debug, Clone, Copy)]
enum Kind {
    TokenFile,
    JwtKey,
    Jwks,
}

/// The content of a file.
#[derive(Debug, Clone)]
struct Read {
    authority: Arc<dyn Authority>,
    /// What it holds, for the log.
    words: String,
}

/// Changes with the content of a file: time, length and, where a file is replaced, the file itself.
pub(super) type Version = (SystemTime, u64, u64);

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one is missing, or is not right, or if an address is not right.
    pub(super) fn read(config: &Config) -> Result<Self, Failure> {
        let usage = Failure::Usage;
        let (jwks, remote) = match &config.jwks {
            Some(text) if text.contains("://") => {
                (None, Some(remote_keys(text, &config.claims).map_err(usage)?))
            }
            file => (file.as_ref(), None),
        };
        let given = [
            (Kind::TokenFile, config.token_file.as_ref()),
            (Kind::JwtKey, config.jwt_key.as_ref()),
            (Kind::Jwks, jwks),
        ];
        let given = given.into_iter().filter_map(|(kind, path)| Some((kind, path?)));
        let files: Vec<_> = given
            .map(|(kind, path)| CredentialFile::read(kind, path, &config.claims))
            .collect::<Result<_, _>>()
            .map_err(usage)?;
        let delegate = config.auth_url.as_deref().map(subrequest).transpose().map_err(usage)?;
        let authorities = authorities(&files, remote.as_ref());
        let access = if authorities.is_empty() && delegate.is_none() {
            Access::open()
        } else {
            Access::delegating(authorities, delegate)
        };
        Ok(Self { files, remote, access })
    }

    /// Logs what tokens are verified with.
    pub(super) fn announce(&self) {
        for file in self.files.iter().filter(|file| !matches!(file.kind, Kind::TokenFile)) {
            tracing::info!("tokens are checked with {}", file.read.words);
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

    /// Fetches the keys of an address, and reads the files again when they change and when it is asked
    /// to, until the server stops. A faulty file changes nothing.
    pub(super) fn watch(
        self,
        requests: Requests,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let Self { files, remote, access } = self;
        async move {
            let fetching = async {
                match remote.clone() {
                    Some(remote) => remote.run(|| access.changed()).await,
                    None => std::future::pending().await,
                }
            };
            let both =
                async { tokio::join!(fetching, watch(files, remote.as_ref(), &access, requests)) };
            stop.run_until_cancelled(both).await;
        }
    }
}

/// Reads files again when they change. A request reads all of them, and fetches the keys of an
/// address, for which it does not wait.
async fn watch(
    mut files: Vec<CredentialFile>,
    remote: Option<&RemoteKeys>,
    access: &Access,
    mut requests: Requests,
) {
    loop {
        let request = tokio::select! {
            () = tokio::time::sleep(LOOK), if !files.is_empty() => None,
            Some(asked) = requests.next() => Some(asked),
            else => return,
        };
        if let Some(remote) = remote.filter(|_| request.is_some()) {
            remote.fetch_again();
        }
        let due = |file: &CredentialFile| request.is_some() || file.has_changed();
        let read = files.iter_mut().filter(|file| due(file)).filter_map(CredentialFile::reread);
        if read.count() > 0 {
            access.replace(authorities(&files, remote));
        }
    }
}

fn authorities(files: &[CredentialFile], remote: Option<&RemoteKeys>) -> Vec<Arc<dyn Authority>> {
    let remote = remote.map(|keys| Arc::new(keys.clone()) as Arc<dyn Authority>);
    files.iter().map(|file| Arc::clone(&file.read.authority)).chain(remote).collect()
}

impl CredentialFile {
    fn read(kind: Kind, path: &str, claims: &ExpectedClaims) -> Result<Self, String> {
        let version = version(path);
        let read = kind.read(path, claims)?;
        Ok(Self { kind, path: path.to_owned(), claims: claims.clone(), version, read })
    }

    fn has_changed(&self) -> bool {
        version(&self.path) != self.version
    }

    /// Reads the file again. Returns `None` if what was read before stays.
    fn reread(&mut self) -> Option<()> {
        self.version = version(&self.path);
        match self.kind.read(&self.path, &self.claims) {
            Ok(read) => {
                tracing::info!("{}: {}", self.path, read.words);
                self.read = read;
                Some(())
            }
            Err(fault) => {
                tracing::error!("{fault}; the credentials stay as they were");
                None
            }
        }
    }
}

impl Kind {
    fn setting(self) -> &'static str {
        match self {
            Self::TokenFile => "token-file",
            Self::JwtKey => "jwt-key",
            Self::Jwks => "jwks",
        }
    }

    fn read(self, path: &str, claims: &ExpectedClaims) -> Result<Read, String> {
        let fault = |fault: &dyn fmt::Display| format!("{} {path}: {fault}", self.setting());
        let content = std::fs::read(path).map_err(|error| fault(&error))?;
        let (authority, words): (Arc<dyn Authority>, String) = match self {
            Self::TokenFile => {
                let text = str::from_utf8(&content).map_err(|error| fault(&error))?;
                let file = TokenFile::read(text).map_err(|invalid| fault(&invalid))?;
                for (line, filter) in file.filters() {
                    Expression::parse(filter).map_err(|error| {
                        fault(&format!("line {line}: filter {filter:?}: {error}"))
                    })?;
                }
                let words = format!("{} tokens", file.len());
                (Arc::new(file), words)
            }
            Self::JwtKey => {
                let key = JwtKey::read(&content).map_err(|invalid| fault(&invalid))?;
                let words = key.algorithm().to_owned();
                (Arc::new(key.expecting(claims.clone())), words)
            }
            Self::Jwks => {
                let keys = Jwks::read(&content, KeySource::File);
                let keys = keys.map_err(|invalid| fault(&invalid))?;
                let words = format!("{} keys, for {}", keys.len(), keys.algorithms());
                (Arc::new(keys.expecting(claims.clone())), words)
            }
        };
        Ok(Read { authority, words })
    }
}

/// Reads the address of a JWKS. Without TLS everybody on the way could replace the keys.
fn remote_keys(text: &str, claims: &ExpectedClaims) -> Result<RemoteKeys, String> {
    let address: Address = text.parse().map_err(|fault| format!("jwks: {fault}"))?;
    if !address.is_encrypted() && !address.is_loopback() {
        return Err(format!("jwks {address}: keys are fetched by https:, or from this machine"));
    }
    RemoteKeys::new(address, claims.clone()).map_err(|fault| format!("jwks: {fault}"))
}

fn subrequest(text: &str) -> Result<Arc<dyn Delegate>, String> {
    let address: Address = text.parse().map_err(|fault| format!("auth-url: {fault}"))?;
    if !address.is_encrypted() && !address.is_loopback() {
        // Servers of one container network speak so.
        anstream::eprintln!("wstap: auth-url {address}: credentials go there without TLS");
    }
    let asking = Subrequest::new(address).map_err(|fault| format!("auth-url: {fault}"))?;
    Ok(Arc::new(asking))
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
