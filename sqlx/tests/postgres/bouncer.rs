//! Through a `PgBouncer` in transaction mode, which gives each transaction any of its
//! connections to the server.

use sqlx::postgres::PgPoolOptions;
use support::pgbouncer::PgBouncer;
use support::postgres_server::PostgresServer;
use tokio::task::JoinSet;
use tower_conductorone::ledger::{
    Claimed, DeliveryKey, Finished, Ledger, LedgerError, Owner, RecordedAnswer, Standing,
};
use tower_conductorone_sqlx::PostgresLedger;

use crate::{TERM, ledger, pool};

const DELIVERIES: u8 = 200;
const AT_ONCE: u8 = 8;

fn key(number: u8) -> DeliveryKey {
    DeliveryKey::from_bytes([number; 32])
}

/// An answer of its own for each delivery.
fn answer(number: u8) -> RecordedAnswer {
    RecordedAnswer::new(200, format!("{{\"answer\":{number}}}"))
}

async fn deliver(ledger: &PostgresLedger, number: u8) -> Result<(), LedgerError> {
    let claimed = ledger.claim(key(number), Owner::random(), TERM).await?;
    let Claimed::Started(lease) = claimed else {
        panic!("{number} is new: {claimed:?}");
    };
    let finished = ledger.finish(lease, answer(number)).await?;
    assert_eq!(finished, Finished::Answered, "{number}");
    Ok(())
}

/// Before 1.21 it does not know the statements that its clients have prepared, and most
/// steps fail. What does not fail must have been done all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_pgbouncer_lets_through_was_done() {
    let Some(version) = PgBouncer::version() else {
        eprintln!("NOT TESTED: there is no pgbouncer (apt-get install pgbouncer)");
        return;
    };
    let direct = pool(2).await;
    let truth = ledger(&direct).await;
    let bouncer = PgBouncer::start(PostgresServer::shared());
    let options = direct.connect_options();
    let url = bouncer.url(options.get_database().expect("a name"));
    let options = PgPoolOptions::new().max_connections(AT_ONCE.into());
    let ledger = PostgresLedger::new(options.connect_lazy(&url).expect("a URL"));
    let mut workers = JoinSet::new();
    for first in 0..AT_ONCE {
        let ledger = ledger.clone();
        workers.spawn(async move {
            let mut results = Vec::new();
            for number in (first..DELIVERIES).step_by(AT_ONCE.into()) {
                results.push((number, deliver(&ledger, number).await));
            }
            results
        });
    }
    let mut failures = 0;
    for (number, result) in workers.join_all().await.into_iter().flatten() {
        let found = truth.find(key(number)).await.expect("a reply");
        let is_answered = found == Some(Standing::Answered(answer(number)));
        match result {
            Ok(()) => assert!(is_answered, "{number}: {found:?}"),
            // It fails before anything was done.
            Err(error) => {
                failures += 1;
                assert!(!is_answered, "{number}: {error}");
                let told = error.to_string();
                let is_explained = told.contains("max_prepared_statements");
                assert!(is_explained || told.ends_with("(08P01)"), "{told}");
            }
        }
    }
    if PgBouncer::keeps_statements() {
        assert_eq!(failures, 0);
    } else {
        eprintln!("{failures} of {DELIVERIES} failed: PgBouncer {version:?} is older than 1.21");
    }
}
