//! One attempt: what is carried from one to the next, and what an answer means.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// How certain it is that ConductorOne accepted a delivered document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivered {
    /// ConductorOne has accepted it.
    Accepted,
    /// ConductorOne says that the URL was used before or has expired (400), and
    /// the outcome of an earlier attempt is not known: most likely, that one was
    /// accepted.
    ProbablyAccepted,
}

/// The outcome of one attempt that did not fail permanently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The document is delivered; there is nothing more to do.
    Delivered(Delivered),
    /// Make another attempt.
    #[non_exhaustive]
    Retry {
        /// How long to wait before it.
        after: Duration,
    },
}

/// What the attempts to deliver one document hand on from one to the next.
/// Plain data, to be stored between them.
///
/// ```
/// use tower_conductorone::callback::Progress;
///
/// let first: Progress = serde_json::from_str("{}")?;
/// assert_eq!(first, Progress::default());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Progress {
    /// How many attempts were begun. 0 at first.
    pub attempts: u32,
    /// Whether one of them may have been accepted without our knowing. Set it
    /// if an attempt was begun and its end is lost, such as by a crash.
    pub uncertain: bool,
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    UsedOrExpired,
    /// By something on the way, perhaps, which lets another attempt pass.
    Blocked,
    Refused,
    Retry {
        /// Whether the document may have been accepted all the same.
        uncertain: bool,
    },
}

impl Verdict {
    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Accepted,
            400 => Self::UsedOrExpired,
            // These say that nothing was done; the other errors of a server, or
            // of a gateway before it, leave that open.
            // The URL is all the authentication that there is: a firewall says that,
            // or a deployment that has no such route yet.
            401 | 403 | 404 => Self::Blocked,
            408 | 425 | 429 | 503 => Self::Retry { uncertain: false },
            402..=499 => Self::Refused,
            500..=599 => Self::Retry { uncertain: true },
            // A redirect would take the document elsewhere. It is more likely a
            // passing trouble (a page for maintenance, a sign-in on the way)
            // than for good.
            _ => Self::Retry { uncertain: false },
        }
    }
}
