use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::lock;
use crate::clock::Clock;

/// A [`Clock`] that shows a fixed time until a test sets another.
///
/// Clones share their time: keep one and give another to the receiver.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_conductorone::Clock;
/// use tower_conductorone::testing::ManualClock;
///
/// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_713_312_120);
/// let clock = ManualClock::at(start);
/// let receivers = clock.clone();
/// clock.advance(Duration::from_secs(120));
/// assert_eq!(receivers.now(), start + Duration::from_secs(120));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<SystemTime>>,
}

impl ManualClock {
    /// A clock that shows `time`.
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        Self {
            now: Arc::new(Mutex::new(time)),
        }
    }

    /// Sets the clock to `time`, earlier or later.
    pub fn set(&self, time: SystemTime) {
        *lock(&self.now) = time;
    }

    /// Moves the clock forward.
    ///
    /// # Panics
    /// If [`SystemTime`] cannot represent the result.
    pub fn advance(&self, by: Duration) {
        *lock(&self.now) += by;
    }

    /// Moves the clock back.
    ///
    /// # Panics
    /// If [`SystemTime`] cannot represent the result.
    pub fn rewind(&self, by: Duration) {
        *lock(&self.now) -= by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *lock(&self.now)
    }
}
