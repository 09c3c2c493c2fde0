use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::clock::Clock;

/// A [`Clock`] that follows tokio's: it stops while tokio's clock is paused, and
/// advances with it.
///
/// Copies show the same time. Use one that is [ahead](Self::ahead) or
/// [behind](Self::behind) for a machine whose clock is wrong.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_conductorone::Clock;
/// use tower_conductorone::testing::VirtualClock;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_713_312_120);
/// let clock = VirtualClock::starting_at(start);
/// tokio::time::sleep(Duration::from_secs(120)).await;
/// assert_eq!(clock.now(), start + Duration::from_secs(120));
/// assert_eq!(clock.ahead(Duration::from_secs(5)).now(), start + Duration::from_secs(125));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    start: SystemTime,
    since: Instant,
}

impl VirtualClock {
    /// A clock that shows `time` now and follows tokio's clock from then on.
    #[must_use]
    pub fn starting_at(time: SystemTime) -> Self {
        Self {
            start: time,
            since: Instant::now(),
        }
    }

    /// A clock that is always this much ahead of this one.
    ///
    /// # Panics
    /// If [`SystemTime`] cannot represent the result.
    #[must_use]
    pub fn ahead(mut self, by: Duration) -> Self {
        self.start += by;
        self
    }

    /// A clock that is always this much behind this one.
    ///
    /// # Panics
    /// If [`SystemTime`] cannot represent the result.
    #[must_use]
    pub fn behind(mut self, by: Duration) -> Self {
        self.start -= by;
        self
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> SystemTime {
        self.start + self.since.elapsed()
    }
}
