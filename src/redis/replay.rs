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

/// How much longer than its token an id is kept: for replicas whose clocks are
/// behind, and so would let the token pass for longer.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);
/// How long a claim that failed waits before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A [`ReplayStore`] in Redis or Valkey, for all replicas of a receiver.
///
/// A claim is one `SET … NX`, and with it one round trip. The id is kept for five
/// minutes longer than its token can pass, since the replicas' clocks may differ.
///
/// ConductorOne tries a delivery at most 50 times, every few seconds: with an
/// outage that is answered at once, all of them are used up within minutes. So a
/// claim that fails is tried again, each second, for 15 seconds in all or as
/// long as its [`patience`](Self::patience) says, before the request is answered
/// 503. A server that is full is not tried again: that seldom passes so soon. A
/// claim knows its own id again if an earlier try was carried out unheard. The
/// layer's own limit,
/// [`replay_store_timeout`](crate::VerifyWebhookBuilder::replay_store_timeout), leaves
/// 5 seconds for the last try.
///
/// See the [module](super) for what it needs and what it cannot guarantee.
#[derive(Clone)]
pub struct RedisReplayStore<C = RedisConnection> {
    store: Store<C>,
    patience: Duration,
}

impl RedisReplayStore {
    /// For how long a claim is tried by default: 15 seconds.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(15);

    /// A store in the server with this URL, as [`RedisConnection::to_server`]
    /// takes it. It connects with the first claim, so a receiver starts without
    /// its Redis, too.
    ///
    /// # Errors
    /// [`RedisError`] if it is no such URL. It does not repeat the URL.
    pub fn at(server: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        RedisConnection::to_server(server).map(Self::new)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisReplayStore<C> {
    /// A store on a connection: a [`RedisConnection`], which a ledger may share,
    /// that of a Redis Cluster, or any other whose clones share it.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            store: Store::new(connection),
            patience: RedisReplayStore::DEFAULT_PATIENCE,
        }
    }

    /// What the names of its keys begin with, by default `c1:`, before `jti:`.
    /// Receivers with different public URLs may share a prefix: a token is for
    /// one of them only.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.store.prefix = prefix.into();
        self
    }

    /// For how long a claim is tried while Redis is out of reach, until its last try
    /// begins; zero is once.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn claim_patiently(&self, name: &str, life: Duration) -> Result<Claim, RedisError> {
        // Whose claim it was, for one that is not sure.
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
            // With its length, no tenant can be taken for part of an id.
            let name = format!("{}jti:{}:{tenant}:{jti}", self.store.prefix, tenant.len());
            let life = until.duration_since(now).unwrap_or_default();
            let claimed = self.claim_patiently(&name, life + CLOCKS_APART).await;
            claimed.map_err(|error| ReplayStoreError::new(format!("Redis: {}", describe(&error))))
        })
    }
}
