//! One attempt: its outcome, and the progress that is kept between attempts.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// How certain it is that ConductorOne accepted a delivered document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivered {
    /// ConductorOne accepted it.
    Accepted,
    /// ConductorOne answered that the URL was used or has expired (400), and the
    /// outcome of an earlier attempt is unknown: it was probably accepted.
    ProbablyAccepted,
}

/// The outcome of one attempt that did not fail permanently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The document is delivered: make no more attempts.
    Delivered(Delivered),
    /// Make another attempt.
    #[non_exhaustive]
    Retry {
        /// How long to wait before the next attempt.
        after: Duration,
    },
}

/// What is known about the attempts to deliver one document so far. Plain data, to
/// store between attempts.
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
    /// How many attempts were begun. Default: 0.
    pub attempts: u32,
    /// Whether the outcome of one of them is unknown: it may have been accepted. Set
    /// this if an attempt was begun and its outcome lost, for instance by a crash.
    pub uncertain: bool,
}

/// The meaning of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Accepted,
    UsedOrExpired,
    /// Perhaps by a firewall or gateway, which may let another attempt pass.
    Blocked,
    Refused,
    Retry {
        /// Whether the document may have been accepted nevertheless.
        uncertain: bool,
    },
}

impl Verdict {
    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Accepted,
            400 => Self::UsedOrExpired,
            // The URL is the only authentication: a firewall answers this, or a
            // deployment that has no such route yet.
            401 | 403 | 404 => Self::Blocked,
            // These mean that nothing was done. Other errors of a server, or of a
            // gateway before it, leave that open.
            408 | 425 | 429 | 503 => Self::Retry { uncertain: false },
            402..=499 => Self::Refused,
            500..=599 => Self::Retry { uncertain: true },
            // A redirect would send the document elsewhere. It is probably temporary:
            // a maintenance page, or a proxy's sign-in.
            _ => Self::Retry { uncertain: false },
        }
    }
}
