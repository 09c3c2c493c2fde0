//! Who is told of a source's fetches and of the keys in force.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::KeyHealth;

/// Is told of one tenant's keys, for metrics. A layer gives one to the
/// [`KeySource`](super::KeySource) of each of its tenants.
///
/// A source that calls it must hold no lock meanwhile.
pub trait KeyObserver: fmt::Debug + Send + Sync + 'static {
    /// The tenant's domain.
    fn tenant(&self) -> &str;

    /// A fetch has ended, after this time.
    fn fetched(&self, result: KeyFetchResult, duration: Duration);

    /// This is the state of the keys: after each fetch, and when the source gets the
    /// observer.
    fn in_force(&self, health: &KeyHealth);
}

/// What came of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFetchResult {
    /// Other keys than before, or the first.
    Changed,
    /// The same keys.
    Unchanged,
    /// None.
    Failed,
}

impl KeyFetchResult {
    /// Its name in metrics: `changed`, `unchanged` or `failed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// A source's observers: one for each tenant.
#[derive(Debug, Default)]
pub(super) struct KeyObservers(Mutex<Vec<Arc<dyn KeyObserver>>>);

impl KeyObservers {
    pub(super) fn set(&self, observer: Arc<dyn KeyObserver>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.tenant() != observer.tenant());
        known.push(observer);
    }

    pub(super) fn get(&self) -> Vec<Arc<dyn KeyObserver>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
