//! How long to wait before a promised delivery is tried again.

use std::time::Duration;

/// The pause after a run that has failed: as long as ConductorOne's between two
/// attempts.
pub(super) fn failed_run() -> Duration {
    Duration::from_millis(fastrand::u64(3_000..15_000))
}

/// The pause before a delivery that this replica cannot answer is due again: random, so
/// that this replica is not always the first to take it.
pub(super) fn other_replica() -> Duration {
    Duration::from_millis(fastrand::u64(10_000..20_000))
}

/// The pause after a delivery for which there is no place: the search of the backlog for
/// documents to post goes on without overloading the ledger.
pub(super) const NO_PLACE: Duration = Duration::from_millis(50);
