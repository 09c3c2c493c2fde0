//! The stores that come with the crate keep all the rules of their ports, and a
//! store that breaks one is found out.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::task::yield_now;
use tokio::time::advance;
use tower_conductorone::BoxFuture;
use tower_conductorone::ledger::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError,
    MemoryLedger, Name, Owner, Posted, RecordedAnswer, Revival, Standing, Taken, Work,
};
use tower_conductorone::replay::{
    Claim, MemoryReplayStore, ReplayStore, ReplayStoreError, TokenId,
};
use tower_conductorone::testing::conformance;

#[tokio::test(start_paused = true)]
async fn the_ledger_in_memory_keeps_all_the_rules() {
    conformance::ledger(async || MemoryLedger::default(), advance).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_a_ledger_that_several_hold() {
    let shared = async || Arc::new(MemoryLedger::default());
    conformance::ledger(shared, advance).await;
    let unsized_ = async || Arc::new(MemoryLedger::default()) as Arc<dyn Ledger>;
    conformance::ledger(unsized_, advance).await;
}

#[tokio::test]
async fn the_replay_store_in_memory_keeps_all_the_rules() {
    conformance::replay_store(async || MemoryReplayStore::default()).await;
}

/// Whether a suite fails, on a runtime of its own whose clock stands still.
fn fails(suite: impl Future<Output = ()>) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite))).is_err()
}

#[derive(Clone, Copy, Debug)]
enum LedgerFault {
    None,
    ClaimsInTwoSteps,
    ForgetsWhoClaimed,
    LeasesEndNever,
    LeasesEndAtOnce,
    PausesAreSkipped,
    RunsAreNotCounted,
    WordsAreText,
    LongWordsAreCut,
    StatusIsLost,
    LateFinishersAreBelieved,
    ReleasesTwiceAreLost,
    PromisesAreLost,
    PromisedWorkIsForgotten,
    AttemptsAreForgotten,
    TakenByTwo,
    ResumesAnother,
    RefreshesAreIgnored,
    RunsBeginUnderAnyLease,
    LayersAreMixed,
    BurialsAreIgnored,
    CallbacksAreIgnored,
    DeathsAreNotListed,
    PagesAreCutShort,
    RevivalsAreIgnored,
    RevivedRunsAreCountedOn,
    LayersAreCountedTogether,
    PromisesAgeFromTheirLastStep,
    TheDeadAreNotCounted,
}

const LEDGER_FAULTS: [LedgerFault; 28] = [
    LedgerFault::ClaimsInTwoSteps,
    LedgerFault::ForgetsWhoClaimed,
    LedgerFault::LeasesEndNever,
    LedgerFault::LeasesEndAtOnce,
    LedgerFault::PausesAreSkipped,
    LedgerFault::RunsAreNotCounted,
    LedgerFault::WordsAreText,
    LedgerFault::LongWordsAreCut,
    LedgerFault::StatusIsLost,
    LedgerFault::LateFinishersAreBelieved,
    LedgerFault::ReleasesTwiceAreLost,
    LedgerFault::PromisesAreLost,
    LedgerFault::PromisedWorkIsForgotten,
    LedgerFault::AttemptsAreForgotten,
    LedgerFault::TakenByTwo,
    LedgerFault::ResumesAnother,
    LedgerFault::RefreshesAreIgnored,
    LedgerFault::RunsBeginUnderAnyLease,
    LedgerFault::LayersAreMixed,
    LedgerFault::BurialsAreIgnored,
    LedgerFault::CallbacksAreIgnored,
    LedgerFault::DeathsAreNotListed,
    LedgerFault::PagesAreCutShort,
    LedgerFault::RevivalsAreIgnored,
    LedgerFault::RevivedRunsAreCountedOn,
    LedgerFault::LayersAreCountedTogether,
    LedgerFault::PromisesAgeFromTheirLastStep,
    LedgerFault::TheDeadAreNotCounted,
];

#[test]
fn a_ledger_that_breaks_a_rule_is_found_out() {
    let suite = |fault| conformance::ledger(async move || WeakLedger::new(fault), advance);
    assert!(!fails(suite(LedgerFault::None)), "the disguise is perfect");
    for fault in LEDGER_FAULTS {
        assert!(fails(suite(fault)), "{fault:?}");
    }
}

/// The ledger in memory, spoilt.
#[derive(Debug)]
struct WeakLedger {
    fault: LedgerFault,
    memory: MemoryLedger,
    released: Mutex<Vec<Lease>>,
}

impl WeakLedger {
    fn new(fault: LedgerFault) -> Self {
        Self {
            fault,
            memory: MemoryLedger::default(),
            released: Mutex::default(),
        }
    }

    fn term(&self, term: Duration) -> Duration {
        match self.fault {
            LedgerFault::LeasesEndNever => Duration::from_secs(1_000_000),
            LedgerFault::LeasesEndAtOnce => Duration::ZERO,
            _ => term,
        }
    }

    fn pause(&self, pause: Duration) -> Duration {
        match self.fault {
            LedgerFault::PausesAreSkipped => Duration::ZERO,
            _ => pause,
        }
    }

    fn bytes(&self, bytes: &Bytes) -> Bytes {
        match self.fault {
            LedgerFault::WordsAreText => String::from_utf8_lossy(bytes).into_owned().into(),
            LedgerFault::LongWordsAreCut => bytes.slice(..bytes.len().min(65_535)),
            _ => bytes.clone(),
        }
    }
}

type Reply<'a, T> = BoxFuture<'a, Result<T, LedgerError>>;

impl Ledger for WeakLedger {
    fn claim(&self, key: DeliveryKey, owner: Owner, term: Duration) -> Reply<'_, Claimed> {
        let term = self.term(term);
        Box::pin(async move {
            match self.fault {
                LedgerFault::ClaimsInTwoSteps => {
                    let found = self.memory.find(key).await?;
                    yield_now().await;
                    if found.is_none() {
                        let claimed = self.memory.claim(key, owner, term).await?;
                        let lease = Lease::new(key, owner, 1, 0);
                        return Ok(match claimed {
                            Claimed::Standing(Standing::Running) => Claimed::Started(lease),
                            other => other,
                        });
                    }
                    self.memory.claim(key, owner, term).await
                }
                LedgerFault::ForgetsWhoClaimed => {
                    self.memory.claim(key, Owner::random(), term).await
                }
                LedgerFault::RunsAreNotCounted => {
                    Ok(match self.memory.claim(key, owner, term).await? {
                        Claimed::Started(_) => Claimed::Started(Lease::new(key, owner, 1, 0)),
                        other @ Claimed::Standing(_) => other,
                    })
                }
                _ => self.memory.claim(key, owner, term).await,
            }
        })
    }

    fn find(&self, key: DeliveryKey) -> Reply<'_, Option<Standing>> {
        self.memory.find(key)
    }

    fn renew(&self, lease: Lease, term: Duration) -> Reply<'_, Hold> {
        self.memory.renew(lease, self.term(term))
    }

    fn promise(&self, lease: Lease, delivery: Bytes) -> Reply<'_, Hold> {
        match self.fault {
            LedgerFault::PromisesAreLost => Box::pin(async { Ok(Hold::Held) }),
            _ => self.memory.promise(lease, self.bytes(&delivery)),
        }
    }

    fn finish(&self, lease: Lease, answer: RecordedAnswer) -> Reply<'_, Finished> {
        let status = match self.fault {
            LedgerFault::StatusIsLost => 200,
            _ => answer.status(),
        };
        let answer = RecordedAnswer::new(status, self.bytes(answer.document()));
        Box::pin(async move {
            match self.memory.finish(lease, answer).await? {
                Finished::Lost if matches!(self.fault, LedgerFault::LateFinishersAreBelieved) => {
                    Ok(Finished::Answered)
                }
                finished => Ok(finished),
            }
        })
    }

    fn release(&self, lease: Lease, pause: Duration) -> Reply<'_, Hold> {
        let mut released = self.released.lock().expect("no panic");
        if released.contains(&lease) && matches!(self.fault, LedgerFault::ReleasesTwiceAreLost) {
            return Box::pin(async { Ok(Hold::Lost) });
        }
        released.push(lease);
        self.memory.release(lease, self.pause(pause))
    }

    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> Reply<'_, ()> {
        match self.fault {
            LedgerFault::RefreshesAreIgnored => Box::pin(async { Ok(()) }),
            _ => self.memory.refresh(key, delivery),
        }
    }

    fn begin(&self, lease: Lease, term: Duration) -> Reply<'_, Option<Lease>> {
        match self.fault {
            LedgerFault::RunsBeginUnderAnyLease => {
                let next = Lease::new(lease.key(), lease.owner(), lease.run() + 1, 0);
                Box::pin(async move { Ok(Some(next)) })
            }
            _ => self.memory.begin(lease, self.term(term)),
        }
    }

    fn take(&self, layer: Name, owner: Owner, term: Duration) -> Reply<'_, Option<Taken>> {
        let layer = match self.fault {
            LedgerFault::LayersAreMixed => Name::NONE,
            _ => layer,
        };
        let term = self.term(term);
        Box::pin(async move {
            match self.fault {
                LedgerFault::PromisedWorkIsForgotten => Ok(None),
                LedgerFault::TakenByTwo => self.memory.take(layer, owner, Duration::ZERO).await,
                LedgerFault::AttemptsAreForgotten => {
                    let mut taken = self.memory.take(layer, owner, term).await?;
                    if let Some(Work::Send { posted, .. }) =
                        taken.as_mut().map(|taken| &mut taken.work)
                    {
                        *posted = Posted::No;
                    }
                    Ok(taken)
                }
                LedgerFault::RevivedRunsAreCountedOn => {
                    let mut taken = self.memory.take(layer, owner, term).await?;
                    if let Some(taken) = &mut taken {
                        taken.revived_after = 0;
                    }
                    Ok(taken)
                }
                _ => self.memory.take(layer, owner, term).await,
            }
        })
    }

    fn resume(&self, key: DeliveryKey, owner: Owner, term: Duration) -> Reply<'_, Option<Taken>> {
        match self.fault {
            LedgerFault::ResumesAnother => self.memory.take(key.layer(), owner, self.term(term)),
            _ => self.memory.resume(key, owner, self.term(term)),
        }
    }

    fn postpone(&self, lease: Lease, pause: Duration, posted: Posted) -> Reply<'_, Hold> {
        self.memory.postpone(lease, self.pause(pause), posted)
    }

    fn called_back(&self, lease: Lease) -> Reply<'_, Hold> {
        match self.fault {
            LedgerFault::CallbacksAreIgnored => Box::pin(async { Ok(Hold::Held) }),
            _ => self.memory.called_back(lease),
        }
    }

    fn bury(&self, lease: Lease, death: Death) -> Reply<'_, Hold> {
        match self.fault {
            LedgerFault::BurialsAreIgnored => Box::pin(async { Ok(Hold::Held) }),
            _ => self.memory.bury(lease, death),
        }
    }

    fn dead(&self, after: Option<DeliveryKey>) -> Reply<'_, DeadPage> {
        Box::pin(async move {
            let mut page = self.memory.dead(after).await?;
            match self.fault {
                LedgerFault::DeathsAreNotListed => page.deliveries.clear(),
                LedgerFault::PagesAreCutShort => page.deliveries.truncate(50),
                _ => {}
            }
            Ok(page)
        })
    }

    fn revive(&self, key: DeliveryKey) -> Reply<'_, Revival> {
        match self.fault {
            LedgerFault::RevivalsAreIgnored => Box::pin(async { Ok(Revival::Revived) }),
            _ => self.memory.revive(key),
        }
    }

    fn backlog(&self, layer: Name) -> Reply<'_, Backlog> {
        Box::pin(async move {
            let backlog = self.memory.backlog(layer).await?;
            let (promised, oldest, dead) = (backlog.promised(), backlog.oldest(), backlog.dead());
            Ok(match self.fault {
                LedgerFault::LayersAreCountedTogether => {
                    let other = self.memory.backlog(Name::of("another")).await?;
                    Backlog::new(promised, oldest, dead + other.dead())
                }
                LedgerFault::PromisesAgeFromTheirLastStep => {
                    Backlog::new(promised, oldest.map(|_| Duration::ZERO), dead)
                }
                LedgerFault::TheDeadAreNotCounted => Backlog::new(promised, oldest, 0),
                _ => backlog,
            })
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum ReplayFault {
    None,
    TenantsAreOne,
    CaseIsLost,
    KeysAreJoined,
    ClaimsInTwoSteps,
    ForgetsAtOnce,
}

#[test]
fn a_replay_store_that_breaks_a_rule_is_found_out() {
    let suite = |fault| {
        conformance::replay_store(async move || WeakReplayStore {
            fault,
            memory: MemoryReplayStore::default(),
            used: Mutex::default(),
        })
    };
    assert!(!fails(suite(ReplayFault::None)));
    for fault in [
        ReplayFault::TenantsAreOne,
        ReplayFault::CaseIsLost,
        ReplayFault::KeysAreJoined,
        ReplayFault::ClaimsInTwoSteps,
        ReplayFault::ForgetsAtOnce,
    ] {
        assert!(fails(suite(fault)), "{fault:?}");
    }
}

#[derive(Debug)]
struct WeakReplayStore {
    fault: ReplayFault,
    memory: MemoryReplayStore,
    used: Mutex<HashSet<String>>,
}

impl ReplayStore for WeakReplayStore {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async move {
            let jti = match self.fault {
                ReplayFault::CaseIsLost => id.jti.to_lowercase(),
                ReplayFault::KeysAreJoined => format!("{}:{}", id.tenant, id.jti),
                _ => id.jti.to_owned(),
            };
            let tenant = match self.fault {
                ReplayFault::TenantsAreOne | ReplayFault::KeysAreJoined => "all",
                _ => id.tenant,
            };
            let claimed = self.memory.claim(TokenId::new(tenant, &jti), now, until);
            match self.fault {
                ReplayFault::ForgetsAtOnce => Ok(Claim::First),
                ReplayFault::ClaimsInTwoSteps => {
                    let name = format!("{} {}", id.tenant, id.jti);
                    let known = self.used.lock().expect("no panic").contains(&name);
                    yield_now().await;
                    self.used.lock().expect("no panic").insert(name);
                    Ok(if known { Claim::Seen } else { Claim::First })
                }
                _ => claimed.await,
            }
        })
    }
}
