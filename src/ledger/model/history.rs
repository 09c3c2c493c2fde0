//! Records what happened, and judges it.

use super::replica::{Reply, Request};
use crate::ledger::state::{Record, Stage};
use crate::ledger::{Finished, Hold, Lease, RecordedAnswer};

/// What happened, to be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct History {
    pub(super) told: Option<Told>,
    /// Leases that ended without a result: released or expired.
    pub(super) ended: u32,
    pub(super) late_refused: bool,
    /// Under which lease the delivery was given up last.
    pub(super) buried: Option<Lease>,
    pub(super) late_burial_refused: bool,
    pub(super) wrong: Option<Wrong>,
}

/// The answer that ConductorOne received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    Answer(RecordedAnswer),
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wrong {
    ToldTwoThings,
    Overwritten,
    LateFinisher,
    LateBurial,
    HolderRefused,
}

impl History {
    pub(super) fn tell(&mut self, told: Told) {
        match &self.told {
            None => self.told = Some(told),
            Some(known) if *known != told => self.wrong = Some(Wrong::ToldTwoThings),
            Some(_) => {}
        }
    }

    /// Judges one step of the store.
    pub(super) fn judge(
        &mut self,
        before: Option<&Record>,
        after: Option<&Record>,
        request: Request,
        reply: &Reply,
    ) {
        if let (Some(before), Some(after)) = (before, after) {
            let kept = match (&before.stage, &after.stage) {
                (Stage::Running(None), _) => true,
                (Stage::Running(Some(_)), stage) => {
                    !matches!(stage, Stage::Running(None) | Stage::Answered(_))
                }
                (Stage::Stored { answer, .. }, Stage::Stored { answer: now, .. }) => answer == now,
                (Stage::Stored { answer, .. }, Stage::Dead(dead))
                | (Stage::Dead(dead), Stage::Stored { answer, .. }) => {
                    matches!(&dead.answer, Some((kept, _)) if kept == answer)
                }
                (Stage::Stored { .. }, stage) => matches!(stage, Stage::CalledBack),
                (Stage::Dead(dead), Stage::Running(Some(_))) => dead.answer.is_none(),
                (before, after) => before == after,
            };
            if !kept {
                self.wrong.get_or_insert(Wrong::Overwritten);
            }
        }
        if let (Request::Promise(turn) | Request::Renew(turn), Reply::Hold(Hold::Lost)) =
            (request, reply)
            && before.is_some_and(|before| before.held && before.lease == turn.lease)
        {
            self.wrong.get_or_insert(Wrong::HolderRefused);
        }
        if let (Request::Bury(lease), Reply::Hold(hold), Some(before)) = (request, reply, before) {
            // The request of who gave it up before it was revived.
            let is_late = !before.is_dead() && self.buried == Some(lease);
            match hold {
                Hold::Held if is_late => {
                    self.wrong.get_or_insert(Wrong::LateBurial);
                }
                Hold::Held => self.buried = Some(lease),
                Hold::Lost => self.late_burial_refused |= is_late,
            }
        }
        if let (Request::Finish(lease), Some(before)) = (request, before) {
            let is_latest =
                (before.lease.owner(), before.lease.run()) == (lease.owner(), lease.run());
            match reply {
                Reply::Finished(Finished::Lost) => self.late_refused |= !is_latest,
                _ if !is_latest => {
                    self.wrong.get_or_insert(Wrong::LateFinisher);
                }
                _ => {}
            }
        }
    }
}
