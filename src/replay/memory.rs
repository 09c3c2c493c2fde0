use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::{Claim, Fill, ReplayStore, ReplayStoreError, TokenId};
use crate::future::BoxFuture;

/// How many IDs a part holds when the store is full, unless there are [`MAX_PARTS`].
const IDS_PER_PART: usize = 128;

/// The most parts that a tenant's IDs are divided into.
const MAX_PARTS: usize = 128;

/// How much of the tenant's capacity a part takes at once.
const ROOM: usize = 16;

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
    tenants: ArcSwap<HashMap<Arc<str>, Arc<TenantIds>>>,
}

/// The IDs of one tenant, divided by their digests. Claims in different parts do not wait
/// for each other, and hardly ever write to the same memory; no claim waits until a table
/// of all IDs has grown.
struct TenantIds {
    /// The part of the capacity that no part has taken.
    spare: AtomicUsize,
    /// Tokens that end before this second may have been used, and are forgotten: the
    /// request may be slow, or the clock may have been set back.
    forgotten: AtomicU64,
    parts: Box<[Mutex<Part>]>,
}

#[derive(Default)]
struct Part {
    live: HashSet<Digest, BuildHasherDefault<OwnHash>>,
    /// The same IDs with the second after which they may be forgotten, earliest first.
    /// Tokens come almost in this order, so that an ID is put at the back or near it.
    ends: VecDeque<(u64, Digest)>,
    /// How many more IDs it may hold.
    room: usize,
}

/// A keyed digest of an ID.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
            tenants: ArcSwap::default(),
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
        let (now, until) = (whole_seconds(now), whole_seconds(until));
        let claim = match self.tenants.load().get(id.tenant) {
            Some(ids) => ids.claim(digest, now, until),
            None => self.add(id.tenant).claim(digest, now, until),
        };
        claim.ok_or_else(|| {
            ReplayStoreError::full(format!(
                "the replay store is full: it has {} live token IDs of this tenant",
                self.capacity
            ))
        })
    }

    /// The IDs of a tenant that was not known yet, unless another claim has added it.
    fn add(&self, tenant: &str) -> Arc<TenantIds> {
        let new = (Arc::from(tenant), Arc::new(TenantIds::new(self.capacity)));
        let before = self.tenants.rcu(|known| {
            let mut tenants = HashMap::clone(known);
            let (tenant, ids) = new.clone();
            tenants.entry(tenant).or_insert(ids);
            tenants
        });
        let (_, ids) = new;
        before.get(tenant).map_or(ids, Arc::clone)
    }
}

impl TenantIds {
    fn new(capacity: usize) -> Self {
        let parts = (capacity / IDS_PER_PART).clamp(1, MAX_PARTS);
        Self {
            spare: AtomicUsize::new(capacity),
            forgotten: AtomicU64::new(0),
            parts: (0..parts).map(|_| Mutex::default()).collect(),
        }
    }

    /// How many IDs it has not forgotten.
    fn live(&self) -> usize {
        let parts = self.parts.iter();
        parts.map(|part| lock(part).live.len()).sum()
    }

    /// `None` if the capacity is used up.
    fn claim(&self, id: Digest, now: u64, until: u64) -> Option<Claim> {
        if until < now {
            // Whether such a token may have been used is known only when all parts have
            // forgotten what they may forget.
            for part in &self.parts {
                self.forget(&mut lock(part), now);
            }
        }
        self.try_claim(id, now, until).or_else(|| {
            for part in &self.parts {
                if self.reclaim(&mut lock(part), now) {
                    break;
                }
            }
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
        if part.room == 0 {
            part.room = self.take_room();
        }
        part.room = part.room.checked_sub(1)?;
        part.insert(id, until);
        Some(Claim::First)
    }

    /// Takes room for a part from what is spare.
    fn take_room(&self) -> usize {
        let rest = |spare: usize| Some(spare.saturating_sub(ROOM));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let spare = self.spare.fetch_update(set, fetch, rest);
        spare.unwrap_or_default().min(ROOM)
    }

    /// Forgets a part's IDs of expired tokens.
    fn forget(&self, part: &mut Part, now: u64) {
        let Some(end) = part.forget(now) else { return };
        if self.forgotten.load(Ordering::Relaxed) <= end {
            self.forgotten.fetch_max(end + 1, Ordering::Relaxed);
        }
        if let Some(surplus @ 1..) = part.room.checked_sub(2 * ROOM) {
            part.room -= surplus;
            self.spare.fetch_add(surplus, Ordering::Relaxed);
        }
    }

    /// Takes from a part the room that it does not use. Returns whether there was any.
    fn reclaim(&self, part: &mut Part, now: u64) -> bool {
        self.forget(part, now);
        let room = mem::take(&mut part.room);
        self.spare.fetch_add(room, Ordering::Relaxed);
        room > 0
    }
}

impl Part {
    fn insert(&mut self, id: Digest, until: u64) {
        self.live.insert(id);
        let later = self.ends.iter().rev().take_while(|(end, _)| *end > until);
        let at = self.ends.len() - later.count();
        self.ends.insert(at, (until, id));
    }

    /// Returns the latest end of an ID that it forgets.
    fn forget(&mut self, now: u64) -> Option<u64> {
        let mut latest = None;
        while let Some(&(end, old)) = self.ends.front()
            && end < now
        {
            self.ends.pop_front();
            self.live.remove(&old);
            self.room += 1;
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

    /// That of the tenant with the most IDs.
    fn fill(&self) -> Option<Fill> {
        let tenants = self.tenants.load();
        let live = tenants.values().map(|ids| ids.live());
        Some(Fill::new(live.max().unwrap_or(0), self.capacity))
    }
}
