//! A replica: what it does, its requests to the store, and the replies.

use super::TERM;
use crate::ledger::state::{Millis, millis};
use crate::ledger::{Claimed, Finished, Hold, Lease, Owner, Posted, RecordedAnswer, Taken};

/// How far a replica's own clock may be ahead.
pub(super) type ClockError = Millis;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    pub(super) clock_error: ClockError,
    pub(super) doing: Doing,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    #[default]
    Nothing,
    /// Runs the handler or posts the answer, under a lease that is in force until the
    /// time it was told.
    Acts(Turn),
    /// Does not know whether the store served this request.
    Waits(Request),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Turn {
    pub(super) lease: Lease,
    pub(super) until: Millis,
    pub(super) promised: bool,
    /// Whether its run has begun: a promised delivery is taken before it runs.
    pub(super) begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Request {
    Claim(Owner),
    Take(Owner),
    Renew(Turn),
    Promise(Turn),
    Begin(Turn),
    Finish(Lease),
    Release(Lease),
    Postpone(Lease, Posted),
    CalledBack(Lease),
    Bury(Lease),
    Revive,
    Refresh,
}

#[derive(Debug)]
pub(super) enum Reply {
    Claimed(Claimed),
    Taken(Option<Taken>),
    Hold(Hold),
    Begun(Option<Lease>),
    Finished(Finished),
    Revived,
    Refreshed,
}

impl Turn {
    pub(super) fn next_requests(self, now: Millis) -> Vec<Request> {
        let Self {
            lease,
            promised,
            begun,
            ..
        } = self;
        let sends = lease.attempt() > 0;
        let renewable = self.until < now + millis(TERM);
        [
            (renewable, Request::Renew(self)),
            (!promised, Request::Promise(self)),
            (!sends && !begun, Request::Begin(self)),
            (!sends && begun, Request::Finish(lease)),
            (!sends, Request::Release(lease)),
            (sends, Request::Postpone(lease, Posted::No)),
            (sends, Request::Postpone(lease, Posted::Perhaps)),
            (sends, Request::CalledBack(lease)),
            (promised, Request::Bury(lease)),
        ]
        .into_iter()
        .filter_map(|(possible, request)| possible.then_some(request))
        .collect()
    }
}

impl Request {
    /// What its sender does if it stops waiting: it continues the work, or loses the
    /// result.
    pub(super) fn without_reply(self) -> Doing {
        match self {
            Self::Renew(turn) | Self::Promise(turn) | Self::Begin(turn) => Doing::Acts(turn),
            _ => Doing::Nothing,
        }
    }
}

/// Each run has a different result.
pub(super) fn result_of(lease: Lease) -> RecordedAnswer {
    RecordedAnswer::new(200, lease.owner().as_bytes().to_vec())
}
