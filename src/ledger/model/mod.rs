//! Checks the steps of [`super::state`] in every order that three replicas and a
//! store can take them, within the bounds below.
//!
//! One delivery is enough, since a step sees no other record. A replica makes one
//! request to the store at a time, at any time: others cannot tell a paused replica
//! from a slow request. A request may be lost, or served after its sender gave up; a
//! reply may be lost, and the request repeated. Replicas crash and restart empty,
//! pause for longer than their leases, and their clocks jump. ConductorOne sends
//! duplicates at any time to any of them, with other callback URLs.
//!
//! Every step is also taken on the record's stored form (see [`super::record`]), and
//! must come to the same.

mod history;
mod record_form;
mod replica;
mod store;
mod world;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::history::{Told, Wrong};
use self::replica::{Doing, Request};
use self::store::Bug;
use self::world::World;
use super::DeliveryKey;
use super::state::{Millis, Record, Stage, millis};

const KEY: DeliveryKey = DeliveryKey::from_bytes([0; 32]);
const TERM: Duration = Duration::from_millis(2);

/// The bounds of the check.
#[derive(Clone, Copy)]
struct Bounds {
    /// The time, in milliseconds: three leases one after the other.
    time: Millis,
    /// The number of claims and takes.
    owners: u8,
    /// The number of crashes, lost requests, lost replies, and clock jumps.
    faults: u8,
    /// The number of times that an operator asks to revive the delivery.
    revivals: u8,
    /// The number of times that a duplicate stores a newer callback URL.
    refreshes: u8,
}

struct Deliveries {
    bounds: Bounds,
    bug: Bug,
    /// The steps whose stored form has been checked.
    seen: Mutex<HashSet<(Option<Record>, Millis, Request)>>,
}

impl Deliveries {
    fn new(bounds: Bounds, bug: Bug) -> Self {
        let seen = Mutex::default();
        Self { bounds, bug, seen }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Tick,
    /// The store serves a request, and the replica receives the reply.
    Ask(usize, Request),
    /// The store serves it, but the reply is lost.
    AskUnheard(usize, Request),
    /// The request is lost or late, and the replica continues without it.
    AskInVain(usize, Request),
    GiveUp(usize),
    ServeStray,
    Crash(usize),
    Jump(usize),
    Revive,
    Refresh,
}

impl Model for Deliveries {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::default()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.now < self.bounds.time {
            actions.push(Action::Tick);
        }
        if world.stray.is_some() {
            actions.push(Action::ServeStray);
        }
        if world.revivals < self.bounds.revivals && world.may_be_revived(self.bug) {
            actions.push(Action::Revive);
        }
        if world.refreshes < self.bounds.refreshes && world.may_be_refreshed() {
            actions.push(Action::Refresh);
        }
        let may_fail = world.faults < self.bounds.faults;
        for (index, replica) in world.replicas.iter().enumerate() {
            let requests = match replica.doing {
                Doing::Nothing if world.owners < self.bounds.owners => world.new_requests(),
                Doing::Nothing => vec![],
                Doing::Acts(turn) => turn.next_requests(world.now),
                Doing::Waits(request) => {
                    actions.push(Action::GiveUp(index));
                    vec![request]
                }
            };
            for request in requests {
                actions.push(Action::Ask(index, request));
                if may_fail {
                    actions.push(Action::AskUnheard(index, request));
                    actions.push(Action::AskInVain(index, request));
                }
            }
            if may_fail {
                if replica.doing != Doing::Nothing {
                    actions.push(Action::Crash(index));
                }
                if replica.clock_error == 0 {
                    actions.push(Action::Jump(index));
                }
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        match action {
            Action::Tick => world.tick(),
            Action::Ask(index, request) => {
                let clock_error = world.send(index);
                let reply = self.serve(&mut world, request, clock_error);
                world.replicas[index].doing = world.hear(request, reply, self.bug);
            }
            Action::AskUnheard(index, request) => {
                let clock_error = world.send(index);
                self.serve(&mut world, request, clock_error);
                world.replicas[index].doing = Doing::Waits(request);
                world.faults += 1;
            }
            Action::AskInVain(index, request) => {
                let clock_error = world.send(index);
                world.stray = Some((request, clock_error));
                world.replicas[index].doing = request.without_reply();
                world.faults += 1;
            }
            Action::GiveUp(index) => {
                let Doing::Waits(request) = world.replicas[index].doing else {
                    return None;
                };
                world.replicas[index].doing = request.without_reply();
            }
            Action::ServeStray => {
                let (request, clock_error) = world.stray.take()?;
                self.serve(&mut world, request, clock_error);
            }
            Action::Crash(index) => {
                world.replicas[index].doing = Doing::Nothing;
                world.faults += 1;
            }
            Action::Revive => {
                self.serve(&mut world, Request::Revive, 0);
                world.revivals += 1;
            }
            Action::Refresh => {
                self.serve(&mut world, Request::Refresh, 0);
                world.refreshes += 1;
            }
            Action::Jump(index) => {
                world.replicas[index].clock_error = millis(TERM);
                world.faults += 1;
            }
        }
        // The replicas are interchangeable.
        world.replicas.sort_by_cached_key(|replica| {
            let mut hasher = DefaultHasher::new();
            replica.hash(&mut hasher);
            hasher.finish()
        });
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("one lease in force", |_, world| {
                let acting = world.turns().filter(|turn| world.now < turn.until);
                acting.count() <= 1
            }),
            Property::<Self>::always("ConductorOne is told one thing", |_, world| {
                world.history.wrong != Some(Wrong::ToldTwoThings)
            }),
            Property::<Self>::always("a result is never overwritten", |_, world| {
                world.history.wrong != Some(Wrong::Overwritten)
            }),
            Property::<Self>::always("a late finisher is refused", |_, world| {
                world.history.wrong != Some(Wrong::LateFinisher)
            }),
            Property::<Self>::always("accepted work is never dropped", |_, world| {
                let accepted = world.history.told == Some(Told::Accepted);
                !accepted || world.is_called_back_or_dead() || world.is_taken_in_a_term()
            }),
            Property::<Self>::always("no delivery is stuck", |_, world| {
                world.record.is_none() || world.is_over() || world.goes_on_in_a_term()
            }),
            Property::<Self>::always("a run follows another that ended", |_, world| {
                let run = world.record.as_ref().map_or(0, |record| record.lease.run());
                run <= 1 + world.history.ended
            }),
            Property::<Self>::always(
                "a late request does not kill a revived delivery",
                |_, world| world.history.wrong != Some(Wrong::LateBurial),
            ),
            Property::<Self>::always("who holds the lease is not refused", |_, world| {
                world.history.wrong != Some(Wrong::HolderRefused)
            }),
            Property::<Self>::sometimes("an answer", |_, world| {
                matches!(world.history.told, Some(Told::Answer(_)))
            }),
            Property::<Self>::sometimes("an answer of a second run", |_, world| {
                world.stage_of_run(2, |stage| matches!(stage, Stage::Answered(_)))
            }),
            Property::<Self>::sometimes("a callback of a second run", |_, world| {
                world.stage_of_run(2, |stage| matches!(stage, Stage::CalledBack))
            }),
            Property::<Self>::sometimes("a death", |_, world| {
                world.stage_of_run(1, |stage| matches!(stage, Stage::Dead(_)))
            }),
            Property::<Self>::sometimes("a sender took over", |_, world| {
                world.turns().any(|turn| turn.lease.attempt() == 2)
            }),
            Property::<Self>::sometimes("two act, one of them late", |_, world| {
                world.turns().count() == 2
            }),
            Property::<Self>::sometimes("a late finisher", |_, world| world.history.late_refused),
        ];
        if self.bounds.revivals > 0 {
            properties.extend([
                Property::<Self>::sometimes("a callback after a revival", |_, world| {
                    world.revivals > 0
                        && world.stage_of_run(2, |stage| matches!(stage, Stage::CalledBack))
                }),
                Property::<Self>::sometimes("a revived answer's callback", |_, world| {
                    world.revivals > 0
                        && world.stage_of_run(1, |stage| matches!(stage, Stage::CalledBack))
                }),
                Property::<Self>::sometimes("a late burial after a revival", |_, world| {
                    world.history.late_burial_refused
                }),
            ]);
        }
        properties
    }
}

fn check(bounds: Bounds) {
    let model = Deliveries::new(bounds, Bug::None);
    let checked = model.checker().threads(2).spawn_bfs().join();
    println!("{} states", checked.unique_state_count());
    checked.assert_properties();
}

#[test]
fn no_order_of_events_breaks_a_promise() {
    check(Bounds {
        time: 4,
        owners: 3,
        faults: 2,
        revivals: 0,
        refreshes: 0,
    });
}

#[test]
fn no_order_of_events_breaks_a_promise_that_is_revived() {
    check(Bounds {
        time: 4,
        owners: 3,
        faults: 1,
        revivals: 1,
        refreshes: 0,
    });
}

#[test]
fn no_order_of_events_breaks_a_promise_that_is_refreshed() {
    check(Bounds {
        time: 4,
        owners: 3,
        faults: 1,
        revivals: 0,
        refreshes: 1,
    });
}

#[test]
fn planted_bugs_are_found() {
    let bounds = Bounds {
        time: 4,
        owners: 3,
        faults: 1,
        revivals: 1,
        refreshes: 1,
    };
    for (bug, expected) in [
        (Bug::SetNotCompareAndSet, "a late finisher is refused"),
        (Bug::SetNotCompareAndSet, "a result is never overwritten"),
        (Bug::ClientsClock, "one lease in force"),
        (Bug::NoLease, "one lease in force"),
        (Bug::UnrenewedSender, "one lease in force"),
        (Bug::EndlessLease, "no delivery is stuck"),
        (Bug::EndlessLease, "accepted work is never dropped"),
        (Bug::RevivesTheLiving, "one lease in force"),
        (
            Bug::RevivesForItsLastHolder,
            "a late request does not kill a revived delivery",
        ),
        (Bug::ComparesPromises, "who holds the lease is not refused"),
    ] {
        let wanted = HasDiscoveries::AnyOf([expected].into());
        let model = Deliveries::new(bounds, bug);
        let checked = model.checker().finish_when(wanted).spawn_bfs().join();
        checked.assert_any_discovery(expected);
    }
}
