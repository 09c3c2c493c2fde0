use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::state_text::Unread;
use super::stored::{Reads, state_of};
use super::{Change, Stored};
use crate::ledger::state::{self, Millis, Record, Stage, Steps};
use crate::ledger::{
    Claimed, DeadDelivery, Death, DeliveryKey, Finished, Hold, Lease, LedgerError, Owner, Posted,
    RecordedAnswer, Retention, Revival, Standing, Taken,
};

type Act<R> = Box<dyn Fn(Steps, Option<&Record>) -> state::Step<R> + Send + Sync>;

/// One step of a ledger, with the reply `R`: what [`Ledger`](crate::ledger::Ledger)'s
/// method of the same name does to a record.
///
/// A step has no effect by itself and may be applied any number of times, such as after
/// another step came first.
pub struct Step<R> {
    name: &'static str,
    key: DeliveryKey,
    retention: Retention,
    reads: Reads,
    act: Act<R>,
    /// The reply if a newer release wrote the record; without one the step fails.
    newer: fn() -> Option<R>,
    likely: Likely,
}

/// The record that a step most likely finds.
enum Likely {
    Any,
    None,
    Running(Lease),
}

/// What a step most likely does, for a store that can compare and write in one
/// statement.
///
/// If the record's [`state`](Stored::state) is [`expected`](Self::expected) and the
/// record has not expired, write the change and return the reply: then this was the
/// step. Otherwise [apply](Step::apply) the step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Guess<R> {
    /// The state of the record, which has neither a delivery nor an answer; `None` if
    /// there is no record.
    pub expected: Option<String>,
    /// What to write.
    pub change: Change,
    /// The step's reply.
    pub reply: R,
}

impl<R> Step<R> {
    /// The delivery whose record the step reads and changes.
    #[must_use]
    pub const fn key(&self) -> DeliveryKey {
        self.key
    }

    /// Whether the step reads [`Stored::delivery`]. Otherwise a store may leave it out.
    #[must_use]
    pub const fn reads_delivery(&self) -> bool {
        self.reads.delivery
    }

    /// Whether the step reads [`Stored::answer`]. Otherwise a store may leave it out.
    #[must_use]
    pub const fn reads_answer(&self) -> bool {
        self.reads.answer
    }

    /// Decides what the step replies, and what it writes, if anything.
    ///
    /// `stored` is the record, `None` if there is none; `now` is the time on the store's
    /// clock, in the same milliseconds as the record's times.
    ///
    /// # Errors
    /// [`LedgerError`] if the record is of a newer format or is damaged: return the
    /// error, and write nothing.
    pub fn apply(
        &self,
        stored: Option<&Stored>,
        now: u64,
    ) -> Result<(R, Option<Change>), LedgerError> {
        let read = stored.map(|stored| stored.read(self.key, self.reads, self.retention));
        let record = match read.transpose() {
            Ok(record) => record,
            Err(Unread::Newer) => {
                let reply = (self.newer)().map(|reply| (reply, None));
                return reply.ok_or_else(|| unreadable("is of a newer version"));
            }
            Err(Unread::Spoilt) => return Err(unreadable("is damaged")),
        };
        Ok(self.decide(record.as_ref(), now))
    }

    /// What the step most likely does, if that is known before the record is read: for a
    /// claim of a new delivery, and for the steps of a run that is not promised.
    #[must_use]
    pub fn guess(&self) -> Option<Guess<R>> {
        // Neither time is one that a step writes, so a time that stays is recognised.
        let (due_at, expires_at) = (BEFORE, Millis::MAX);
        let record = match self.likely {
            Likely::Any => return None,
            Likely::None => None,
            Likely::Running(lease) => Some(Record {
                lease,
                held: true,
                due_at,
                expires_at,
                stage: Stage::Running(None),
            }),
        };
        let (reply, change) = self.decide(record.as_ref(), BEFORE + 1);
        Some(Guess {
            expected: record.as_ref().map(state_of),
            change: change?,
            reply,
        })
    }

    fn decide(&self, record: Option<&Record>, now: Millis) -> (R, Option<Change>) {
        let steps = Steps {
            now,
            retention: self.retention,
        };
        let (write, reply) = (self.act)(steps, record);
        let known = record.filter(|record| now < record.expires_at);
        let change = write.map(|mut after| {
            // With the same deadline it expires as before, whatever the retention is now.
            if let Some(known) = known
                && known.deadline().is_some()
                && known.deadline() == after.deadline()
            {
                after.expires_at = known.expires_at;
            }
            Change::between(known, &after, now)
        });
        (reply, change)
    }

    fn new(
        name: &'static str,
        key: DeliveryKey,
        retention: Retention,
        newer: fn() -> Option<R>,
        act: impl Fn(Steps, Option<&Record>) -> state::Step<R> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            key,
            retention,
            reads: Reads::default(),
            act: Box::new(act),
            newer,
            likely: Likely::Any,
        }
    }

    fn reading(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    fn likely(mut self, likely: Likely) -> Self {
        self.likely = likely;
        self
    }

    fn likely_running(self, lease: Lease) -> Self {
        match lease.attempt() {
            0 => self.likely(Likely::Running(lease)),
            _ => self,
        }
    }
}

/// Any time: a guess only adds to it.
const BEFORE: Millis = 1 << 40;

const DELIVERY: Reads = Reads {
    delivery: true,
    answer: false,
};
const ANSWER: Reads = Reads {
    delivery: false,
    answer: true,
};
const BOTH: Reads = Reads {
    delivery: true,
    answer: true,
};

/// A newer release took over.
const LOST: fn() -> Option<Hold> = || Some(Hold::Lost);

fn unreadable(why: &str) -> LedgerError {
    LedgerError::unreadable(format!("the delivery's record {why}"))
}

impl Step<Claimed> {
    /// [`Ledger::claim`](crate::ledger::Ledger::claim).
    #[must_use]
    pub fn claim(retention: Retention, key: DeliveryKey, owner: Owner, term: Duration) -> Self {
        let act =
            move |steps: Steps, record: Option<&Record>| steps.claim(record, key, owner, term);
        Self::new("claim", key, retention, || None, act)
            .reading(ANSWER)
            .likely(Likely::None)
    }
}

impl Step<Option<Standing>> {
    /// [`Ledger::find`](crate::ledger::Ledger::find).
    #[must_use]
    pub fn find(retention: Retention, key: DeliveryKey) -> Self {
        let act = |steps: Steps, record: Option<&Record>| (None, steps.find(record));
        Self::new("find", key, retention, || None, act).reading(ANSWER)
    }
}

impl Step<Finished> {
    /// [`Ledger::finish`](crate::ledger::Ledger::finish).
    #[must_use]
    pub fn finish(retention: Retention, lease: Lease, answer: RecordedAnswer) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| {
            steps.finish(record, lease, answer.clone())
        };
        let newer = || Some(Finished::Lost);
        Self::new("finish", lease.key(), retention, newer, act)
            .reading(ANSWER)
            .likely_running(lease)
    }
}

impl Step<Hold> {
    /// [`Ledger::renew`](crate::ledger::Ledger::renew).
    #[must_use]
    pub fn renew(retention: Retention, lease: Lease, term: Duration) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| steps.renew(record, lease, term);
        Self::new("renew", lease.key(), retention, LOST, act).likely_running(lease)
    }

    /// [`Ledger::promise`](crate::ledger::Ledger::promise).
    #[must_use]
    pub fn promise(retention: Retention, lease: Lease, delivery: Bytes) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| {
            steps.promise(record, lease, delivery.clone())
        };
        Self::new("promise", lease.key(), retention, LOST, act)
            .reading(DELIVERY)
            .likely_running(lease)
    }

    /// [`Ledger::release`](crate::ledger::Ledger::release).
    #[must_use]
    pub fn release(retention: Retention, lease: Lease, pause: Duration) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| steps.release(record, lease, pause);
        Self::new("release", lease.key(), retention, LOST, act).likely_running(lease)
    }

    /// [`Ledger::postpone`](crate::ledger::Ledger::postpone).
    #[must_use]
    pub fn postpone(retention: Retention, lease: Lease, pause: Duration, posted: Posted) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| {
            steps.postpone(record, lease, pause, posted)
        };
        Self::new("postpone", lease.key(), retention, LOST, act)
    }

    /// [`Ledger::called_back`](crate::ledger::Ledger::called_back).
    #[must_use]
    pub fn called_back(retention: Retention, lease: Lease) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| steps.called_back(record, lease);
        Self::new("called_back", lease.key(), retention, LOST, act)
    }

    /// [`Ledger::bury`](crate::ledger::Ledger::bury).
    #[must_use]
    pub fn bury(retention: Retention, lease: Lease, death: Death) -> Self {
        let act =
            move |steps: Steps, record: Option<&Record>| steps.bury(record, lease, death.clone());
        Self::new("bury", lease.key(), retention, LOST, act)
    }
}

impl Step<()> {
    /// [`Ledger::refresh`](crate::ledger::Ledger::refresh).
    #[must_use]
    pub fn refresh(retention: Retention, key: DeliveryKey, delivery: Bytes) -> Self {
        let act =
            move |steps: Steps, record: Option<&Record>| steps.refresh(record, delivery.clone());
        Self::new("refresh", key, retention, || Some(()), act).reading(DELIVERY)
    }
}

impl Step<Option<DeadDelivery>> {
    /// A delivery of a page of [`Ledger::dead`](crate::ledger::Ledger::dead), if it is
    /// dead.
    #[must_use]
    pub fn dead(retention: Retention, key: DeliveryKey) -> Self {
        let act = |steps: Steps, record: Option<&Record>| (None, steps.dead(record));
        Self::new("dead", key, retention, || Some(None), act)
    }
}

impl Step<Revival> {
    /// [`Ledger::revive`](crate::ledger::Ledger::revive).
    #[must_use]
    pub fn revive(retention: Retention, key: DeliveryKey) -> Self {
        let act = |steps: Steps, record: Option<&Record>| steps.revive(record);
        Self::new("revive", key, retention, || None, act)
    }
}

impl Step<Option<Taken>> {
    /// [`Ledger::resume`](crate::ledger::Ledger::resume).
    #[must_use]
    pub fn resume(retention: Retention, key: DeliveryKey, owner: Owner, term: Duration) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| steps.take(record, owner, term);
        Self::new("resume", key, retention, || Some(None), act).reading(BOTH)
    }
}

impl Step<Option<Lease>> {
    /// [`Ledger::begin`](crate::ledger::Ledger::begin).
    #[must_use]
    pub fn begin(retention: Retention, lease: Lease, term: Duration) -> Self {
        let act = move |steps: Steps, record: Option<&Record>| steps.begin(record, lease, term);
        Self::new("begin", lease.key(), retention, || Some(None), act)
    }
}

/// Without what it writes, which is secret.
impl<R> fmt::Debug for Step<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("name", &self.name)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
