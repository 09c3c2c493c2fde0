//! The guard against replays: every token is let through once.
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

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use self::memory::MemoryReplayStore;
use crate::future::BoxFuture;

/// What identifies a token: its `jti` counts per tenant (RFC 7519 §4.1.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct TokenId<'a> {
    /// The tenant that issued the token.
    pub tenant: &'a str,
    /// The token's `jti`, 1 to 256 bytes.
    pub jti: &'a str,
}

impl<'a> TokenId<'a> {
    /// The id of a token.
    #[must_use]
    pub fn new(tenant: &'a str, jti: &'a str) -> Self {
        Self { tenant, jti }
    }
}

/// The answer of a [`ReplayStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The token was not seen before; it is now.
    First,
    /// The token was seen before.
    Seen,
}

/// Remembers which tokens were used.
///
/// A store shared by all replicas of a receiver makes the guard hold across
/// them. Requests are let through only on [`Claim::First`]; an error is
/// answered 503, never let through.
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Claims a token's id, in one atomic step: of any number of simultaneous
    /// claims of one id, one gets [`Claim::First`].
    ///
    /// The id must be remembered at least until `until`, by when its token can
    /// no longer pass; after that the store may forget it.
    ///
    /// The request waits for the answer, by default
    /// [for 20 seconds](crate::VerifyWebhookBuilder::replay_store_timeout); then
    /// it is answered 503 and the future is dropped. A claim that lands all the
    /// same makes replays of ConductorOne's next attempts, until one brings a
    /// new token: safe, but a delay. So a store that is out of reach should say
    /// so sooner, when it has tried again for a while.
    ///
    /// # Errors
    /// [`ReplayStoreError`] if it cannot be said whether the token was seen.
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>>;
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
}

/// The store could not say whether a token was seen before.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ReplayStoreError {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ReplayStoreError {
    /// An error with a message for the log.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
