//! Consumers whose clients send JSON.

use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Consumer, GroupMessage, Peer, Result};
use crate::code::Code;
use crate::event::{Channel, User};
use crate::hub::Ending;

/// The hooks of a connection whose client sends JSON in text or binary frames. [`Json`] makes a
/// [`Consumer`] of it:
///
/// ```
/// use serde::Deserialize;
/// use serde_json::json;
/// use wstap::consumer::{self, Json, JsonConsumer, Peer};
///
/// #[derive(Deserialize)]
/// struct Ping {
///     ping: u64,
/// }
///
/// struct Pong;
///
/// impl JsonConsumer for Pong {
///     type In = Ping;
///
///     async fn on_json(&mut self, peer: &Peer, value: Ping) -> consumer::Result {
///         peer.send_json(&json!({ "pong": value.ping })).await?;
///         Ok(())
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let hub = wstap::Hub::new(wstap::Settings::default());
/// let app: axum::Router = axum::Router::new().route("/ws", consumer::route(hub, || Json(Pong)));
/// # }
/// ```
pub trait JsonConsumer: Send + 'static {
    /// The type of a frame; `serde_json::Value` accepts every JSON.
    type In: DeserializeOwned + Send;

    /// The client has sent a frame that is an `In`.
    fn on_json(&mut self, peer: &Peer, value: Self::In) -> impl Future<Output = Result> + Send;

    /// The client has sent a frame that is not JSON, or not an `In`. The default answers:
    /// `{"error":{"code":"malformed","message":"…"}}`.
    fn on_invalid(
        &mut self,
        peer: &Peer,
        invalid: &InvalidJson<'_>,
    ) -> impl Future<Output = Result> + Send {
        let code = Code::Malformed.row().name;
        let words = format!("this is not the JSON that belongs here: {}", invalid.error);
        async move {
            peer.send_json(&json!({"error": {"code": code, "message": words}})).await?;
            Ok(())
        }
    }

    /// As [`Consumer::on_connect`].
    fn on_connect(&mut self, peer: &Peer) -> impl Future<Output = Result> + Send {
        let _ = peer;
        async { Ok(()) }
    }

    /// As [`Consumer::on_group_message`].
    fn on_group_message(
        &mut self,
        peer: &Peer,
        message: &GroupMessage,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, message);
        async { Ok(()) }
    }

    /// As [`Consumer::on_join`].
    fn on_join(
        &mut self,
        peer: &Peer,
        group: &Channel,
        user: &User,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, group, user);
        async { Ok(()) }
    }

    /// As [`Consumer::on_leave`].
    fn on_leave(
        &mut self,
        peer: &Peer,
        group: &Channel,
        user: &User,
    ) -> impl Future<Output = Result> + Send {
        let _ = (peer, group, user);
        async { Ok(()) }
    }

    /// As [`Consumer::on_close`].
    fn on_close(&mut self, peer: &Peer, ending: &Ending) -> impl Future<Output = Result> + Send {
        let _ = (peer, ending);
        async { Ok(()) }
    }
}

/// A frame that cannot be parsed.
#[derive(Debug)]
pub struct InvalidJson<'a> {
    /// The payload of the frame.
    pub frame: &'a [u8],
    /// Why it cannot be parsed.
    pub error: serde_json::Error,
}

/// A [`JsonConsumer`] as a [`Consumer`].
#[derive(Debug, Clone)]
pub struct Json<C>(pub C);

impl<C: JsonConsumer> Json<C> {
    async fn frame(&mut self, peer: &Peer, frame: &[u8]) -> Result {
        match serde_json::from_slice(frame) {
            Ok(value) => self.0.on_json(peer, value).await,
            Err(error) => self.0.on_invalid(peer, &InvalidJson { frame, error }).await,
        }
    }
}

impl<C: JsonConsumer> Consumer for Json<C> {
    async fn on_connect(&mut self, peer: &Peer) -> Result {
        self.0.on_connect(peer).await
    }

    async fn on_text(&mut self, peer: &Peer, text: &str) -> Result {
        self.frame(peer, text.as_bytes()).await
    }

    async fn on_binary(&mut self, peer: &Peer, bytes: &[u8]) -> Result {
        self.frame(peer, bytes).await
    }

    async fn on_group_message(&mut self, peer: &Peer, message: &GroupMessage) -> Result {
        self.0.on_group_message(peer, message).await
    }

    async fn on_join(&mut self, peer: &Peer, group: &Channel, user: &User) -> Result {
        self.0.on_join(peer, group, user).await
    }

    async fn on_leave(&mut self, peer: &Peer, group: &Channel, user: &User) -> Result {
        self.0.on_leave(peer, group, user).await
    }

    async fn on_close(&mut self, peer: &Peer, ending: &Ending) -> Result {
        self.0.on_close(peer, ending).await
    }
}
