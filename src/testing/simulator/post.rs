//! A document posted to a callback URL, and the answer to it.

use std::time::Duration;

use http::StatusCode;

use crate::event::ReplyError;

/// A document that was posted to a callback URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackPost {
    at: Duration,
    refusal: Option<CallbackRefusal>,
}

impl CallbackPost {
    pub(super) fn new(at: Duration, refusal: Option<CallbackRefusal>) -> Self {
        Self { at, refusal }
    }

    /// When it came, counted from the first attempt.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// The status of the answer: 200 if it was accepted, else 400.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.refusal {
            None => StatusCode::OK,
            Some(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Why it was refused, if it was.
    #[must_use]
    pub fn refusal(&self) -> Option<&CallbackRefusal> {
        self.refusal.as_ref()
    }
}

/// Why a callback was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackRefusal {
    /// It came before a 202; see
    /// [`refuse_early_callbacks`](super::Switches::refuse_early_callbacks).
    Early,
    /// The URL was used before, or the delivery has already ended.
    Over,
    /// The callback time-out was over.
    Expired,
    /// The document does not answer the event.
    Document(ReplyError),
}
