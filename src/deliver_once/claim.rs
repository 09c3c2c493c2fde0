//! Claims a delivery: decides whether this process runs its handler.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ask::{LEDGER_PAUSE, ask};
use super::cause::Cause;
use super::in_progress::{Ending, Seat};
use super::shared::{Phase, Place, Shared};
use crate::ledger::{Claimed, Lease, LedgerError, Owner, Standing};
use crate::rejection::{Rejection, RejectionKind};

/// The pause between checks of another replica's work.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How long an unreachable ledger is retried before the caller gets a rejection. 50
/// attempts with the shortest pause of 3 s then outlast an outage of 18 minutes.
const LEDGER_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
#[error("the delivery was answered 202 and then given up: {0}")]
struct GivenUp(Arc<str>);

/// Claims the delivery. Retries for as long as the callers can wait while another replica
/// works on it or the ledger cannot be reached. (A sooner answer would use up
/// ConductorOne's attempts before the ledger is back.)
///
/// Without a free place it only looks the delivery up: one that is answered, or running
/// elsewhere, needs no place. One that waits for the ledger holds none, and is refused for
/// want of one only if handlers have them all.
pub(super) async fn claim(
    shared: &Shared,
    seat: &Seat,
    arrived: Instant,
) -> Result<(Lease, Place), Ending> {
    let (key, owner, asked) = (seat.key(), Owner::random(), Instant::now());
    let latest = arrived + shared.policy.latest_answer;
    let (mut waited, mut is_elsewhere) = (None, false);
    loop {
        let stands = match shared.try_reserve() {
            Some(reserved) => {
                let claimed = shared.ledger.claim(key, owner, shared.policy.lease);
                match ask(shared, claimed).await {
                    Ok(Claimed::Started(lease)) => {
                        if is_elsewhere {
                            seat.tell_whose(false);
                        }
                        return Ok((lease, shared.occupy(reserved)));
                    }
                    Ok(Claimed::Standing(standing)) => Ok(standing),
                    // The ledger replied that it is full: a retry within seconds does not
                    // help.
                    Err(error) if error.is_full() => {
                        return Err(Ending::Refused(unavailable(error)));
                    }
                    Err(error) => Err(unavailable(error)),
                }
            }
            None => match ask(shared, shared.ledger.find(key)).await {
                Ok(Some(standing)) if standing != Standing::Released => Ok(standing),
                _ if shared.is_full() => return Err(too_many_running(shared)),
                // Other claims have the places. One that has waited before goes on.
                Ok(_) => Err(waited.ok_or_else(|| too_many_running(shared))?),
                Err(error) => Err(unavailable(error)),
            },
        };
        let (pause, limit, rejection) = match stands {
            Ok(standing) => match standing {
                Standing::Answered(answer) => return Err(Ending::Recorded(answer)),
                Standing::Promised | Standing::CalledBack => return Err(Ending::Promised),
                Standing::Dead(reason) => {
                    let given_up =
                        Rejection::because(RejectionKind::DeliveryGivenUp, GivenUp(reason));
                    return Err(Ending::Refused(given_up));
                }
                Standing::Running | Standing::Released => {
                    if !is_elsewhere {
                        is_elsewhere = true;
                        seat.tell_whose(true);
                    }
                    let running = Cause::RunningElsewhere.rejection();
                    (LOOK_AGAIN, shared.policy.join, running)
                }
            },
            Err(rejection) => (LEDGER_PAUSE, LEDGER_PATIENCE, rejection),
        };
        if Instant::now() + pause >= latest.min(asked + limit) {
            return Err(Ending::Refused(rejection));
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.reached(Phase::Draining) => {
                return Err(Ending::Refused(Cause::Stopping.rejection()));
            }
        }
        waited = Some(rejection);
    }
}

fn too_many_running(shared: &Shared) -> Ending {
    #[derive(Debug, thiserror::Error)]
    #[error("{max_running} handlers are running, the limit")]
    struct Full {
        max_running: usize,
    }

    let max_running = shared.policy.max_running;
    let kind = RejectionKind::TooManyRunning;
    Ending::Refused(Rejection::because(kind, Full { max_running }))
}

fn unavailable(error: LedgerError) -> Rejection {
    Rejection::because(RejectionKind::LedgerUnavailable, error)
}
