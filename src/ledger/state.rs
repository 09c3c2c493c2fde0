//! The steps of a ledger as pure functions: no I/O and no clock, and the same for
//! every store.
//!
//! A step takes the record and returns the record to write, if it changes, and the
//! reply. The store makes the step atomic, and supplies the time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::reply::Redacted;
use super::{
    Claimed, DeadDelivery, Death, DeliveryKey, Finished, Hold, Lease, Owner, Posted,
    RecordedAnswer, Retention, Revival, Standing, Taken, Work,
};

/// A moment, in milliseconds of the store's clock.
pub(crate) type Millis = u64;

/// The longest lease or pause: 2 hours. One that seems to end later was written
/// before the store's clock was set back, and counts as over.
pub(crate) const LONGEST: Millis = 2 * 60 * 60 * 1_000;

/// Holds no lease: no lease from before a revival is valid after it.
const NOBODY: Owner = Owner::from_bytes([0; 16]);

/// The status of an answer that is never posted.
const GONE: u16 = 410;

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// The current lease, or the last one.
    pub(crate) lease: Lease,
    /// Whether that lease still holds, in force or expired.
    pub(crate) held: bool,
    /// When another owner may take over: at the end of the lease or the pause. Of a dead
    /// delivery: when it was given up.
    pub(crate) due_at: Millis,
    /// When the record expires.
    pub(crate) expires_at: Millis,
    pub(crate) stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Running(Option<Promise>),
    Answered(RecordedAnswer),
    Stored {
        promise: Promise,
        answer: RecordedAnswer,
        posted: Posted,
    },
    CalledBack,
    Dead(Box<Dead>),
}

/// A promised delivery that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dead {
    pub(crate) promise: Promise,
    /// If it was stored.
    pub(crate) answer: Option<(RecordedAnswer, Posted)>,
    pub(crate) death: Death,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Promise {
    pub(crate) delivery: Bytes,
    /// The callback's deadline.
    pub(crate) until: Millis,
    /// The number of the last run before it was revived; 0 if it never was.
    pub(crate) revived_after: u32,
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise")
            .field("delivery", &Redacted(&self.delivery))
            .field("until", &self.until)
            .field("revived_after", &self.revived_after)
            .finish()
    }
}

/// The record to write, if any, and the reply.
pub(crate) type Step<R> = (Option<Record>, R);

/// The steps, at this time and with this retention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    pub(crate) now: Millis,
    pub(crate) retention: Retention,
}

impl Steps {
    pub(crate) fn claim(
        self,
        record: Option<&Record>,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> Step<Claimed> {
        let run = match self.live(record) {
            None => 1,
            Some(record) => match record.stage {
                // A repeated claim: the first reply was lost.
                Stage::Running(None) if record.held && record.lease.owner() == owner => {
                    record.lease.run()
                }
                Stage::Running(None) if self.is_over(record) => {
                    record.lease.run().saturating_add(1)
                }
                _ => return (None, Claimed::Standing(self.standing(record))),
            },
        };
        let lease = Lease::new(key, owner, run, 0);
        let record = self.held(lease, term, Stage::Running(None));
        (Some(record), Claimed::Started(lease))
    }

    pub(crate) fn find(self, record: Option<&Record>) -> Option<Standing> {
        self.live(record).map(|record| self.standing(record))
    }

    pub(crate) fn renew(self, record: Option<&Record>, lease: Lease, term: Duration) -> Step<Hold> {
        match self.live(record) {
            Some(record) if record.is_held_by(lease) => {
                let renewed = self.held(lease, term, record.stage.clone());
                (Some(renewed), Hold::Held)
            }
            _ => (None, Hold::Lost),
        }
    }

    pub(crate) fn promise(
        self,
        record: Option<&Record>,
        lease: Lease,
        delivery: Bytes,
    ) -> Step<Hold> {
        match self.live(record) {
            Some(record) if record.is_held_by(lease) => match &record.stage {
                Stage::Running(None) => {
                    let until = self.now.saturating_add(millis(self.retention.callback()));
                    let promise = Promise {
                        delivery,
                        until,
                        revived_after: 0,
                    };
                    let stage = Stage::Running(Some(promise));
                    let promised = self.record(lease, true, record.due_at, stage);
                    (Some(promised), Hold::Held)
                }
                // A repeated step. A duplicate may have refreshed the delivery since.
                Stage::Running(Some(_)) => (None, Hold::Held),
                _ => (None, Hold::Lost),
            },
            _ => (None, Hold::Lost),
        }
    }

    pub(crate) fn finish(
        self,
        record: Option<&Record>,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> Step<Finished> {
        let Some(record) = self.live(record) else {
            return (None, Finished::Lost);
        };
        let first = Lease::new(lease.key(), lease.owner(), lease.run(), 1);
        match &record.stage {
            Stage::Running(None) if record.is_held_by(lease) => {
                let answered = self.ended(record, lease, Stage::Answered(answer));
                (Some(answered), Finished::Answered)
            }
            Stage::Running(Some(promise)) if record.is_held_by(lease) => {
                let stage = Stage::Stored {
                    promise: promise.clone(),
                    answer,
                    posted: Posted::No,
                };
                let stored = self.record(first, true, record.due_at, stage);
                (Some(stored), Finished::Stored(first))
            }
            // A repeated step: the first reply was lost.
            Stage::Answered(known) if record.lease == lease && *known == answer => {
                (None, Finished::Answered)
            }
            Stage::Stored { answer: known, .. }
                if record.is_held_by(first) && lease.attempt() == 0 && *known == answer =>
            {
                (None, Finished::Stored(first))
            }
            _ => (None, Finished::Lost),
        }
    }

    pub(crate) fn release(
        self,
        record: Option<&Record>,
        lease: Lease,
        pause: Duration,
    ) -> Step<Hold> {
        match self.live(record) {
            Some(record) if record.lease == lease => match &record.stage {
                stage @ Stage::Running(_) if record.held => {
                    let released = self.free(lease, pause, stage.clone());
                    (Some(released), Hold::Held)
                }
                Stage::Running(_) => (None, Hold::Held),
                _ => (None, Hold::Lost),
            },
            _ => (None, Hold::Lost),
        }
    }

    pub(crate) fn refresh(self, record: Option<&Record>, delivery: Bytes) -> Step<()> {
        let Some(mut refreshed) = self.live(record).cloned() else {
            return (None, ());
        };
        let (Stage::Running(Some(promise)) | Stage::Stored { promise, .. }) = &mut refreshed.stage
        else {
            return (None, ());
        };
        if promise.delivery == delivery {
            return (None, ());
        }
        promise.delivery = delivery;
        (Some(refreshed), ())
    }

    pub(crate) fn begin(
        self,
        record: Option<&Record>,
        lease: Lease,
        term: Duration,
    ) -> Step<Option<Lease>> {
        let run = lease.run().saturating_add(1);
        let next = Lease::new(lease.key(), lease.owner(), run, 0);
        match self.live(record) {
            // Or a repeated step: the first reply was lost.
            Some(record) if record.is_held_by(lease) || record.is_held_by(next) => {
                match &record.stage {
                    stage @ Stage::Running(Some(_)) => {
                        let begun = self.held(next, term, stage.clone());
                        (Some(begun), Some(next))
                    }
                    _ => (None, None),
                }
            }
            _ => (None, None),
        }
    }

    /// Takes over one record. The store finds the one that is due.
    pub(crate) fn take(
        self,
        record: Option<&Record>,
        owner: Owner,
        term: Duration,
    ) -> Step<Option<Taken>> {
        let Some(record) = self.live(record).filter(|record| self.is_over(record)) else {
            return (None, None);
        };
        let last = record.lease;
        let (lease, stage, promise, work) = match &record.stage {
            Stage::Running(Some(promise)) => {
                let lease = Lease::new(last.key(), owner, last.run(), 0);
                (lease, record.stage.clone(), promise.clone(), Work::Run)
            }
            Stage::Stored {
                promise,
                answer,
                posted,
            } => {
                let attempt = last.attempt().saturating_add(1);
                let lease = Lease::new(last.key(), owner, last.run(), attempt);
                // Its last holder crashed during an attempt.
                let posted = if record.held {
                    Posted::Perhaps
                } else {
                    *posted
                };
                let (promise, answer) = (promise.clone(), answer.clone());
                let stage = Stage::Stored {
                    promise: promise.clone(),
                    answer: answer.clone(),
                    posted,
                };
                (lease, stage, promise, Work::Send { answer, posted })
            }
            Stage::Running(None) | Stage::Answered(_) | Stage::CalledBack | Stage::Dead(_) => {
                return (None, None);
            }
        };
        let taken = self.held(lease, term, stage);
        let mut reply = Taken::new(lease, promise.delivery, work);
        reply.revived_after = promise.revived_after;
        (Some(taken), Some(reply))
    }

    pub(crate) fn postpone(
        self,
        record: Option<&Record>,
        lease: Lease,
        pause: Duration,
        outcome: Posted,
    ) -> Step<Hold> {
        match self.live(record) {
            Some(record) if record.lease == lease => match record.stage.clone() {
                Stage::Stored {
                    promise,
                    answer,
                    posted,
                } if record.held => {
                    let posted = if outcome == Posted::Perhaps {
                        outcome
                    } else {
                        posted
                    };
                    let stage = Stage::Stored {
                        promise,
                        answer,
                        posted,
                    };
                    (Some(self.free(lease, pause, stage)), Hold::Held)
                }
                Stage::Stored { .. } => (None, Hold::Held),
                _ => (None, Hold::Lost),
            },
            _ => (None, Hold::Lost),
        }
    }

    pub(crate) fn called_back(self, record: Option<&Record>, lease: Lease) -> Step<Hold> {
        match self.live(record) {
            Some(record) if record.lease == lease => match record.stage {
                Stage::Stored { .. } if record.held => (
                    Some(self.ended(record, lease, Stage::CalledBack)),
                    Hold::Held,
                ),
                Stage::CalledBack => (None, Hold::Held),
                _ => (None, Hold::Lost),
            },
            _ => (None, Hold::Lost),
        }
    }

    pub(crate) fn bury(self, record: Option<&Record>, lease: Lease, death: Death) -> Step<Hold> {
        let Some(record) = self.live(record).filter(|record| record.lease == lease) else {
            return (None, Hold::Lost);
        };
        let (mut promise, answer) = match &record.stage {
            Stage::Running(Some(promise)) if record.held => (promise.clone(), None),
            Stage::Stored {
                promise,
                answer,
                posted,
            } if record.held => {
                let answer = (answer.status() != GONE).then(|| (answer.clone(), *posted));
                (promise.clone(), answer)
            }
            Stage::Dead(dead) if dead.death == death => return (None, Hold::Held),
            _ => return (None, Hold::Lost),
        };
        // The record outlives its last step as any other.
        promise.until = promise.until.max(self.now);
        let dead = Dead {
            promise,
            answer,
            death,
        };
        // Unlike that of others that ended, its `due_at` is the time of its end.
        let dead = self.record(lease, false, self.now, Stage::Dead(Box::new(dead)));
        (Some(dead), Hold::Held)
    }

    pub(crate) fn dead(self, record: Option<&Record>) -> Option<DeadDelivery> {
        let record = self.live(record)?;
        let Stage::Dead(dead) = &record.stage else {
            return None;
        };
        let (lease, death) = (record.lease, dead.death.clone());
        let until = dead.promise.until;
        Some(DeadDelivery {
            has_answer: dead.answer.is_some(),
            age: Duration::from_millis(self.now.saturating_sub(record.due_at)),
            time_left: Duration::from_millis(until.saturating_sub(self.now)),
            ..DeadDelivery::new(lease.key(), lease.run(), death)
        })
    }

    pub(crate) fn revive(self, record: Option<&Record>) -> Step<Revival> {
        let Some(record) = self.live(record) else {
            return (None, Revival::Unknown);
        };
        let Stage::Dead(dead) = &record.stage else {
            return (None, Revival::NotDead);
        };
        if dead.promise.until <= self.now {
            return (None, Revival::TooLate);
        }
        let run = record.lease.run();
        let promise = Promise {
            revived_after: run,
            ..dead.promise.clone()
        };
        let stage = match dead.answer.clone() {
            None => Stage::Running(Some(promise)),
            Some((answer, posted)) => Stage::Stored {
                promise,
                answer,
                posted,
            },
        };
        let revived = Record {
            lease: Lease::new(record.lease.key(), NOBODY, run, 0),
            due_at: self.now,
            stage,
            ..record.clone()
        };
        (Some(revived), Revival::Revived)
    }

    /// Ignores a record that has expired and is not deleted yet.
    fn live(self, record: Option<&Record>) -> Option<&Record> {
        record.filter(|record| self.now < record.expires_at)
    }

    fn standing(self, record: &Record) -> Standing {
        match &record.stage {
            Stage::Running(None) if record.held && !self.is_over(record) => Standing::Running,
            Stage::Running(None) => Standing::Released,
            Stage::Running(Some(_)) | Stage::Stored { .. } => Standing::Promised,
            Stage::Answered(answer) => Standing::Answered(answer.clone()),
            Stage::CalledBack => Standing::CalledBack,
            Stage::Dead(dead) => Standing::Dead(Arc::clone(&dead.death.reason)),
        }
    }

    fn held(self, lease: Lease, term: Duration, stage: Stage) -> Record {
        self.record(lease, true, self.after_pause(term), stage)
    }

    fn free(self, lease: Lease, pause: Duration, stage: Stage) -> Record {
        self.record(lease, false, self.after_pause(pause), stage)
    }

    /// Its `due_at` has no meaning any more, and stays: a store need not write it.
    fn ended(self, record: &Record, lease: Lease, stage: Stage) -> Record {
        Record {
            due_at: record.due_at,
            ..self.record(lease, false, self.now, stage)
        }
    }

    fn record(self, lease: Lease, held: bool, due_at: Millis, stage: Stage) -> Record {
        let last = match &stage {
            // It is useless after its deadline, however often it is taken over.
            Stage::Running(Some(promise)) | Stage::Stored { promise, .. } => promise.until,
            Stage::Dead(dead) => dead.promise.until,
            _ => due_at.max(self.now),
        };
        Record {
            lease,
            held,
            due_at,
            expires_at: last.saturating_add(millis(self.retention.finished())),
            stage,
        }
    }

    /// Whether a lease or a pause has ended.
    fn is_over(self, record: &Record) -> bool {
        record.due_at <= self.now || record.due_at > self.now.saturating_add(LONGEST)
    }

    /// When a lease or a pause of that length ends.
    fn after_pause(self, length: Duration) -> Millis {
        self.now.saturating_add(millis(length).min(LONGEST))
    }
}

impl Record {
    fn is_held_by(&self, lease: Lease) -> bool {
        self.held && self.lease == lease
    }

    /// When [`Steps::take`] may take it over, if ever.
    pub(crate) fn takeable_at(&self) -> Option<Millis> {
        match self.stage {
            Stage::Running(Some(_)) | Stage::Stored { .. } => Some(self.due_at),
            _ => None,
        }
    }

    /// The callback's deadline, until it has been called.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        match &self.stage {
            Stage::Running(Some(promise)) | Stage::Stored { promise, .. } => Some(promise.until),
            Stage::Dead(dead) => Some(dead.promise.until),
            Stage::Running(None) | Stage::Answered(_) | Stage::CalledBack => None,
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.stage, Stage::Dead(_))
    }

    /// The size of its delivery, answer and death.
    pub(crate) fn payload_bytes(&self) -> usize {
        match &self.stage {
            Stage::Running(None) | Stage::CalledBack => 0,
            Stage::Running(Some(promise)) => promise.delivery.len(),
            Stage::Answered(answer) => answer.document().len(),
            Stage::Stored {
                promise, answer, ..
            } => promise.delivery.len() + answer.document().len(),
            Stage::Dead(dead) => {
                let answer = dead.answer.as_ref();
                let answer = answer.map_or(0, |(answer, _)| answer.document().len());
                dead.promise.delivery.len() + answer + dead.death.bytes()
            }
        }
    }
}

/// Milliseconds, rounded up: a short time must not become zero.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(Millis::MAX)
}
