//! The service's own table, and the ledger beside it: in SQLite or in Postgres. A service
//! with one database needs one arm of each `match`.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{PgPool, SqlitePool};
use tower_conductorone::deliver_once::DeliverOnceBuilder;
use tower_conductorone::event::{Outcome, ProvisionStep};
use tower_conductorone::verify_webhook::VerifyWebhookBuilder;
use tower_conductorone::{DeliveryHandle, Typed};
use tower_conductorone_sqlx::{
    PostgresLedger, PostgresReplayStore, SqliteLedger, SqliteReplayStore,
};

use crate::story::crash_if_told;

/// Who may do what. Nothing in the table keeps a second row out.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS access (task TEXT, app TEXT, account TEXT)";
const GRANT: &str = "INSERT INTO access (task, app, account) VALUES ($1, $2, $3)";
const COUNT: &str = "SELECT count(*) FROM access WHERE task = $1";

pub(crate) struct Access {
    task: String,
    app: String,
    account: String,
}

impl Access {
    /// `None` if the step does not say what access to whom.
    pub(crate) fn of(step: &Typed<ProvisionStep>) -> Option<Self> {
        let view = step.task_view();
        Some(Self {
            task: view.task()?.id.to_string(),
            app: view.app()?.id.to_string(),
            account: view.app_user()?.id.to_string(),
        })
    }
}

#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(SqlitePool, SqliteLedger),
    Postgres(PgPool, PostgresLedger),
}

impl Store {
    /// Opens the database, and creates the tables unless they exist.
    pub(crate) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse()?;
            let options = options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal);
            let pool = SqlitePool::connect_with(options).await?;
            let ledger = SqliteLedger::new(pool.clone());
            ledger.migrate().await?;
            sqlx::query(TABLE).execute(&pool).await?;
            return Ok(Self::Sqlite(pool, ledger));
        }
        let pool = PgPool::connect(url).await?;
        let ledger = PostgresLedger::new(pool.clone());
        ledger.migrate().await?;
        sqlx::query(TABLE).execute(&pool).await?;
        Ok(Self::Postgres(pool, ledger))
    }

    pub(crate) fn keeps_deliveries(&self, once: DeliverOnceBuilder) -> DeliverOnceBuilder {
        match self {
            Self::Sqlite(_, ledger) => once.ledger("ledger-sql", ledger.clone()),
            Self::Postgres(_, ledger) => once.ledger("ledger-sql", ledger.clone()),
        }
    }

    pub(crate) fn keeps_tokens(&self, verify: VerifyWebhookBuilder) -> VerifyWebhookBuilder {
        match self {
            Self::Sqlite(pool, _) => verify.replay_store(SqliteReplayStore::new(pool.clone())),
            Self::Postgres(pool, _) => verify.replay_store(PostgresReplayStore::new(pool.clone())),
        }
    }

    /// Writes the access and the delivery's outcome, both or neither. Returns what the
    /// handler returns.
    pub(crate) async fn grant(
        &self,
        access: &Access,
        delivery: &DeliveryHandle,
        outcome: Outcome,
    ) -> Result<Outcome, sqlx::Error> {
        let Access { task, app, account } = access;
        let committed = match self {
            Self::Sqlite(pool, ledger) => {
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                let row = sqlx::query(GRANT).bind(task).bind(app).bind(account);
                row.execute(&mut *transaction).await?;
                crash_if_told("before the commit");
                ledger.commit(transaction, delivery, outcome).await
            }
            Self::Postgres(pool, ledger) => {
                let mut transaction = pool.begin().await?;
                let row = sqlx::query(GRANT).bind(task).bind(app).bind(account);
                row.execute(&mut *transaction).await?;
                crash_if_told("before the commit");
                ledger.commit(transaction, delivery, outcome).await
            }
        };
        crash_if_told("after the commit");
        Ok(committed.unwrap_or_else(|error| {
            eprintln!("not committed: {error}");
            error.outcome()
        }))
    }

    /// How many rows grant this task's access.
    pub(crate) async fn rows(&self, task: &str) -> Result<i64, sqlx::Error> {
        match self {
            Self::Sqlite(pool, _) => sqlx::query_scalar(COUNT).bind(task).fetch_one(pool).await,
            Self::Postgres(pool, _) => sqlx::query_scalar(COUNT).bind(task).fetch_one(pool).await,
        }
    }
}
