//! Decides when the cache fetches. Performs no I/O.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::keys::KeysUnavailable;

/// Requests may cause this many fetches …
const REQUESTED_FETCHES: usize = 2;

/// … in any period of this length.
const REQUEST_SPAN: Duration = Duration::from_secs(10);

/// The longest pause after a failure, before up to a fifth is added at random.
const MAX_PAUSE_SECS: u64 = 25;

/// A longer `Retry-After` is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The state of the cache's fetches. Fetches are numbered and run one at a time; a
/// request that needs one waits until that number has ended.
#[derive(Default)]
pub(super) struct FetchSchedule {
    /// How many fetches have begun.
    begun: u64,
    /// How many of them have ended.
    ended: u64,
    /// Whether a request waits for a fetch that has not begun.
    wanted: bool,
    /// When the next fetch begins without a request: before the keys' lifetime ends,
    /// or after the pause that follows a failure.
    due: Option<Instant>,
    /// When requests last caused fetches.
    requested: [Option<Instant>; REQUESTED_FETCHES],
    /// Failures since the last success.
    pub(super) failures: u32,
    /// Why the last fetch failed, if it did.
    pub(super) last_error: Option<Arc<str>>,
    /// The number of ended fetches; `None` while no task makes them.
    pub(super) progress: Option<watch::Receiver<u64>>,
}

/// What a request that needs newer keys does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Wait for the fetch of this number.
    Fetch(u64),
    /// Use the keys in force: the limit on fetches is reached, and the last one
    /// succeeded.
    Spent(Duration),
    /// Fail, and retry after this time: fetching fails.
    Failing(Duration),
}

impl FetchSchedule {
    /// For a request: joins the fetch in progress, or asks for one if the limits
    /// allow it.
    pub(super) fn claim(&mut self, now: Instant) -> Claim {
        if self.begun > self.ended {
            return Claim::Fetch(self.begun);
        }
        if self.wanted {
            return Claim::Fetch(self.next());
        }
        if let Some(pause) = self.pause(now) {
            return Claim::Failing(pause);
        }
        if let Some(wait) = self.count_request(now) {
            return if self.failures > 0 {
                Claim::Failing(wait)
            } else {
                Claim::Spent(wait)
            };
        }
        self.wanted = true;
        Claim::Fetch(self.next())
    }

    /// For a caller that waits without a limit: the fetch in progress, or the next
    /// one, which begins when the pause after failures ends. Counts against no limit.
    pub(super) fn await_next(&mut self, now: Instant) -> u64 {
        if self.begun > self.ended {
            return self.begun;
        }
        if self.pause(now).is_none() {
            self.wanted = true;
        }
        self.next()
    }

    /// Asks for a fetch that has not begun, regardless of the limits.
    pub(super) fn force(&mut self) -> u64 {
        self.wanted = true;
        self.next()
    }

    fn next(&self) -> u64 {
        self.begun.saturating_add(1)
    }

    /// Counts a fetch that a request causes, or returns how long it must wait.
    fn count_request(&mut self, now: Instant) -> Option<Duration> {
        // A free slot, else the one used longest ago.
        let slot = self.requested.iter_mut().min()?;
        let wait = slot.and_then(|then| remaining(then + REQUEST_SPAN, now));
        if wait.is_none() {
            *slot = Some(now);
        }
        wait
    }

    /// The rest of the pause after a failure.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        self.due
            .filter(|_| self.failures > 0)
            .and_then(|due| remaining(due, now))
    }

    /// For the task: begins a fetch if one is wanted or due. Returns whether it is wanted.
    ///
    /// # Errors
    /// The time when the next one is due, if any.
    pub(super) fn begin(&mut self, now: Instant) -> Result<bool, Option<Instant>> {
        if !self.wanted && self.due.is_none_or(|due| now < due) {
            return Err(self.due);
        }
        self.begun = self.next();
        Ok(mem::take(&mut self.wanted))
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    pub(super) fn succeeded(&mut self, refresh_at: Instant) {
        self.ended = self.begun;
        self.failures = 0;
        self.last_error = None;
        self.due = Some(refresh_at);
    }

    /// Returns the pause until the next fetch.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        reason: Arc<str>,
        retry_after: Option<Duration>,
    ) -> Duration {
        self.ended = self.begun;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(reason);
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let pause = pause_after(self.failures).max(asked);
        self.due = Some(now + pause);
        pause
    }

    /// The task has ended, with its runtime or with the cache. A fetch that this
    /// interrupted is not a failure of the server.
    pub(super) fn abandoned(&mut self, now: Instant) {
        self.progress = None;
        if self.begun > self.ended {
            self.ended = self.begun;
            self.due = Some(now);
        }
    }

    /// The error for a request that gets no keys and may retry after `wait`.
    pub(super) fn unavailable(&self, wait: Duration) -> KeysUnavailable {
        let reason = match &self.last_error {
            Some(reason) => Arc::clone(reason),
            None => Arc::from("no newer keys have been loaded"),
        };
        KeysUnavailable::new(reason, wait.max(Duration::from_secs(1)))
    }
}

fn remaining(until: Instant, now: Instant) -> Option<Duration> {
    until
        .checked_duration_since(now)
        .filter(|left| !left.is_zero())
}

/// 1, 2, 4 … 30 seconds: doubles, and adds up to a fifth at random, so that
/// replicas that failed together do not retry together.
fn pause_after(failures: u32) -> Duration {
    let doubled = 1_u64
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u64::MAX);
    let seconds = match doubled {
        0 => MAX_PAUSE_SECS,
        seconds => seconds.min(MAX_PAUSE_SECS),
    };
    Duration::from_secs(seconds).mul_f64(1.0 + fastrand::f64() / 5.0)
}
