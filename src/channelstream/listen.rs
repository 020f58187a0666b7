//! How a client listens: by WebSocket, or by polls that wait. Neither holds anything of its own:
//! what it cannot pass on goes back to the keeper of the connection.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Uri};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};
use tungstenite::Message;
use uuid::Uuid;

use super::keeper::{Command, Listener, SessionHandle};
use super::routes::Refused;
use super::waiting::{BYTES, Frame};
use super::{ApiState, Shared, json};
use crate::code::{self, Code};
use crate::event::ClosedBy;
use crate::hub::{CloseRequest, Ending};
use crate::problem::Problem;
use crate::session::{self, Limits, Socket};

/// How often a WebSocket gets an empty frame, so that both ends and all between know that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a poll waits for something.
const POLL: Duration = Duration::from_secs(5);

/// How long a poll waits for more, so that a burst is one answer.
const GATHER: Duration = Duration::from_millis(250);

/// What a listener is handed at once: one while another is sent. The rest waits with the keeper,
/// where its bytes are counted.
const HANDED: usize = 2;

/// How long a client has to answer our close frame.
const CLOSING: Duration = Duration::from_secs(2);

/// The end of the way from a keeper at which somebody listens. Whichever way the listening ends,
/// what came and was not passed on goes back to the keeper when this is dropped.
struct ListenerGuard {
    shared: Arc<Shared>,
    listener: Uuid,
    commands: Sender<Command>,
    passed: Option<Receiver<Frame>>,
    /// How it is to end.
    close: watch::Receiver<Option<CloseRequest>>,
    /// What could not be sent; it came before what is still on the way.
    returned: Vec<Frame>,
    /// How the WebSocket ended.
    socket: Option<Ending>,
    /// Whether it is one of those that listen.
    counted: bool,
}

impl ListenerGuard {
    /// Listens from now on, unless the connection has ended.
    async fn begin(shared: &Arc<Shared>, attended: &SessionHandle) -> Option<Self> {
        let (frames, receiver) = mpsc::channel(HANDED);
        let (order, close) = watch::channel(None);
        let mut hearing = Self {
            shared: Arc::clone(shared),
            listener: Uuid::new_v4(),
            commands: attended.commands.clone(),
            passed: Some(receiver),
            close,
            returned: Vec::new(),
            socket: None,
            counted: false,
        };
        let listener = Listener { id: hearing.listener, frames, close: order };
        attended.commands.send(Command::Listen(listener)).await.ok()?;
        shared.listeners.fetch_add(1, Relaxed);
        hearing.counted = true;
        Some(hearing)
    }

    /// Returns what comes next; `None` when nothing comes any more. Cancel safe.
    async fn next(&mut self) -> Option<Frame> {
        self.passed.as_mut()?.recv().await
    }

    /// Returns how the listening is to end. Cancel safe.
    async fn order(&mut self) -> CloseRequest {
        let order = self.close.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        // A keeper that has gone without a word had nothing to say against anybody.
        order.unwrap_or(CloseRequest { code: code::NORMAL, reason: String::new() })
    }

    /// Ends the listening and returns all that would go back, with what is still on the way. The
    /// keeper knows of it before anybody is answered.
    async fn end(mut self) -> Vec<Frame> {
        if let Some(passed) = &mut self.passed {
            rest(passed, &mut self.returned).await;
        }
        if let Ok(place) = self.commands.reserve().await {
            let (listener, returned) = (self.listener, Vec::new());
            place.send(Command::Left { listener, returned, socket: None });
            self.passed = None;
        }
        std::mem::take(&mut self.returned)
    }
}

/// Takes what is still on the way. The keeper may hold a place in a channel that has been closed,
/// and put something there a moment later: only the end of the channel says that nothing comes.
async fn rest(passed: &mut Receiver<Frame>, frames: &mut Vec<Frame>) {
    passed.close();
    while let Some(frame) = passed.recv().await {
        frames.push(frame);
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        if self.counted {
            self.shared.listeners.fetch_sub(1, Relaxed);
        }
        // A runtime that is torn down runs nothing more.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let Some(mut passed) = self.passed.take() else { return };
        let (commands, listener) = (self.commands.clone(), self.listener);
        let (mut returned, socket) = (std::mem::take(&mut self.returned), self.socket.take());
        self.shared.hub.run(async move {
            rest(&mut passed, &mut returned).await;
            // Without a keeper the connection has ended.
            let _ = commands.send(Command::Left { listener, returned, socket }).await;
        });
    }
}

/// Answers `GET /listen`: what came since the last poll, or comes within 5 s, as a JSON array;
/// `callback=` makes a script of it.
pub(super) async fn poll(State(desk): State<ApiState>, parts: Parts) -> Result<Response, Refused> {
    let id = conn_id(&parts.uri)?;
    let callback = callback(&parts)?;
    if parts.method == Method::HEAD {
        // Whoever asks for the head alone would take messages that nobody gets to see.
        return Ok(json(""));
    }
    let unknown = || Problem::new(Code::Unauthorized, "there is no such connection; connect again");
    let attended = desk.shared.attended(&id).ok_or_else(unknown)?;
    let hearing = ListenerGuard::begin(&desk.shared, &attended).await.ok_or_else(unknown)?;
    let answer = gather(hearing).await;
    let Some(callback) = callback else { return Ok(json(answer)) };
    // Scripts of old took these two for line breaks. The comment in front keeps what follows from
    // being anything but a script.
    let answer = answer.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/javascript; charset=utf-8")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, format!("/**/{callback}({answer});")).into_response())
}

/// Waits for something, and a moment for more; returns it as a JSON array. If the client goes
/// meanwhile, what it would have got goes back.
async fn gather(mut hearing: ListenerGuard) -> String {
    if let Ok(Some(frame)) = timeout(POLL, hearing.next()).await {
        let mut bytes = frame.len();
        hearing.returned.push(frame);
        let enough = Instant::now() + GATHER;
        while bytes < BYTES
            && let Ok(Some(frame)) = timeout_at(enough, hearing.next()).await
        {
            bytes += frame.len();
            hearing.returned.push(frame);
        }
    }
    let frames = hearing.end().await;
    let frames: Vec<_> = frames.iter().map(Frame::json).collect();
    format!("[{}]", frames.join(","))
}

/// Answers `GET /ws`.
pub(super) async fn socket(
    State(desk): State<ApiState>,
    request: Request,
) -> Result<Response, Refused> {
    let accept = session::handshake::accept(&desk.door, &request)?;
    let id = conn_id(request.uri())?;
    let limits = desk.door.limits;
    // Whoever has got the answer to the handshake listens: what comes after it is not late.
    let hearing = match desk.shared.attended(&id) {
        Some(attended) => ListenerGuard::begin(&desk.shared, &attended).await,
        None => None,
    };
    Ok(session::handshake::hand_over(
        &desk.door,
        request,
        accept,
        async move |mut socket: Socket| {
            if let Some(hearing) = hearing {
                return serve(Listening { socket, hearing, limits, pinged: None }).await;
            }
            // Clients that see this connect again, and so get an id that is known.
            socket.close(code::NORMAL, "", CLOSING).await;
            socket.linger(CLOSING).await;
        },
    ))
}

/// Serves a WebSocket until it, or the connection, ends.
async fn serve(mut listening: Listening) {
    let end = listening.run().await;
    let Listening { mut socket, mut hearing, .. } = listening;
    match end {
        End::Ordered(order) => {
            let _ = socket.close_and_wait(order.code, &order.reason, CLOSING, |_| {}).await;
        }
        End::Left(ending) => hearing.socket = Some(ending),
    }
    drop(hearing);
    socket.linger(CLOSING).await;
}

struct Listening {
    socket: Socket,
    hearing: ListenerGuard,
    limits: Limits,
    /// When it was pinged, and how many bytes had come until then.
    pinged: Option<(Instant, u64)>,
}

/// How the listening ends.
enum End {
    /// By an order of the keeper.
    Ordered(CloseRequest),
    /// The client has gone.
    Left(Ending),
}

impl End {
    fn lost(reason: impl Into<String>) -> Self {
        Self::Left(Ending::lost(reason))
    }
}

enum Turn {
    Read(Option<Result<Message, tungstenite::Error>>),
    Pass(Frame),
    Close(CloseRequest),
    Beat,
    Ping,
}

impl Listening {
    async fn run(&mut self) -> End {
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let period = self.limits.ping_interval;
        let mut ping = interval_at(Instant::now() + period, period);
        for clock in [&mut beat, &mut ping] {
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let turn = tokio::select! {
                frame = self.socket.next() => Turn::Read(frame),
                frame = self.hearing.next() => match frame {
                    Some(frame) => Turn::Pass(frame),
                    None => Turn::Close(self.hearing.order().await),
                },
                _ = beat.tick() => Turn::Beat,
                _ = ping.tick() => Turn::Ping,
            };
            let done = match turn {
                Turn::Read(Some(Ok(Message::Close(frame)))) => {
                    self.socket.flush(CLOSING).await;
                    let (code, reason) = match frame {
                        Some(frame) => (frame.code.into(), frame.reason.to_string()),
                        None => (code::absent::NO_STATUS, String::new()),
                    };
                    let by = ClosedBy::Client;
                    return End::Left(Ending { code, reason, clean: true, by, wire: None });
                }
                // Whatever a client says is a sign of life, and nothing else.
                Turn::Read(Some(Ok(_))) => Ok(()),
                Turn::Read(Some(Err(tungstenite::Error::Capacity(what)))) => {
                    let (code, reason) = (Code::TooLarge.close(), what.to_string());
                    self.socket.close(code, &reason, CLOSING).await;
                    let by = ClosedBy::Tap;
                    Err(End::Left(Ending { code, reason, clean: false, by, wire: None }))
                }
                Turn::Read(Some(Err(error))) => Err(End::lost(error.to_string())),
                Turn::Read(None) => Err(End::lost("the connection ended without a close frame")),
                Turn::Pass(frame) => self.pass(frame).await,
                Turn::Close(order) => Err(End::Ordered(order)),
                Turn::Beat => self.send(Message::text("[]")).await,
                Turn::Ping => self.ping().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn pass(&mut self, frame: Frame) -> Result<(), End> {
        let sent = self.send(Message::text(format!("[{}]", frame.json()))).await;
        if sent.is_err() {
            self.hearing.returned.push(frame);
        }
        sent
    }

    /// Sends something. An order to close does not wait for a client that takes nothing.
    async fn send(&mut self, message: Message) -> Result<(), End> {
        let mut sending = pin!(timeout(self.limits.pong_timeout, self.socket.send(message)));
        let sent = tokio::select! {
            sent = &mut sending => sent,
            order = self.hearing.order() => match timeout(CLOSING, sending).await {
                Ok(sent) => sent,
                Err(_elapsed) => return Err(End::Ordered(order)),
            },
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::lost(error.to_string())),
            Err(_elapsed) => Err(End::lost("the client reads nothing")),
        }
    }

    /// Pings, unless nothing has come since the last ping, which was longer ago than a client may
    /// take for an answer.
    async fn ping(&mut self) -> Result<(), End> {
        let received = self.socket.received();
        let (at, before) = self.pinged.unwrap_or((Instant::now(), u64::MAX));
        if before == received {
            if at.elapsed() >= self.limits.pong_timeout {
                return Err(End::lost("nothing came after a ping"));
            }
            return Ok(());
        }
        self.pinged = Some((Instant::now(), received));
        self.send(Message::Ping(Bytes::new())).await
    }
}

/// Reads `conn_id` off the query.
fn conn_id(uri: &Uri) -> Result<Uuid, Refused> {
    let text = parameter(uri, "conn_id").unwrap_or_default();
    text.parse().map_err(|_| Refused::Fault(super::schema::fault("Wrong UUID format")))
}

/// Reads the name of the function that a script is to call.
fn callback(parts: &Parts) -> Result<Option<String>, Problem> {
    let Some(name) = parameter(&parts.uri, "callback").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if is_function(&name) {
        return Ok(Some(name));
    }
    Err(Problem::malformed("callback is the name of a function, such as app.received"))
}

/// Returns whether a text is names of JavaScript joined by dots, and nothing else.
fn is_function(text: &str) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
    let goes_on = |byte: u8| starts(byte) || byte.is_ascii_digit();
    let is_name = |name: &str| name.bytes().next().is_some_and(starts) && name.bytes().all(goes_on);
    text.len() <= 128 && text.split('.').all(is_name)
}

/// Returns a parameter of the query.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let found = form_urlencoded::parse(query).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Channelstream, Settings};
    use super::*;

    /// A listener with a place that its keeper has taken and not used yet.
    async fn hearing() -> (ListenerGuard, mpsc::OwnedPermit<Frame>, Receiver<Command>) {
        let hub = crate::hub::Hub::new(crate::hub::Settings::default());
        let (frames, passed) = mpsc::channel(HANDED);
        let (commands, keeper) = mpsc::channel(1);
        let place = frames.reserve_owned().await.expect("it is open");
        let hearing = ListenerGuard {
            shared: Channelstream::new(hub, Settings::new("secret")).shared,
            listener: Uuid::nil(),
            commands,
            passed: Some(passed),
            close: watch::channel(None).1,
            returned: Vec::new(),
            socket: None,
            counted: false,
        };
        (hearing, place, keeper)
    }

    fn frame() -> Frame {
        Frame::new("{}".into(), false)
    }

    #[tokio::test]
    async fn what_a_keeper_hands_over_while_a_poll_ends_is_answered() {
        let (hearing, place, mut keeper) = hearing().await;
        let mut end = std::pin::pin!(hearing.end());
        assert!(futures_util::poll!(end.as_mut()).is_pending(), "something is on the way");
        place.send(frame());
        assert_eq!(end.await.len(), 1);
        let left = keeper.recv().await;
        assert!(matches!(left, Some(Command::Left { returned, .. }) if returned.is_empty()));
        assert!(keeper.recv().await.is_none(), "it has left once");
    }

    #[tokio::test]
    async fn what_a_keeper_hands_over_while_a_listener_vanishes_goes_back() {
        let (mut hearing, place, mut keeper) = hearing().await;
        hearing.socket = Some(Ending::lost("gone"));
        drop(hearing);
        tokio::task::yield_now().await;
        assert!(keeper.try_recv().is_err(), "something is on the way");
        place.send(frame());
        let left = timeout(Duration::from_secs(20), keeper.recv()).await;
        let Ok(Some(Command::Left { returned, socket, .. })) = left else {
            panic!("it was to leave");
        };
        assert!(returned.len() == 1 && socket.is_some());
    }

    #[test]
    fn a_callback_is_the_name_of_a_function() {
        for name in ["cb", "app.on_message", "$", "_1", "jQuery1_2.x.y"] {
            assert!(is_function(name), "{name}");
        }
        for odd in ["", ".", "a.", ".a", "1a", "a b", "alert(1)//", "a;b", "a[0]", "ä", "a\n"] {
            assert!(!is_function(odd), "{odd}");
        }
        assert!(!is_function(&"a".repeat(129)));
    }
}
