//! Credentials that other servers judge: keys by address (`--jwks`), and requests about requests
//! (`--auth-url`).
//!
//! The addresses are those of the configuration: nothing of a request chooses where wstap connects to.
//! Redirects are not followed, answers and times are bounded.

mod address;
mod cache;
mod fetch;
mod keys;
mod subrequest;

pub use address::{Address, InvalidAddress};
pub use keys::RemoteKeys;
pub use subrequest::Subrequest;
