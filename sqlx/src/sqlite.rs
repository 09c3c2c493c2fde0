use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, SqlitePool, Transaction, query};
use tokio::sync::{Mutex, OwnedMutexGuard};
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

type Database = Sqlite;

mod statements {
    type Query<'a> = sqlx::query::Query<'a, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;
    super::rows!(sqlx::SqliteConnection);
}

/// Milliseconds since 1970, the same in all of a statement.
macro_rules! now {
    () => {
        "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    };
}

const DIALECT: Dialect = Dialect {
    now: now!(),
    after: (concat!(now!(), " + "), ""),
    millis: ("", ""),
    sweep,
};

fn sweep(table: &str, key: &str) -> String {
    format!(
        "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} \
         WHERE expires_at <= {} ORDER BY expires_at LIMIT {SWEPT_AT_ONCE})",
        now!(),
    )
}

const MIGRATION: &str = include_str!("../migrations/sqlite/0001_create.sql");

/// A [`Ledger`](tower_conductorone::ledger::Ledger) in a SQLite file, for a receiver on
/// one machine: it survives a restart.
///
/// Use the journal mode `WAL`. A delivery that is answered in time takes two writes. With
/// `synchronous` set to `FULL`, the default, a power cut loses nothing; with `NORMAL`, it
/// may lose the last moments before it, as Redis would: a delivery may then run again,
/// and a promised one may be lost. A crash of the process loses nothing either way.
///
/// SQLite has one writer at a time. The ledger's steps queue in the process; other
/// writers of the file are waited for as long as the pool's `busy_timeout` allows, and no
/// step takes longer than 5 seconds: an error is answered 503, and ConductorOne retries.
///
/// Cloning is cheap, and a clone uses the same pool. See the [crate](crate) for the
/// tables and what is secret in them.
#[derive(Clone)]
pub struct SqliteLedger {
    store: Store,
    tables: Tables,
    sql: Arc<Statements>,
    retention: Retention,
}

/// A [`ReplayStore`](tower_conductorone::replay::ReplayStore) in a SQLite file, for a
/// receiver on one machine: it survives a restart.
///
/// A claim is one `INSERT`. A failed claim is retried for 15 seconds, or the configured
/// [`patience`](Self::patience), and IDs are kept as
/// [`TokenStore`] says.
#[derive(Clone)]
pub struct SqliteReplayStore {
    store: Store,
    tables: Tables,
    sql: Arc<Statements>,
    patience: Duration,
}

#[derive(Clone)]
struct Store {
    pool: SqlitePool,
    /// SQLite lets writers sleep and try again. A queue is faster, and fair.
    writer: Arc<Mutex<()>>,
    sweeps: Sweeps,
}

/// The connection that may write. It is given back before the next writer's turn.
struct Writer {
    connection: PoolConnection<Sqlite>,
    _turn: OwnedMutexGuard<()>,
}

impl Deref for Writer {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Store {
    fn new(pool: SqlitePool) -> Self {
        Self {
            pool,
            writer: Arc::default(),
            sweeps: Sweeps::default(),
        }
    }

    async fn acquire(&self) -> Result<Writer, Failure> {
        let turn = Arc::clone(&self.writer).lock_owned().await;
        let connection = self.pool.acquire().await?;
        Ok(Writer {
            connection,
            _turn: turn,
        })
    }

    /// Deletes some expired rows, and returns how many.
    async fn sweep(&self, sweep: &Sweep) -> Result<u64, Failure> {
        let mut connection = self.acquire().await?;
        let deleted = query(AssertSqlSafe(sweep.sql.clone()))
            .execute(&mut *connection)
            .await?;
        Ok(deleted.rows_affected())
    }
}

impl SqliteLedger {
    /// A ledger in this pool's file. Its table must exist: [`migrate`](Self::migrate)
    /// creates it.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        let tables = Tables::default();
        Self {
            store: Store::new(pool),
            sql: Arc::new(tables.statements(&DIALECT)),
            tables,
            retention: Retention::default(),
        }
    }

    /// Creates the tables and indexes of the ledger and of the replay store, unless they
    /// exist. `migrations/sqlite/*.sql` has the same.
    ///
    /// # Errors
    /// [`sqlx::Error`](https://docs.rs/sqlx/latest/sqlx/enum.Error.html) if the database fails.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        migrate(&self.store.pool, &self.tables).await
    }
}

impl SqliteReplayStore {
    /// A store in this pool's file. Its table must exist: [`migrate`](Self::migrate)
    /// creates it.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        let tables = Tables::default();
        Self {
            store: Store::new(pool),
            sql: Arc::new(tables.statements(&DIALECT)),
            tables,
            patience: Duration::from_secs(15),
        }
    }

    /// Creates the tables, as [`SqliteLedger::migrate`] does.
    ///
    /// # Errors
    /// [`sqlx::Error`](https://docs.rs/sqlx/latest/sqlx/enum.Error.html) if the database fails.
    pub async fn migrate(&self) -> Result<(), sqlx::Error> {
        migrate(&self.store.pool, &self.tables).await
    }
}

async fn migrate(pool: &SqlitePool, tables: &Tables) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(AssertSqlSafe(tables.migration(MIGRATION)))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

stores!(SqliteLedger, SqliteReplayStore);

#[cfg(test)]
mod tests {
    use sqlx::query_as;

    use super::*;

    #[tokio::test]
    async fn no_statement_reads_a_whole_table() {
        let pool = SqlitePool::connect("sqlite::memory:")
            .await
            .expect("memory");
        let tables = Tables::default();
        migrate(&pool, &tables).await.expect("a migration");
        let sql = tables.statements(&DIALECT);
        for (statement, index) in [
            (
                &sql.update_if_state,
                "sqlite_autoindex_c1_deliveries_1 (delivery_key=?)",
            ),
            (
                &sql.update_if_revision,
                "sqlite_autoindex_c1_deliveries_1 (delivery_key=?)",
            ),
            (
                &sql.select,
                "sqlite_autoindex_c1_deliveries_1 (delivery_key=?)",
            ),
            (&sql.due, "c1_deliveries_due (layer=? AND due_at<?)"),
            (&sql.due, "c1_deliveries_due (layer=? AND due_at>?)"),
            (&sql.dead, "c1_deliveries_dead (delivery_key>?)"),
            (
                &sql.counts,
                "c1_deliveries_dead (delivery_key>? AND delivery_key<?)",
            ),
            (&sql.counts, "c1_deliveries_due (layer=?)"),
            (&sql.sweep.sql, "c1_deliveries_expiry (expires_at<?)"),
            (&sql.sweep.sql, "INTEGER PRIMARY KEY (rowid=?)"),
            (&sql.find_token, "PRIMARY KEY (tenant=? AND jti=?)"),
            (&sql.sweep_tokens.sql, "c1_tokens_expiry (expires_at<?)"),
            (&sql.sweep_tokens.sql, "PRIMARY KEY (tenant=? AND jti=?)"),
        ] {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                query_as(explain).fetch_all(&pool).await.expect("a plan");
            let plan: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
            assert!(plan.iter().any(|step| step.ends_with(index)), "{plan:?}");
            let scans = |step: &String| step.starts_with("SCAN c1_");
            assert!(!plan.iter().any(scans), "{plan:?}");
        }
    }
}
