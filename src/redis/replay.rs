use std::fmt;
use std::time::{Duration, SystemTime};

use redis::aio::ConnectionLike;
use redis::{Cmd, IntoConnectionInfo, RedisError};
use tokio::time::{Instant, sleep};

use super::connection::RedisConnection;
use super::store::{Store, describe, is_full, millis};
use crate::future::BoxFuture;
use crate::ledger::Owner;
use crate::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};

/// How much longer than its token an id is kept: a replica whose clock is behind
/// accepts the token for longer.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);
/// The pause before a failed claim is retried.
const PAUSE: Duration = Duration::from_secs(1);

/// A [`ReplayStore`] in Redis or Valkey, for all replicas of a receiver.
///
/// A claim is one `SET … NX`, one round trip. The id is kept five minutes longer than
/// its token is valid, since the replicas' clocks may differ.
///
/// ConductorOne makes at most 50 attempts, a few seconds apart: if an outage is
/// answered at once, they are used up within minutes. So a failed claim is retried
/// every second, for 15 seconds or the configured [`patience`](Self::patience),
/// before the request is answered 503. It is not retried if the server's memory is
/// full, which rarely passes so soon. A claim recognises its own id if the reply to
/// an earlier try was lost. The layer's limit,
/// [`replay_store_timeout`](crate::VerifyWebhookBuilder::replay_store_timeout), leaves
/// 5 seconds for the last try.
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

    async fn claim_patiently(&self, name: &str, life: Duration) -> Result<Claim, RedisError> {
        // Tells this claim from another's, if a reply was lost.
        let claimant = Owner::random();
        let begun = Instant::now();
        loop {
            let claimed = self.claim_once(name, claimant, life).await;
            match claimed {
                Err(error) if !is_full(&error) && begun.elapsed() + PAUSE <= self.patience => {
                    sleep(PAUSE).await;
                }
                claimed => return claimed,
            }
        }
    }

    async fn claim_once(
        &self,
        name: &str,
        claimant: Owner,
        life: Duration,
    ) -> Result<Claim, RedisError> {
        let mut set = Cmd::new();
        set.arg("SET").arg(name).arg(claimant.as_bytes());
        set.arg("NX").arg("PX").arg(millis(life));
        if self.store.query(&set).await? {
            return Ok(Claim::First);
        }
        let mut get = Cmd::new();
        get.arg("GET").arg(name);
        let holder: Option<Vec<u8>> = self.store.query(&get).await?;
        Ok(match holder {
            Some(holder) if holder == claimant.as_bytes() => Claim::First,
            _ => Claim::Seen,
        })
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

impl<C: ConnectionLike + Clone + Send + Sync + 'static> ReplayStore for RedisReplayStore<C> {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async move {
            let TokenId { tenant, jti } = id;
            // The length keeps a tenant from being read as part of an id.
            let name = format!("{}jti:{}:{tenant}:{jti}", self.store.prefix, tenant.len());
            let life = until.duration_since(now).unwrap_or_default();
            let claimed = self.claim_patiently(&name, life + CLOCKS_APART).await;
            claimed.map_err(|error| ReplayStoreError::new(format!("Redis: {}", describe(&error))))
        })
    }
}
