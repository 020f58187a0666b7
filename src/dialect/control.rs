//! Commands on the connection itself: the registration of a client that reconnects, and its heartbeat.
//!
//! ```text
//! > {"type":"register","params":{"connectionId":"a","secret":"5c0b9a3e8f1d47aa"}}
//! < {"registered":{"connectionId":"a","resumed":false}}
//! > {"type":"ping","params":{"id":1}}
//! < {"pong":1}
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ids::connection_id;
use super::invalid::InvalidFrame;
use crate::event::{ClientSecret, ConnectionId};
use crate::json::{self, Json};

/// The longest id of a ping, as JSON: enough for a UUID and a time.
const MAX_PING_ID: usize = 128;

/// What a client registers with.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its id, unless that stands beside `params`.
    pub id: Option<ConnectionId>,
    /// The secret by which it proves that a later connection is its own.
    pub secret: ClientSecret,
}

impl PartialEq for Registration {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.matches(&other.secret)
    }
}

impl Eq for Registration {}

impl Registration {
    pub(super) fn parse(params: &str) -> Result<Self, InvalidFrame> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            #[serde(borrow)]
            connection_id: Option<&'a RawValue>,
            secret: String,
        }
        let params: Params<'_> = serde_json::from_str(params)
            .map_err(|_| InvalidFrame::InvalidSecret(crate::event::InvalidClientSecret))?;
        let id = params.connection_id.map(connection_id).transpose()?;
        Ok(Self { id, secret: params.secret.parse()? })
    }
}

/// Returns whether parameters are those of `register`: a secret, and at most an id beside it.
pub(super) fn registers(params: &RawValue) -> bool {
    let (mut secret, mut others) = (false, false);
    let read = json::object(params.get(), |key, _| {
        secret |= key.is("secret");
        others |= !key.is("secret") && !key.is("connectionId");
    });
    read.is_ok() && secret && !others
}

/// Returns whether parameters are those of `ping`: an id.
pub(super) fn pings(params: &RawValue) -> bool {
    ping(params.get()).is_some()
}

/// Returns the id of a ping: a string or a number.
pub(super) fn ping(params: &str) -> Option<Json> {
    let (mut id, mut others) = (None, false);
    json::object(params, |key, value| {
        others |= id.is_some() || !key.is("id");
        id = Some(value.get());
    })
    .ok()?;
    let id = id.filter(|id| !others && id.len() <= MAX_PING_ID)?;
    let scalar = matches!(id.as_bytes(), [b'"' | b'-' | b'0'..=b'9', ..]);
    if scalar { Json::parse(id) } else { None }
}
