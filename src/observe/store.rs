//! The steps of ledgers and replay stores.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::observer::Observers;
use crate::future::BoxFuture;
use crate::ledger::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Fill, Finished, Hold, Lease, Ledger,
    LedgerError, Name, Owner, Posted, RecordedAnswer, Revival, Standing, Taken,
};
use crate::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};

/// A step of a ledger or a replay store.
#[derive(Clone, Copy, Debug)]
pub struct StoreStep {
    pub(crate) store: StoreKind,
    pub(crate) step: &'static str,
    pub(crate) result: StoreResult,
    pub(crate) duration: Duration,
}

impl StoreStep {
    /// Which of the two stores.
    #[must_use]
    pub fn store(&self) -> StoreKind {
        self.store
    }

    /// The step's name: that of the method of [`Ledger`] or [`ReplayStore`].
    #[must_use]
    pub fn step(&self) -> &'static str {
        self.step
    }

    /// What came of it.
    #[must_use]
    pub fn result(&self) -> StoreResult {
        self.result
    }

    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// A [`Ledger`].
    Ledger,
    /// A [`ReplayStore`].
    ReplayStore,
}

impl StoreKind {
    /// Its name in metrics: `ledger` or `replay_store`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::ReplayStore => "replay_store",
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreResult {
    /// A reply.
    Replied,
    /// An error.
    Failed,
    /// It was not awaited any longer.
    Dropped,
}

impl StoreResult {
    /// Its name in metrics: `replied`, `failed` or `dropped`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// How full a store is.
#[derive(Clone, Copy, Debug)]
pub struct StoreFill {
    store: StoreKind,
    fill: Fill,
}

impl StoreFill {
    /// Which of the two stores.
    #[must_use]
    pub fn store(&self) -> StoreKind {
        self.store
    }

    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.fill
    }
}

/// How often observers are told how full a store is, at most, in milliseconds.
const FILL_EVERY: u64 = 15_000;

/// A store whose steps are observed.
struct Observed<S: ?Sized> {
    observers: Observers,
    kind: StoreKind,
    fill: fn(&S) -> Option<Fill>,
    since: Instant,
    /// When observers are told next how full it is, in milliseconds from then.
    fill_due: AtomicU64,
    store: Arc<S>,
}

impl Observers {
    pub(crate) fn ledger(&self, ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        if self.are_there() {
            Arc::new(Observed::new(self, StoreKind::Ledger, ledger, Ledger::fill))
        } else {
            ledger
        }
    }

    pub(crate) fn replay_store(&self, store: Arc<dyn ReplayStore>) -> Arc<dyn ReplayStore> {
        if self.are_there() {
            Arc::new(Observed::new(
                self,
                StoreKind::ReplayStore,
                store,
                ReplayStore::fill,
            ))
        } else {
            store
        }
    }
}

impl<S: ?Sized + Send + Sync> Observed<S> {
    fn new(
        observers: &Observers,
        kind: StoreKind,
        store: Arc<S>,
        fill: fn(&S) -> Option<Fill>,
    ) -> Self {
        Self {
            observers: observers.clone(),
            kind,
            fill,
            since: Instant::now(),
            fill_due: AtomicU64::new(0),
            store,
        }
    }

    fn step<'a, T, E>(
        &'a self,
        step: &'static str,
        reply: BoxFuture<'a, Result<T, E>>,
    ) -> BoxFuture<'a, Result<T, E>>
    where
        T: 'a,
        E: 'a,
    {
        Box::pin(async move {
            let mut running = Running {
                observed: self,
                step,
                result: StoreResult::Dropped,
                began: Instant::now(),
            };
            let reply = reply.await;
            running.result = match reply {
                Ok(_) => StoreResult::Replied,
                Err(_) => StoreResult::Failed,
            };
            reply
        })
    }

    /// Tells how full the store is, unless that was told lately.
    fn tell_fill(&self, now: Instant) {
        let now = now.saturating_duration_since(self.since).as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let due = self.fill_due.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        let next = now.saturating_add(FILL_EVERY);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let is_ours = self
            .fill_due
            .compare_exchange(due, next, set, fetch)
            .is_ok();
        if is_ours && let Some(fill) = (self.fill)(&self.store) {
            let store = self.kind;
            self.observers.store_fill(&StoreFill { store, fill });
        }
    }
}

/// A step until it is dropped.
struct Running<'a, S: ?Sized + Send + Sync> {
    observed: &'a Observed<S>,
    step: &'static str,
    result: StoreResult,
    began: Instant,
}

impl<S: ?Sized + Send + Sync> Drop for Running<'_, S> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.observed.observers.store(&StoreStep {
            store: self.observed.kind,
            step: self.step,
            result: self.result,
            duration: now.saturating_duration_since(self.began),
        });
        self.observed.tell_fill(now);
    }
}

macro_rules! observed_steps {
    ($($step:ident($($argument:ident: $type:ty),+) -> $reply:ty;)+) => {$(
        fn $step(
            &self,
            $($argument: $type),+
        ) -> BoxFuture<'_, Result<$reply, LedgerError>> {
            let reply = self.store.$step($($argument),+);
            self.step(stringify!($step), reply)
        }
    )+};
}

impl Ledger for Observed<dyn Ledger> {
    observed_steps! {
        claim(key: DeliveryKey, owner: Owner, term: Duration) -> Claimed;
        find(key: DeliveryKey) -> Option<Standing>;
        renew(lease: Lease, term: Duration) -> Hold;
        promise(lease: Lease, delivery: Bytes) -> Hold;
        finish(lease: Lease, answer: RecordedAnswer) -> Finished;
        release(lease: Lease, pause: Duration) -> Hold;
        refresh(key: DeliveryKey, delivery: Bytes) -> ();
        take(layer: Name, owner: Owner, term: Duration) -> Option<Taken>;
        resume(key: DeliveryKey, owner: Owner, term: Duration) -> Option<Taken>;
        begin(lease: Lease, term: Duration) -> Option<Lease>;
        postpone(lease: Lease, pause: Duration, posted: Posted) -> Hold;
        called_back(lease: Lease) -> Hold;
        bury(lease: Lease, death: Death) -> Hold;
        dead(after: Option<DeliveryKey>) -> DeadPage;
        revive(key: DeliveryKey) -> Revival;
        backlog(layer: Name) -> Backlog;
    }

    fn fill(&self) -> Option<Fill> {
        self.store.fill()
    }
}

impl ReplayStore for Observed<dyn ReplayStore> {
    fn claim<'a>(
        &'a self,
        token: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        let reply = self.store.claim(token, now, until);
        self.step("claim", reply)
    }

    fn fill(&self) -> Option<Fill> {
        self.store.fill()
    }
}

/// The store's own.
impl<S: fmt::Debug + ?Sized> fmt::Debug for Observed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
