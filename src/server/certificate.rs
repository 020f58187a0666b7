//! The files of a certificate, and what is wrong with them.

/// PEM files: a certificate with its key, and the authorities of client certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate of the server, and those between it and the authority.
    pub cert: String,
    /// Its private key.
    pub key: String,
    /// The authorities that may sign the certificates of clients. `None` asks for no certificates.
    pub client_ca: Option<String>,
}

/// Why the files of a certificate cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// A file is missing or has other content.
    #[error("{flag} {file}: {fault}")]
    File {
        /// The setting that names the file.
        flag: &'static str,
        /// The name of the file.
        file: String,
        /// What is wrong, and what would be right.
        fault: String,
    },
    /// The library was built without TLS.
    #[error("this build has no TLS; the feature tls of the crate adds it")]
    Absent,
}
