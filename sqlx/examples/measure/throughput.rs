//! Many deliveries at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sqlx::query_scalar;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_conductorone::ledger::Ledger;

use crate::{CONNECTIONS, Stores, deliver};

/// The stores take turns, so that what disturbs the machine disturbs all of them.
const ROUNDS: u32 = 5;

pub(crate) fn measure(deliveries: u32) {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let stores = Stores::start().await;
        let mut rates = vec![Vec::new(); stores.ledgers.len()];
        for _ in 0..=ROUNDS {
            for ((_, ledger), rates) in stores.ledgers.iter().zip(&mut rates) {
                rates.push(rate(ledger, deliveries / ROUNDS).await);
            }
        }
        println!("deliveries a second, {CONNECTIONS} at a time: the best of {ROUNDS} rounds");
        for ((name, _), rates) in stores.ledgers.iter().zip(rates) {
            // The first round fills the caches.
            let best = rates.into_iter().skip(1).fold(0.0, f64::max);
            println!("  {name:<46} {best:>8.0}");
        }
        let share: f64 = query_scalar(
            "SELECT n_tup_hot_upd * 100.0::float8 / n_tup_upd FROM pg_stat_user_tables \
             WHERE relname = 'c1_deliveries'",
        )
        .fetch_one(&stores.postgres)
        .await
        .expect("a share");
        println!("{share:.1} % of the updates in Postgres were heap-only");
    });
}

/// How many deliveries a second.
async fn rate(ledger: &Arc<dyn Ledger>, deliveries: u32) -> f64 {
    let next = Arc::new(AtomicU32::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (ledger, next) = (Arc::clone(ledger), Arc::clone(&next));
        workers.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < deliveries {
                deliver(&*ledger).await;
            }
        });
    }
    workers.join_all().await;
    f64::from(deliveries) / begun.elapsed().as_secs_f64()
}
