//! The rules for deliveries that end with a callback.

use std::time::Duration;

use super::deduplication::all;
use super::trial::{LONG, LONGER, OVER, SHORT, Test, answer, forged, key, odd_bytes};
use crate::ledger::{
    Finished, Hold, Lease, Ledger, Name, Owner, Posted, RecordedAnswer, Standing, Work,
};

pub(super) async fn promise<L: Ledger>(test: &Test<L>) {
    let lease = test.start(key(1), 1, LONG).await;
    for _ in 0..2 {
        assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    }
    // A duplicate stores a newer callback URL before the reply is heard of.
    test.refresh(key(1), b"newer").await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    test.stands(key(1), Standing::Promised).await;
    assert_eq!(test.take(LONG).await, None, "its lease is in force");
    for other in forged(lease) {
        test.is_lost(other).await;
    }
    // No claim starts it, whatever happens to its leases.
    assert_eq!(test.renew(lease, OVER).await, Hold::Held);
    test.stands(key(1), Standing::Promised).await;
    assert_eq!(test.release(lease, OVER).await, Hold::Held);
    test.stands(key(1), Standing::Promised).await;
    let taken = test.take(LONG).await.expect("it is due");
    assert_eq!(taken.delivery, b"newer"[..]);
}

pub(super) async fn take_run<L: Ledger>(test: &Test<L>) {
    for (number, delivery) in (1..).zip(odd_bytes()) {
        let mut lease = test.start(key(number), 1, OVER).await;
        assert_eq!(test.promise(lease, &delivery).await, Hold::Held);
        for run in 2..=5 {
            // The lease expires and is released by turns.
            if run % 2 == 0 {
                assert_eq!(test.release(lease, OVER).await, Hold::Held);
            }
            // A run that never began does not count.
            let unheard = test.take(OVER).await.expect("it is due").lease;
            let taken = test.take(LONG).await.expect("it is due");
            assert_eq!((taken.lease.run(), taken.lease.attempt()), (run - 1, 0));
            assert_eq!(test.begin(unheard, LONG).await, None);
            assert_eq!(taken.lease.key(), key(number));
            assert_eq!(taken.work, Work::Run);
            assert_eq!(taken.delivery, delivery);
            assert_eq!(test.take(LONG).await, None, "it is taken");
            test.is_lost(lease).await;
            test.stands(key(number), Standing::Promised).await;
            for _ in 0..2 {
                lease = test.begin(taken.lease, LONG).await.expect("it is held");
                assert_eq!((lease.run(), lease.attempt()), (run, 0));
                assert_eq!(lease.key(), key(number));
            }
            assert_eq!(test.take(LONG).await, None, "it has begun");
            assert_eq!(test.renew(taken.lease, LONG).await, Hold::Lost);
            assert_eq!(test.renew(lease, OVER).await, Hold::Held);
        }
        assert_eq!(test.renew(lease, LONG).await, Hold::Held);
    }
}

pub(super) async fn resume<L: Ledger>(test: &Test<L>) {
    let _unpromised = test.start(key(1), 1, OVER).await;
    assert_eq!(test.resume(key(1), LONG).await, None, "not promised");
    assert_eq!(test.resume(key(2), LONG).await, None, "not known");
    for number in 3..=5 {
        let lease = test.start(key(number), 1, OVER).await;
        assert_eq!(test.promise(lease, &[number]).await, Hold::Held);
    }
    let taken = test.resume(key(4), LONG).await.expect("it is due");
    assert_eq!((taken.lease.key(), taken.lease.run()), (key(4), 1));
    assert_eq!((&*taken.delivery, &taken.work), (&[4][..], &Work::Run));
    assert_eq!(test.resume(key(4), LONG).await, None, "it is taken");
    let begun = test.begin(taken.lease, LONG).await.expect("it is held");
    assert_eq!(begun.run(), 2);
    let Finished::Stored(lease) = test.finish(begun, &answer("done")).await else {
        panic!("the answer is not stored");
    };
    assert_eq!(test.postpone(lease, LONG, Posted::No).await, Hold::Held);
    assert_eq!(
        test.resume(key(4), LONG).await,
        None,
        "its pause is not over"
    );
    // The others can still be taken without a key.
    let mut left = Vec::new();
    while let Some(taken) = test.take(LONG).await {
        left.push(taken.lease.key());
    }
    left.sort_unstable();
    assert_eq!(left, [key(3), key(5)]);
}

pub(super) async fn begin<L: Ledger>(test: &Test<L>) {
    let unpromised = test.start(key(1), 1, LONG).await;
    assert_eq!(test.begin(unpromised, LONG).await, None, "not promised");
    test.stands(key(1), Standing::Running).await;
    let sending = store(test, 2, &answer("{}")).await;
    assert_eq!(test.begin(sending, LONG).await, None, "its run has ended");
    // Only while its lease holds the delivery.
    let lease = test.start(key(3), 1, OVER).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    let taken = test.take(LONG).await.expect("it is due");
    for other in forged(taken.lease) {
        // Under the earlier run it would be the same step again.
        if other.run() >= taken.lease.run() {
            assert_eq!(test.begin(other, LONG).await, None);
        }
    }
    assert_eq!(test.release(taken.lease, OVER).await, Hold::Held);
    assert_eq!(test.begin(taken.lease, LONG).await, None, "it was given up");
    let again = test.take(LONG).await.expect("it is due");
    assert_eq!(again.lease.run(), 1, "no run has begun");
}

pub(super) async fn refresh<L: Ledger>(test: &Test<L>) {
    for (number, newest) in (1..).zip(odd_bytes()) {
        let lease = test.start(key(number), 1, LONG).await;
        test.refresh(key(number), &newest).await;
        test.stands(key(number), Standing::Running).await;
        assert_eq!(test.promise(lease, b"work").await, Hold::Held);
        for _ in 0..2 {
            test.refresh(key(number), &newest).await;
        }
        // The holder continues.
        assert_eq!(test.renew(lease, OVER).await, Hold::Held);
        let taken = test.take(LONG).await.expect("it is due");
        assert_eq!((taken.delivery, taken.work), (newest.into(), Work::Run));
    }
    let stored = answer("{}");
    let lease = store(test, 6, &stored).await;
    test.refresh(key(6), b"newest").await;
    assert_eq!(test.postpone(lease, OVER, Posted::No).await, Hold::Held);
    let taken = test.take(LONG).await.expect("it is due");
    assert_eq!(taken.delivery, "newest");
    let (answer, posted) = (stored, Posted::No);
    assert_eq!(taken.work, Work::Send { answer, posted });
    assert_eq!(test.called_back(taken.lease).await, Hold::Held);
    test.refresh(key(6), b"late").await;
    test.stands(key(6), Standing::CalledBack).await;
    test.refresh(key(7), b"unknown").await;
    test.start(key(7), 1, LONG).await;
}

pub(super) async fn layers<L: Ledger>(test: &Test<L>) {
    let names = [Name::NONE, Name::of("one"), Name::of("two")];
    let keys = names.map(|name| key(1).scoped(name, Name::of("a tenant")));
    for key in keys {
        let lease = test.start(key, 1, OVER).await;
        assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    }
    for (layer, key) in names.into_iter().zip(keys) {
        let taken = test.0.take(layer, Owner::random(), LONG).await;
        let taken = taken.expect("a reply").expect("it is due");
        assert_eq!(taken.lease.key(), key);
        let taken = test.0.take(layer, Owner::random(), LONG).await;
        assert_eq!(taken.expect("a reply"), None, "the others are not its own");
    }
}

pub(super) async fn simultaneous_takes<L: Ledger>(test: &Test<L>) {
    const COUNT: u8 = 7;
    for number in 0..COUNT {
        let lease = test.start(key(number), 1, OVER).await;
        assert_eq!(test.promise(lease, &[number]).await, Hold::Held);
    }
    let taken = all((0..100).map(|_| {
        let test = test.clone();
        async move { test.take(LONG).await }
    }))
    .await;
    let mut taken: Vec<_> = taken.into_iter().flatten().collect();
    taken.sort_by_key(|taken| taken.delivery.clone());
    let deliveries: Vec<_> = taken.iter().map(|taken| taken.delivery.to_vec()).collect();
    let expected: Vec<_> = (0..COUNT).map(|number| vec![number]).collect();
    assert_eq!(deliveries, expected, "each is taken once");
}

/// A delivery whose answer is stored, and its first sender.
async fn store<L: Ledger>(test: &Test<L>, number: u8, answer: &RecordedAnswer) -> Lease {
    let lease = test.start(key(number), 1, LONG).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    let first = Lease::new(key(number), lease.owner(), 1, 1);
    for _ in 0..2 {
        let finished = test.finish(lease, answer).await;
        assert_eq!(finished, Finished::Stored(first));
    }
    test.is_lost(lease).await;
    first
}

pub(super) async fn stored<L: Ledger>(test: &Test<L>) {
    for (number, document) in (1..).zip(odd_bytes()) {
        let stored = RecordedAnswer::new(201, document);
        let mut lease = store(test, number, &stored).await;
        test.stands(key(number), Standing::Promised).await;
        assert_eq!(test.take(LONG).await, None, "its lease is in force");
        for attempt in 2..=4 {
            assert_eq!(test.renew(lease, OVER).await, Hold::Held);
            let taken = test.take(LONG).await.expect("it is due");
            assert_eq!((taken.lease.run(), taken.lease.attempt()), (1, attempt));
            assert_eq!(taken.delivery, "work");
            let (answer, posted) = (stored.clone(), Posted::Perhaps);
            assert_eq!(taken.work, Work::Send { answer, posted });
            test.is_lost(lease).await;
            lease = taken.lease;
        }
        for other in forged(lease) {
            test.is_lost(other).await;
        }
        assert_eq!(test.renew(lease, LONG).await, Hold::Held);
    }
}

pub(super) async fn sent<L: Ledger>(test: &Test<L>) {
    let stored = answer("{}");
    let mut lease = store(test, 1, &stored).await;
    let mut attempts = 1;
    for (told, expected) in [
        (Posted::No, Posted::No),
        (Posted::No, Posted::No),
        (Posted::Perhaps, Posted::Perhaps),
        (Posted::No, Posted::Perhaps),
    ] {
        for _ in 0..2 {
            assert_eq!(test.postpone(lease, OVER, told).await, Hold::Held);
        }
        test.stands(key(1), Standing::Promised).await;
        assert_eq!(test.renew(lease, LONG).await, Hold::Lost, "it was given up");
        assert_eq!(test.called_back(lease).await, Hold::Lost);
        let taken = test.take(LONG).await.expect("it is due");
        attempts += 1;
        assert_eq!(taken.lease.attempt(), attempts);
        let (answer, posted) = (stored.clone(), expected);
        assert_eq!(taken.work, Work::Send { answer, posted });
        lease = taken.lease;
    }
}

pub(super) async fn called_back<L: Ledger>(test: &Test<L>) {
    let first = store(test, 1, &answer("{}")).await;
    assert_eq!(test.renew(first, OVER).await, Hold::Held);
    let second = test.take(LONG).await.expect("it is due").lease;
    assert_eq!(test.called_back(first).await, Hold::Lost);
    for _ in 0..2 {
        assert_eq!(test.called_back(second).await, Hold::Held);
    }
    test.stands(key(1), Standing::CalledBack).await;
    assert_eq!(test.called_back(first).await, Hold::Lost);
    assert_eq!(test.renew(second, LONG).await, Hold::Lost);
    assert_eq!(test.postpone(second, OVER, Posted::No).await, Hold::Lost);
    assert_eq!(test.bury(second, "late").await, Hold::Lost);
    assert_eq!(test.take(LONG).await, None, "nothing is left to do");
}

pub(super) async fn bury<L: Ledger>(test: &Test<L>) {
    let running = test.start(key(1), 1, LONG).await;
    assert_eq!(test.promise(running, b"work").await, Hold::Held);
    let sending = store(test, 2, &answer("{}")).await;
    for (number, lease) in [(1, running), (2, sending)] {
        for _ in 0..2 {
            assert_eq!(test.bury(lease, "the URL is gone").await, Hold::Held);
        }
        assert_eq!(test.bury(lease, "another reason").await, Hold::Lost);
        let dead = Standing::Dead("the URL is gone".into());
        test.stands(key(number), dead).await;
        test.is_lost(lease).await;
    }
    assert_eq!(test.take(LONG).await, None, "nothing is left to do");
}

pub(super) async fn wrong_state<L: Ledger>(test: &Test<L>) {
    // A delivery without a promise is neither sent nor buried.
    let running = test.start(key(1), 1, LONG).await;
    assert_eq!(test.postpone(running, OVER, Posted::No).await, Hold::Lost);
    assert_eq!(test.called_back(running).await, Hold::Lost);
    assert_eq!(test.bury(running, "too slow").await, Hold::Lost);
    test.stands(key(1), Standing::Running).await;
    // A promised delivery is not called back before it has an answer.
    assert_eq!(test.promise(running, b"work").await, Hold::Held);
    assert_eq!(test.postpone(running, OVER, Posted::No).await, Hold::Lost);
    assert_eq!(test.called_back(running).await, Hold::Lost);
    // A stored answer has no run to promise, finish or release.
    let sending = store(test, 2, &answer("{}")).await;
    assert_eq!(test.promise(sending, b"work").await, Hold::Lost);
    let finished = test.finish(sending, &answer("{}")).await;
    assert_eq!(finished, Finished::Lost);
    assert_eq!(test.release(sending, OVER).await, Hold::Lost);
    assert_eq!(test.called_back(sending).await, Hold::Held);
}

pub(super) async fn time<L: Ledger>(test: &Test<L>, pass: &impl AsyncFn(Duration)) {
    let lease = test.start(key(1), 1, SHORT).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    let lease = store(test, 2, &answer("{}")).await;
    assert_eq!(test.postpone(lease, SHORT, Posted::No).await, Hold::Held);
    let lease = test.start(key(3), 1, LONG).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    assert_eq!(test.release(lease, SHORT).await, Hold::Held);
    let lease = store(test, 4, &answer("{}")).await;
    assert_eq!(test.postpone(lease, LONG, Posted::No).await, Hold::Held);
    let lease = test.start(key(5), 1, SHORT).await;
    assert_eq!(test.promise(lease, b"work").await, Hold::Held);
    assert_eq!(test.renew(lease, LONG).await, Hold::Held);
    pass(LONGER).await;
    let mut taken = Vec::new();
    while let Some(next) = test.take(LONG).await {
        taken.push(next.lease.key());
    }
    taken.sort();
    assert_eq!(taken, [key(1), key(2), key(3)]);
}
