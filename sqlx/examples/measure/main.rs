//! Measures deliveries in databases and in Redis, on servers of its own (it needs
//! `redis-server` and Postgres, as the tests do):
//!
//! ```text
//! cd sqlx
//! cargo run --release --all-features --example measure -- latency
//! cargo run --release --all-features --example measure -- throughput 20000
//! cargo run --release --all-features --example measure -- rows postgres 10000000
//! ```
//!
//! `latency` is that of one delivery at a time, `throughput` that of 16; each delivery is
//! a claim and a finish. `rows` compares a table of so many finished deliveries with one
//! of 1,000, and shows the query plans in Postgres; the other database is `sqlite`.

mod rows;
mod throughput;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};
use support::bench::Bench;
use support::postgres_server::PostgresServer;
use support::redis_server::RedisServer;
use tower_conductorone::ledger::{Claimed, DeliveryKey, Ledger, Owner, RecordedAnswer};
use tower_conductorone::redis::RedisLedger;
use tower_conductorone_sqlx::{PostgresLedger, SqliteLedger};

const TERM: Duration = Duration::from_secs(45);
const CONNECTIONS: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["latency"] => latency(),
        ["throughput", deliveries] => throughput::measure(deliveries.parse()?),
        ["rows", "postgres", rows] => rows::postgres(rows.parse()?),
        ["rows", "sqlite", rows] => rows::sqlite(rows.parse()?),
        _ => {
            return Err(
                "usage: measure latency | throughput N | rows postgres N | rows sqlite N".into(),
            );
        }
    }
    Ok(())
}

/// The ledgers that are compared, in servers and files that end with this.
struct Stores {
    ledgers: Vec<(&'static str, Arc<dyn Ledger>)>,
    postgres: PgPool,
    _servers: (PostgresServer, RedisServer, Folder),
}

impl Stores {
    async fn start() -> Self {
        // As they are installed, and Redis as the documentation advises.
        let postgres = PostgresServer::start_with(&[]);
        let redis = RedisServer::start(&["appendonly yes"]);
        let folder = Folder::new();
        let mut ledgers: Vec<(_, Arc<dyn Ledger>)> = Vec::new();
        let redis_ledger = RedisLedger::at(redis.url()).expect("a URL");
        ledgers.push(("Redis", Arc::new(redis_ledger)));
        let pool = postgres_pool(&postgres.url("postgres"), CONNECTIONS);
        let ledger = PostgresLedger::new(pool.clone());
        ledger.migrate().await.expect("a migration");
        ledgers.push(("Postgres", Arc::new(ledger)));
        for (name, synchronous) in [
            ("SQLite, synchronous=NORMAL", SqliteSynchronous::Normal),
            ("SQLite, synchronous=FULL", SqliteSynchronous::Full),
        ] {
            let pool = sqlite_pool(&folder.0.join(name), synchronous).await;
            let ledger = SqliteLedger::new(pool);
            ledger.migrate().await.expect("a migration");
            ledgers.push((name, Arc::new(ledger)));
        }
        Self {
            ledgers,
            postgres: pool,
            _servers: (postgres, redis, folder),
        }
    }
}

fn postgres_pool(url: &str, connections: u32) -> PgPool {
    let options = PgPoolOptions::new().test_before_acquire(false);
    let pool = options.max_connections(connections).connect_lazy(url);
    pool.expect("a URL")
}

async fn sqlite_pool(file: &Path, synchronous: SqliteSynchronous) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous);
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options);
    pool.await.expect("a file")
}

/// A folder that is deleted at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = env::temp_dir().join(format!("c1-measure-{}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn latency() {
    let mut bench = Bench::new("sqlx-latency");
    let stores = bench.runtime().block_on(Stores::start());
    let mut group = bench.group("a claim and a finish");
    for (name, ledger) in &stores.ledgers {
        group = group.case_async(*name, async || deliver(&**ledger).await);
    }
    group.measure("Redis");
    bench.finish();
}

fn random_key() -> DeliveryKey {
    let mut digest = [0; 32];
    for part in digest.chunks_mut(16) {
        part.copy_from_slice(Owner::random().as_bytes());
    }
    DeliveryKey::from_bytes(digest)
}

async fn deliver(ledger: &dyn Ledger) {
    match ledger.claim(random_key(), Owner::random(), TERM).await {
        Ok(Claimed::Started(lease)) => {
            let answer = RecordedAnswer::new(200, r#"{"version":"v1"}"#);
            let finished = ledger.finish(lease, answer).await;
            let _ = finished.expect("a reply");
        }
        other => panic!("{other:?}"),
    }
}
