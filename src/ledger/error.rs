use std::error::Error;

/// A ledger cannot tell whether a step was taken, or has no room for another
/// delivery.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LedgerError {
    message: String,
    is_full: bool,
    is_unreadable: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl LedgerError {
    /// An error with this message, which is logged: it must not contain secrets.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_full: false,
            is_unreadable: false,
            source: None,
        }
    }

    /// An error of a ledger that has no room for another delivery. Unlike after
    /// other errors, the claim is not repeated: the request is refused at once.
    pub fn full(message: impl Into<String>) -> Self {
        Self {
            is_full: true,
            ..Self::new(message)
        }
    }

    /// An error of one record, which does not concern the others.
    pub(super) fn unreadable(message: impl Into<String>) -> Self {
        Self {
            is_unreadable: true,
            ..Self::new(message)
        }
    }

    pub(super) const fn is_unreadable(&self) -> bool {
        self.is_unreadable
    }

    /// Whether the ledger has no room for another delivery.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
