use std::error::Error;

/// The ledger could not say whether a step was taken, or had no room for
/// another delivery.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LedgerError {
    message: String,
    is_full: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl LedgerError {
    /// An error with a message for the log: without secrets.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_full: false,
            source: None,
        }
    }

    /// An error of a ledger that has no room for another delivery. Unlike others
    /// it is told to the caller at once: to ask again in a moment is of no use.
    pub fn full(message: impl Into<String>) -> Self {
        Self {
            is_full: true,
            ..Self::new(message)
        }
    }

    /// Whether the ledger has no room for another delivery.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
