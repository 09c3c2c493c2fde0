//! Measures deliveries that are answered in time, each a claim and a finish:
//!
//! ```text
//! cargo run --release --package tower-conductorone-sqlx --all-features --example measure -- \
//!     sqlite:///tmp/measure.db normal 20000 16
//! ```
//!
//! The arguments: `postgres://…`, or `sqlite://FILE`, which must not exist; for SQLite,
//! `synchronous`; how many deliveries; and how many at a time.

use std::env;
use std::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::task::JoinSet;
use tower_conductorone::ledger::{Claimed, DeliveryKey, Ledger, Owner, RecordedAnswer};
use tower_conductorone_sqlx::{PostgresLedger, SqliteLedger};

const TERM: Duration = Duration::from_secs(45);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, synchronous, deliveries, at_a_time] = arguments.as_slice() else {
        return Err("usage: measure URL SYNCHRONOUS DELIVERIES AT-A-TIME".into());
    };
    let (deliveries, at_a_time) = (deliveries.parse()?, at_a_time.parse()?);
    let ledger: Arc<dyn Ledger> = if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::from_str(synchronous)?);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options);
        let ledger = SqliteLedger::new(pool.await?);
        ledger.migrate().await?;
        Arc::new(ledger)
    } else {
        let options = PgPoolOptions::new().test_before_acquire(false);
        let pool = options.max_connections(at_a_time).connect(url);
        let ledger = PostgresLedger::new(pool.await?);
        ledger.migrate().await?;
        Arc::new(ledger)
    };
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..at_a_time {
        let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
        workers.spawn(async move {
            let mut times = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < deliveries {
                let begun = Instant::now();
                deliver(&*ledger).await;
                times.push(begun.elapsed());
            }
            times
        });
    }
    let mut times: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let taken = begun.elapsed();
    times.sort();
    let per_second = f64::from(u32::try_from(times.len())?) / taken.as_secs_f64();
    let at = |part: usize| {
        times
            .get(times.len() * part / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "{per_second:.0} deliveries a second; each took {:.1?} (median), {:.1?} (99 %)",
        at(50),
        at(99),
    );
    Ok(())
}

async fn deliver(ledger: &dyn Ledger) {
    let mut digest = [0; 32];
    for part in digest.chunks_mut(16) {
        part.copy_from_slice(Owner::random().as_bytes());
    }
    let key = DeliveryKey::from_bytes(digest);
    match ledger.claim(key, Owner::random(), TERM).await {
        Ok(Claimed::Started(lease)) => {
            let answer = RecordedAnswer::new(200, r#"{"version":"v1"}"#);
            let finished = ledger.finish(lease, answer).await;
            let _ = finished.expect("a reply");
        }
        other => panic!("{other:?}"),
    }
}
