//! Why a relayed connection ends: the close frames of both sides, and the event that began the end.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use crate::code::absent;
use crate::event::{ClosedBy, Direction, TransportStats};
use crate::hub::{CloseRequest, Ending};

/// The close frames of a connection, and what began its end.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Cause {
    /// The close frame of each side.
    closes: [Option<CloseFrame>; 2],
    /// What began the end.
    first: Option<First>,
    /// The end that was given up, and how long it had taken nothing.
    stuck: Option<(Direction, Duration)>,
}

/// A close frame, and its anomaly.
#[derive(Debug, Clone)]
pub(super) struct CloseFrame {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) note: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum First {
    /// A close frame.
    Close(Direction),
    /// The end of the TCP connection, without a close frame before.
    End(Direction),
    /// The failure of the connection to the sender of a direction, such as a TCP reset.
    Failure(String),
    /// A request to wstap.
    Request(CloseRequest),
}

impl Cause {
    /// Notes the close frame of a direction.
    pub(super) fn close_frame(&mut self, direction: Direction, frame: CloseFrame) {
        self.first.get_or_insert(First::Close(direction));
        self.closes[direction as usize].get_or_insert(frame);
    }

    /// Notes that wstap itself ends the connection.
    pub(in crate::proxy) fn close_requested(&mut self, request: &CloseRequest) {
        self.first.get_or_insert_with(|| First::Request(request.clone()));
    }

    /// Notes that the sender of a direction has ended its half of the TCP connection.
    pub(in crate::proxy) fn ended(&mut self, direction: Direction) {
        self.first.get_or_insert(First::End(direction));
    }

    /// Notes that the far end of a direction took nothing for a while, and is given up.
    pub(in crate::proxy) fn stuck(&mut self, direction: Direction, time: Duration) {
        let far = match direction {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
        };
        self.stuck = Some((far, time));
    }

    /// Notes that the connection to the sender of a direction has failed.
    pub(in crate::proxy) fn failed(&mut self, direction: Direction, error: &io::Error) {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkUnreachable,
            TimedOut,
        };
        let side = name(direction);
        self.first.get_or_insert_with(|| {
            First::Failure(match error.kind() {
                ConnectionReset | ConnectionAborted | BrokenPipe => {
                    format!("the {side} reset the connection")
                }
                TimedOut | HostUnreachable | NetworkUnreachable => {
                    format!("the {side} does not answer any more: {error}")
                }
                _ => format!("the connection to the {side} failed: {error}"),
            })
        });
    }

    /// Returns whether both sides have sent a close frame.
    pub(super) fn both_closed(&self) -> bool {
        self.closes.iter().all(Option::is_some)
    }

    /// Returns the end as it is published.
    pub(super) fn ending(&self, mut wire: TransportStats) -> Ending {
        let abnormal = |reason: String| (absent::ABNORMAL, reason);
        let (by, (code, mut reason)) = match self.first.clone() {
            Some(First::Close(from)) => {
                let frame = self.closes[from as usize].clone();
                let frame = frame.map(|frame| {
                    wire.note = frame.note;
                    (frame.code, frame.reason)
                });
                (closer(from), frame.unwrap_or_else(|| abnormal(String::new())))
            }
            Some(First::Request(request)) => (ClosedBy::Tap, (request.code, request.reason)),
            Some(First::End(from)) => {
                let ended =
                    format!("the {} ended the connection without a close frame", name(from));
                (closer(from), abnormal(ended))
            }
            Some(First::Failure(reason)) => (ClosedBy::Network, abnormal(reason)),
            None => (ClosedBy::Network, abnormal("the connection broke".to_owned())),
        };
        if let (absent::ABNORMAL, Some((far, time))) = (code, self.stuck) {
            let _ = write!(reason, "; the {} read nothing for {} s", name(far), time.as_secs());
        }
        Ending { code, reason, clean: self.both_closed(), by, wire: Some(wire) }
    }
}

/// Returns the name of the sender of a direction.
fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "client",
        Direction::Out => "server",
    }
}

fn closer(direction: Direction) -> ClosedBy {
    match direction {
        Direction::In => ClosedBy::Client,
        Direction::Out => ClosedBy::Server,
    }
}
