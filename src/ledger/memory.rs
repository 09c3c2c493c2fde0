use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::state::{Millis, Record, Step, Steps};
use super::{
    Answer, Claimed, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError, Owner, Retention,
    Sent, Standing, Taken,
};
use crate::BoxFuture;

/// How many expired records one claim removes at most, so that none has to wait
/// for thousands.
const REMOVED_AT_ONCE: usize = 32;

/// A bounded [`Ledger`] in this process's memory: the default.
///
/// It forgets nothing before its time: when it is full, a delivery that it does
/// not know is refused with an error, which is answered 503, and those that it
/// knows go on. Only verified deliveries get here, so only the tenants' own
/// traffic can fill it. A record takes about 400 bytes besides what callers
/// keep in it; memory is taken as records come, not ahead.
///
/// # What a crash loses
/// All of it, as does a restart:
///
/// - A delivery under way, not promised, comes again and runs from the start,
///   as its first run.
/// - An answered delivery whose answer was not heard comes again, and runs a
///   second time.
/// - A promised delivery is lost: ConductorOne waits for a callback that will
///   not come.
///
/// It serves one process: of replicas that share the traffic, each would do the
/// work. Where any of this matters, use a ledger that outlives the process and
/// that the replicas share.
pub struct MemoryLedger {
    retention: Retention,
    max_records: usize,
    max_bytes: usize,
    start: Instant,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    records: HashMap<DeliveryKey, Record>,
    /// All of them, by when they may be forgotten.
    expiry: BTreeSet<(Millis, DeliveryKey)>,
    /// The promised ones, by when they may be taken.
    due: BTreeSet<(Millis, DeliveryKey)>,
    /// The sum of all payloads.
    bytes: usize,
}

impl MemoryLedger {
    /// How many deliveries the default ledger knows at most.
    pub const DEFAULT_MAX_RECORDS: usize = 200_000;

    /// How many bytes of deliveries and answers the default ledger keeps:
    /// 256 MiB.
    pub const DEFAULT_MAX_BYTES: usize = 256 << 20;

    /// A ledger that keeps its records for this long.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        Self {
            retention,
            max_records: Self::DEFAULT_MAX_RECORDS,
            max_bytes: Self::DEFAULT_MAX_BYTES,
            start: Instant::now(),
            book: Mutex::default(),
        }
    }

    /// How many deliveries it knows at most. Once it knows that many, new ones
    /// are refused until the oldest expire.
    #[must_use]
    pub fn max_records(mut self, max_records: usize) -> Self {
        self.max_records = max_records;
        self
    }

    /// From how many bytes of deliveries and answers on new deliveries are
    /// refused. Those that it knows still end, so it may hold more by what they
    /// add.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    fn steps(&self) -> Steps {
        Steps {
            now: self
                .start
                .elapsed()
                .as_millis()
                .try_into()
                .unwrap_or(Millis::MAX),
            retention: self.retention,
        }
    }

    fn with<R>(&self, act: impl FnOnce(&mut Book, Steps) -> R) -> R {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut book, self.steps())
    }

    /// One step at the record of a key, as one future.
    fn step<'a, R: Send + 'a>(
        &'a self,
        key: DeliveryKey,
        step: impl FnOnce(Steps, Option<&Record>) -> Step<R> + Send + 'a,
    ) -> BoxFuture<'a, Result<R, LedgerError>> {
        Box::pin(async move {
            Ok(self.with(|book, steps| {
                let (write, reply) = step(steps, book.records.get(&key));
                book.write(write);
                reply
            }))
        })
    }

    fn claim_now(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> Result<Claimed, LedgerError> {
        self.with(|book, steps| {
            book.remove_expired(steps.now);
            let record = book.records.get(&key);
            let is_new = record.is_none();
            let (write, reply) = steps.claim(record, key, owner, term);
            if is_new && (book.records.len() >= self.max_records || book.bytes >= self.max_bytes) {
                return Err(LedgerError::new(format!(
                    "the ledger is full: {} deliveries with {} bytes",
                    book.records.len(),
                    book.bytes
                )));
            }
            book.write(write);
            Ok(reply)
        })
    }

    fn take_now(&self, owner: Owner, term: Duration) -> Option<Taken> {
        self.with(|book, steps| {
            while let Some(&(due_at, key)) = book.due.first() {
                if due_at > steps.now {
                    break;
                }
                let (write, taken) = steps.take(book.records.get(&key), owner, term);
                book.write(write);
                if taken.is_some() {
                    return taken;
                }
                // It has expired.
                book.remove(key);
            }
            None
        })
    }
}

impl Book {
    fn write(&mut self, record: Option<Record>) {
        let Some(record) = record else { return };
        let key = record.lease.key();
        self.remove(key);
        self.bytes += record.payload_bytes();
        self.expiry.insert((record.expires_at, key));
        let takeable_at = record.takeable_at();
        self.due.extend(takeable_at.map(|due_at| (due_at, key)));
        self.records.insert(key, record);
    }

    fn remove(&mut self, key: DeliveryKey) {
        let Some(record) = self.records.remove(&key) else {
            return;
        };
        self.bytes -= record.payload_bytes();
        self.expiry.remove(&(record.expires_at, key));
        if let Some(due_at) = record.takeable_at() {
            self.due.remove(&(due_at, key));
        }
    }

    fn remove_expired(&mut self, now: Millis) {
        for _ in 0..REMOVED_AT_ONCE {
            match self.expiry.first() {
                Some(&(expires_at, key)) if expires_at <= now => self.remove(key),
                _ => return,
            }
        }
    }
}

/// With [`Retention::default`] and the default limits.
impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new(Retention::default())
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger")
            .field("retention", &self.retention)
            .field("max_records", &self.max_records)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

impl Ledger for MemoryLedger {
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>> {
        Box::pin(async move { self.claim_now(key, owner, term) })
    }

    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>> {
        self.step(key, |steps, record| (None, steps.find(record)))
    }

    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.renew(record, lease, term)
        })
    }

    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.promise(record, lease, delivery)
        })
    }

    fn finish(&self, lease: Lease, answer: Answer) -> BoxFuture<'_, Result<Finished, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.finish(record, lease, answer)
        })
    }

    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.release(record, lease, pause)
        })
    }

    fn take(
        &self,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        Box::pin(async move { Ok(self.take_now(owner, term)) })
    }

    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        self.step(key, move |steps, record| steps.take(record, owner, term))
    }

    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        sent: Sent,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.postpone(record, lease, pause, sent)
        })
    }

    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.called_back(record, lease)
        })
    }

    fn bury<'a>(
        &'a self,
        lease: Lease,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.bury(record, lease, reason)
        })
    }
}
