//! The tenants' keys.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::observer::Observers;
use crate::clock::Clock;
use crate::keys::{KeyFetchResult, KeyHealth, KeyObserver, KeySource};

/// A fetch of a tenant's keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyFetch<'a> {
    pub(super) tenant: &'a Arc<str>,
    pub(super) result: KeyFetchResult,
    pub(super) duration: Duration,
}

impl<'a> KeyFetch<'a> {
    /// The tenant's domain.
    #[must_use]
    pub fn tenant(&self) -> &'a str {
        self.tenant
    }

    /// What came of it.
    #[must_use]
    pub fn result(&self) -> KeyFetchResult {
        self.result
    }

    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// The state of a tenant's keys.
#[derive(Clone, Copy, Debug)]
pub struct TenantKeys<'a> {
    pub(super) tenant: &'a Arc<str>,
    health: &'a KeyHealth,
    now: SystemTime,
}

impl<'a> TenantKeys<'a> {
    /// The tenant's domain.
    #[must_use]
    pub fn tenant(&self) -> &'a str {
        self.tenant
    }

    /// The keys, and how old they are.
    #[must_use]
    pub fn health(&self) -> &'a KeyHealth {
        self.health
    }

    /// When the last successful fetch ended; `None` if there was none.
    #[must_use]
    pub fn fetched_at(&self) -> Option<SystemTime> {
        self.now.checked_sub(self.health.age?)
    }

    /// When the [lifetime](KeyHealth::lifetime) of these keys ends. The source fetches
    /// before. Afterwards it still uses them, but does not take them for complete.
    #[must_use]
    pub fn stale_at(&self) -> Option<SystemTime> {
        self.fetched_at()?.checked_add(self.health.lifetime?)
    }

    /// When these keys are [not used any more](KeyHealth::kept_for), unless a fetch
    /// succeeds before.
    #[must_use]
    pub fn expire_at(&self) -> Option<SystemTime> {
        self.fetched_at()?.checked_add(self.health.kept_for?)
    }
}

impl Observers {
    /// Observes the keys of a tenant.
    pub(crate) fn keys(&self, tenant: &Arc<str>, source: &dyn KeySource, clock: &Arc<dyn Clock>) {
        if self.are_there() {
            source.observe(Arc::new(OfTenant {
                tenant: Arc::clone(tenant),
                observers: self.clone(),
                clock: Arc::clone(clock),
            }));
        }
    }
}

/// What the source of a tenant's keys gets.
struct OfTenant {
    tenant: Arc<str>,
    observers: Observers,
    clock: Arc<dyn Clock>,
}

impl KeyObserver for OfTenant {
    fn tenant(&self) -> &str {
        &self.tenant
    }

    fn fetched(&self, result: KeyFetchResult, duration: Duration) {
        self.observers.key_fetch(&KeyFetch {
            tenant: &self.tenant,
            result,
            duration,
        });
    }

    fn in_force(&self, health: &KeyHealth) {
        self.observers.tenant_keys(&TenantKeys {
            tenant: &self.tenant,
            health,
            now: self.clock.now(),
        });
    }
}

impl fmt::Debug for OfTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfTenant").field(&self.tenant).finish()
    }
}
