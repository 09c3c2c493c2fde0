use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::state_text::{PostedName, StageName, State, Unread, VERSION};
use crate::ledger::reply::Redacted;
use crate::ledger::state::{Dead, LONGEST, Promise, Record, Stage, millis};
use crate::ledger::{Backlog, Death, DeliveryKey, Lease, Owner, Posted, RecordedAnswer, Retention};

/// One delivery's record, as a store keeps it.
///
/// Times are milliseconds of the store's clock, since any fixed moment.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// A JSON object without secrets: see the [module](super#what-is-stored). It is
    /// shorter than 250 bytes, plus the [`Death`] if the delivery was given up.
    pub state: String,
    /// What is needed to repeat a promised or dead delivery: a secret.
    pub delivery: Option<Bytes>,
    /// The response document: a secret.
    pub answer: Option<Bytes>,
    /// Which list the delivery is in.
    pub listed: Option<Listed>,
    /// When another owner may take over: at the end of the lease or the pause. Of a dead
    /// delivery: when it was given up.
    pub due_at: u64,
    /// From when the record counts as absent and may be deleted.
    pub expires_at: u64,
}

/// The list that a delivery is in, if it is in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listed {
    /// Promised and not over: [`due`](super::RecordStore::due) finds it.
    Promised,
    /// Given up: [`dead_keys`](super::RecordStore::dead_keys) finds it.
    Dead,
}

/// How many records of a layer are [listed](Stored::listed), and have not expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The [promised](Listed::Promised) ones.
    pub promised: u64,
    /// The time until the first of them expires, `None` if there is none: those that were
    /// promised first expire first.
    pub first_expires_in: Option<Duration>,
    /// The [dead](Listed::Dead) ones.
    pub dead: u64,
}

impl Counts {
    /// Counts a record, unless it has expired.
    pub fn add(&mut self, stored: &Stored, now: u64) {
        if stored.expires_at <= now {
            return;
        }
        match stored.listed {
            Some(Listed::Promised) => {
                let expires_in = Duration::from_millis(stored.expires_at - now);
                let first = self.first_expires_in.unwrap_or(expires_in);
                self.first_expires_in = Some(first.min(expires_in));
                self.promised += 1;
            }
            Some(Listed::Dead) => self.dead += 1,
            None => {}
        }
    }

    pub(super) fn backlog(self, retention: Retention) -> Backlog {
        let oldest = self.first_expires_in;
        let oldest = oldest.map(|expires_in| retention.since_promise(expires_in));
        Backlog::new(
            self.promised.min(Backlog::MOST),
            oldest,
            self.dead.min(Backlog::MOST),
        )
    }
}

/// The secrets that a step reads. The others may be left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reads {
    pub(super) delivery: bool,
    pub(super) answer: bool,
}

impl Stored {
    /// A record as it was read from the store. Set its other fields, too.
    #[must_use]
    pub fn new(state: impl Into<String>, due_at: u64, expires_at: u64) -> Self {
        Self {
            state: state.into(),
            delivery: None,
            answer: None,
            listed: None,
            due_at,
            expires_at,
        }
    }

    /// Whether the delivery is promised and may be taken over.
    ///
    /// No lease or pause is longer than 2 hours. One that ends later was written before
    /// the clock was set back, and counts as over.
    #[must_use]
    pub const fn is_due(&self, now: u64) -> bool {
        let is_over = self.due_at <= now || self.due_at > now.saturating_add(LONGEST);
        matches!(self.listed, Some(Listed::Promised)) && is_over
    }

    pub(super) fn read(
        &self,
        key: DeliveryKey,
        reads: Reads,
        retention: Retention,
    ) -> Result<Record, Unread> {
        let read = State::parse(&self.state)?;
        let delivery = || Promise {
            delivery: self.delivery.clone().unwrap_or_default(),
            until: read.deadline.unwrap_or_else(|| {
                let outlives = read.outlives;
                let outlives = outlives.unwrap_or_else(|| millis(retention.finished()));
                self.expires_at.saturating_sub(outlives)
            }),
            revived_after: read.revived_after.unwrap_or(0),
        };
        let answer = || {
            let document = self.answer.clone().unwrap_or_default();
            Some(RecordedAnswer::new(read.status?, document))
        };
        let has_delivery = self.delivery.is_some() || !reads.delivery;
        let has_answer = self.answer.is_some() || !reads.answer;
        let is_complete = match read.stage {
            StageName::Promised => has_delivery,
            StageName::Answered => has_answer,
            StageName::Stored => has_delivery && has_answer,
            StageName::Dead => has_delivery && (has_answer || read.status.is_none()),
            StageName::Running | StageName::CalledBack => true,
        };
        let stage = match read.stage {
            StageName::Running => Some(Stage::Running(None)),
            StageName::Promised => Some(Stage::Running(Some(delivery()))),
            StageName::Answered => answer().map(Stage::Answered),
            StageName::Stored => answer()
                .zip(read.posted)
                .map(|(answer, posted)| Stage::Stored {
                    promise: delivery(),
                    answer,
                    posted: Posted::from(posted),
                }),
            StageName::CalledBack => Some(Stage::CalledBack),
            StageName::Dead => {
                read.reason
                    .as_deref()
                    .zip(read.about.clone())
                    .map(|(reason, about)| {
                        let posted = read.posted.map(Posted::from);
                        let (reason, answer) = (reason.into(), answer().zip(posted));
                        Stage::Dead(Box::new(Dead {
                            promise: delivery(),
                            answer,
                            death: Death { reason, about },
                        }))
                    })
            }
        };
        let owner = owner(&read.owner);
        let (Some(stage), Some(owner), true) = (stage, owner, is_complete) else {
            return Err(Unread::Spoilt);
        };
        Ok(Record {
            lease: Lease::new(key, owner, read.run, read.attempt),
            held: read.held,
            due_at: self.due_at,
            expires_at: self.expires_at,
            stage,
        })
    }

    #[cfg(test)]
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            state: state_of(record),
            delivery: delivery_of(record).cloned(),
            answer: answer_of(record).cloned(),
            listed: listed(record),
            due_at: record.due_at,
            expires_at: record.expires_at,
        }
    }
}

pub(super) fn listed(record: &Record) -> Option<Listed> {
    if record.is_dead() {
        return Some(Listed::Dead);
    }
    record.takeable_at().map(|_| Listed::Promised)
}

pub(super) fn state_of(record: &Record) -> String {
    let (stage, promise, answer, posted) = parts(&record.stage);
    let outlives = record.deadline();
    let outlives = outlives.map(|deadline| record.expires_at.saturating_sub(deadline));
    let dead = match &record.stage {
        Stage::Dead(dead) => Some(dead),
        _ => None,
    };
    let text = State {
        version: VERSION,
        stage,
        owner: format!("{:?}", record.lease.owner()),
        run: record.lease.run(),
        attempt: record.lease.attempt(),
        held: record.held,
        status: answer.map(RecordedAnswer::status),
        posted: posted.map(PostedName::from),
        revived_after: promise
            .map(|promise| promise.revived_after)
            .filter(|run| *run > 0),
        outlives: outlives.filter(|_| dead.is_none()),
        deadline: dead.map(|dead| dead.promise.until),
        reason: dead.map(|dead| dead.death.reason.to_string()),
        about: dead.map(|dead| dead.death.about.clone()),
    };
    text.text()
}

type Parts<'a> = (
    StageName,
    Option<&'a Promise>,
    Option<&'a RecordedAnswer>,
    Option<Posted>,
);

fn parts(stage: &Stage) -> Parts<'_> {
    match stage {
        Stage::Running(None) => (StageName::Running, None, None, None),
        Stage::Running(Some(promise)) => (StageName::Promised, Some(promise), None, None),
        Stage::Answered(answer) => (StageName::Answered, None, Some(answer), None),
        Stage::Stored {
            promise,
            answer,
            posted,
        } => (
            StageName::Stored,
            Some(promise),
            Some(answer),
            Some(*posted),
        ),
        Stage::CalledBack => (StageName::CalledBack, None, None, None),
        Stage::Dead(dead) => {
            let answer = dead.answer.as_ref().map(|(answer, _)| answer);
            let posted = dead.answer.as_ref().map(|(_, posted)| *posted);
            (StageName::Dead, Some(&dead.promise), answer, posted)
        }
    }
}

pub(super) fn delivery_of(record: &Record) -> Option<&Bytes> {
    let (_, promise, ..) = parts(&record.stage);
    promise.map(|promise| &promise.delivery)
}

pub(super) fn answer_of(record: &Record) -> Option<&Bytes> {
    let (_, _, answer, _) = parts(&record.stage);
    answer.map(RecordedAnswer::document)
}

/// Reads the hexadecimal digits that `Debug` writes.
fn owner(digits: &str) -> Option<Owner> {
    let is_owner = digits.len() == 32 && !digits.starts_with('+');
    let number = u128::from_str_radix(digits, 16).ok()?;
    is_owner.then(|| Owner::from_bytes(number.to_be_bytes()))
}

/// Without the secrets.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("state", &self.state)
            .field("delivery", &self.delivery.as_deref().map(Redacted))
            .field("answer", &self.answer.as_deref().map(Redacted))
            .field("listed", &self.listed)
            .field("due_at", &self.due_at)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
