//! What may go wrong, as the ledger and the replay store report it.

use std::time::Duration;

use tower_conductorone::ledger::LedgerError;
use tower_conductorone::replay::ReplayStoreError;

/// How long a step may take in all: its caller waits no longer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);

/// What is wrong if a prepared statement is unknown, or known already.
const BOUNCER: &str =
    "; PgBouncer in transaction mode must be 1.21 or newer, with max_prepared_statements";

/// A schema or a prefix must begin with a lower-case letter or an underscore, and
/// consist of at most 40 lower-case letters, digits and underscores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a schema or prefix must begin with a lower-case letter or an underscore, and consist of \
     at most 40 lower-case letters, digits and underscores"
)]
#[non_exhaustive]
pub struct NameError;

/// Why a step failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The step cannot be taken on this record.
    Step(LedgerError),
    Database(sqlx::Error),
    Late,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Step(error)
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Step(error) => error,
            other if other.is_full() => Self::full(other.message()),
            other => Self::new(other.message()),
        }
    }
}

impl From<Failure> for ReplayStoreError {
    fn from(failure: Failure) -> Self {
        if failure.is_full() {
            return Self::full(failure.message());
        }
        Self::new(failure.message())
    }
}

impl Failure {
    /// Without the details that a database adds, since they may quote a row.
    fn message(&self) -> String {
        match self {
            Self::Step(error) => error.to_string(),
            Self::Late => format!("no reply of the database within {TIME_LIMIT:?}"),
            Self::Database(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                let hint = match &*code {
                    "26000" | "42P05" => BOUNCER,
                    _ => "",
                };
                format!(
                    "the database refused a statement: {}{hint} ({code})",
                    error.message()
                )
            }
            Self::Database(error) => error.to_string(),
        }
    }

    fn code(&self) -> Option<String> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().map(Into::into),
            _ => None,
        }
    }

    /// Whether the database has no room left.
    fn is_full(&self) -> bool {
        // disk_full of Postgres, SQLITE_FULL of SQLite.
        matches!(self.code().as_deref(), Some("53100" | "13"))
    }

    /// Whether the same step may succeed at once.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Io(_)) => true,
            // Postgres: a serialization failure or a deadlock; a server that shuts down or
            // starts. SQLite: another writer.
            _ => matches!(
                self.code().as_deref(),
                Some("40001" | "40P01" | "57P01" | "57P02" | "57P03" | "5" | "261" | "517")
            ),
        }
    }
}
