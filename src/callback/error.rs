//! Why a document was not delivered.

use http::StatusCode;

use crate::event::ReplyError;

/// Why a document was not, and will not be, delivered.
///
/// None of it passes: another attempt would end alike. It shows neither the URL
/// nor the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// The callback URL is not one of the tenant's; nothing was connected to.
    #[error("the callback URL cannot be used: {reason}")]
    #[non_exhaustive]
    Unusable {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The document does not answer the event; nothing was connected to.
    #[error("the document does not answer the event")]
    Document(#[source] ReplyError),
    /// ConductorOne says that the URL was used before or has expired (400), no
    /// earlier attempt of this delivery can have been the one, and ConductorOne can
    /// no longer be waiting for a 202.
    #[error("the callback URL was used before or has expired")]
    UsedOrExpired,
    /// The document is refused for good, with a status from 402 to 499 that no
    /// passing trouble explains.
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
        /// Whether one of the attempts may have been accepted all the same: its
        /// outcome is not known.
        uncertain: bool,
    },
}

impl CallbackError {
    pub(super) fn unusable(reason: &'static str) -> Self {
        Self::Unusable { reason }
    }
}
