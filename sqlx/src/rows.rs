//! What the databases have in common: sqlx has other types for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tower_conductorone::ledger::record::{Listed, Write};
use tower_conductorone::ledger::{DeliveryKey, Name, Owner};

/// The most rows that one sweep deletes.
pub(crate) const SWEPT_AT_ONCE: u32 = 500;
/// How many steps are taken between two sweeps.
const SWEPT_EVERY: u32 = 64;
/// No lease or pause is longer: 2 hours, in milliseconds.
pub(crate) const LONGEST: i64 = 2 * 60 * 60 * 1_000;

/// When to sweep.
#[derive(Clone, Default)]
pub(crate) struct Sweeps {
    steps: Arc<AtomicU32>,
    sweeping: Arc<Mutex<()>>,
}

impl Sweeps {
    /// Counts a step. After some, if nobody else sweeps, it is the caller's turn.
    pub(crate) fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if !steps.is_multiple_of(SWEPT_EVERY) {
            return None;
        }
        Arc::clone(&self.sweeping).try_lock_owned().ok()
    }
}

/// Milliseconds, rounded up: a short time must not become zero.
pub(crate) fn millis(duration: Duration) -> i64 {
    duration
        .as_nanos()
        .div_ceil(1_000_000)
        .try_into()
        .unwrap_or(i64::MAX)
}

/// Milliseconds, or a count; none are negative.
pub(crate) fn moment(millis: i64) -> u64 {
    millis.try_into().unwrap_or_default()
}

/// A number that no earlier revision of a row has.
pub(crate) fn revision() -> i64 {
    let (number, _) = Owner::random()
        .as_bytes()
        .split_first_chunk()
        .map_or(([0; 8], &[][..]), |(first, rest)| (*first, rest));
    i64::from_be_bytes(number)
}

/// Whether a part of a record stays, and what replaces it otherwise.
pub(crate) fn part(write: &Write) -> (bool, Option<&[u8]>) {
    match write {
        Write::Keep => (true, None),
        Write::Delete => (false, None),
        Write::Replace(bytes) => (false, Some(bytes)),
    }
}

/// The column `listed`.
pub(crate) fn listed(listed: Option<Listed>) -> Option<&'static str> {
    match listed? {
        Listed::Promised => Some("promised"),
        Listed::Dead => Some("dead"),
        _ => None,
    }
}

/// The column `delivery_key`.
pub(crate) fn key_bytes(key: DeliveryKey) -> Vec<u8> {
    let (layer, tenant) = (key.layer(), key.tenant());
    [&layer.as_bytes()[..], tenant.as_bytes(), key.as_bytes()].concat()
}

/// The last of a layer's keys. All of them follow its name alone.
pub(crate) fn last_key(layer: Name) -> Vec<u8> {
    let key = DeliveryKey::from_bytes([u8::MAX; 32]);
    key_bytes(key.scoped(layer, Name::from_bytes([u8::MAX; 8])))
}

/// A delivery's key. A row with another does not block the others.
pub(crate) fn parsed(bytes: &[u8]) -> Option<DeliveryKey> {
    let parsed = key(bytes);
    if parsed.is_none() {
        tracing::error!("the table of deliveries has a row whose key is none");
    }
    parsed
}

fn key(bytes: &[u8]) -> Option<DeliveryKey> {
    let (layer, rest) = bytes.split_first_chunk()?;
    let (tenant, digest) = rest.split_first_chunk()?;
    let key = DeliveryKey::from_bytes(digest.try_into().ok()?);
    Some(key.scoped(Name::from_bytes(*layer), Name::from_bytes(*tenant)))
}

/// Functions that take a step, or delete rows, on a connection of this type.
macro_rules! rows {
    ($Connection:ty) => {
        use std::time::Duration;

        use bytes::Bytes;
        use sqlx::{AssertSqlSafe, query, query_as, query_scalar};
        use tower_conductorone::ledger::record::{Change, Counts, Step, Stored};
        use tower_conductorone::ledger::{Backlog, DeliveryKey, Name};
        use tower_conductorone::replay::{Claimant, TokenId};

        use crate::error::Failure;
        use crate::rows::{self, LONGEST};
        use crate::tables::Statements;

        type Row = (String, Option<Vec<u8>>, Option<Vec<u8>>, i64, i64, i64, i64);

        /// Takes a step, and returns its reply and whether it wrote. Each statement may be
        /// a transaction of its own: a write compares with what was read.
        pub(super) async fn step<R>(
            connection: &mut $Connection,
            sql: &Statements,
            step: &Step<R>,
        ) -> Result<(R, bool), Failure> {
            let key = rows::key_bytes(step.key());
            if let Some(guess) = step.guess() {
                let is_written = match &guess.expected {
                    None => insert(connection, sql, &key, &guess.change).await?,
                    Some(state) => {
                        let update = update(&sql.update_if_state, &key, &guess.change);
                        let update = update.bind(state.as_str());
                        update.execute(&mut *connection).await?.rows_affected() == 1
                    }
                };
                if is_written {
                    return Ok((guess.reply, true));
                }
            }
            loop {
                let row: Option<Row> = query_as(AssertSqlSafe(sql.select.clone()))
                    .bind(key.as_slice())
                    .bind(step.reads_delivery())
                    .bind(step.reads_answer())
                    .fetch_optional(&mut *connection)
                    .await?;
                let Some((state, delivery, answer, due_at, expires_at, revision, now)) = row else {
                    let (reply, change) = step.apply(None, 0)?;
                    match change {
                        None => return Ok((reply, false)),
                        Some(change) if insert(connection, sql, &key, &change).await? => {
                            return Ok((reply, true));
                        }
                        Some(_) => continue,
                    }
                };
                let (due_at, expires_at) = (rows::moment(due_at), rows::moment(expires_at));
                let mut stored = Stored::new(state, due_at, expires_at);
                stored.delivery = delivery.map(Bytes::from);
                stored.answer = answer.map(Bytes::from);
                let (reply, change) = step.apply(Some(&stored), rows::moment(now))?;
                let Some(change) = change else {
                    return Ok((reply, false));
                };
                let update = update(&sql.update_if_revision, &key, &change).bind(revision);
                if update.execute(&mut *connection).await?.rows_affected() == 1 {
                    return Ok((reply, true));
                }
                // Another step came between: read again.
            }
        }

        async fn insert(
            connection: &mut $Connection,
            sql: &Statements,
            key: &[u8],
            change: &Change,
        ) -> Result<bool, sqlx::Error> {
            let inserted = query(AssertSqlSafe(sql.insert.clone()))
                .bind(key)
                .bind(change.state.as_str())
                .bind(rows::part(&change.delivery).1)
                .bind(rows::part(&change.answer).1)
                .bind(rows::listed(change.listed))
                .bind(rows::millis(change.due_in.unwrap_or_default()))
                .bind(rows::millis(change.expires_in.unwrap_or_default()))
                .bind(rows::revision())
                .bind(key.get(..8))
                .execute(&mut *connection)
                .await?;
            Ok(inserted.rows_affected() == 1)
        }

        fn update<'a>(sql: &std::sync::Arc<str>, key: &'a [u8], change: &'a Change) -> Query<'a> {
            let (delivery_stays, delivery) = rows::part(&change.delivery);
            let (answer_stays, answer) = rows::part(&change.answer);
            query(AssertSqlSafe(sql.clone()))
                .bind(key)
                .bind(change.state.as_str())
                .bind(delivery_stays)
                .bind(delivery)
                .bind(answer_stays)
                .bind(answer)
                .bind(rows::listed(change.listed))
                .bind(change.due_in.map(rows::millis))
                .bind(change.expires_in.map(rows::millis))
                .bind(rows::revision())
        }

        pub(super) async fn due(
            connection: &mut $Connection,
            sql: &Statements,
            layer: Name,
            skip: usize,
        ) -> Result<Vec<DeliveryKey>, Failure> {
            let keys: Vec<Vec<u8>> = query_scalar(AssertSqlSafe(sql.due.clone()))
                .bind(&layer.as_bytes()[..])
                .bind(LONGEST)
                .bind(i64::try_from(skip).unwrap_or(i64::MAX))
                .fetch_all(connection)
                .await?;
            Ok(keys.iter().filter_map(|key| rows::parsed(key)).collect())
        }

        pub(super) async fn dead_keys(
            connection: &mut $Connection,
            sql: &Statements,
            after: Option<DeliveryKey>,
        ) -> Result<Vec<DeliveryKey>, Failure> {
            let keys: Vec<Vec<u8>> = query_scalar(AssertSqlSafe(sql.dead.clone()))
                .bind(after.map(rows::key_bytes).unwrap_or_default())
                .fetch_all(connection)
                .await?;
            Ok(keys.iter().filter_map(|key| rows::parsed(key)).collect())
        }

        pub(super) async fn counts(
            connection: &mut $Connection,
            sql: &Statements,
            layer: Name,
        ) -> Result<Counts, Failure> {
            let (promised, first_expires_in, dead): (i64, Option<i64>, i64) =
                query_as(AssertSqlSafe(sql.counts.clone()))
                    .bind(&layer.as_bytes()[..])
                    .bind(i64::try_from(Backlog::MOST).unwrap_or(i64::MAX))
                    .bind(rows::last_key(layer))
                    .fetch_one(connection)
                    .await?;
            let mut counts = Counts::default();
            counts.promised = rows::moment(promised);
            counts.first_expires_in = first_expires_in
                .map(rows::moment)
                .map(Duration::from_millis);
            counts.dead = rows::moment(dead);
            Ok(counts)
        }

        pub(super) async fn put_token(
            connection: &mut $Connection,
            sql: &Statements,
            id: TokenId<'_>,
            claimant: Claimant,
            life: Duration,
        ) -> Result<Claimant, Failure> {
            let put = query(AssertSqlSafe(sql.put_token.clone()))
                .bind(id.tenant)
                .bind(id.jti.as_bytes())
                .bind(&claimant.as_bytes()[..])
                .bind(rows::millis(life))
                .execute(&mut *connection)
                .await?;
            if put.rows_affected() == 1 {
                return Ok(claimant);
            }
            let stored: Option<Vec<u8>> = query_scalar(AssertSqlSafe(sql.find_token.clone()))
                .bind(id.tenant)
                .bind(id.jti.as_bytes())
                .fetch_optional(connection)
                .await?;
            // If it has been deleted since, another had claimed it.
            let stored = stored.and_then(|bytes| bytes.try_into().ok());
            Ok(Claimant::from_bytes(stored.unwrap_or_default()))
        }
    };
}
pub(crate) use rows;

/// A ledger and a replay store over a pool of these connections.
macro_rules! stores {
    ($Ledger:ident, $ReplayStore:ident) => {
        impl $Ledger {
            /// Sets the prefix of the table's name. Default: `c1_`. Receivers of
            /// different webhooks that share a database each need their own.
            ///
            /// # Errors
            /// [`NameError`] if it is not a plain lower-case name.
            pub fn prefix(mut self, prefix: &str) -> Result<Self, NameError> {
                self.tables.with_prefix(prefix)?;
                self.sql = Arc::new(self.tables.statements(&DIALECT));
                Ok(self)
            }

            /// Sets how long records are kept. Default: [`Retention::default`].
            #[must_use]
            pub fn retention(mut self, retention: Retention) -> Self {
                self.retention = retention;
                self
            }

            /// Records the outcome as the delivery's answer in the transaction of the
            /// handler's own work, and commits it: after a crash at any moment, both are
            /// there or neither is. The transaction must be in the ledger's database.
            ///
            /// Do slow work before the transaction begins. Afterwards, return the outcome
            /// from the handler: the layer already tells it to all who wait. Recording and
            /// committing end within 5 seconds.
            ///
            /// After [`CommitError::Ledger`] the handler may repeat its transaction in the
            /// same run, with the same outcome. If an earlier one was committed after all, the
            /// repeated one is rolled back, and this returns the outcome.
            ///
            /// # Errors
            /// [`CommitError`]: return its [`outcome`](CommitError::outcome) from the
            /// handler.
            pub async fn commit(
                &self,
                mut transaction: Transaction<'_, Database>,
                delivery: &DeliveryHandle,
                outcome: Outcome,
            ) -> Result<Outcome, CommitError> {
                let answer = delivery.check(&outcome).await.map_err(CommitError::Unusable)?;
                let step = Step::finish(self.retention, delivery.lease(), answer.clone());
                let committed = in_time(async {
                    let taken = statements::step(&mut transaction, &self.sql, &step).await?;
                    let (finished, is_written) = taken;
                    let is_repeated = !is_written && delivery.may_be_committed();
                    if finished != Finished::Lost && !is_repeated {
                        delivery.commits();
                        transaction.commit().await?;
                    }
                    Ok(finished)
                });
                let committed = committed.await;
                let finished = committed.map_err(|failure| CommitError::Ledger(failure.into()))?;
                if finished == Finished::Lost {
                    return Err(CommitError::LeaseLost);
                }
                delivery.recorded(answer, finished);
                Ok(outcome)
            }

            /// Deletes up to 500 expired records, and returns how many. A receiver does
            /// this by itself after every 64 steps of the ledger, in the background.
            ///
            /// # Errors
            /// [`LedgerError`] if the database fails.
            pub async fn sweep(&self) -> Result<u64, LedgerError> {
                Ok(in_time(self.store.sweep(&self.sql.sweep)).await?)
            }

            /// Sweeps in the background after many steps.
            fn sweep_now_and_then(&self) {
                let Some(turn) = self.store.sweeps.turn() else {
                    return;
                };
                let this = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = this.sweep().await {
                        tracing::warn!(%error, "cannot delete expired records");
                    }
                    drop(turn);
                });
            }
        }

        impl RecordStore for $Ledger {
            async fn step<R: Send + 'static>(&self, step: Step<R>) -> Result<R, LedgerError> {
                let reply = repeated(|| async {
                    let mut connection = self.store.acquire().await?;
                    statements::step(&mut connection, &self.sql, &step).await
                });
                let (reply, _) = reply.await?;
                self.sweep_now_and_then();
                Ok(reply)
            }

            async fn due(&self, layer: Name, skip: usize) -> Result<Vec<DeliveryKey>, LedgerError> {
                let due = repeated(|| async {
                    let mut connection = self.store.acquire().await?;
                    statements::due(&mut connection, &self.sql, layer, skip).await
                })
                .await?;
                self.sweep_now_and_then();
                Ok(due)
            }

            async fn dead_keys(
                &self,
                after: Option<DeliveryKey>,
            ) -> Result<Vec<DeliveryKey>, LedgerError> {
                let dead = repeated(|| async {
                    let mut connection = self.store.acquire().await?;
                    statements::dead_keys(&mut connection, &self.sql, after).await
                });
                Ok(dead.await?)
            }

            async fn counts(&self, layer: Name) -> Result<Counts, LedgerError> {
                let counts = repeated(|| async {
                    let mut connection = self.store.acquire().await?;
                    statements::counts(&mut connection, &self.sql, layer).await
                });
                Ok(counts.await?)
            }

            fn retention(&self) -> Retention {
                self.retention
            }
        }

        impl fmt::Debug for $Ledger {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Ledger))
                    .field("tables", &self.tables)
                    .field("retention", &self.retention)
                    .finish_non_exhaustive()
            }
        }

        impl $ReplayStore {
            /// Sets the prefix of the table's name. Default: `c1_`. Receivers with
            /// different public URLs may share a table.
            ///
            /// # Errors
            /// [`NameError`] if it is not a plain lower-case name.
            pub fn prefix(mut self, prefix: &str) -> Result<Self, NameError> {
                self.tables.with_prefix(prefix)?;
                self.sql = Arc::new(self.tables.statements(&DIALECT));
                Ok(self)
            }

            /// Sets for how long a claim is retried while the database is out of reach,
            /// until the last try begins. Default: 15 seconds; zero disables retries.
            #[must_use]
            pub fn patience(mut self, patience: Duration) -> Self {
                self.patience = patience;
                self
            }

            /// Deletes up to 500 expired token IDs, and returns how many. A receiver does
            /// this by itself after every 64 claims, in the background.
            ///
            /// # Errors
            /// [`ReplayStoreError`] if the database fails.
            pub async fn sweep(&self) -> Result<u64, ReplayStoreError> {
                Ok(in_time(self.store.sweep(&self.sql.sweep_tokens)).await?)
            }

            fn sweep_now_and_then(&self) {
                let Some(turn) = self.store.sweeps.turn() else {
                    return;
                };
                let this = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = this.sweep().await {
                        tracing::warn!(%error, "cannot delete expired token IDs");
                    }
                    drop(turn);
                });
            }
        }

        impl TokenStore for $ReplayStore {
            async fn put_if_absent(
                &self,
                id: TokenId<'_>,
                claimant: Claimant,
                life: Duration,
            ) -> Result<Claimant, ReplayStoreError> {
                let stored = repeated(|| async {
                    let mut connection = self.store.acquire().await?;
                    statements::put_token(&mut connection, &self.sql, id, claimant, life).await
                })
                .await?;
                self.sweep_now_and_then();
                Ok(stored)
            }

            fn patience(&self) -> Duration {
                self.patience
            }
        }

        impl fmt::Debug for $ReplayStore {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($ReplayStore))
                    .field("tables", &self.tables)
                    .field("patience", &self.patience)
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use stores;
