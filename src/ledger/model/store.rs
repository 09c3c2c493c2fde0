//! The store: the real steps, unless a bug is injected.

use std::time::Duration;

use super::replica::{ClockError, Reply, Request, result_of};
use super::world::World;
use super::{Deliveries, KEY, TERM};
use crate::ledger::Retention;
use crate::ledger::state::{Millis, Record, Stage, Steps};

/// The injected bug, which the check must find.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Bug {
    None,
    /// Sets a result without comparing the lease.
    SetNotCompareAndSet,
    /// Measures leases on the caller's clock.
    ClientsClock,
    /// Ignores leases: the next claim starts another run at once.
    NoLease,
    /// Lets leases never expire.
    EndlessLease,
    /// Posts a stored answer for a whole term, without renewing what is left of the
    /// run's lease.
    UnrenewedSender,
}

impl Deliveries {
    /// One atomic step of the store.
    pub(super) fn serve(
        &self,
        world: &mut World,
        request: Request,
        clock_error: ClockError,
    ) -> Reply {
        let now = match self.bug {
            Bug::ClientsClock => world.now + clock_error,
            _ => world.now,
        };
        let term = match self.bug {
            Bug::NoLease => Duration::ZERO,
            Bug::EndlessLease => Duration::MAX,
            _ => TERM,
        };
        let retention = Retention::default();
        let steps = Steps { now, retention };
        let before = world.record.clone();
        let record = before.as_ref();
        let hold = |(write, hold)| (write, Reply::Hold(hold));
        let (write, reply) = match request {
            Request::Claim(owner) => {
                let (write, claimed) = steps.claim(record, KEY, owner, term);
                (write, Reply::Claimed(claimed))
            }
            Request::Take(owner) => {
                let (write, taken) = steps.take(record, owner, term);
                (write, Reply::Taken(taken))
            }
            Request::Renew(turn) => hold(steps.renew(record, turn.lease, term)),
            Request::Promise(turn) => hold(steps.promise(record, turn.lease, "work".into())),
            Request::Begin(turn) => {
                let (write, begun) = steps.begin(record, turn.lease, term);
                (write, Reply::Begun(begun))
            }
            Request::Finish(lease) => {
                let set = before.clone().map(|record| Record {
                    lease,
                    held: true,
                    stage: Stage::Running(None),
                    ..record
                });
                let record = match self.bug {
                    Bug::SetNotCompareAndSet => set.as_ref(),
                    _ => record,
                };
                let (write, finished) = steps.finish(record, lease, result_of(lease));
                (write, Reply::Finished(finished))
            }
            Request::Release(lease) => hold(steps.release(record, lease, Duration::ZERO)),
            Request::Postpone(lease, posted) => {
                hold(steps.postpone(record, lease, Duration::ZERO, posted))
            }
            Request::CalledBack(lease) => hold(steps.called_back(record, lease)),
            Request::Bury(lease) => hold(steps.bury(record, lease, "dead")),
        };
        if let Some(record) = write {
            let given_up = matches!(request, Request::Release(_) | Request::Postpone(..));
            world.history.ended += u32::from(given_up);
            world.record = Some(without_expiry(record));
        }
        world
            .history
            .judge(before.as_ref(), world.record.as_ref(), request, &reply);
        reply
    }
}

/// Without expiry, which is days after everything here.
fn without_expiry(mut record: Record) -> Record {
    record.expires_at = Millis::MAX;
    match &mut record.stage {
        Stage::Running(Some(promise)) | Stage::Stored { promise, .. } => promise.until = 0,
        Stage::Running(None) => {}
        Stage::Answered(_) | Stage::CalledBack | Stage::Dead(_) => record.due_at = 0,
    }
    record
}
