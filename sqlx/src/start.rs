use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

/// How many searches there are from one that begins at the first entry to the next.
const SEARCHES: u32 = 64;

/// The time, in milliseconds since 1970, at which a search in an index begins.
///
/// The entries of deleted rows stay in Postgres' indexes until it vacuums. A search that
/// began at the first entry would step over all of them.
#[derive(Debug, Default)]
pub(crate) struct Start {
    millis: AtomicI64,
    searches: AtomicU32,
}

impl Start {
    /// Now and then it is zero, since a row that was locked then is still there.
    pub(crate) fn next(&self) -> i64 {
        let searches = self.searches.fetch_add(1, Ordering::Relaxed);
        if searches.is_multiple_of(SEARCHES) {
            return 0;
        }
        self.millis.load(Ordering::Relaxed)
    }

    /// There is nothing left to find before this time.
    pub(crate) fn set(&self, millis: i64) {
        self.millis.store(millis, Ordering::Relaxed);
    }
}
