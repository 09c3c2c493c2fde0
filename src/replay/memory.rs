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
/// It holds a keyed 128-bit digest for each live id, not the id. An id is
/// dropped once its token could no longer pass, never before: when a tenant's
/// share of the store is full of live ids, a claim of that tenant's fails, which
/// is answered 503 at once, rather than forgetting one silently. Only tokens that a
/// tenant signed get here, and no tenant takes room from the others.
///
/// It guards one process: replicas that share the traffic need a store that
/// they share, and a restart forgets (a token lives two minutes).
pub struct MemoryReplayStore {
    capacity: usize,
    keys: [RandomState; 2],
    tenants: Mutex<HashMap<Box<str>, LiveIds>>,
}

/// The ids of one tenant.
#[derive(Default)]
struct LiveIds {
    live: HashSet<u128>,
    /// All of them, by the second after which they may go, the earliest on top.
    ends: BinaryHeap<Reverse<(u64, u128)>>,
    /// The latest such second of an id that is gone. Whatever ends by then may
    /// have been used: by a request that is slower than the clock, or before
    /// the clock was set back.
    forgotten: Option<u64>,
}

impl MemoryReplayStore {
    /// How many live ids of each tenant the default store holds.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// A store for at most `capacity` live ids of each tenant, about 80 bytes each.
    /// Memory is taken as ids come, not ahead.
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
                "the tenant's share of the replay store is full: {} live token ids",
                self.capacity
            )));
        }
        ids.live.insert(digest);
        ids.ends.push(Reverse((until, digest)));
        Ok(Claim::First)
    }
}

impl LiveIds {
    /// Drops those that may go by now.
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

/// Seconds since the epoch, rounded down; times before it count as the epoch.
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
