//! What a ledger stores, and what its steps return.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Lease;

/// The answer with which a run ended: an HTTP status and a response document.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RecordedAnswer {
    status: u16,
    document: Bytes,
}

impl RecordedAnswer {
    /// An answer with this HTTP status and document.
    #[must_use]
    pub fn new(status: u16, document: impl Into<Bytes>) -> Self {
        Self {
            status,
            document: document.into(),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The document, byte for byte.
    #[must_use]
    pub const fn document(&self) -> &Bytes {
        &self.document
    }
}

/// Without the document, which may hold comments.
impl fmt::Debug for RecordedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedAnswer")
            .field("status", &self.status)
            .field("document", &Redacted(&self.document))
            .finish()
    }
}

/// The reply to [`Ledger::claim`](super::Ledger::claim).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claimed {
    /// A run starts under this lease: do the work.
    Started(Lease),
    /// No run starts: the delivery is in this state.
    Standing(Standing),
}

/// The state of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// A run is in progress, under a lease that is in force.
    Running,
    /// The last run was released or lost its lease, without a promise. A claim
    /// starts the next run, after the pause given to
    /// [`release`](super::Ledger::release).
    Released,
    /// ConductorOne was answered 202: the answer goes to the callback URL.
    Promised,
    /// Ended with this answer.
    Answered(RecordedAnswer),
    /// Ended: ConductorOne received the answer at the callback URL.
    CalledBack,
    /// Promised, then given up for this reason. Only
    /// [`revive`](super::Ledger::revive) changes that.
    Dead(Arc<str>),
}

/// Whether a step was taken under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Hold {
    /// It was taken.
    Held,
    /// It was not taken: the lease no longer holds the delivery, or the
    /// delivery's state does not allow the step.
    Lost,
}

/// The reply to [`Ledger::finish`](super::Ledger::finish).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Finished {
    /// The answer is recorded as the delivery's answer.
    Answered,
    /// The answer is stored, because ConductorOne was answered 202: post it to the
    /// callback URL, under this lease.
    Stored(Lease),
    /// The answer is discarded, because another owner took over:
    /// [`find`](super::Ledger::find) returns the delivery's state.
    Lost,
}

/// Whether a stored answer may have been posted already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Posted {
    /// ConductorOne has not received it.
    No,
    /// The outcome of an attempt is unknown: it got no answer, or its sender
    /// crashed. If the callback URL now says that it was used, the answer was
    /// probably accepted.
    Perhaps,
}

/// A promised delivery that was taken over.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taken {
    /// The lease under which to continue.
    pub lease: Lease,
    /// The `delivery` given with the promise.
    pub delivery: Bytes,
    /// The work to do.
    pub work: Work,
    /// The number of the last run before the delivery was
    /// [revived](super::Ledger::revive); 0 if it never was.
    pub revived_after: u32,
}

impl Taken {
    /// For implementations of [`Ledger`](super::Ledger): never revived.
    #[must_use]
    pub const fn new(lease: Lease, delivery: Bytes, work: Work) -> Self {
        Self {
            lease,
            delivery,
            work,
            revived_after: 0,
        }
    }
}

/// Without the delivery, which holds the callback URL.
impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken")
            .field("lease", &self.lease)
            .field("delivery", &Redacted(&self.delivery))
            .field("work", &self.work)
            .field("revived_after", &self.revived_after)
            .finish()
    }
}

/// The work to do for a promised delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Run the handler again.
    Run,
    /// The handler has run: post its answer.
    Send {
        /// The stored answer.
        answer: RecordedAnswer,
        /// Whether an earlier attempt may have posted it.
        posted: Posted,
    },
}

/// Shows only how many bytes there are.
pub(super) struct Redacted<'a>(pub(super) &'a [u8]);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}
