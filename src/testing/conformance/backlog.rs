//! The rule for what a ledger tells of its promises.

use std::time::Duration;

use super::trial::{LONG, LONGER, OVER, SHORT, Test, answer, key};
use crate::ledger::{Backlog, DeliveryKey, Finished, Hold, Lease, Ledger, Name, Revival};

async fn backlog<L: Ledger>(test: &Test<L>) -> Backlog {
    test.0.backlog(Name::NONE).await.expect("a reply")
}

/// Asserts how many are promised and dead, and returns the age of the oldest promise.
async fn count<L: Ledger>(test: &Test<L>, promised: u64, dead: u64) -> Option<Duration> {
    let backlog = backlog(test).await;
    assert_eq!((backlog.promised(), backlog.dead()), (promised, dead));
    assert_eq!(backlog.oldest().is_some(), promised > 0, "{backlog:?}");
    assert!(backlog.oldest() < Some(LONG), "{backlog:?}");
    backlog.oldest()
}

async fn promised<L: Ledger>(test: &Test<L>, key: DeliveryKey) -> Lease {
    let lease = test.start(key, 1, LONG).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    lease
}

pub(super) async fn counted<L: Ledger>(test: &Test<L>, pass: impl AsyncFn(Duration)) {
    count(test, 0, 0).await;
    let old = test.start(key(1), 1, LONG).await;
    let lease = test.start(key(2), 1, LONG).await;
    let finished = test.finish(lease, &answer("{}")).await;
    assert_eq!(finished, Finished::Answered);
    let other_layer = key(3).scoped(Name::of("another"), Name::of("a tenant"));
    let other = promised(test, other_layer).await;
    assert_eq!(test.bury(other, "dead").await, Hold::Held);
    promised(test, key(4).scoped(Name::of("a third"), Name::NONE)).await;
    count(test, 0, 0).await;

    assert_eq!(test.promise(old, b"work").await, Hold::Held);
    count(test, 1, 0).await;
    pass(LONGER).await;
    let tenant = key(5).scoped(Name::NONE, Name::of("a tenant"));
    let young = promised(test, tenant).await;
    // The age is that of the promise, whatever comes after it.
    let is_old = |oldest: Option<Duration>| assert!(oldest >= Some(SHORT), "{oldest:?}");
    is_old(count(test, 2, 0).await);
    assert_eq!(test.renew(old, LONG).await, Hold::Held);
    test.refresh(key(1), b"another").await;
    is_old(count(test, 2, 0).await);
    assert_eq!(test.release(old, OVER).await, Hold::Held);
    is_old(count(test, 2, 0).await);
    let old = test.take(LONG).await.expect("it is due").lease;
    let old = test.begin(old, LONG).await.expect("it is held");
    let Finished::Stored(old) = test.finish(old, &answer("{}")).await else {
        panic!("the answer is not stored");
    };
    is_old(count(test, 2, 0).await);

    assert_eq!(test.bury(old, "dead").await, Hold::Held);
    count(test, 1, 1).await;
    assert_eq!(test.revive(key(1)).await, Revival::Revived);
    is_old(count(test, 2, 0).await);
    let old = test.take(LONG).await.expect("it is due at once").lease;
    assert_eq!(test.called_back(old).await, Hold::Held);
    count(test, 1, 0).await;
    assert_eq!(test.bury(young, "dead").await, Hold::Held);
    count(test, 0, 1).await;
}
