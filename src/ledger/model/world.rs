//! Replicas, the store's record, and the requests between them.

use super::history::{History, Told};
use super::replica::{ClockError, Doing, Replica, Reply, Request, Turn, result_of};
use super::store::Bug;
use super::{KEY, TERM};
use crate::ledger::state::{Millis, Record, Stage, Steps, millis};
use crate::ledger::{Claimed, Finished, Hold, Owner, Retention, Standing};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) record: Option<Record>,
    pub(super) replicas: [Replica; 3],
    /// A request in flight whose sender stopped waiting.
    pub(super) stray: Option<(Request, ClockError)>,
    pub(super) owners: u8,
    pub(super) faults: u8,
    pub(super) revivals: u8,
    pub(super) refreshes: u8,
    pub(super) history: History,
}

impl World {
    pub(super) fn tick(&mut self) {
        self.now += 1;
        let ran_out = |record: &Record| record.held && record.due_at == self.now;
        self.history.ended += u32::from(self.record.as_ref().is_some_and(ran_out));
    }

    /// What an idle replica does.
    pub(super) fn new_requests(&self) -> Vec<Request> {
        let owner = Owner::from_bytes([self.owners + 1; 16]);
        let mut requests = vec![Request::Claim(owner)];
        if self.record.as_ref().and_then(Record::takeable_at).is_some() {
            requests.push(Request::Take(owner));
        }
        requests
    }

    /// Whether an operator's request to revive the delivery may do something.
    pub(super) fn may_be_revived(&self, bug: Bug) -> bool {
        self.record.as_ref().is_some_and(|record| match bug {
            Bug::RevivesTheLiving => record.takeable_at().is_some(),
            _ => record.is_dead(),
        })
    }

    /// Whether a duplicate's callback URL would be stored.
    pub(super) fn may_be_refreshed(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| record.takeable_at().is_some())
    }

    /// Sends a replica's request, and says how far its clock is ahead.
    pub(super) fn send(&mut self, index: usize) -> ClockError {
        let replica = &self.replicas[index];
        if replica.doing == Doing::Nothing {
            self.owners += 1;
        }
        replica.clock_error
    }

    /// Handles a reply, and answers ConductorOne.
    pub(super) fn hear(&mut self, request: Request, reply: Reply, bug: Bug) -> Doing {
        let until = self.now + millis(TERM);
        let turn = |lease, promised, begun| {
            Doing::Acts(Turn {
                lease,
                until,
                promised,
                begun,
            })
        };
        match (request, reply) {
            (_, Reply::Claimed(Claimed::Started(lease))) => turn(lease, false, true),
            (_, Reply::Claimed(Claimed::Standing(standing))) => {
                match standing {
                    Standing::Answered(answer) => self.history.tell(Told::Answer(answer)),
                    Standing::Promised | Standing::CalledBack | Standing::Dead(_) => {
                        self.history.tell(Told::Accepted);
                    }
                    Standing::Running | Standing::Released => {}
                }
                Doing::Nothing
            }
            (_, Reply::Taken(Some(taken))) => turn(taken.lease, true, false),
            (_, Reply::Begun(Some(lease))) => turn(lease, true, true),
            (Request::Renew(known), Reply::Hold(Hold::Held)) => {
                turn(known.lease, known.promised, known.begun)
            }
            (Request::Promise(known), Reply::Hold(Hold::Held)) => {
                self.history.tell(Told::Accepted);
                Doing::Acts(Turn {
                    promised: true,
                    ..known
                })
            }
            (Request::Finish(lease), Reply::Finished(Finished::Answered)) => {
                self.history.tell(Told::Answer(result_of(lease)));
                Doing::Nothing
            }
            (_, Reply::Finished(Finished::Stored(lease))) => Doing::Acts(Turn {
                lease,
                // It does not know what is left of the run's lease, so it renews it
                // before it posts.
                until: match bug {
                    Bug::UnrenewedSender => until,
                    _ => self.now,
                },
                promised: true,
                begun: true,
            }),
            _ => Doing::Nothing,
        }
    }

    /// The replicas that run, post or intend to continue.
    pub(super) fn turns(&self) -> impl Iterator<Item = Turn> {
        self.replicas
            .iter()
            .filter_map(|replica| match replica.doing {
                Doing::Acts(turn)
                | Doing::Waits(
                    Request::Renew(turn) | Request::Promise(turn) | Request::Begin(turn),
                ) => Some(turn),
                Doing::Nothing | Doing::Waits(_) => None,
            })
    }

    pub(super) fn stage_of_run(&self, run: u32, is: impl Fn(&Stage) -> bool) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| record.lease.run() == run && is(&record.stage))
    }

    pub(super) fn is_called_back_or_dead(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| matches!(record.stage, Stage::CalledBack | Stage::Dead(_)))
    }

    pub(super) fn is_over(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| matches!(record.stage, Stage::Answered(_)))
            || self.is_called_back_or_dead()
    }

    /// If all replicas crashed now, a new one would recover the delivery.
    pub(super) fn is_taken_in_a_term(&self) -> bool {
        let steps = self.in_a_term();
        let owner = Owner::from_bytes([u8::MAX; 16]);
        let (_, taken) = steps.take(self.record.as_ref(), owner, TERM);
        taken.is_some()
    }

    /// If all replicas crashed now, a new one would continue the delivery.
    pub(super) fn goes_on_in_a_term(&self) -> bool {
        let steps = self.in_a_term();
        let owner = Owner::from_bytes([u8::MAX; 16]);
        let (_, claimed) = steps.claim(self.record.as_ref(), KEY, owner, TERM);
        matches!(claimed, Claimed::Started(_)) || self.is_taken_in_a_term()
    }

    pub(super) fn in_a_term(&self) -> Steps {
        Steps {
            now: self.now + millis(TERM),
            retention: Retention::default(),
        }
    }
}
