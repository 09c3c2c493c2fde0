use std::fmt;

use bytes::Bytes;

use super::state_text::{PostedName, StageName, State, Unread, VERSION};
use crate::ledger::reply::Redacted;
use crate::ledger::state::{LONGEST, Promise, Record, Stage, millis};
use crate::ledger::{DeliveryKey, Lease, Owner, Posted, RecordedAnswer, Retention};

/// One delivery's record, as a store keeps it.
///
/// Times are milliseconds of the store's clock, since any fixed moment.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// A JSON object without secrets: see the [module](super#what-is-stored). It is
    /// shorter than 250 bytes, plus the reason if the delivery was given up.
    pub state: String,
    /// What is needed to repeat a promised delivery: a secret.
    pub delivery: Option<Bytes>,
    /// The response document: a secret.
    pub answer: Option<Bytes>,
    /// Whether the delivery is promised and not over: then
    /// [`due`](super::RecordStore::due) finds it.
    pub is_promised: bool,
    /// When another owner may take over: at the end of the lease or the pause.
    pub due_at: u64,
    /// From when the record counts as absent and may be deleted.
    pub expires_at: u64,
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
            is_promised: false,
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
        self.is_promised && (self.due_at <= now || self.due_at > now.saturating_add(LONGEST))
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
            // Whatever the retention was: it determines when the record expires.
            until: self.expires_at.saturating_sub(millis(retention.finished())),
        };
        let answer = || {
            let document = self.answer.clone().unwrap_or_default();
            Some(RecordedAnswer::new(read.status?, document))
        };
        let is_complete = match read.stage {
            StageName::Promised => self.delivery.is_some() || !reads.delivery,
            StageName::Answered => self.answer.is_some() || !reads.answer,
            StageName::Stored => {
                (self.delivery.is_some() || !reads.delivery)
                    && (self.answer.is_some() || !reads.answer)
            }
            StageName::Running | StageName::CalledBack | StageName::Dead => true,
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
            StageName::Dead => read
                .reason
                .as_deref()
                .map(|reason| Stage::Dead(reason.into())),
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
            is_promised: record.takeable_at().is_some(),
            due_at: record.due_at,
            expires_at: record.expires_at,
        }
    }
}

pub(super) fn state_of(record: &Record) -> String {
    let (stage, status, posted) = match &record.stage {
        Stage::Running(None) => (StageName::Running, None, None),
        Stage::Running(Some(_)) => (StageName::Promised, None, None),
        Stage::Answered(answer) => (StageName::Answered, Some(answer.status()), None),
        Stage::Stored { answer, posted, .. } => {
            let posted = PostedName::from(*posted);
            (StageName::Stored, Some(answer.status()), Some(posted))
        }
        Stage::CalledBack => (StageName::CalledBack, None, None),
        Stage::Dead(_) => (StageName::Dead, None, None),
    };
    let reason = match &record.stage {
        Stage::Dead(reason) => Some(reason.to_string()),
        _ => None,
    };
    let text = State {
        version: VERSION,
        stage,
        owner: format!("{:?}", record.lease.owner()),
        run: record.lease.run(),
        attempt: record.lease.attempt(),
        held: record.held,
        status,
        posted,
        reason,
    };
    text.text()
}

pub(super) fn delivery_of(record: &Record) -> Option<&Bytes> {
    match &record.stage {
        Stage::Running(Some(promise)) | Stage::Stored { promise, .. } => Some(&promise.delivery),
        _ => None,
    }
}

pub(super) fn answer_of(record: &Record) -> Option<&Bytes> {
    match &record.stage {
        Stage::Answered(answer) | Stage::Stored { answer, .. } => Some(answer.document()),
        _ => None,
    }
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
            .field("is_promised", &self.is_promised)
            .field("due_at", &self.due_at)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
