//! Why a server has not read the body of a request to its end.

use super::Problem;
use crate::code::Code;

/// The server has no memory for another request that is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("requests that are not complete take too much memory")]
pub(crate) struct NoRoom;

/// The body of a request has taken longer than the server waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body did not arrive in time")]
pub(crate) struct TooSlow;

impl Problem {
    /// Returns the answer to a request whose body the server did not read to its end: [`Code::Full`] or
    /// [`Code::Timeout`]. `None` if the error is another one.
    #[must_use]
    pub fn of_unread_body(error: &axum::Error) -> Option<Self> {
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            if error.is::<NoRoom>() {
                let full = "the bodies of other requests take all of the memory; try again later";
                return Some(Self::new(Code::Full, full));
            }
            if error.is::<TooSlow>() {
                return Some(Self::new(Code::Timeout, TooSlow.to_string()));
            }
            cause = error.source();
        }
        None
    }
}
