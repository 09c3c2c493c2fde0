//! A ledger that several receivers share, and that can be out of reach.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{advance, sleep};
use tower_conductorone::BoxFuture;
use tower_conductorone::ledger::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError,
    MemoryLedger, Name, Owner, Posted, RecordedAnswer, Revival, Standing, Taken,
};

/// A replica's way to the ledger; clones are the same way.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    ledger: Arc<MemoryLedger>,
    /// What it is once all is forgotten.
    fresh: Arc<MemoryLedger>,
    has_forgotten: Arc<AtomicBool>,
    loses_promises: Arc<AtomicBool>,
    is_down: Arc<AtomicBool>,
    /// How many steps are taken before it goes down; 0: it does not.
    lasts: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    delay: Arc<Mutex<Duration>>,
    stall: Arc<Mutex<Duration>>,
    /// How many handlers are alive, and how many were at a release at most.
    live: Arc<AtomicUsize>,
    live_at_release: Arc<AtomicUsize>,
}

impl Shared {
    /// Another replica's way to the same ledger.
    pub fn handle(&self) -> Self {
        Self {
            ledger: Arc::clone(&self.ledger),
            fresh: Arc::clone(&self.fresh),
            has_forgotten: Arc::clone(&self.has_forgotten),
            ..Self::default()
        }
    }

    /// From now on, every step fails; or none any more.
    pub fn is_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// After so many steps, at least one, it goes down.
    pub fn lasts(&self, steps: usize) {
        self.lasts.store(steps, Ordering::SeqCst);
    }

    /// Whether it is down.
    pub fn has_gone_down(&self) -> bool {
        self.is_down.load(Ordering::SeqCst)
    }

    /// From now on, a step that was taken is heard of so much later.
    pub fn is_slow(&self, delay: Duration) {
        *self.delay.lock().expect("no panic") = delay;
    }

    /// All replicas' records are lost, as by a crash of the store.
    pub fn forget(&self) {
        self.has_forgotten.store(true, Ordering::SeqCst);
    }

    /// From now on, promises are acknowledged and lost, as by a fail-over.
    pub fn loses_promises(&self) {
        self.loses_promises.store(true, Ordering::SeqCst);
    }

    /// When the next step's reply comes, nobody is awake for so long.
    pub fn stalls_once(&self, time: Duration) {
        *self.stall.lock().expect("no panic") = time;
    }

    /// For handlers to count themselves in as long as anything is left of them.
    pub fn live(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.live)
    }

    /// How many handlers were alive when a lease was given back, at most.
    pub fn live_at_release(&self) -> usize {
        self.live_at_release.load(Ordering::SeqCst)
    }

    /// How many steps were asked for.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn step<'a, T: Send + 'a>(
        &'a self,
        step: impl FnOnce(&'a MemoryLedger) -> BoxFuture<'a, Result<T, LedgerError>>,
    ) -> BoxFuture<'a, Result<T, LedgerError>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Box::pin(async { Err(LedgerError::new("out of reach")) });
        }
        if self.lasts.load(Ordering::SeqCst) > 0 && self.lasts.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.is_down(true);
        }
        let delay = *self.delay.lock().expect("no panic");
        let has_forgotten = self.has_forgotten.load(Ordering::SeqCst);
        let step = step(if has_forgotten {
            &self.fresh
        } else {
            &self.ledger
        });
        let stall = mem::take(&mut *self.stall.lock().expect("no panic"));
        if !stall.is_zero() {
            return Box::pin(async move {
                let reply = step.await;
                advance(stall).await;
                reply
            });
        }
        if delay.is_zero() {
            return step;
        }
        Box::pin(async move {
            let reply = step.await;
            sleep(delay).await;
            reply
        })
    }
}

impl Ledger for Shared {
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>> {
        self.step(|ledger| ledger.claim(key, owner, term))
    }

    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>> {
        self.step(|ledger| ledger.find(key))
    }

    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(|ledger| ledger.renew(lease, term))
    }

    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        if self.loses_promises.load(Ordering::SeqCst) {
            return Box::pin(async { Ok(Hold::Held) });
        }
        self.step(|ledger| ledger.promise(lease, delivery))
    }

    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>> {
        self.step(|ledger| ledger.finish(lease, answer))
    }

    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        let live = self.live.load(Ordering::SeqCst);
        self.live_at_release.fetch_max(live, Ordering::SeqCst);
        self.step(|ledger| ledger.release(lease, pause))
    }

    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.step(|ledger| ledger.refresh(key, delivery))
    }

    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        self.step(|ledger| ledger.take(layer, owner, term))
    }

    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>> {
        self.step(|ledger| ledger.begin(lease, term))
    }

    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        self.step(|ledger| ledger.resume(key, owner, term))
    }

    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(|ledger| ledger.postpone(lease, pause, posted))
    }

    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(|ledger| ledger.called_back(lease))
    }

    fn bury(&self, lease: Lease, death: Death) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(|ledger| ledger.bury(lease, death))
    }

    fn dead(&self, after: Option<DeliveryKey>) -> BoxFuture<'_, Result<DeadPage, LedgerError>> {
        self.step(|ledger| ledger.dead(after))
    }

    fn revive(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Revival, LedgerError>> {
        self.step(|ledger| ledger.revive(key))
    }

    /// Is no step of a delivery: it is not counted, and no trouble waits for it.
    fn backlog(&self, layer: Name) -> BoxFuture<'_, Result<Backlog, LedgerError>> {
        if self.is_down.load(Ordering::SeqCst) {
            return Box::pin(async { Err(LedgerError::new("out of reach")) });
        }
        self.ledger.backlog(layer)
    }
}
