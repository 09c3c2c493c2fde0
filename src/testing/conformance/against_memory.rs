//! Runs random steps against a ledger and the one in memory: every reply must be the
//! same.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;

use super::trial::{LONG, OVER, answer, key};
use crate::ledger::{
    Claimed, Death, Finished, Lease, Ledger, LedgerError, MemoryLedger, Name, Owner, Posted, Taken,
};

const SEQUENCES: u64 = 60;
const STEPS: usize = 40;

/// A step with its arguments.
#[derive(Clone, Debug)]
enum Step {
    Claim(Owner, Duration),
    Find,
    Renew(Lease, Duration),
    Promise(Lease, &'static str),
    Finish(Lease, &'static str),
    Release(Lease, Duration),
    Refresh(&'static str),
    Take(Owner, Duration),
    Begin(Lease, Duration),
    Resume(Owner, Duration),
    Postpone(Lease, Duration, Posted),
    CalledBack(Lease),
    Bury(Lease, &'static str),
    Dead,
    Revive,
}

pub(super) async fn random_steps<L: Ledger>(make: &impl AsyncFn() -> L) {
    for seed in 0..SEQUENCES {
        let mut random = Rng::with_seed(seed);
        let (subject, memory) = (make().await, MemoryLedger::default());
        // The leases so far, the latest last: the same from both.
        let mut leases = vec![Lease::new(key(1), Owner::from_bytes([1; 16]), 1, 0)];
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            let step = random_step(&mut random, &leases);
            steps.push(step.clone());
            let (expected, lease) = take_step(&memory, &step).await.expect("memory");
            let (reply, _) = take_step(&subject, &step).await.expect("a reply");
            assert_eq!(reply, expected, "the last of {steps:#?} with seed {seed}");
            leases.extend(lease);
        }
    }
}

fn random_step(random: &mut Rng, leases: &[Lease]) -> Step {
    // Mostly the latest lease, sometimes an older one.
    let back = [0, 0, 0, 0, 0, 1, 1, 2][random.usize(..8)];
    let lease = leases[leases.len().saturating_sub(1 + back)];
    let wait = if random.bool() { LONG } else { OVER };
    // Mostly a new owner, sometimes the holder's claim again.
    let owner = match random.u8(..4) {
        0 => lease.owner(),
        _ => Owner::from_bytes(random.u128(..).to_be_bytes()),
    };
    let word = if random.u8(..4) == 0 { "other" } else { "same" };
    let posted = [Posted::No, Posted::Perhaps][random.usize(..2)];
    match random.u8(..21) {
        0..=2 => Step::Claim(owner, wait),
        3 => Step::Find,
        4..=5 => Step::Renew(lease, wait),
        6..=8 => Step::Promise(lease, word),
        9 => Step::Finish(lease, word),
        10 => Step::Release(lease, wait),
        11 => Step::Take(owner, wait),
        12 => Step::Resume(owner, wait),
        13 => Step::Postpone(lease, wait, posted),
        14 => Step::CalledBack(lease),
        15 => Step::Begin(lease, wait),
        16 => Step::Refresh(word),
        17..=18 => Step::Bury(lease, word),
        19 => Step::Dead,
        _ => Step::Revive,
    }
}

/// The reply and its lease.
async fn take_step(
    ledger: &impl Ledger,
    step: &Step,
) -> Result<(String, Option<Lease>), LedgerError> {
    let told = match step.clone() {
        Step::Claim(owner, term) => {
            let claimed = ledger.claim(key(1), owner, term).await?;
            let lease = match claimed {
                Claimed::Started(lease) => Some(lease),
                Claimed::Standing(_) => None,
            };
            return Ok((format!("{claimed:?}"), lease));
        }
        Step::Finish(lease, word) => {
            let finished = ledger.finish(lease, answer(word)).await?;
            let lease = match finished {
                Finished::Stored(lease) => Some(lease),
                Finished::Answered | Finished::Lost => None,
            };
            return Ok((format!("{finished:?}"), lease));
        }
        Step::Take(owner, term) => {
            let taken = ledger.take(Name::NONE, owner, term).await?;
            let lease = taken.as_ref().map(|Taken { lease, .. }| *lease);
            return Ok((format!("{taken:?}"), lease));
        }
        Step::Resume(owner, term) => {
            let taken = ledger.resume(key(1), owner, term).await?;
            let lease = taken.as_ref().map(|Taken { lease, .. }| *lease);
            return Ok((format!("{taken:?}"), lease));
        }
        Step::Begin(lease, term) => {
            let begun = ledger.begin(lease, term).await?;
            return Ok((format!("{begun:?}"), begun));
        }
        Step::Refresh(word) => {
            let delivery = Bytes::from_static(word.as_bytes());
            format!("{:?}", ledger.refresh(key(1), delivery).await?)
        }
        Step::Find => format!("{:?}", ledger.find(key(1)).await?),
        Step::Renew(lease, term) => format!("{:?}", ledger.renew(lease, term).await?),
        Step::Promise(lease, word) => {
            format!(
                "{:?}",
                ledger
                    .promise(lease, Bytes::from_static(word.as_bytes()))
                    .await?
            )
        }
        Step::Release(lease, pause) => format!("{:?}", ledger.release(lease, pause).await?),
        Step::Postpone(lease, pause, posted) => {
            format!("{:?}", ledger.postpone(lease, pause, posted).await?)
        }
        Step::CalledBack(lease) => format!("{:?}", ledger.called_back(lease).await?),
        Step::Bury(lease, word) => format!("{:?}", ledger.bury(lease, Death::new(word)).await?),
        Step::Dead => {
            // Not the times: they differ by moments.
            let page = ledger.dead(None).await?;
            let dead = page.deliveries.into_iter();
            let dead = dead.map(|dead| (dead.key, dead.run, dead.death, dead.has_answer));
            let backlog = ledger.backlog(Name::NONE).await?;
            let counts = (backlog.promised(), backlog.dead());
            format!("{:?} {counts:?}", dead.collect::<Vec<_>>())
        }
        Step::Revive => format!("{:?}", ledger.revive(key(1)).await?),
    };
    Ok((told, None))
}
