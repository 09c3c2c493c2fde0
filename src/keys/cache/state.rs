//! When to fetch: the decisions of the cache, without its doings.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::keys::KeysUnavailable;

/// At most this many fetches that requests cause …
const REQUESTED_FETCHES: usize = 2;

/// … begin in any span of this length.
const REQUEST_SPAN: Duration = Duration::from_secs(10);

/// The longest pause after a failure, before up to a fifth is added at random.
const MAX_PAUSE_SECS: u64 = 25;

/// The longest `Retry-After` that is heeded.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What the cache knows about its fetches. Fetches are numbered, one is in the
/// air at a time, and whoever needs one waits for its number to end.
#[derive(Default)]
pub(super) struct State {
    /// How many fetches have begun.
    begun: u64,
    /// How many of them have ended.
    ended: u64,
    /// Somebody waits for a fetch that has not begun.
    wanted: bool,
    /// When the next fetch is due of itself: ahead of the keys' end after a
    /// success, after a pause otherwise.
    due: Option<Instant>,
    /// When the latest fetches that requests caused were asked for.
    requested: [Option<Instant>; REQUESTED_FETCHES],
    /// Failures since the last success.
    pub(super) failures: u32,
    /// Why the last fetch failed, if it did.
    pub(super) last_error: Option<Arc<str>>,
    /// Tells the number of ended fetches; there is one while a task makes them.
    pub(super) progress: Option<watch::Receiver<u64>>,
}

/// What a request that needs newer keys has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Wait for the fetch of this number.
    Fetch(u64),
    /// Nothing: too many fetches of late, although the last one succeeded.
    Spent(Duration),
    /// Give up for this long: fetching fails.
    Failing(Duration),
}

impl State {
    /// For a request: joins the fetch in the air, or asks for one if the limits
    /// allow.
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

    /// For one who waits however long it takes: the fetch in the air or the next
    /// one, which is made as soon as failures allow. Counts against no limit.
    pub(super) fn await_next(&mut self, now: Instant) -> u64 {
        if self.begun > self.ended {
            return self.begun;
        }
        if self.pause(now).is_none() {
            self.wanted = true;
        }
        self.next()
    }

    /// Asks for a fetch that begins from now on, whatever the limits say.
    pub(super) fn force(&mut self) -> u64 {
        self.wanted = true;
        self.next()
    }

    fn next(&self) -> u64 {
        self.begun.saturating_add(1)
    }

    /// Counts a fetch that a request causes, or says how long it has to wait.
    fn count_request(&mut self, now: Instant) -> Option<Duration> {
        // Free slots come first, then the one used longest ago.
        let slot = self.requested.iter_mut().min()?;
        let wait = slot.and_then(|then| remaining(then + REQUEST_SPAN, now));
        if wait.is_none() {
            *slot = Some(now);
        }
        wait
    }

    /// What is left of the pause after a failure.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        self.due
            .filter(|_| self.failures > 0)
            .and_then(|due| remaining(due, now))
    }

    /// For the task: begins a fetch if one is wanted or due.
    ///
    /// # Errors
    /// When the next one is due, if there is a time for it.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if !self.wanted && self.due.is_none_or(|due| now < due) {
            return Err(self.due);
        }
        self.wanted = false;
        self.begun = self.next();
        Ok(())
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

    /// Gives the pause until the next fetch.
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

    /// The task has ended, with its runtime or with the cache. Should it have
    /// been in the midst of a fetch, then that is not the server's fault.
    pub(super) fn abandoned(&mut self, now: Instant) {
        self.progress = None;
        if self.begun > self.ended {
            self.ended = self.begun;
            self.due = Some(now);
        }
    }

    /// The error for one who cannot have keys and may try again after `wait`.
    pub(super) fn unavailable(&self, wait: Duration) -> KeysUnavailable {
        let reason = match &self.last_error {
            Some(reason) => Arc::clone(reason),
            None => Arc::from("no newer keys could be loaded"),
        };
        KeysUnavailable::new(reason, wait.max(Duration::from_secs(1)))
    }
}

fn remaining(until: Instant, now: Instant) -> Option<Duration> {
    until
        .checked_duration_since(now)
        .filter(|left| !left.is_zero())
}

/// 1, 2, 4 … 30 seconds: doubling, and up to a fifth longer at random, so that
/// replicas that failed together do not come back together.
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
