use std::sync::Arc;
use std::time::Duration;

use super::trial::Test;
use super::{Rule, against_memory, backlog, callback, dead, deduplication};
use crate::ledger::Ledger;

/// Tests all rules of a [`Ledger`], except for how long it keeps its records.
///
/// `make` returns an empty ledger. `pass` lets time pass on the ledger's clock: use
/// `tokio::time::advance` if that is tokio's paused clock, otherwise
/// `tokio::time::sleep`. All calls together last less than a second.
///
/// # Panics
/// If the ledger breaks a rule, or fails.
pub async fn ledger<L: Ledger>(make: impl AsyncFn() -> L, pass: impl AsyncFn(Duration)) {
    macro_rules! try_rules {
        ($($name:literal => $rule:path $(, $pass:expr)?;)*) => {$({
            let _rule = Rule($name);
            Box::pin($rule(&Test(Arc::new(make().await)) $(, $pass)?)).await;
        })*};
    }
    try_rules! {
        "the first claim starts the first run" => deduplication::first_claim;
        "one of simultaneous claims starts" => deduplication::simultaneous_claims;
        "a repeated claim is answered as before" => deduplication::repeated_claim;
        "every duplicate gets the same answer" => deduplication::one_answer;
        "an answer never changes" => deduplication::answer_is_final;
        "a claim after a release starts the next run" => deduplication::release;
        "a late finisher changes nothing" => deduplication::late_finisher;
        "an overdue lease holds until it is taken over" => deduplication::overdue;
        "leases and pauses end in time" => deduplication::time, &pass;
        "deliveries do not mix" => deduplication::keys;
        "promised work is never started by a claim" => callback::promise;
        "promised work can be taken over" => callback::take_run;
        "a delivery can be taken over by its key" => callback::resume;
        "a run counts once it has begun" => callback::begin;
        "a refresh replaces the promised delivery" => callback::refresh;
        "a layer takes its own work only" => callback::layers;
        "one of simultaneous takes succeeds" => callback::simultaneous_takes;
        "a stored answer is sent, and the work not repeated" => callback::stored;
        "an answer that may have arrived is marked" => callback::sent;
        "a delivery that was called back is over" => callback::called_back;
        "a delivery that was given up is over" => callback::bury;
        "dead deliveries are listed, and nothing else" => dead::listed;
        "a revived delivery runs again" => dead::run_again;
        "a revived delivery's answer is posted again" => dead::post_again;
        "each dead delivery is in one page" => dead::pages;
        "promised and dead deliveries are counted" => backlog::counted, &pass;
        "each step belongs to its state" => callback::wrong_state;
        "promised work waits out its pause" => callback::time, &pass;
    }
    let _rule = Rule("every reply is that of the ledger in memory");
    against_memory::random_steps(&make).await;
}
