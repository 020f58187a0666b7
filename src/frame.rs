//! Reads one direction of a WebSocket byte stream from a copy of its bytes (RFC 6455, and RFC 7692
//! for compressed messages), and writes frames that are injected into one.
//!
//! Pure: no sockets, no clock. A violation of the protocol gets a [`Note`], and reading goes on as
//! long as the start of the next frame is known.
//!
//! ```
//! use wstap::frame::{Extensions, Payload, Reader, Seen, Side};
//!
//! let mut reader = Reader::new(Side::Server, Extensions::None, 1 << 20, false);
//! let mut said = Vec::new();
//! for bytes in [&b"\x81\x05hel"[..], b"lo"] {
//!     reader.feed(bytes, |seen| match seen {
//!         Seen::Message { payload: Payload::Text(text), .. } => said.push(text.to_owned()),
//!         _ => {}
//!     });
//! }
//! assert_eq!(said, ["hello"]);
//! ```

mod boundaries;
mod extensions;
mod inflate;
mod message;
mod note;
mod reader;
mod scratch;
mod seen;
mod write;

pub use boundaries::{Boundaries, FrameHead};
pub use extensions::{Deflate, Extensions};
pub use note::Note;
pub use reader::{Reader, Side};
pub use seen::{Control, Counts, Payload, Seen};
pub use write::{close_frame, data_frame};

#[cfg(test)]
mod tests;
