use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction, query_as};
use tower_conductorone::DeliveryHandle;
use tower_conductorone::event::Outcome;
use tower_conductorone::ledger::record::{Counts, RecordStore, Step};
use tower_conductorone::ledger::{DeliveryKey, Finished, LedgerError, Name, Retention};
use tower_conductorone::replay::{Claimant, ReplayStoreError, TokenId, TokenStore};

use crate::commit::CommitError;
use crate::error::{Failure, NameError};
use crate::rows::{SWEPT_AT_ONCE, Sweeps, rows, stores};
use crate::tables::{Dialect, Statements, Sweep, Tables};
use crate::time::{in_time, repeated};

type Database = Postgres;

mod statements {
    type Query<'a> = sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments>;
    super::rows!(sqlx::PgConnection);
}

/// Not `now()`, which is the beginning of the transaction: a handler's may last long.
const DIALECT: Dialect = Dialect {
    now: "statement_timestamp()",
    after: ("statement_timestamp() + ", " * interval '1 millisecond'"),
    millis: ("floor(extract(epoch FROM ", ") * 1000)::bigint"),
    sweep,
};

/// A row that another transaction is changing is passed over; one that it has changed is
/// judged again before it is locked. The others are deleted where they lie, without a
/// search for each.
///
/// A planner that knew the range would plan each time, for as long as the deletion takes:
/// the subqueries hide it.
fn sweep(table: &str, _key: &str) -> String {
    format!(
        "WITH swept AS (DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} \
         WHERE expires_at >= (SELECT to_timestamp($1 / 1000.0)) \
         AND expires_at <= (SELECT statement_timestamp()) ORDER BY expires_at \
         LIMIT {SWEPT_AT_ONCE} FOR UPDATE SKIP LOCKED)) RETURNING expires_at) \
         SELECT count(*), floor(extract(epoch FROM max(expires_at)) * 1000)::bigint FROM swept"
    )
}

const MIGRATION: &str = include_str!("../migrations/postgres/0001_create.sql");

/// Any number: it tells these migrations from other users of advisory locks.
const MIGRATION_LOCK: i64 = 0x6331_5f64_656c_6976;

/// A [`Ledger`](tower_conductorone::ledger::Ledger) in Postgres, for all replicas of a
/// receiver.
///
/// A delivery that is answered in time takes two statements: one `INSERT` and one
/// `UPDATE`. Every statement is atomic by itself and compares what it replaces, so no
/// step holds a transaction or a lock. Times are the server's.
///
/// A step that meets a serialization failure, a deadlock or a broken connection is
/// repeated at once, a few times. Every step ends within 5 seconds: an error is answered
/// 503, and ConductorOne retries.
///
/// Cloning is cheap, and a clone uses the same pool. See the [crate](crate) for the
/// tables and what is secret in them.
#[derive(Clone)]
pub struct PostgresLedger {
    store: Store,
    tables: Tables,
    sql: Arc<Statements>,
    retention: Retention,
}

/// A [`ReplayStore`](tower_conductorone::replay::ReplayStore) in Postgres, for all
/// replicas of a receiver.
///
/// A claim is one `INSERT`. A failed claim is retried for 15 seconds, or the configured
/// [`patience`](Self::patience), and IDs are kept as
/// [`TokenStore`] says.
#[derive(Clone)]
pub struct PostgresReplayStore {
    store: Store,
    tables: Tables,
    sql: Arc<Statements>,
    patience: Duration,
}

#[derive(Clone)]
struct Store {
    pool: PgPool,
    sweeps: Sweeps,
}

impl Store {
    fn new(pool: PgPool) -> Self {
        let sweeps = Sweeps::default();
        Self { pool, sweeps }
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Failure> {
        Ok(self.pool.acquire().await?)
    }

    /// Deletes some expired rows, and returns how many.
    async fn sweep(&self, sweep: &Sweep) -> Result<u64, Failure> {
        let mut connection = self.acquire().await?;
        let (swept, latest): (i64, Option<i64>) = query_as(AssertSqlSafe(sweep.sql.clone()))
            .bind(sweep.start.next())
            .fetch_one(&mut *connection)
            .await?;
        if let Some(latest) = latest {
            sweep.start.set(latest);
        }
        Ok(swept.unsigned_abs())
    }
}

impl PostgresLedger {
    /// A ledger in this pool's database. Its table must exist: [`migrate`](Self::migrate)
    /// creates it.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let tables = Tables::default();
        Self {
            store: Store::new(pool),
            sql: Arc::new(tables.statements(&DIALECT)),
            tables,
            retention: Retention::default(),
        }
    }

    /// Sets the schema of the table. Default: the first in the `search_path` that has it.
    ///
    /// # Errors
    /// [`NameError`] if it is not a plain lower-case name.
    pub fn schema(mut self, schema: &str) -> Result<Self, NameError> {
        self.tables.in_schema(schema)?;
        self.sql = Arc::new(self.tables.statements(&DIALECT));
        Ok(self)
    }

    /// Creates the tables and indexes of the ledger and of the replay store, unless they
    /// exist. The schema must exist. Several replicas may do this at the same time.
    ///
    /// The role needs `CREATE` on the schema. For all else, `SELECT`, `INSERT`, `UPDATE`
    /// and `DELETE` on the two tables suffice: a receiver whose role has no more runs
    /// `migrations/postgres/*.sql` as another role instead.
    ///
    /// # Errors
    /// [`sqlx::Error`](https://docs.rs/sqlx/latest/sqlx/enum.Error.html) if the database fails.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        migrate(&self.store.pool, &self.tables).await
    }
}

impl PostgresReplayStore {
    /// A store in this pool's database. Its table must exist: [`migrate`](Self::migrate)
    /// creates it.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let tables = Tables::default();
        Self {
            store: Store::new(pool),
            sql: Arc::new(tables.statements(&DIALECT)),
            tables,
            patience: Duration::from_secs(15),
        }
    }

    /// Sets the schema of the table. Default: the first in the `search_path` that has it.
    ///
    /// # Errors
    /// [`NameError`] if it is not a plain lower-case name.
    pub fn schema(mut self, schema: &str) -> Result<Self, NameError> {
        self.tables.in_schema(schema)?;
        self.sql = Arc::new(self.tables.statements(&DIALECT));
        Ok(self)
    }

    /// Creates the tables, as [`PostgresLedger::migrate`] does.
    ///
    /// # Errors
    /// [`sqlx::Error`](https://docs.rs/sqlx/latest/sqlx/enum.Error.html) if the database fails.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        migrate(&self.store.pool, &self.tables).await
    }
}

async fn migrate(pool: &PgPool, tables: &Tables) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Two that create a table at the same time would disturb each other.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(tables.migration(MIGRATION)))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

stores!(PostgresLedger, PostgresReplayStore);
