//! Refuses tokens that were used before.
//!
//! A [`ReplayStore`] remembers the IDs of used tokens; [`MemoryReplayStore`] is the
//! default. To build one on a database or another store, implement [`TokenStore`].
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tower_conductorone::replay::{Claim, MemoryReplayStore, ReplayStore, TokenId};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = MemoryReplayStore::default();
//! let id = TokenId::new("example.conductor.one", "2fCjnQxpBRyaQQgPO3rW6EWNdld");
//! let now = SystemTime::now();
//! let until = now + Duration::from_secs(150);
//! assert_eq!(store.claim(id, now, until).await?, Claim::First);
//! assert_eq!(store.claim(id, now, until).await?, Claim::Seen);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod memory;
mod token_store;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use self::memory::MemoryReplayStore;
pub use self::token_store::{Claimant, TokenStore};
pub use crate::fill::Fill;
use crate::future::BoxFuture;

/// Identifies a token: a `jti` is unique for each tenant (RFC 7519 §4.1.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct TokenId<'a> {
    /// The tenant that issued the token.
    pub tenant: &'a str,
    /// The token's `jti`, 1 to 256 bytes.
    pub jti: &'a str,
}

impl<'a> TokenId<'a> {
    /// Creates the ID of a token.
    #[must_use]
    pub fn new(tenant: &'a str, jti: &'a str) -> Self {
        Self { tenant, jti }
    }
}

/// The result of [`ReplayStore::claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// The token is seen for the first time.
    First,
    /// The token was seen before.
    Seen,
}

/// Remembers which tokens were used.
///
/// To refuse a token on all replicas of a receiver, they must share a store. By
/// default, only [`Claim::First`] lets a request pass; an error is answered 503.
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Claims a token's ID atomically: of several concurrent claims of an ID, exactly
    /// one returns [`Claim::First`].
    ///
    /// The store must remember the ID until `until`: from then on, by the clock of the
    /// replica that claims, the token is refused as expired, and the store may forget the
    /// ID. If replicas share the store, add how far their clocks may differ.
    ///
    /// The request waits [20 seconds](crate::VerifyWebhookBuilder::replay_store_timeout)
    /// by default; then it is answered 503, and the future is dropped. If the store
    /// has recorded the claim nevertheless, ConductorOne's next attempts with the same
    /// token are refused as replays, until an attempt brings a new token. To avoid
    /// that delay, a store should retry for a while and return an error before the
    /// time limit.
    ///
    /// # Errors
    /// [`ReplayStoreError`] if the store cannot tell whether the token was seen.
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>>;

    /// How full it is, if it has a limit and can tell at once: for metrics. `None` by
    /// default.
    fn fill(&self) -> Option<Fill> {
        None
    }
}

impl<S: ReplayStore + ?Sized> ReplayStore for Arc<S> {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        (**self).claim(id, now, until)
    }

    fn fill(&self) -> Option<Fill> {
        (**self).fill()
    }
}

/// The store cannot tell whether a token was seen before.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReplayStoreError {
    message: String,
    is_full: bool,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ReplayStoreError {
    /// Creates an error with a message for the log.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_full: false,
            source: None,
        }
    }

    /// Creates an error of a store that has no room for another ID. Unlike after other
    /// errors, a [`TokenStore`]'s claim is not retried: the request is refused at once.
    pub fn full(message: impl Into<String>) -> Self {
        Self {
            is_full: true,
            ..Self::new(message)
        }
    }

    /// Whether the store has no room for another ID.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
