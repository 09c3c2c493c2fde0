//! The store: the real steps, unless a bug is injected.

use std::time::Duration;

use super::record_form;
use super::replica::{ClockError, Reply, Request, Turn, result_of};
use super::world::World;
use super::{Deliveries, KEY, TERM};
use crate::ledger::record::Step;
use crate::ledger::state::{Millis, Record, Stage, Steps, millis};
use crate::ledger::{Death, Hold, Retention};

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
    /// Revives a delivery that is not dead.
    RevivesTheLiving,
    /// Revives a delivery under the lease of who gave it up.
    RevivesForItsLastHolder,
    /// Lets leases never expire.
    EndlessLease,
    /// Posts a stored answer for a whole term, without renewing what is left of the
    /// run's lease.
    UnrenewedSender,
    /// Takes a repeated promise for another one if the delivery was refreshed since.
    ComparesPromises,
}

impl Deliveries {
    /// Whether a step is seen for the first time. What it comes to depends on no more
    /// than this.
    fn is_new(&self, record: Option<&Record>, now: Millis, request: Request) -> bool {
        let step = (record.cloned(), now, request);
        self.seen.lock().expect("no panic").insert(step)
    }

    /// The record that a revival writes.
    fn revived(
        &self,
        write: Option<Record>,
        before: Option<&Record>,
        now: Millis,
    ) -> Option<Record> {
        match self.bug {
            Bug::RevivesTheLiving => before.cloned().map(|record| Record {
                held: false,
                due_at: now,
                ..record
            }),
            Bug::RevivesForItsLastHolder => write.zip(before).map(|(revived, before)| Record {
                lease: before.lease,
                held: true,
                ..revived
            }),
            _ => write,
        }
    }

    fn term(&self) -> Duration {
        match self.bug {
            Bug::NoLease => Duration::ZERO,
            Bug::EndlessLease => Duration::MAX,
            _ => TERM,
        }
    }

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
        let (term, retention) = (self.term(), Retention::default());
        let steps = Steps { now, retention };
        let before = world.record.clone();
        let record = before.as_ref();
        let is_checked = self.bug != Bug::None || !self.is_new(record, now, request);
        macro_rules! step {
            ($form:expr, $step:expr) => {{
                let step = $step;
                if !is_checked {
                    record_form::check(record, now, &$form, &step);
                }
                step
            }};
        }
        let hold = |(write, hold)| (write, Reply::Hold(hold));
        let (write, reply) = match request {
            Request::Claim(owner) => {
                let form = Step::claim(retention, KEY, owner, term);
                let (write, claimed) = step!(form, steps.claim(record, KEY, owner, term));
                (write, Reply::Claimed(claimed))
            }
            Request::Take(owner) => {
                let form = Step::resume(retention, KEY, owner, term);
                let (write, taken) = step!(form, steps.take(record, owner, term));
                (write, Reply::Taken(taken))
            }
            Request::Renew(Turn { lease, .. }) => {
                let form = Step::renew(retention, lease, term);
                hold(step!(form, steps.renew(record, lease, term)))
            }
            Request::Promise(Turn { lease, .. }) => {
                let form = Step::promise(retention, lease, "work".into());
                let promised = step!(form, steps.promise(record, lease, "work".into()));
                let is_refreshed = world.refreshes > 0 && promised.0.is_none();
                hold(match self.bug {
                    Bug::ComparesPromises if is_refreshed => (None, Hold::Lost),
                    _ => promised,
                })
            }
            Request::Begin(Turn { lease, .. }) => {
                let form = Step::begin(retention, lease, term);
                let (write, begun) = step!(form, steps.begin(record, lease, term));
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
                let form = Step::finish(retention, lease, result_of(lease));
                let finished = steps.finish(record, lease, result_of(lease));
                let (write, finished) = step!(form, finished);
                (write, Reply::Finished(finished))
            }
            Request::Release(lease) => {
                let form = Step::release(retention, lease, Duration::ZERO);
                hold(step!(form, steps.release(record, lease, Duration::ZERO)))
            }
            Request::Postpone(lease, posted) => {
                let form = Step::postpone(retention, lease, Duration::ZERO, posted);
                let postponed = steps.postpone(record, lease, Duration::ZERO, posted);
                hold(step!(form, postponed))
            }
            Request::CalledBack(lease) => {
                let form = Step::called_back(retention, lease);
                hold(step!(form, steps.called_back(record, lease)))
            }
            Request::Bury(lease) => {
                let form = Step::bury(retention, lease, death());
                hold(step!(form, steps.bury(record, lease, death())))
            }
            Request::Revive => {
                step!(Step::dead(retention, KEY), (None, steps.dead(record)));
                let (write, _) = step!(Step::revive(retention, KEY), steps.revive(record));
                (self.revived(write, record, now), Reply::Revived)
            }
            Request::Refresh => {
                let form = Step::refresh(retention, KEY, "newer".into());
                let (write, ()) = step!(form, steps.refresh(record, "newer".into()));
                (write, Reply::Refreshed)
            }
        };
        if let Some(record) = write {
            world.write(record, request);
        }
        world
            .history
            .judge(before.as_ref(), world.record.as_ref(), request, &reply);
        reply
    }
}

impl World {
    fn write(&mut self, record: Record, request: Request) {
        let given_up = matches!(request, Request::Release(_) | Request::Postpone(..));
        // Its last run ended when it was given up.
        let ran = request == Request::Revive && matches!(record.stage, Stage::Running(_));
        self.history.ended += u32::from(given_up || ran);
        self.record = Some(without_expiry(record));
    }
}

/// Without expiry, which is days after everything here.
fn without_expiry(mut record: Record) -> Record {
    record.expires_at = Millis::MAX;
    let until = Millis::MAX - millis(Retention::default().finished());
    match &mut record.stage {
        Stage::Running(Some(promise)) | Stage::Stored { promise, .. } => promise.until = until,
        Stage::Running(None) => {}
        Stage::Answered(_) | Stage::CalledBack => record.due_at = 0,
        Stage::Dead(dead) => {
            record.due_at = 0;
            dead.promise.until = until;
        }
    }
    record
}

fn death() -> Death {
    Death::new("dead")
        .of("example.conductor.one", "an.Event")
        .id("task", "1")
}
