//! Where deliveries and used tokens are stored, as the flags say.

use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgPool, SqlitePool};
use tokio::time::timeout;
use tower_conductorone::deliver_once::DeliverOnceBuilder;
use tower_conductorone::redis::{RedisConnection, RedisLedger, RedisReplayStore};
use tower_conductorone::verify_webhook::VerifyWebhookBuilder;
use tower_conductorone_sqlx::{
    PostgresLedger, PostgresReplayStore, SqliteLedger, SqliteReplayStore,
};

use crate::BoxError;
use crate::args::Args;

/// The ledger's name for this receiver's layer.
const LAYER: &str = "receiver";

pub(crate) enum Store {
    Memory,
    /// Not yet connected.
    Redis(RedisConnection),
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Store {
    /// Connects to a database, and creates its tables unless they exist.
    pub(crate) async fn open(args: &Args) -> Result<Self, BoxError> {
        // No error quotes the URL: it may hold a password.
        if let Some(url) = args.redis_url.as_deref() {
            let connection = RedisConnection::to_server(url);
            let connection = connection.map_err(|error| format!("--redis-url: {error}"))?;
            return Ok(Self::Redis(connection));
        }
        let Some(url) = args.database_url.as_deref() else {
            return Ok(Self::Memory);
        };
        let opened = match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => postgres(url).await.map(Self::Postgres),
            Some(("sqlite", _)) => sqlite(url).await.map(Self::Sqlite),
            _ => Err("it is neither postgres://… nor sqlite://FILE".into()),
        };
        opened.map_err(|error| format!("--database-url: {error}").into())
    }

    /// Whether it has what a crashed receiver has left.
    pub(crate) fn outlives_the_process(&self) -> bool {
        !matches!(self, Self::Memory)
    }

    pub(crate) fn replays(&self, builder: VerifyWebhookBuilder) -> VerifyWebhookBuilder {
        match self {
            Self::Memory => builder,
            Self::Redis(redis) => builder.replay_store(RedisReplayStore::new(redis.clone())),
            Self::Postgres(pool) => builder.replay_store(PostgresReplayStore::new(pool.clone())),
            Self::Sqlite(pool) => builder.replay_store(SqliteReplayStore::new(pool.clone())),
        }
    }

    pub(crate) fn deliveries(&self, builder: DeliverOnceBuilder) -> DeliverOnceBuilder {
        match self {
            Self::Memory => builder,
            Self::Redis(redis) => builder.ledger(LAYER, RedisLedger::new(redis.clone())),
            Self::Postgres(pool) => builder.ledger(LAYER, PostgresLedger::new(pool.clone())),
            Self::Sqlite(pool) => builder.ledger(LAYER, SqliteLedger::new(pool.clone())),
        }
    }
}

async fn postgres(url: &str) -> Result<PgPool, BoxError> {
    let options: PgConnectOptions = url.parse().map_err(|_| {
        "it is no valid URL of a Postgres: is its port a number, its password percent-encoded, \
         its sslmode a known one?"
    })?;
    // A pool does not say why it cannot connect.
    let connection = timeout(Duration::from_secs(10), options.connect()).await;
    let connection = connection.map_err(|_| "Postgres does not answer within 10 s")?;
    connection?.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(5))
        // The stores replace broken connections by themselves.
        .test_before_acquire(false)
        .connect_lazy_with(options);
    PostgresLedger::new(pool.clone()).migrate().await?;
    Ok(pool)
}

async fn sqlite(url: &str) -> Result<SqlitePool, BoxError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err("a database in memory does not survive a restart: name a file".into());
    }
    let options: SqliteConnectOptions = url.parse()?;
    let file = options.get_filename().to_owned();
    if file.as_os_str().is_empty() {
        return Err("sqlite:// is without a file".into());
    }
    let named = |error: BoxError| format!("{}: {error}", file.display());
    create(&file).map_err(|error| named(error.into()))?;
    // With `FULL`, a power cut loses nothing.
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(4);
    let pool = pool.connect_with(options).await;
    let pool = pool.map_err(|error| named(error.into()))?;
    let migrated = SqliteLedger::new(pool.clone()).migrate().await;
    migrated.map_err(|error| named(error.into()))?;
    Ok(pool)
}

/// Creates the file unless it exists, for its owner only: it will hold secrets.
fn create(file: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}
