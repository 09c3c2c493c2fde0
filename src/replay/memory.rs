use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Claim, ReplayStore, ReplayStoreError, TokenId};
use crate::future::BoxFuture;

/// How many IDs a part holds when the store is full, unless there are [`MAX_PARTS`].
const IDS_PER_PART: usize = 1024;

/// The most parts that a tenant's IDs are divided into.
const MAX_PARTS: usize = 128;

/// A bounded [`ReplayStore`] in this process's memory: the default.
///
/// It stores a keyed 128-bit digest of each live ID. It forgets an ID when its
/// token has expired, and never earlier: a claim fails when the tenant's capacity
/// is used up, and the request is answered 503. Each tenant has its own capacity,
/// and only tokens that the tenant signed use it.
///
/// It protects one process: replicas that share the traffic need a shared store.
/// It does not survive a restart (a token lives two minutes).
pub struct MemoryReplayStore {
    capacity: usize,
    keys: [RandomState; 2],
    tenants: RwLock<HashMap<Box<str>, Arc<TenantIds>>>,
}

/// The IDs of one tenant, divided by their digests. Claims in different parts do not wait
/// for each other, and no claim waits until a table of all IDs has grown.
struct TenantIds {
    capacity: usize,
    /// How many IDs the parts hold.
    held: AtomicUsize,
    /// Tokens that end before this second may have been used, and are forgotten: the
    /// request may be slow, or the clock may have been set back.
    forgotten: AtomicU64,
    parts: Box<[Mutex<Part>]>,
}

#[derive(Default)]
struct Part {
    live: HashSet<Digest, BuildHasherDefault<OwnHash>>,
    /// The same IDs by the second after which they may be forgotten, earliest first.
    ends: BinaryHeap<Reverse<(u64, Digest)>>,
}

/// A keyed digest of an ID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Digest {
    high: u64,
    low: u64,
}

/// Hashes a [`Digest`] to one half of it: the other half chooses the part.
#[derive(Default)]
struct OwnHash(u64);

impl Hasher for OwnHash {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl MemoryReplayStore {
    /// The default capacity: how many live IDs the store holds for each tenant.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// Creates a store for at most `capacity` live IDs of each tenant. Each ID takes
    /// 45 to 90 bytes, allocated when it is claimed.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            keys: [RandomState::new(), RandomState::new()],
            tenants: RwLock::default(),
        }
    }

    fn claim_now(
        &self,
        id: TokenId<'_>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<Claim, ReplayStoreError> {
        let [high, low] = &self.keys;
        let digest = Digest {
            high: high.hash_one(id),
            low: low.hash_one(id),
        };
        let ids = self.ids_of(id.tenant);
        let claim = ids.claim(digest, whole_seconds(now), whole_seconds(until));
        claim.ok_or_else(|| {
            ReplayStoreError::new(format!(
                "the replay store is full: it has {} live token IDs of this tenant",
                self.capacity
            ))
        })
    }

    fn ids_of(&self, tenant: &str) -> Arc<TenantIds> {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = known.get(tenant) {
            return Arc::clone(ids);
        }
        drop(known);
        let mut known = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let ids = known.entry(tenant.into());
        Arc::clone(ids.or_insert_with(|| Arc::new(TenantIds::new(self.capacity))))
    }
}

impl TenantIds {
    fn new(capacity: usize) -> Self {
        let parts = (capacity / IDS_PER_PART).clamp(1, MAX_PARTS);
        Self {
            capacity,
            held: AtomicUsize::new(0),
            forgotten: AtomicU64::new(0),
            parts: (0..parts).map(|_| Mutex::default()).collect(),
        }
    }

    /// `None` if the capacity is used up.
    fn claim(&self, id: Digest, now: u64, until: u64) -> Option<Claim> {
        if until < now {
            // Whether it may have been used, only all parts together know.
            self.forget_in_all(now, 0);
        }
        self.try_claim(id, now, until).or_else(|| {
            // Other parts may hold IDs of expired tokens.
            self.forget_in_all(now, self.capacity);
            self.try_claim(id, now, until)
        })
    }

    fn try_claim(&self, id: Digest, now: u64, until: u64) -> Option<Claim> {
        let part = id.high % (self.parts.len() as u64);
        let mut part = lock(self.parts.get(usize::try_from(part).ok()?)?);
        self.forget(&mut part, now);
        if part.live.contains(&id) || until < self.forgotten.load(Ordering::Relaxed) {
            return Some(Claim::Seen);
        }
        let one_more = |held| (held < self.capacity).then_some(held + 1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.held.fetch_update(set, fetch, one_more).ok()?;
        part.live.insert(id);
        part.ends.push(Reverse((until, id)));
        Some(Claim::First)
    }

    /// Forgets the IDs of expired tokens until fewer than `enough` are held.
    fn forget_in_all(&self, now: u64, enough: usize) {
        for part in &self.parts {
            self.forget(&mut lock(part), now);
            if self.held.load(Ordering::Relaxed) < enough {
                break;
            }
        }
    }

    /// Forgets a part's IDs of expired tokens.
    fn forget(&self, part: &mut Part, now: u64) {
        let before = part.live.len();
        if let Some(end) = part.forget(now) {
            self.held
                .fetch_sub(before - part.live.len(), Ordering::Relaxed);
            self.forgotten.fetch_max(end + 1, Ordering::Relaxed);
        }
    }
}

impl Part {
    /// Returns the latest end of an ID that it forgets.
    fn forget(&mut self, now: u64) -> Option<u64> {
        let mut latest = None;
        while let Some(Reverse((end, old))) = self.ends.peek().copied()
            && end < now
        {
            self.ends.pop();
            self.live.remove(&old);
            latest = Some(end);
        }
        latest
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since the epoch, rounded down; 0 for times before it.
fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

impl Default for MemoryReplayStore {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for MemoryReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplayStore")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl ReplayStore for MemoryReplayStore {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async move { self.claim_now(id, now, until) })
    }
}
