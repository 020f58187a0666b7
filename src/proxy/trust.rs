//! Which certificates of upstreams are accepted, and why none can be.

/// The certificate authorities that an upstream's certificate has to be signed by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that this machine trusts.
    System,
    /// Those in this PEM file.
    File(String),
    /// Any certificate is accepted.
    Anybody,
}

/// The flags that name other certificates, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustFlags {
    /// Names a file with authorities.
    pub ca: &'static str,
    /// Accepts any certificate.
    pub insecure: &'static str,
}

impl Default for TrustFlags {
    /// Those of proxy mode.
    fn default() -> Self {
        Self { ca: "--upstream-ca", insecure: "--upstream-insecure" }
    }
}

/// Why the certificates of a [`Trust`] cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The machine has none.
    #[error("this machine has no root certificates; a PEM file has to name some")]
    NoRoots,
    /// The file has none.
    #[error("{0}: no certificate can be read from it; a PEM file has some ({1})")]
    File(String, String),
    /// The library was built without TLS.
    #[error("this build has no TLS; the feature tls of the crate adds it")]
    Absent,
}
