//! The ledger and the replay store in a real Postgres.
#![cfg(feature = "postgres")]

mod bouncer;
mod ledger;
mod pool;
mod trouble;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use support::postgres_server::PostgresServer;
use tower_conductorone::ledger::{Claimed, DeliveryKey, Lease, Ledger, LedgerError, Owner};
use tower_conductorone_sqlx::{PostgresLedger, PostgresReplayStore};

use self::pool::pool_on;

const TERM: Duration = Duration::from_secs(45);

async fn pool(connections: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(connections);
    pool_on(PostgresServer::shared(), options).await
}

async fn ledger(pool: &PgPool) -> PostgresLedger {
    let ledger = PostgresLedger::new(pool.clone());
    ledger.migrate().await.expect("a migration");
    ledger
}

/// Makes ledgers, each with a table of its own.
fn ledgers(pool: PgPool) -> impl AsyncFn() -> PostgresLedger {
    let made = AtomicU32::new(0);
    async move || {
        let prefix = format!("test{}_", made.fetch_add(1, Ordering::Relaxed));
        let ledger = PostgresLedger::new(pool.clone())
            .prefix(&prefix)
            .expect("a name");
        ledger.migrate().await.expect("a migration");
        ledger
    }
}

fn replay_stores(pool: PgPool) -> impl AsyncFn() -> PostgresReplayStore {
    let made = AtomicU32::new(0);
    async move || {
        let prefix = format!("test{}_", made.fetch_add(1, Ordering::Relaxed));
        let store = PostgresReplayStore::new(pool.clone())
            .prefix(&prefix)
            .expect("a name");
        store.migrate().await.expect("a migration");
        store
    }
}

fn key(number: u8) -> DeliveryKey {
    DeliveryKey::from_bytes([number; 32])
}

async fn claim(ledger: &impl Ledger, number: u8) -> Result<Claimed, LedgerError> {
    ledger.claim(key(number), Owner::random(), TERM).await
}

async fn start(ledger: &impl Ledger, number: u8) -> Lease {
    match claim(ledger, number).await.expect("a reply") {
        Claimed::Started(lease) => lease,
        standing @ Claimed::Standing(_) => panic!("{number}: {standing:?}"),
    }
}
