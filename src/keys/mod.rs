//! Where the public keys of a tenant come from.
//!
//! A [`KeySource`] hands out the [`KeySet`] in force. There are two:
//! [`JwksCache`], which keeps a set fetched through a small [`Fetch`] port
//! fresh, and [`StaticKeys`], which never change.
//!
//! ```
//! use tower_conductorone::keys::KeySet;
//!
//! let jwks = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026-01",
//!     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
//!     {"kty":"oct","kid":"odd","k":"c2VjcmV0"}]}"#;
//! let keys = KeySet::from_json(jwks)?;
//! assert_eq!(keys.len(), 1);
//! assert_eq!(keys.skipped().len(), 1); // the good keys work, the odd one is named
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod fetch;
#[cfg(feature = "reqwest")]
mod https;
mod jwk;
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
#[cfg(test)]
pub(crate) use self::set::TRIED;
pub(crate) use self::set::VerifyError;
pub use self::set::{KeyInfo, KeySet, KeySetError, SkippedKey, StaticKeys};
use crate::future::BoxFuture;

/// Hands out the public keys of one tenant.
///
/// Only [`current`](KeySource::current) is required. It is called for every
/// request whose token names the tenant, so it must not block.
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The keys in force; `None` if they have to be loaded first.
    fn current(&self) -> Option<Arc<KeySet>>;

    /// Keys newer than `seen`, which was missing (`None`) or held no key that
    /// verifies the token at hand.
    ///
    /// The source decides whether to fetch. Giving back `seen` itself says that
    /// there is nothing newer: the token is then refused.
    ///
    /// Anybody can send tokens of unknown keys. So it must not cost much, and not
    /// keep an unbounded number of requests waiting.
    ///
    /// # Errors
    /// [`KeysUnavailable`] if the keys are out of reach for now; the request is
    /// then answered 503, so that ConductorOne retries. Where keys are in force,
    /// it means that only their age keeps the token from being refused.
    fn renew<'a>(
        &'a self,
        seen: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        let _ = seen;
        let current = self.current();
        Box::pin(async move {
            current
                .ok_or_else(|| KeysUnavailable::new("no keys are loaded", Duration::from_secs(1)))
        })
    }

    /// Loads the keys anew, now, whatever the limits on fetching say.
    ///
    /// # Errors
    /// [`KeysUnavailable`] if that fails; keys loaded earlier stay in force.
    fn refresh(&self) -> BoxFuture<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        self.renew(None)
    }

    /// Completes once keys are loaded, however long that takes.
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

    /// What there is to know about the keys: for a readiness probe or a page
    /// for operators.
    fn health(&self) -> KeyHealth {
        KeyHealth::of(self.current().as_deref())
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
}

/// The keys are out of reach for now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}; try again in {retry_after:?}")]
pub struct KeysUnavailable {
    reason: Arc<str>,
    retry_after: Duration,
}

impl KeysUnavailable {
    /// An error with its reason (which goes to the log, never into an answer)
    /// and the time after which another try makes sense: a second at least.
    pub fn new(reason: impl Into<Arc<str>>, retry_after: Duration) -> Self {
        Self {
            reason: reason.into(),
            retry_after: retry_after.max(Duration::from_secs(1)),
        }
    }

    /// Why the keys are out of reach.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The time after which another try makes sense.
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
    /// The keys of the set that are not used, each with the reason.
    pub skipped: Vec<SkippedKey>,
    /// How long ago the keys were last loaded with success.
    pub age: Option<Duration>,
    /// Failed loads since then.
    pub failures: u32,
    /// Why the last load failed; `None` once one has succeeded.
    pub last_error: Option<Arc<str>>,
}

impl KeyHealth {
    /// The health of a source that has loaded `keys` and never failed.
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
