//! The steps of a ledger under test; none may fail.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::ledger::{
    Claimed, DeadDelivery, Death, DeliveryKey, Finished, Hold, Lease, Ledger, Name, Owner, Posted,
    RecordedAnswer, Revival, Standing, Taken,
};

/// A lease or a pause that does not end during a test.
pub(super) const LONG: Duration = Duration::from_secs(60 * 60);
/// A lease that has expired as it begins.
pub(super) const OVER: Duration = Duration::ZERO;
/// A lease or a pause whose end a test waits for.
pub(super) const SHORT: Duration = Duration::from_millis(300);
/// Enough to see [`SHORT`] end.
pub(super) const LONGER: Duration = Duration::from_millis(400);

/// A ledger under test.
pub(super) struct Test<L>(pub(super) Arc<L>);

impl<L> Clone for Test<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L: Ledger> Test<L> {
    pub(super) async fn claim(&self, key: DeliveryKey, term: Duration) -> Claimed {
        let claimed = self.0.claim(key, Owner::random(), term).await;
        claimed.expect("a reply to a claim")
    }

    /// Claims the delivery, which must start the run of this number.
    #[track_caller]
    pub(super) fn started(claimed: Claimed, run: u32) -> Lease {
        match claimed {
            Claimed::Started(lease) => {
                assert_eq!((lease.run(), lease.attempt()), (run, 0));
                lease
            }
            standing @ Claimed::Standing(_) => panic!("run {run} does not start: {standing:?}"),
        }
    }

    pub(super) async fn start(&self, key: DeliveryKey, run: u32, term: Duration) -> Lease {
        let lease = Self::started(self.claim(key, term).await, run);
        assert_eq!(lease.key(), key);
        lease
    }

    /// Asserts that `claim` and `find` agree on how the delivery stands.
    pub(super) async fn stands(&self, key: DeliveryKey, expected: Standing) {
        let found = self.0.find(key).await.expect("a reply to a look");
        assert_eq!(found, Some(expected.clone()));
        let claimed = self.claim(key, LONG).await;
        assert_eq!(claimed, Claimed::Standing(expected));
    }

    pub(super) async fn renew(&self, lease: Lease, term: Duration) -> Hold {
        self.0.renew(lease, term).await.expect("a reply")
    }

    pub(super) async fn promise(&self, lease: Lease, delivery: &[u8]) -> Hold {
        let delivery = Bytes::copy_from_slice(delivery);
        self.0.promise(lease, delivery).await.expect("a reply")
    }

    pub(super) async fn finish(&self, lease: Lease, answer: &RecordedAnswer) -> Finished {
        self.0.finish(lease, answer.clone()).await.expect("a reply")
    }

    pub(super) async fn release(&self, lease: Lease, pause: Duration) -> Hold {
        self.0.release(lease, pause).await.expect("a reply")
    }

    pub(super) async fn take(&self, term: Duration) -> Option<Taken> {
        let taken = self.0.take(Name::NONE, Owner::random(), term).await;
        taken.expect("a reply to a take")
    }

    pub(super) async fn begin(&self, lease: Lease, term: Duration) -> Option<Lease> {
        self.0.begin(lease, term).await.expect("a reply")
    }

    pub(super) async fn refresh(&self, key: DeliveryKey, delivery: &[u8]) {
        let delivery = Bytes::copy_from_slice(delivery);
        self.0.refresh(key, delivery).await.expect("a reply");
    }

    pub(super) async fn resume(&self, key: DeliveryKey, term: Duration) -> Option<Taken> {
        let taken = self.0.resume(key, Owner::random(), term).await;
        taken.expect("a reply")
    }

    pub(super) async fn postpone(&self, lease: Lease, pause: Duration, posted: Posted) -> Hold {
        self.0
            .postpone(lease, pause, posted)
            .await
            .expect("a reply")
    }

    pub(super) async fn called_back(&self, lease: Lease) -> Hold {
        self.0.called_back(lease).await.expect("a reply")
    }

    pub(super) async fn bury(&self, lease: Lease, reason: &str) -> Hold {
        self.bury_as(lease, Death::new(reason)).await
    }

    pub(super) async fn bury_as(&self, lease: Lease, death: Death) -> Hold {
        self.0.bury(lease, death).await.expect("a reply")
    }

    /// All pages.
    pub(super) async fn dead(&self) -> Vec<DeadDelivery> {
        let mut dead = Vec::new();
        let mut after = None;
        loop {
            let page = self.0.dead(after).await.expect("a reply");
            dead.extend(page.deliveries);
            after = page.next;
            if after.is_none() {
                return dead;
            }
        }
    }

    pub(super) async fn revive(&self, key: DeliveryKey) -> Revival {
        self.0.revive(key).await.expect("a reply")
    }

    /// Asserts that no step succeeds under this lease.
    pub(super) async fn is_lost(&self, lease: Lease) {
        let before = self.0.find(lease.key()).await.expect("a reply");
        let late = RecordedAnswer::new(200, "late");
        assert_eq!(self.renew(lease, LONG).await, Hold::Lost, "renew");
        assert_eq!(self.promise(lease, b"late").await, Hold::Lost, "promise");
        assert_eq!(self.finish(lease, &late).await, Finished::Lost, "finish");
        assert_eq!(self.release(lease, OVER).await, Hold::Lost, "release");
        let postponed = self.postpone(lease, OVER, Posted::Perhaps).await;
        assert_eq!(postponed, Hold::Lost, "postpone");
        assert_eq!(self.called_back(lease).await, Hold::Lost, "called back");
        assert_eq!(self.bury(lease, "late").await, Hold::Lost, "bury");
        let after = self.0.find(lease.key()).await.expect("a reply");
        assert_eq!(before, after, "nothing changed");
    }
}

/// A delivery's key; similar numbers make similar keys.
pub(super) fn key(number: u8) -> DeliveryKey {
    let mut bytes = [0xA5; 32];
    bytes[31] = number;
    DeliveryKey::from_bytes(bytes)
}

pub(super) fn answer(document: &str) -> RecordedAnswer {
    RecordedAnswer::new(200, Bytes::copy_from_slice(document.as_bytes()))
}

/// Bytes that a store would corrupt if it expected text or short values.
pub(super) fn odd_bytes() -> [Vec<u8>; 5] {
    let every = (0..=u8::MAX).collect();
    let long = (0..=250).cycle().take(250_000).collect();
    [vec![], vec![0], b"\"'\\\r\n{}$1 nil".to_vec(), every, long]
}

/// The same lease with one part of its fencing token changed.
pub(super) fn forged(lease: Lease) -> [Lease; 5] {
    let (key, owner, run) = (lease.key(), lease.owner(), lease.run());
    [
        Lease::new(key, Owner::random(), run, lease.attempt()),
        Lease::new(key, owner, run + 1, lease.attempt()),
        Lease::new(key, owner, run - 1, lease.attempt()),
        Lease::new(key, owner, run, lease.attempt() + 1),
        Lease::new(key, owner, run, lease.attempt() + 2),
    ]
}
