//! Why a document was not delivered.

use http::StatusCode;

use crate::event::ReplyError;

/// Why a document cannot be delivered.
///
/// Every variant is permanent: another attempt would fail alike. It shows neither
/// the URL nor the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// The callback URL does not lead to the tenant; no connection was opened.
    #[error("the callback URL cannot be used: {reason}")]
    #[non_exhaustive]
    Unusable {
        /// What is wrong with the URL.
        reason: &'static str,
    },
    /// The document does not answer the event; no connection was opened.
    #[error("the document does not answer the event")]
    Document(#[source] ReplyError),
    /// ConductorOne answered that the URL was used or has expired (400). No earlier
    /// attempt can have been accepted, and ConductorOne no longer waits for a 202.
    #[error("the callback URL was used already or has expired")]
    UsedOrExpired,
    /// ConductorOne refused the document, with a status from 402 to 499 that does
    /// not mean a temporary failure.
    #[error("the callback was refused with {status}")]
    #[non_exhaustive]
    Refused {
        /// The status.
        status: StatusCode,
    },
    /// The deadline has passed.
    #[error("the deadline for the callback has passed")]
    #[non_exhaustive]
    DeadlinePassed {
        /// Whether the outcome of an attempt is unknown: it may have been accepted.
        uncertain: bool,
    },
}

impl CallbackError {
    pub(super) fn unusable(reason: &'static str) -> Self {
        Self::Unusable { reason }
    }
}
