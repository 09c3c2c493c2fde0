use std::fmt;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, IntoConnectionInfo, RedisError};

use super::connection::RedisConnection;
use super::store::{Store, describe, is_full, millis};
use crate::replay::{Claimant, ReplayStoreError, TokenId, TokenStore};

/// A [`ReplayStore`](crate::replay::ReplayStore) in Redis or Valkey, for all replicas of a receiver.
///
/// A claim is one `SET … NX`, one round trip. A failed claim is retried for 15 seconds,
/// or the configured [`patience`](Self::patience), and ids are kept as
/// [`TokenStore`] says.
///
/// Cloning is cheap if cloning the connection is. See the [module](super) for the
/// requirements, and for what Redis can lose.
#[derive(Clone)]
pub struct RedisReplayStore<C = RedisConnection> {
    store: Store<C>,
    patience: Duration,
}

impl RedisReplayStore {
    /// The default of [`patience`](Self::patience): 15 seconds.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(15);

    /// A store in the server with this URL; see [`RedisConnection::to_server`]. The
    /// first claim connects, so a receiver starts even if Redis is down.
    ///
    /// # Errors
    /// [`RedisError`] if the URL is invalid. It does not contain the URL.
    ///
    /// [`RedisError`]: https://docs.rs/redis/latest/redis/struct.RedisError.html
    pub fn at(server: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        RedisConnection::to_server(server).map(Self::new)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisReplayStore<C> {
    /// A store on a connection: a [`RedisConnection`], which a ledger may share, a
    /// Redis Cluster's, or any other whose clones share one connection.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            store: Store::new(connection),
            patience: RedisReplayStore::DEFAULT_PATIENCE,
        }
    }

    /// Sets the prefix of its keys, which precedes `jti:`. Default: `c1:`. Receivers
    /// with different public URLs may share a prefix: a token is valid for one of
    /// them only.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.store.prefix = prefix.into();
        self
    }

    /// Sets for how long a claim is retried while Redis is out of reach, until the
    /// last try begins. Default: 15 seconds; zero disables retries.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn claim_once(
        &self,
        name: &str,
        claimant: Claimant,
        life: Duration,
    ) -> Result<Claimant, RedisError> {
        let mut set = Cmd::new();
        set.arg("SET").arg(name).arg(claimant.as_bytes());
        set.arg("NX").arg("PX").arg(millis(life));
        if self.store.query(&set).await? {
            return Ok(claimant);
        }
        let mut get = Cmd::new();
        get.arg("GET").arg(name);
        let holder: Option<Vec<u8>> = self.store.query(&get).await?;
        let holder = holder.and_then(|bytes| bytes.try_into().ok());
        // It may have expired since: then somebody else had claimed it.
        Ok(Claimant::from_bytes(holder.unwrap_or_default()))
    }
}

impl<C> fmt::Debug for RedisReplayStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStore")
            .field("prefix", &self.store.prefix)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> TokenStore for RedisReplayStore<C> {
    async fn put_if_absent(
        &self,
        id: TokenId<'_>,
        claimant: Claimant,
        life: Duration,
    ) -> Result<Claimant, ReplayStoreError> {
        let TokenId { tenant, jti } = id;
        // The length keeps a tenant from being read as part of an id.
        let name = format!("{}jti:{}:{tenant}:{jti}", self.store.prefix, tenant.len());
        let stored = self.claim_once(&name, claimant, life).await;
        stored.map_err(|error| {
            let message = format!("Redis: {}", describe(&error));
            if is_full(&error) {
                ReplayStoreError::full(message)
            } else {
                ReplayStoreError::new(message)
            }
        })
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
