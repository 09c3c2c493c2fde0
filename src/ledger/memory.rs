use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::state::{Millis, Record, Step, Steps, millis};
use super::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Fill, Finished, Hold, Lease, Ledger,
    LedgerError, Name, Owner, Posted, RecordedAnswer, Retention, Revival, Standing, Taken,
};
use crate::future::BoxFuture;

/// The most expired records that one claim removes, so that no claim waits for the
/// removal of thousands.
const REMOVED_AT_ONCE: usize = 32;

/// How many dead deliveries a page has.
const DEAD_AT_ONCE: usize = 100;

/// No key comes before it.
const FIRST_KEY: DeliveryKey = DeliveryKey::from_bytes([0; 32]);

/// After this time ConductorOne makes no more attempts, in milliseconds.
const MIN_FINISHED: Millis = Retention::MIN_FINISHED.as_secs() * 1_000;

/// A bounded [`Ledger`] in this process's memory: the default.
///
/// **Limits** apply to each tenant: a tenant that fills its share takes no room from
/// the others. When the share is full, new deliveries replace the tenant's oldest
/// finished ones that are at least 45 minutes old ([`Retention::MIN_FINISHED`]), then
/// its dead ones: ConductorOne attempts none of them again. If there are none, a new
/// delivery is refused with an error and answered 503; known deliveries continue. Only verified
/// deliveries are recorded. A record takes about 500 bytes plus its delivery and
/// answer; memory is allocated per record, not in advance.
///
/// # What a crash loses
/// A crash or a restart loses all records:
///
/// - ConductorOne retries a running delivery that is not promised, and it runs
///   from the start, as its first run.
/// - ConductorOne retries an answered delivery whose answer it did not receive,
///   and it runs a second time.
/// - A promised delivery is lost: ConductorOne waits for a callback that is never
///   sent.
///
/// It serves one process: replicas behind a load balancer would each do the work.
/// Where this matters, use a ledger that outlives the process and that the
/// replicas share.
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
    /// All records, by when they expire.
    expiry: BTreeSet<(Millis, DeliveryKey)>,
    /// The promised deliveries, by layer and by when they may be taken over.
    due: BTreeSet<(Name, Millis, DeliveryKey)>,
    /// The same, by layer and by when they expire: in the order of their promises.
    promised: BTreeSet<(Name, Millis, DeliveryKey)>,
    dead: BTreeSet<(Name, DeliveryKey)>,
    /// The share of each tenant.
    shares: HashMap<Name, Share>,
}

/// The deliveries of one tenant.
#[derive(Default)]
struct Share {
    records: usize,
    /// The sum of all payloads.
    bytes: usize,
    /// The deliveries that are neither promised nor dead, by when they expire.
    idle: BTreeSet<(Millis, DeliveryKey)>,
    /// The dead ones, by when they were given up.
    dead: BTreeSet<(Millis, DeliveryKey)>,
}

/// What decides a record's places in the book's indexes.
#[derive(Clone, Copy)]
struct Places {
    expires_at: Millis,
    due_at: Millis,
    takeable_at: Option<Millis>,
    is_dead: bool,
    bytes: usize,
}

impl Places {
    fn of(record: &Record) -> Self {
        Self {
            expires_at: record.expires_at,
            due_at: record.due_at,
            takeable_at: record.takeable_at(),
            is_dead: record.is_dead(),
            bytes: record.payload_bytes(),
        }
    }
}

impl MemoryLedger {
    /// The default of [`max_records`](Self::max_records): 200,000 deliveries.
    pub const DEFAULT_MAX_RECORDS: usize = 200_000;

    /// The default of [`max_bytes`](Self::max_bytes): 256 MiB.
    pub const DEFAULT_MAX_BYTES: usize = 256 << 20;

    /// A ledger with this retention.
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

    /// Sets how many deliveries of one tenant are kept at most. Default: 200,000.
    #[must_use]
    pub fn max_records(mut self, max_records: usize) -> Self {
        self.max_records = max_records;
        self
    }

    /// Sets from how many bytes of deliveries and answers a tenant's new deliveries
    /// are refused. Default: 256 MiB. Known deliveries still end, and what they add
    /// may exceed the limit.
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

    /// One step on the record of a key.
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
            let known = book.records.get(&key);
            let is_new = known.is_none();
            let (write, reply) = steps.claim(known, key, owner, term);
            if is_new && let Some(share) = self.full_share(book, key.tenant(), steps.now) {
                return Err(LedgerError::full(format!(
                    "the tenant's share of the ledger is full: {} deliveries with {} bytes",
                    share.records, share.bytes
                )));
            }
            book.write(write);
            Ok(reply)
        })
    }

    /// A tenant's share, if it has no room for another delivery and nothing that
    /// may be replaced.
    fn full_share<'a>(&self, book: &'a mut Book, tenant: Name, now: Millis) -> Option<&'a Share> {
        for _ in 0..=REMOVED_AT_ONCE {
            let share = book.shares.get(&tenant)?;
            if share.records < self.max_records && share.bytes < self.max_bytes {
                return None;
            }
            let is_old = |since: Millis| since.saturating_add(MIN_FINISHED) <= now;
            // Such a record expires this long after it ended or may run again.
            let kept = millis(self.retention.finished());
            let idle = share.idle.first();
            let oldest = idle
                .filter(|(expires_at, _)| is_old(expires_at.saturating_sub(kept)))
                .or_else(|| share.dead.first().filter(|(since, _)| is_old(*since)));
            match oldest {
                Some(&(_, key)) => book.remove(key),
                None => break,
            }
        }
        book.shares.get(&tenant)
    }

    fn fill_of(&self, share: &Share) -> Fill {
        let by_bytes = (self.max_bytes as u128 * share.records as u128)
            .checked_div(share.bytes as u128)
            .and_then(|records| usize::try_from(records).ok());
        let capacity = by_bytes.unwrap_or(usize::MAX).min(self.max_records);
        Fill::new(share.records, capacity)
    }

    fn take_now(&self, layer: Name, owner: Owner, term: Duration) -> Option<Taken> {
        self.with(|book, steps| {
            let first = (layer, Millis::MIN, FIRST_KEY);
            while let Some(&(of, due_at, key)) = book.due.range(first..).next() {
                if of != layer || due_at > steps.now {
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
    fn dead(&self, after: Option<DeliveryKey>, steps: Steps) -> DeadPage {
        let after = after.map_or(Bound::Unbounded, |key| Bound::Excluded((key.layer(), key)));
        let dead = self.dead.range((after, Bound::Unbounded));
        let keys: Vec<_> = dead.take(DEAD_AT_ONCE).map(|(_, key)| *key).collect();
        let read = |key: &DeliveryKey| steps.dead(self.records.get(key));
        DeadPage::new(keys.iter().filter_map(read).collect(), keys.last().copied())
    }

    fn backlog(&self, layer: Name, steps: Steps) -> Backlog {
        let first = (layer, steps.now.saturating_add(1), FIRST_KEY);
        let of_layer = |(of, ..): &&(Name, Millis, DeliveryKey)| *of == layer;
        let promised = self.promised.range(first..).take_while(of_layer);
        let oldest = promised.clone().next().map(|(_, expires_at, _)| {
            let expires_in = Duration::from_millis(expires_at.saturating_sub(steps.now));
            steps.retention.since_promise(expires_in)
        });
        let dead = self.dead.range((layer, FIRST_KEY)..);
        let dead = dead.take_while(|(of, _)| *of == layer);
        let dead = dead.filter(|(_, key)| {
            let record = self.records.get(key);
            record.is_some_and(|record| steps.now < record.expires_at)
        });
        Backlog::new(up_to_most(promised), oldest, up_to_most(dead))
    }

    fn write(&mut self, record: Option<Record>) {
        let Some(record) = record else { return };
        let key = record.lease.key();
        let places = Places::of(&record);
        if let Some(old) = self.records.insert(key, record) {
            self.leave(key, Places::of(&old));
        }
        self.enter(key, places);
    }

    fn remove(&mut self, key: DeliveryKey) {
        let Some(record) = self.records.remove(&key) else {
            return;
        };
        self.leave(key, Places::of(&record));
        if let Entry::Occupied(entry) = self.shares.entry(key.tenant())
            && entry.get().records == 0
        {
            entry.remove();
        }
    }

    fn enter(&mut self, key: DeliveryKey, places: Places) {
        self.expiry.insert((places.expires_at, key));
        let share = self.shares.entry(key.tenant()).or_default();
        share.records += 1;
        share.bytes += places.bytes;
        match places.takeable_at {
            Some(due_at) => {
                self.promised.insert((key.layer(), places.expires_at, key));
                self.due.insert((key.layer(), due_at, key))
            }
            None if places.is_dead => {
                self.dead.insert((key.layer(), key));
                share.dead.insert((places.due_at, key))
            }
            None => share.idle.insert((places.expires_at, key)),
        };
    }

    fn leave(&mut self, key: DeliveryKey, places: Places) {
        self.expiry.remove(&(places.expires_at, key));
        let share = self.shares.entry(key.tenant()).or_default();
        share.records -= 1;
        share.bytes -= places.bytes;
        match places.takeable_at {
            Some(due_at) => {
                self.promised.remove(&(key.layer(), places.expires_at, key));
                self.due.remove(&(key.layer(), due_at, key))
            }
            None if places.is_dead => {
                self.dead.remove(&(key.layer(), key));
                share.dead.remove(&(places.due_at, key))
            }
            None => share.idle.remove(&(places.expires_at, key)),
        };
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

/// How many there are, at most [`Backlog::MOST`].
fn up_to_most(items: impl Iterator) -> u64 {
    (0..Backlog::MOST).zip(items).map(|_| 1).sum()
}

/// Copies bytes, which may be part of a larger buffer that a record would keep
/// alive for a day.
fn copied(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
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
        let delivery = copied(&delivery);
        self.step(lease.key(), move |steps, record| {
            steps.promise(record, lease, delivery)
        })
    }

    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>> {
        let answer = RecordedAnswer::new(answer.status(), copied(answer.document()));
        self.step(lease.key(), move |steps, record| {
            steps.finish(record, lease, answer)
        })
    }

    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.release(record, lease, pause)
        })
    }

    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        let delivery = copied(&delivery);
        self.step(key, move |steps, record| steps.refresh(record, delivery))
    }

    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        Box::pin(async move { Ok(self.take_now(layer, owner, term)) })
    }

    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.begin(record, lease, term)
        })
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
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.postpone(record, lease, pause, posted)
        })
    }

    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.called_back(record, lease)
        })
    }

    fn bury(&self, lease: Lease, death: Death) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        self.step(lease.key(), move |steps, record| {
            steps.bury(record, lease, death)
        })
    }

    fn dead(&self, after: Option<DeliveryKey>) -> BoxFuture<'_, Result<DeadPage, LedgerError>> {
        Box::pin(async move { Ok(self.with(|book, steps| book.dead(after, steps))) })
    }

    fn revive(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Revival, LedgerError>> {
        self.step(key, Steps::revive)
    }

    fn backlog(&self, layer: Name) -> BoxFuture<'_, Result<Backlog, LedgerError>> {
        Box::pin(async move { Ok(self.with(|book, steps| book.backlog(layer, steps))) })
    }

    /// That of the tenant whose share is the fullest. The limit of bytes counts as one of
    /// records of the size that they have on average.
    fn fill(&self) -> Option<Fill> {
        Some(self.with(|book, _| {
            let shares = book.shares.values().map(|share| self.fill_of(share));
            let empty = Fill::new(0, self.max_records);
            shares.fold(empty, |fullest, fill| {
                if fill.is_fuller_than(fullest) {
                    fill
                } else {
                    fullest
                }
            })
        }))
    }
}
