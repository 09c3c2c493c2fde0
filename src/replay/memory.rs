use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Claim, ReplayStore, ReplayStoreError, TokenId};
use crate::future::BoxFuture;

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
    tenants: Mutex<HashMap<Box<str>, LiveIds>>,
}

/// The IDs of one tenant.
#[derive(Default)]
struct LiveIds {
    live: HashSet<u128>,
    /// The same IDs by the second after which they may be forgotten, earliest first.
    ends: BinaryHeap<Reverse<(u64, u128)>>,
    /// The latest such second of a forgotten ID. A token that ends by then may have
    /// been used: the request may be slow, or the clock may have been set back.
    forgotten: Option<u64>,
}

impl MemoryReplayStore {
    /// The default capacity: how many live IDs the store holds for each tenant.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// Creates a store for at most `capacity` live IDs of each tenant. Each ID takes
    /// about 80 bytes, allocated when it is claimed.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            keys: [RandomState::new(), RandomState::new()],
            tenants: Mutex::default(),
        }
    }

    fn claim_now(
        &self,
        id: TokenId<'_>,
        now: SystemTime,
        until: SystemTime,
    ) -> Result<Claim, ReplayStoreError> {
        let [high, low] = &self.keys;
        let digest = (u128::from(high.hash_one(id)) << 64) | u128::from(low.hash_one(id));
        let now = whole_seconds(now);
        let until = whole_seconds(until);

        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = match tenants.get_mut(id.tenant) {
            Some(ids) => ids,
            None => tenants.entry(id.tenant.into()).or_default(),
        };
        ids.forget(now);
        if ids.may_have_been_used(digest, until) {
            return Ok(Claim::Seen);
        }
        if ids.live.len() >= self.capacity {
            return Err(ReplayStoreError::new(format!(
                "the replay store is full: it has {} live token IDs of this tenant",
                self.capacity
            )));
        }
        ids.live.insert(digest);
        ids.ends.push(Reverse((until, digest)));
        Ok(Claim::First)
    }
}

impl LiveIds {
    /// Forgets the IDs of expired tokens.
    fn forget(&mut self, now: u64) {
        while let Some(Reverse((end, old))) = self.ends.peek().copied() {
            if end >= now {
                break;
            }
            self.ends.pop();
            self.live.remove(&old);
            self.forgotten = Some(end).max(self.forgotten);
        }
    }

    fn may_have_been_used(&self, digest: u128, until: u64) -> bool {
        self.live.contains(&digest) || Some(until) <= self.forgotten
    }
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
