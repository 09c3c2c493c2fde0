//! Requests to the ledger, which may be slow or unreachable.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::shared::{Phase, Shared};
use crate::future::{BoxFuture, within};
use crate::ledger::LedgerError;

/// The pause after a ledger error before the next request.
pub(super) const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait for the ledger's reply.
const LEDGER_ANSWER: Duration = Duration::from_secs(5);

/// Awaits the ledger's reply, within a limit: the time that a lease has left is counted
/// from the reply, with that limit to spare.
pub(super) async fn ask<T>(
    shared: &Shared,
    step: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    let limit = LEDGER_ANSWER.min(shared.policy.lease / 9);
    let asked = Instant::now();
    match within(limit, step).await {
        // A reply may have waited for this task to be polled: it counts as late.
        Some(reply) if asked.elapsed() <= limit => reply,
        Some(_) | None => Err(LedgerError::new(format!("no answer within {limit:?}"))),
    }
}

/// Repeats a ledger step until its result is known; `None` if the receiver stops first.
/// The lease may expire meanwhile: it holds until another process takes over.
pub(super) async fn persist<'a, T>(
    shared: &'a Shared,
    mut step: impl FnMut() -> BoxFuture<'a, Result<T, LedgerError>>,
) -> Option<T> {
    let mut stopped = pin!(shared.reached(Phase::Stopped));
    loop {
        match ask(shared, step()).await {
            Ok(reply) => return Some(reply),
            Err(error) => tracing::warn!(%error, "the ledger cannot be reached, retrying"),
        }
        tokio::select! {
            () = sleep(LEDGER_PAUSE) => {}
            () = &mut stopped => return None,
        }
    }
}
