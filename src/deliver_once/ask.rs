//! Questions to the ledger, which may be slow or out of reach.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::shared::{Phase, Shared};
use crate::future::BoxFuture;
use crate::ledger::LedgerError;

/// How long to wait after trouble with the ledger, before asking it again.
pub(super) const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// How long the ledger may take to answer.
const LEDGER_ANSWER: Duration = Duration::from_secs(5);

/// Asks the ledger, which has to answer soon: the time that a lease has left is
/// counted from the answer, with that much to spare.
pub(super) async fn ask<T>(
    shared: &Shared,
    step: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    let limit = LEDGER_ANSWER.min(shared.policy.lease / 9);
    let asked = Instant::now();
    match timeout(limit, step).await {
        // One that was there in time, but found nobody awake, is as old.
        Ok(reply) if asked.elapsed() <= limit => reply,
        Ok(_) | Err(_) => Err(LedgerError::new(format!("no answer within {limit:?}"))),
    }
}

/// Takes a step in the ledger, again and again until it is known what became of
/// it; `None` if the receiver stops first. The lease may run out meanwhile: it
/// counts until another takes over.
pub(super) async fn persist<'a, T>(
    shared: &'a Shared,
    mut step: impl FnMut() -> BoxFuture<'a, Result<T, LedgerError>>,
) -> Option<T> {
    let mut stopped = pin!(shared.reached(Phase::Stopped));
    loop {
        match ask(shared, step()).await {
            Ok(reply) => return Some(reply),
            Err(error) => tracing::warn!(%error, "the ledger is out of reach, to be tried again"),
        }
        tokio::select! {
            () = sleep(LEDGER_PAUSE) => {}
            () = &mut stopped => return None,
        }
    }
}
