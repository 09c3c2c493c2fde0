use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::ConnectionLike;
use redis::{FromRedisValue, IntoConnectionInfo, RedisError};
use tokio::time::Instant;

use super::connection::RedisConnection;
use super::keys::Shard;
use super::script::{Call, Script, script};
use super::store::{Store, TIME_LIMIT, describe, is_full, millis};
use super::{keys, reply};
use crate::future::BoxFuture;
use crate::ledger::{
    Backlog, Claimed, DeadPage, Death, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError,
    Name, Owner, Posted, RecordedAnswer, Retention, Revival, Standing, Taken,
};

static CLAIM: Script = script!("time", "record", "claim");
static FIND: Script = script!("time", "record", "find");
static RENEW: Script = script!("time", "record", "lease", "renew");
static PROMISE: Script = script!("time", "record", "lease", "promise");
static FINISH: Script = script!("time", "record", "lease", "finish");
static RELEASE: Script = script!("time", "record", "lease", "release");
static REFRESH: Script = script!("time", "record", "refresh");
static DUE: Script = script!("time", "ended", "due");
static RESUME: Script = script!("time", "record", "resume");
static BEGIN: Script = script!("time", "record", "lease", "begin");
static POSTPONE: Script = script!("time", "record", "lease", "postpone");
static CALLED_BACK: Script = script!("time", "record", "lease", "called_back");
static BURY: Script = script!("time", "record", "ended", "lease", "bury");
static DEAD: Script = script!("time", "ended", "dead");
static DEATHS: Script = script!("time", "deaths");
static BACKLOG: Script = script!("time", "ended", "backlog");
static REVIVE: Script = script!("time", "record", "revive");

/// The pause before a due delivery is examined again that could not be taken: its
/// record was absent or unreadable.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The most such deliveries that one look skips in each shard.
const PASSED_OVER: usize = 100;

/// A [`Ledger`] in Redis or Valkey, for all replicas of a receiver.
///
/// Every step is one script: atomic, one round trip, and timed by the server's
/// clock. A delivery that is answered at once costs two round trips.
/// [`take`](Ledger::take) alone asks the 16 shards one by one until one has a due
/// delivery, and needs one more round trip to take it. A step fails after 5 seconds
/// if Redis does not reply; it may have been taken nevertheless.
///
/// Cloning is cheap if cloning the connection is. See the [module](super) for the
/// requirements, and for what Redis can lose.
#[derive(Clone)]
pub struct RedisLedger<C = RedisConnection> {
    store: Store<C>,
    retention: Retention,
}

impl RedisLedger {
    /// A ledger in the server with this URL; see [`RedisConnection::to_server`]. The
    /// first step connects, so a receiver starts even if Redis is down.
    ///
    /// # Errors
    /// [`RedisError`] if the URL is invalid. It does not contain the URL.
    ///
    /// [`RedisError`]: https://docs.rs/redis/latest/redis/struct.RedisError.html
    pub fn at(server: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        RedisConnection::to_server(server).map(Self::new)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisLedger<C> {
    /// A ledger on a connection: a [`RedisConnection`], which a replay store may
    /// share, a Redis Cluster's, or any other whose clones share one connection.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self {
            store: Store::new(connection),
            retention: Retention::default(),
        }
    }

    /// Sets the prefix of its keys. Default: `c1:`. Receivers of different webhooks
    /// that share a Redis each need their own prefix, or a
    /// [layer name](crate::DeliverOnceBuilder::ledger) of their own.
    ///
    /// In a Redis Cluster use no braces: they mark the part of a key that determines
    /// its slot.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.store.prefix = prefix.into();
        self
    }

    /// Sets how long records are kept. Default: [`Retention::default`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// A step on the record of a delivery.
    async fn step<T: FromRedisValue>(
        &self,
        script: &Script,
        key: DeliveryKey,
        args: &[&[u8]],
    ) -> Result<T, LedgerError> {
        let shard = Shard::of(&self.store.prefix, key);
        let id = key.to_string();
        let record = shard.record(&id);
        let retention = digits(self.retention.finished());
        let args = [&[retention.as_bytes(), id.as_bytes()], args].concat();
        let Shard {
            due,
            ends,
            dead,
            dead_ends,
            ..
        } = &shard;
        self.run(script, &[&record, due, ends, dead, dead_ends], &args)
            .await
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<T, LedgerError> {
        let reply = script.run(&self.store, &Call { keys, args }).await;
        reply.map_err(|error| {
            let message = format!("Redis: {}", describe(&error));
            if is_full(&error) {
                LedgerError::full(message)
            } else {
                LedgerError::new(message)
            }
        })
    }

    /// A step under a lease.
    async fn step_under<T: FromRedisValue>(
        &self,
        script: &Script,
        lease: Lease,
        args: &[&[u8]],
    ) -> Result<T, LedgerError> {
        let (run, attempt) = (lease.run().to_string(), lease.attempt().to_string());
        let owner = lease.owner();
        let fence: [&[u8]; 3] = [owner.as_bytes(), run.as_bytes(), attempt.as_bytes()];
        let args = [&fence, args].concat();
        self.step(script, lease.key(), &args).await
    }

    /// A step under a lease that replies only whether it was taken.
    async fn hold(
        &self,
        script: &Script,
        lease: Lease,
        args: &[&[u8]],
    ) -> Result<Hold, LedgerError> {
        let taken: Option<bool> = self.step_under(script, lease, args).await?;
        Ok(if taken == Some(true) {
            Hold::Held
        } else {
            Hold::Lost
        })
    }

    async fn take_due(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> Result<Option<Taken>, LedgerError> {
        // Replicas that look at the same time start with different shards.
        let mut shards: Vec<u8> = (0..keys::SHARDS).collect();
        fastrand::shuffle(&mut shards);
        let begun = Instant::now();
        let mut failed = None;
        for number in shards {
            let shard = Shard::new(&self.store.prefix, number, layer);
            match self.take_of(&shard, owner, term).await {
                Ok(Some(taken)) => return Ok(Some(taken)),
                Ok(None) => {}
                // A shard that is broken, or moving to another node, does not block
                // the others. A server that does not reply does.
                Err(error) if begun.elapsed() < TIME_LIMIT => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn take_of(
        &self,
        shard: &Shard,
        owner: Owner,
        term: Duration,
    ) -> Result<Option<Taken>, LedgerError> {
        let pause = digits(LOOK_AGAIN);
        for _ in 0..PASSED_OVER {
            let keys = [shard.due.as_str(), shard.ends.as_str()];
            let due: Option<Bytes> = self.run(&DUE, &keys, &[pause.as_bytes()]).await?;
            let Some(id) = due else { return Ok(None) };
            let taken = match keys::delivery(&id) {
                Some(key) => self.resume_now(key, owner, term).await,
                None => Err(reply::unreadable()),
            };
            match taken {
                Ok(None) => {}
                Ok(Some(taken)) => return Ok(Some(taken)),
                // An unreadable record does not block the others.
                Err(error) => tracing::error!(%error, "cannot take over a due delivery"),
            }
        }
        Ok(None)
    }

    async fn dead_after(&self, after: Option<DeliveryKey>) -> Result<DeadPage, LedgerError> {
        let first = after.map_or(0, keys::number);
        let mut after = Bytes::from(after.map_or_else(String::new, |key| key.to_string()));
        for number in first..keys::SHARDS {
            let shard = Shard::new(&self.store.prefix, number, Name::NONE);
            loop {
                let index = [shard.dead.as_str(), shard.dead_ends.as_str()];
                let ids: Vec<Bytes> = self.run(&DEAD, &index, &[&after]).await?;
                let Some(last) = ids.last() else { break };
                let keys: Vec<_> = ids.iter().filter_map(|id| keys::delivery(id)).collect();
                if let Some(next) = keys.last() {
                    return self.dead_of(&shard, &keys, *next).await;
                }
                after = last.clone();
            }
            after.clear();
        }
        Ok(DeadPage::default())
    }

    async fn dead_of(
        &self,
        shard: &Shard,
        keys: &[DeliveryKey],
        next: DeliveryKey,
    ) -> Result<DeadPage, LedgerError> {
        let records: Vec<_> = keys
            .iter()
            .map(|key| shard.record(&key.to_string()))
            .collect();
        let records: Vec<_> = records.iter().map(String::as_str).collect();
        let deaths: Vec<Vec<Bytes>> = self.run(&DEATHS, &records, &[]).await?;
        let read = keys.iter().zip(&deaths).filter_map(|(key, items)| {
            let dead = reply::dead(items, *key);
            // An unreadable record does not block the others.
            dead.inspect_err(|error| tracing::error!(%error, ?key, "cannot list a dead delivery"))
                .ok()
                .flatten()
        });
        Ok(DeadPage::new(read.collect(), Some(next)))
    }

    async fn backlog_of(&self, layer: Name) -> Result<Backlog, LedgerError> {
        let (mut promised, mut dead, mut first) = (0, 0, None);
        for number in 0..keys::SHARDS {
            let shard = Shard::new(&self.store.prefix, number, layer);
            let keys = [&*shard.ends, &*shard.dead, &*shard.dead_ends];
            let counts: Vec<Bytes> = self
                .run(&BACKLOG, &keys, &[format!("{layer:?}").as_bytes()])
                .await?;
            let (more, more_dead, expires_in) = reply::counts(&counts)?;
            promised += more;
            dead += more_dead;
            first = first.into_iter().chain(expires_in).min();
        }
        Ok(Backlog::new(
            promised.min(Backlog::MOST),
            first.map(|expires_in| self.retention.since_promise(expires_in)),
            dead.min(Backlog::MOST),
        ))
    }

    async fn resume_now(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> Result<Option<Taken>, LedgerError> {
        let term = digits(term);
        let args: [&[u8]; 2] = [owner.as_bytes(), term.as_bytes()];
        reply::taken(self.step(&RESUME, key, &args).await?, owner)
    }
}

fn digits(duration: Duration) -> String {
    millis(duration).to_string()
}

impl<C> fmt::Debug for RedisLedger<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLedger")
            .field("prefix", &self.store.prefix)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Ledger for RedisLedger<C> {
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>> {
        Box::pin(async move {
            let term = digits(term);
            let args: [&[u8]; 2] = [owner.as_bytes(), term.as_bytes()];
            reply::claimed(self.step(&CLAIM, key, &args).await?, key, owner)
        })
    }

    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>> {
        Box::pin(async move { reply::found(self.step(&FIND, key, &[]).await?) })
    }

    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(async move { self.hold(&RENEW, lease, &[digits(term).as_bytes()]).await })
    }

    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(async move {
            let kept = digits(self.retention.callback());
            self.hold(&PROMISE, lease, &[&delivery, kept.as_bytes()])
                .await
        })
    }

    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>> {
        Box::pin(async move {
            let status = answer.status().to_string();
            let args: [&[u8]; 2] = [status.as_bytes(), answer.document()];
            let reply: Option<Bytes> = self.step_under(&FINISH, lease, &args).await?;
            reply::finished(reply.as_deref(), lease)
        })
    }

    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(async move {
            self.hold(&RELEASE, lease, &[digits(pause).as_bytes()])
                .await
        })
    }

    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let _: Option<bool> = self.step(&REFRESH, key, &[&delivery]).await?;
            Ok(())
        })
    }

    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        Box::pin(self.take_due(layer, owner, term))
    }

    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>> {
        Box::pin(async move {
            let term = digits(term);
            let run = self.step_under(&BEGIN, lease, &[term.as_bytes()]).await?;
            reply::begun(run, lease)
        })
    }

    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>> {
        Box::pin(self.resume_now(key, owner, term))
    }

    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(async move {
            let posted: &[u8] = match posted {
                Posted::No => b"no",
                Posted::Perhaps => b"perhaps",
            };
            let pause = digits(pause);
            self.hold(&POSTPONE, lease, &[pause.as_bytes(), posted])
                .await
        })
    }

    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(async move { self.hold(&CALLED_BACK, lease, &[]).await })
    }

    fn bury(&self, lease: Lease, death: Death) -> BoxFuture<'_, Result<Hold, LedgerError>> {
        Box::pin(async move {
            // Cannot fail: it is text.
            let about = serde_json::to_vec(&death.about).unwrap_or_default();
            let args = [death.reason.as_bytes(), &about];
            self.hold(&BURY, lease, &args).await
        })
    }

    fn dead(&self, after: Option<DeliveryKey>) -> BoxFuture<'_, Result<DeadPage, LedgerError>> {
        Box::pin(self.dead_after(after))
    }

    fn revive(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Revival, LedgerError>> {
        Box::pin(async move {
            let word: Bytes = self.step(&REVIVE, key, &[]).await?;
            reply::revival(&word)
        })
    }

    fn backlog(&self, layer: Name) -> BoxFuture<'_, Result<Backlog, LedgerError>> {
        Box::pin(self.backlog_of(layer))
    }
}
