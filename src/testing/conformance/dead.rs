//! The rules for deliveries that are given up, and may be revived.

use std::collections::HashSet;
use std::time::Duration;

use super::trial::{LONG, OVER, Test, answer, key};
use crate::ledger::{
    Death, DeliveryKey, Finished, Hold, Lease, Ledger, Name, Posted, RecordedAnswer, Revival,
    Standing, Work,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn death() -> Death {
    Death::new("it is \"gone\"\n\0")
        .of("example.conductor.one", "c1.webhooks.v1.PayloadTest")
        .id("webhook", "2fCjgK8tYJxV9u8d1wupBMeXZ45")
        .id("task", "{'ü'}")
}

/// A promised delivery, in its first run.
async fn promised<L: Ledger>(test: &Test<L>, key: DeliveryKey) -> Lease {
    let lease = test.start(key, 1, LONG).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    lease
}

/// A delivery whose answer is stored, and its first sender.
async fn stored<L: Ledger>(test: &Test<L>, key: DeliveryKey, answer: &RecordedAnswer) -> Lease {
    let lease = promised(test, key).await;
    match test.finish(lease, answer).await {
        Finished::Stored(lease) => lease,
        other => panic!("the answer is not stored: {other:?}"),
    }
}

pub(super) async fn listed<L: Ledger>(test: &Test<L>) {
    assert_eq!(test.dead().await, [], "nothing is dead");
    test.start(key(1), 1, LONG).await;
    promised(test, key(2)).await;
    let lease = test.start(key(3), 1, LONG).await;
    let finished = test.finish(lease, &answer("{}")).await;
    assert_eq!(finished, Finished::Answered);
    let sender = stored(test, key(4), &answer("{}")).await;
    assert_eq!(test.called_back(sender).await, Hold::Held);
    let released = promised(test, key(5)).await;
    assert_eq!(test.release(released, LONG).await, Hold::Held);
    let other_layer = key(6).scoped(Name::of("another"), Name::of("a tenant"));
    let running = promised(test, other_layer).await;
    let sending = stored(test, key(7), &answer("{}")).await;
    assert_eq!(test.dead().await, [], "nothing is dead");

    for lease in [running, sending] {
        for _ in 0..2 {
            assert_eq!(test.bury_as(lease, death()).await, Hold::Held);
        }
        // Only the same death is the same step.
        let other = death().id("task", "another");
        assert_eq!(test.bury_as(lease, other).await, Hold::Lost);
        let standing = Standing::Dead(death().reason().into());
        test.stands(lease.key(), standing).await;
    }
    let mut dead = test.dead().await;
    dead.sort_by_key(|dead| dead.has_answer);
    let [without_answer, with_answer] = dead.as_slice() else {
        panic!("two are dead: {dead:?}");
    };
    assert_eq!((without_answer.key, with_answer.key), (other_layer, key(7)));
    assert!(!without_answer.has_answer && with_answer.has_answer);
    for dead in [without_answer, with_answer] {
        assert_eq!((dead.run, &dead.death), (1, &death()));
        assert!(dead.age < HOUR, "{:?}", dead.age);
        assert!(dead.time_left > HOUR, "{:?}", dead.time_left);
    }
}

pub(super) async fn run_again<L: Ledger>(test: &Test<L>) {
    assert_eq!(test.revive(key(1)).await, Revival::Unknown);
    let mut lease = test.start(key(1), 1, LONG).await;
    assert_eq!(test.revive(key(1)).await, Revival::NotDead);
    test.stands(key(1), Standing::Running).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    for run in 1..=3 {
        assert_eq!(test.revive(key(1)).await, Revival::NotDead, "promised");
        assert_eq!(test.renew(lease, LONG).await, Hold::Held, "it still runs");
        assert_eq!(test.bury_as(lease, death()).await, Hold::Held);
        assert_eq!(test.take(LONG).await, None, "it is dead");
        assert_eq!(test.resume(key(1), LONG).await, None, "it is dead");
        // It keeps what was promised.
        test.refresh(key(1), b"late").await;

        assert_eq!(test.revive(key(1)).await, Revival::Revived);
        assert_eq!(test.revive(key(1)).await, Revival::NotDead);
        assert_eq!(test.dead().await, [], "it is alive");
        test.stands(key(1), Standing::Promised).await;
        test.is_lost(lease).await;
        assert_eq!(test.bury_as(lease, death()).await, Hold::Lost, "late");
        assert_eq!(test.begin(lease, LONG).await, None);

        let taken = test.take(LONG).await.expect("it is due at once");
        assert_eq!(taken.lease.key(), key(1));
        assert_eq!((taken.lease.run(), taken.lease.attempt()), (run, 0));
        assert_eq!((&*taken.delivery, &taken.work), (&b"work"[..], &Work::Run));
        assert_eq!(taken.revived_after, run);
        assert_eq!(test.take(LONG).await, None, "it is taken");
        test.is_lost(lease).await;
        lease = test.begin(taken.lease, LONG).await.expect("it is held");
        assert_eq!(lease.run(), run + 1);
    }
    // The count begins where it was last revived, on whichever replica takes it.
    assert_eq!(test.release(lease, OVER).await, Hold::Held);
    let taken = test.take(LONG).await.expect("it is due");
    assert_eq!((taken.revived_after, taken.lease.run()), (3, 4));
    let lease = test.begin(taken.lease, LONG).await.expect("it is held");
    let Finished::Stored(lease) = test.finish(lease, &answer("{}")).await else {
        panic!("the answer is not stored");
    };
    assert_eq!(test.called_back(lease).await, Hold::Held);
    assert_eq!(test.revive(key(1)).await, Revival::NotDead, "called back");
    test.stands(key(1), Standing::CalledBack).await;
}

pub(super) async fn post_again<L: Ledger>(test: &Test<L>) {
    for (number, posted) in [(1, Posted::No), (2, Posted::Perhaps)] {
        let stored_answer = answer("{\"secret\":1}");
        let mut lease = stored(test, key(number), &stored_answer).await;
        for attempt in 2..=3 {
            assert_eq!(test.postpone(lease, OVER, posted).await, Hold::Held);
            lease = test.take(LONG).await.expect("it is due").lease;
            assert_eq!(lease.attempt(), attempt);
        }
        assert_eq!(test.bury_as(lease, death()).await, Hold::Held);
        assert_eq!(test.revive(key(number)).await, Revival::Revived);
        test.is_lost(lease).await;
        let taken = test.take(LONG).await.expect("it is due at once");
        // The pauses begin anew.
        assert_eq!((taken.lease.run(), taken.lease.attempt()), (1, 1));
        assert_eq!(taken.delivery, "work");
        let answer = stored_answer;
        assert_eq!(taken.work, Work::Send { answer, posted });
        assert_eq!(
            test.begin(taken.lease, LONG).await,
            None,
            "its run has ended"
        );
        assert_eq!(test.called_back(taken.lease).await, Hold::Held);
        test.stands(key(number), Standing::CalledBack).await;
    }
    // An answer that is never posted.
    let gone = RecordedAnswer::new(410, "");
    let lease = stored(test, key(3), &gone).await;
    assert_eq!(test.bury_as(lease, death()).await, Hold::Held);
    assert!(test.dead().await.iter().all(|dead| !dead.has_answer));
    assert_eq!(test.revive(key(3)).await, Revival::Revived);
    let taken = test.take(LONG).await.expect("it is due at once");
    assert_eq!(taken.work, Work::Run);
    let lease = test.begin(taken.lease, LONG).await.expect("it is held");
    assert_eq!(lease.run(), 2);
}

pub(super) async fn pages<L: Ledger>(test: &Test<L>) {
    let layers = [Name::NONE, Name::of("one"), Name::of("two")];
    let alike = (1..=110).map(key);
    let spread = (1..=30).map(|number| DeliveryKey::from_bytes([number; 32]));
    let keys: Vec<_> = alike
        .chain(spread)
        .zip(layers.into_iter().cycle())
        .map(|(key, layer)| key.scoped(layer, Name::of("a tenant")))
        .collect();
    for key in &keys {
        let lease = promised(test, *key).await;
        assert_eq!(test.bury_as(lease, death()).await, Hold::Held);
    }
    let mut listed = HashSet::new();
    let mut after = None;
    let mut pages = 0;
    loop {
        let page = test.0.dead(after).await.expect("a reply");
        assert!(page.deliveries.len() <= 100, "{}", page.deliveries.len());
        for dead in &page.deliveries {
            assert!(listed.insert(dead.key), "listed twice: {:?}", dead.key);
        }
        let Some(next) = page.next else { break };
        // The next page begins there even if that one is no longer dead.
        assert_eq!(test.revive(next).await, Revival::Revived);
        after = Some(next);
        pages += 1;
    }
    let expected: HashSet<_> = keys.iter().copied().collect();
    assert_eq!(listed, expected);
    assert!(pages > 1, "more than a page");
    assert_eq!(test.dead().await.len(), keys.len() - pages);
}
