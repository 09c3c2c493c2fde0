use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::stored::{answer_of, delivery_of, listed, state_of};
use super::{Listed, Stored};
use crate::ledger::reply::Redacted;
use crate::ledger::state::{Millis, Record, millis};

/// What a step writes to a record. Times are relative, so that a statement of a database
/// can add them to the database's own time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The new [`Stored::state`].
    pub state: String,
    /// The change to [`Stored::delivery`].
    pub delivery: Write,
    /// The change to [`Stored::answer`].
    pub answer: Write,
    /// The new [`Stored::listed`].
    pub listed: Option<Listed>,
    /// The new [`Stored::due_at`], from now; `None` leaves it.
    pub due_in: Option<Duration>,
    /// The new [`Stored::expires_at`], from now; `None` leaves it.
    pub expires_in: Option<Duration>,
}

/// A change to a secret part of a record.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// It stays as it is.
    Keep,
    /// It is deleted.
    Delete,
    /// It is replaced with these bytes.
    Replace(Bytes),
}

impl Change {
    /// The whole record to write, for a store that does not change single fields.
    /// `stored` is the record as it was read, with all its fields; `now` is as in
    /// [`Step::apply`](super::Step::apply).
    #[must_use]
    pub fn onto(self, stored: Option<&Stored>, now: u64) -> Stored {
        let time = |length: Option<Duration>, known: fn(&Stored) -> u64| match length {
            Some(length) => now.saturating_add(millis(length)),
            None => stored.map_or(now, known),
        };
        Stored {
            delivery: self
                .delivery
                .onto(stored.and_then(|stored| stored.delivery.as_ref())),
            answer: self
                .answer
                .onto(stored.and_then(|stored| stored.answer.as_ref())),
            listed: self.listed,
            due_at: time(self.due_in, |stored| stored.due_at),
            expires_at: time(self.expires_in, |stored| stored.expires_at),
            state: self.state,
        }
    }

    /// From a record that has not expired to another.
    pub(super) fn between(before: Option<&Record>, after: &Record, now: Millis) -> Self {
        let length = |time: fn(&Record) -> Millis| {
            let is_kept = before.is_some_and(|before| time(before) == time(after));
            (!is_kept).then(|| Duration::from_millis(time(after).saturating_sub(now)))
        };
        Self {
            state: state_of(after),
            delivery: Write::between(before, after, delivery_of),
            answer: Write::between(before, after, answer_of),
            listed: listed(after),
            due_in: length(|record| record.due_at),
            expires_in: length(|record| record.expires_at),
        }
    }
}

impl Write {
    fn onto(self, known: Option<&Bytes>) -> Option<Bytes> {
        match self {
            Self::Keep => known.cloned(),
            Self::Delete => None,
            Self::Replace(bytes) => Some(bytes),
        }
    }

    fn between(
        before: Option<&Record>,
        after: &Record,
        part: fn(&Record) -> Option<&Bytes>,
    ) -> Self {
        match (before.map(part), part(after)) {
            (Some(known), new) if known == new => Self::Keep,
            (_, None) => Self::Delete,
            (_, Some(new)) => Self::Replace(new.clone()),
        }
    }
}

/// Without the bytes, which are secret.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("Keep"),
            Self::Delete => f.write_str("Delete"),
            Self::Replace(bytes) => f.debug_tuple("Replace").field(&Redacted(bytes)).finish(),
        }
    }
}
