//! Loads, checks and caches the public keys of a tenant.
//!
//! A [`KeySource`] provides the [`KeySet`] in force. The crate has two:
//! [`JwksCache`] fetches a JWKS through a [`Fetch`] and keeps it fresh;
//! [`StaticKeys`] never change.
//!
//! ```
//! use tower_conductorone::keys::KeySet;
//!
//! let jwks = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026-01",
//!     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
//!     {"kty":"oct","kid":"shared","k":"c2VjcmV0"}]}"#;
//! let keys = KeySet::from_json(jwks)?;
//! assert_eq!(keys.len(), 1);
//! assert_eq!(keys.skipped().len(), 1); // an unusable key does not affect the others
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod fetch;
#[cfg(feature = "reqwest")]
mod https;
mod jwk;
mod observer;
mod set;
#[cfg(test)]
mod set_tests;
#[cfg(test)]
mod wycheproof;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::cache::{JwksCache, JwksCacheBuilder, JwksCacheError};
pub use self::fetch::{Fetch, FetchError};
#[cfg(feature = "reqwest")]
pub use self::https::HttpsFetch;
pub(crate) use self::jwk::MAX_KID_BYTES;
pub use self::jwk::{Algorithm, SkipReason};
pub use self::observer::{KeyFetchResult, KeyObserver};
#[cfg(test)]
pub(crate) use self::set::TRIED;
pub(crate) use self::set::VerifyError;
pub use self::set::{KeyInfo, KeySet, KeySetError, SkippedKey, StaticKeys};
use crate::future::BoxFuture;

/// Provides the public keys of one tenant.
///
/// Only [`current`](KeySource::current) is required. It is called for every
/// request whose token names the tenant, so it must not block.
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Returns the keys in force, or `None` if they have not been loaded.
    fn current(&self) -> Option<Arc<KeySet>>;

    /// Returns keys newer than `seen`: `None` if no keys were loaded, else keys
    /// that do not verify the token of the request.
    ///
    /// The source decides whether to fetch. It returns `seen` itself if there are
    /// no newer keys; the token is then refused.
    ///
    /// Anyone can send a token that names an unknown key: keep this cheap, and
    /// bound the number of requests that wait.
    ///
    /// # Errors
    /// [`KeysUnavailable`] if newer keys cannot be loaded now, although there may
    /// be some. The request is answered 503, so that ConductorOne retries.
    fn renew<'a>(
        &'a self,
        seen: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        let _ = seen;
        let current = self.current();
        Box::pin(async move {
            current.ok_or_else(|| {
                KeysUnavailable::new("no keys have been loaded", Duration::from_secs(1))
            })
        })
    }

    /// Loads the keys now, regardless of the limits on fetching. By default it calls
    /// [`renew(None)`](Self::renew): implement it for a source that can load keys, so that
    /// [`refresh_now`](crate::VerifyWebhookLayer::refresh_now) does.
    ///
    /// # Errors
    /// [`KeysUnavailable`] if that fails. Keys loaded earlier stay in force.
    fn refresh(&self) -> BoxFuture<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        self.renew(None)
    }

    /// Completes when keys are loaded. It retries without a limit.
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            while self.current().is_none() {
                match self.renew(None).await {
                    Ok(_) => return,
                    Err(error) => tokio::time::sleep(error.retry_after()).await,
                }
            }
        })
    }

    /// Describes the keys, for a readiness probe or a page for operators.
    fn health(&self) -> KeyHealth {
        KeyHealth::of(self.current().as_deref())
    }

    /// Tells `observer` of every fetch, and of the state of the keys now and after each
    /// fetch. It replaces an observer of the same tenant: nothing is counted twice if
    /// several layers use this source.
    ///
    /// Does nothing by default: then there are no metrics of these keys.
    fn observe(&self, observer: Arc<dyn KeyObserver>) {
        let _ = observer;
    }
}

impl<S: KeySource + ?Sized> KeySource for Arc<S> {
    fn current(&self) -> Option<Arc<KeySet>> {
        (**self).current()
    }

    fn renew<'a>(
        &'a self,
        seen: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        (**self).renew(seen)
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        (**self).refresh()
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        (**self).ready()
    }

    fn health(&self) -> KeyHealth {
        (**self).health()
    }

    fn observe(&self, observer: Arc<dyn KeyObserver>) {
        (**self).observe(observer);
    }
}

/// The keys cannot be loaded for now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}; retry in {retry_after:?}")]
pub struct KeysUnavailable {
    reason: Arc<str>,
    retry_after: Duration,
}

impl KeysUnavailable {
    /// Creates an error. The reason is logged and never sent in a response; the
    /// time after which to retry is at least a second.
    pub fn new(reason: impl Into<Arc<str>>, retry_after: Duration) -> Self {
        Self {
            reason: reason.into(),
            retry_after: retry_after.max(Duration::from_secs(1)),
        }
    }

    /// Why the keys cannot be loaded.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The time after which to retry.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

/// The state of one tenant's keys.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyHealth {
    /// Whether keys are loaded and not too old to be used.
    pub usable: bool,
    /// The keys in force.
    pub keys: Vec<KeyInfo>,
    /// The keys of the set that cannot be used, each with the reason.
    pub skipped: Vec<SkippedKey>,
    /// The time since the keys were last loaded.
    pub age: Option<Duration>,
    /// How long keys of this age and younger are fresh: until then, the server has
    /// declared them complete. `None` if that has no end.
    pub lifetime: Option<Duration>,
    /// Up to which age the keys are used if no load succeeds. `None` if that has no end.
    pub kept_for: Option<Duration>,
    /// The number of failed loads since then.
    pub failures: u32,
    /// Why the last load failed; `None` if it succeeded.
    pub last_error: Option<Arc<str>>,
}

impl KeyHealth {
    /// The health of a source that has loaded `keys` and has not failed.
    #[must_use]
    pub fn of(keys: Option<&KeySet>) -> Self {
        Self {
            usable: keys.is_some(),
            keys: keys.map(|k| k.keys().collect()).unwrap_or_default(),
            skipped: keys.map(|k| k.skipped().to_vec()).unwrap_or_default(),
            ..Self::default()
        }
    }
}
