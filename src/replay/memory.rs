use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Claim, ReplayStore, ReplayStoreError, TokenId};
use crate::BoxFuture;

/// A bounded [`ReplayStore`] in this process's memory: the default.
///
/// It holds a keyed 128-bit digest for each live id, not the id. An id is
/// dropped once its token could no longer pass, never before: when the store is
/// full of live ids, a claim fails, which is answered 503, rather than
/// forgetting one silently. Only tokens that a tenant signed get here, so only
/// the tenants' own traffic can fill it.
///
/// It guards one process: replicas that share the traffic need a store that
/// they share, and a restart forgets (a token lives two minutes).
pub struct MemoryReplayStore {
    capacity: usize,
    keys: [RandomState; 2],
    ids: Mutex<LiveIds>,
}

#[derive(Default)]
struct LiveIds {
    live: HashSet<u128>,
    /// The ids by the second after which they may go, the earliest on top.
    ends: BinaryHeap<Reverse<(u64, u128)>>,
    /// The latest such second of an id that is gone. Whatever ends by then may
    /// have been used: by a request that is slower than the clock, or before
    /// the clock was set back.
    forgotten: Option<u64>,
}

impl MemoryReplayStore {
    /// The capacity of the default store.
    pub const DEFAULT_CAPACITY: usize = 100_000;

    /// A store for at most `capacity` live ids, about 80 bytes each. Memory is
    /// taken as ids come, not ahead.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            keys: [RandomState::new(), RandomState::new()],
            ids: Mutex::default(),
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

        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let LiveIds {
            live,
            ends,
            forgotten,
        } = &mut *ids;
        while let Some(Reverse((end, old))) = ends.peek().copied() {
            if end >= now {
                break;
            }
            ends.pop();
            live.remove(&old);
            *forgotten = Some(end).max(*forgotten);
        }
        if live.contains(&digest) || Some(until) <= *forgotten {
            return Ok(Claim::Seen);
        }
        if live.len() >= self.capacity {
            return Err(ReplayStoreError::new(format!(
                "the replay store is full of {} live token ids",
                self.capacity
            )));
        }
        live.insert(digest);
        ends.push(Reverse((until, digest)));
        Ok(Claim::First)
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
