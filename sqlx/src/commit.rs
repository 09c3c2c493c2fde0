use std::time::Duration;

use tower_conductorone::Rejection;
use tower_conductorone::event::Outcome;
use tower_conductorone::ledger::LedgerError;

/// Why an outcome and the work that led to it were not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Another process has taken over the delivery: it does the work. The transaction is
    /// rolled back.
    #[error("the delivery's lease was lost: another process has taken over")]
    LeaseLost,
    /// ConductorOne cannot use the outcome as an answer, or it is none but asks for
    /// another run. The transaction is rolled back.
    #[error("the outcome is no answer: {0}")]
    Unusable(#[source] Rejection),
    /// The database failed, or did not reply within 5 seconds. Unless it was the reply to
    /// `COMMIT` that was lost or late, the transaction is rolled back. If it is committed
    /// nevertheless, ConductorOne's next attempt gets the answer, and the handler does not
    /// run again. The handler may also repeat the transaction with the same outcome: it is
    /// not committed twice.
    #[error(transparent)]
    Ledger(LedgerError),
}

impl CommitError {
    /// What the handler returns: 503, after which the delivery is attempted again; or 500
    /// for an [unusable](Self::Unusable) outcome.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Unusable(_) => Outcome::failed(),
            Self::LeaseLost | Self::Ledger(_) => Outcome::retry_later(Duration::from_secs(3)),
        }
    }
}
