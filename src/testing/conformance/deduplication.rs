//! The rules for deliveries that are answered at once.

use std::time::Duration;

use tokio::task::JoinSet;

use super::trial::{LONG, LONGER, OVER, SHORT, Test, answer, forged, key, odd_bytes};
use crate::ledger::{
    Claimed, DeliveryKey, Finished, Hold, Lease, Ledger, Owner, RecordedAnswer, Standing,
};

pub(super) async fn first_claim<L: Ledger>(test: &Test<L>) {
    assert_eq!(test.0.find(key(1)).await.expect("a reply"), None);
    let lease = test.start(key(1), 1, LONG).await;
    test.stands(key(1), Standing::Running).await;
    for other in forged(lease) {
        test.is_lost(other).await;
    }
    // An unknown delivery has no lease.
    test.is_lost(Lease::new(key(2), lease.owner(), 1, 0)).await;
    assert_eq!(test.0.find(key(2)).await.expect("a reply"), None);
    assert_eq!(test.renew(lease, LONG).await, Hold::Held);
}

pub(super) async fn simultaneous_claims<L: Ledger>(test: &Test<L>) {
    for (round, run) in [(1, 1), (1, 2), (2, 1)] {
        let claims = all((0..100).map(|_| {
            let test = test.clone();
            async move { test.claim(key(round), LONG).await }
        }))
        .await;
        let mut started = claims
            .into_iter()
            .filter(|claimed| *claimed != Claimed::Standing(Standing::Running));
        let lease = Test::<L>::started(started.next().expect("one starts"), run);
        assert_eq!(started.next(), None, "one starts");
        assert_eq!(test.release(lease, OVER).await, Hold::Held);
    }
}

pub(super) async fn repeated_claim<L: Ledger>(test: &Test<L>) {
    for run in [1, 2] {
        let owner = Owner::random();
        let mut lease = None;
        // Also when overdue, the owner holds it until another takes over.
        for term in [LONG, OVER, LONG] {
            let claimed = test.0.claim(key(1), owner, term).await.expect("a reply");
            let again = Test::<L>::started(claimed, run);
            assert_eq!(*lease.get_or_insert(again), again);
        }
        test.stands(key(1), Standing::Running).await;
        let lease = lease.expect("it was started");
        assert_eq!(test.release(lease, OVER).await, Hold::Held);
    }
}

pub(super) async fn one_answer<L: Ledger>(test: &Test<L>) {
    for (number, document) in (1..).zip(odd_bytes()) {
        for (status, key) in [(200, key(number)), (410, key(100 + number))] {
            let answer = RecordedAnswer::new(status, document.clone());
            let lease = test.start(key, 1, LONG).await;
            assert_eq!(test.finish(lease, &answer).await, Finished::Answered);
            for _ in 0..3 {
                let expected = Standing::Answered(answer.clone());
                test.stands(key, expected).await;
            }
        }
    }
    assert_eq!(test.take(LONG).await, None, "an answered delivery is over");
}

pub(super) async fn answer_is_final<L: Ledger>(test: &Test<L>) {
    let lease = test.start(key(1), 1, OVER).await;
    let first = answer("first");
    // A lost reply: the same step again.
    for _ in 0..2 {
        assert_eq!(test.finish(lease, &first).await, Finished::Answered);
    }
    let others = [
        answer("second"),
        answer(""),
        RecordedAnswer::new(201, "first"),
    ];
    for other in others {
        assert_eq!(test.finish(lease, &other).await, Finished::Lost);
    }
    for other in forged(lease) {
        assert_eq!(test.finish(other, &first).await, Finished::Lost);
        test.is_lost(other).await;
    }
    test.is_lost(lease).await;
    test.stands(key(1), Standing::Answered(first)).await;
}

pub(super) async fn release<L: Ledger>(test: &Test<L>) {
    for run in 1..=3 {
        let lease = test.start(key(1), run, LONG).await;
        for _ in 0..2 {
            assert_eq!(test.release(lease, OVER).await, Hold::Held);
        }
        let found = test.0.find(key(1)).await.expect("a reply");
        assert_eq!(found, Some(Standing::Released));
        // The released lease can no longer answer.
        assert_eq!(test.renew(lease, LONG).await, Hold::Lost);
        let finished = test.finish(lease, &answer("late")).await;
        assert_eq!(finished, Finished::Lost);
        assert_eq!(test.promise(lease, b"late").await, Hold::Lost);
    }
    let lease = test.start(key(1), 4, LONG).await;
    assert_eq!(test.release(lease, LONG).await, Hold::Held);
    test.stands(key(1), Standing::Released).await;
    assert_eq!(test.take(LONG).await, None, "nothing was promised");
}

pub(super) async fn late_finisher<L: Ledger>(test: &Test<L>) {
    let late = test.start(key(1), 1, OVER).await;
    let lease = test.start(key(1), 2, LONG).await;
    test.is_lost(late).await;
    test.stands(key(1), Standing::Running).await;
    assert_eq!(test.finish(lease, &answer("{}")).await, Finished::Answered);
    test.is_lost(late).await;
    let equal = test.finish(late, &answer("{}")).await;
    assert_eq!(equal, Finished::Lost, "the same words, but not its own");
    test.stands(key(1), Standing::Answered(answer("{}"))).await;
}

pub(super) async fn overdue<L: Ledger>(test: &Test<L>) {
    let lease = test.start(key(1), 1, OVER).await;
    let found = test.0.find(key(1)).await.expect("a reply");
    assert_eq!(found, Some(Standing::Released));
    assert_eq!(test.renew(lease, LONG).await, Hold::Held);
    test.stands(key(1), Standing::Running).await;
    assert_eq!(test.renew(lease, OVER).await, Hold::Held);
    assert_eq!(test.finish(lease, &answer("{}")).await, Finished::Answered);
}

pub(super) async fn time<L: Ledger>(test: &Test<L>, pass: &impl AsyncFn(Duration)) {
    let renewed = test.start(key(1), 1, SHORT).await;
    assert_eq!(test.renew(renewed, LONG).await, Hold::Held);
    test.start(key(2), 1, SHORT).await;
    let released = test.start(key(3), 1, LONG).await;
    assert_eq!(test.release(released, SHORT).await, Hold::Held);
    let released = test.start(key(4), 1, LONG).await;
    assert_eq!(test.release(released, LONG).await, Hold::Held);
    pass(LONGER).await;
    test.stands(key(1), Standing::Running).await;
    test.start(key(2), 2, LONG).await;
    test.start(key(3), 2, LONG).await;
    test.stands(key(4), Standing::Released).await;
}

pub(super) async fn keys<L: Ledger>(test: &Test<L>) {
    let one_bit_off = (0..256_usize).map(|bit| {
        let mut bytes = *key(0).as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        DeliveryKey::from_bytes(bytes)
    });
    for (number, key) in one_bit_off.clone().enumerate() {
        let lease = test.start(key, 1, LONG).await;
        let answer = answer(&number.to_string());
        assert_eq!(test.finish(lease, &answer).await, Finished::Answered);
    }
    for (number, key) in one_bit_off.enumerate() {
        let expected = Standing::Answered(answer(&number.to_string()));
        test.stands(key, expected).await;
    }
}

/// Runs all at once, on all threads of the runtime.
pub(super) async fn all<T: Send + 'static>(
    futures: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    futures.collect::<JoinSet<_>>().join_all().await
}
