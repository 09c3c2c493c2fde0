//! What a ledger keeps and says.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Lease;

/// How a run ended: the status and the response document.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RecordedAnswer {
    status: u16,
    document: Bytes,
}

impl RecordedAnswer {
    /// The answer with this HTTP status and document.
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

    /// The document, byte for byte as it was given.
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

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claimed {
    /// A run starts under this lease: do the work.
    Started(Lease),
    /// There is nothing to start, as the delivery stands like this.
    Standing(Standing),
}

/// How a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// A run is under way, under a lease that is in force.
    Running,
    /// The last run was released or lost its lease, without a promise: a claim
    /// starts the next one, after the pause that was asked for.
    Released,
    /// 202 was promised: the answer goes to the callback URL.
    Promised,
    /// Over, with this answer.
    Answered(RecordedAnswer),
    /// Over: promised, and ConductorOne has got the answer.
    CalledBack,
    /// Over: promised, and given up for this reason.
    Dead(Arc<str>),
}

/// Whether a step was taken under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Hold {
    /// It was taken.
    Held,
    /// It was not: the lease no longer holds the delivery, or the delivery's
    /// state has no such step.
    Lost,
}

/// What became of a run's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Finished {
    /// It is the answer of the delivery.
    Answered,
    /// It is stored, since 202 was promised: send it to the callback URL, under
    /// this lease.
    Stored(Lease),
    /// It does not count: another has taken over, and [`find`](super::Ledger::find)
    /// tells what there is to answer.
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
    /// Under which to go on.
    pub lease: Lease,
    /// What was kept with the promise.
    pub delivery: Bytes,
    /// What is to be done.
    pub work: Work,
}

impl Taken {
    /// For ledgers: what they hand out.
    #[must_use]
    pub const fn new(lease: Lease, delivery: Bytes, work: Work) -> Self {
        Self {
            lease,
            delivery,
            work,
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
            .finish()
    }
}

/// What is to be done with a promised delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// The work has to be done again.
    Run,
    /// It is done: its answer has to be sent.
    Send {
        /// What the run ended with.
        answer: RecordedAnswer,
        /// Whether an earlier attempt may have posted it.
        posted: Posted,
    },
}

/// Bytes that are shown by their number alone.
pub(super) struct Redacted<'a>(pub(super) &'a [u8]);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}
