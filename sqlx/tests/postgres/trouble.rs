//! What goes wrong with a database, and what the ledger makes of it.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, query, query_scalar};
use support::postgres_server::PostgresServer;
use tower_conductorone::ledger::{Finished, Hold, Ledger, RecordedAnswer, Standing};
use tower_conductorone::replay::{Claim, ReplayStore, TokenId};
use tower_conductorone_sqlx::{PostgresLedger, PostgresReplayStore};

use crate::{TERM, claim, key, ledger, pool, pool_on, start};

#[tokio::test]
async fn an_exhausted_pool_is_an_error_within_seconds() {
    let pool = pool(1).await;
    let ledger = ledger(&pool).await;
    let held = pool.acquire().await.expect("the only connection");
    let begun = Instant::now();
    let error = claim(&ledger, 1).await.expect_err("no connection");
    assert_eq!(error.to_string(), "no reply of the database within 5s");
    assert!(begun.elapsed() < Duration::from_secs(6));
    assert!(!error.is_full());
    drop(held);
    start(&ledger, 1).await;
}

#[tokio::test]
async fn terminated_connections_are_replaced() {
    // As many users set it, to save a round trip.
    let options = PgPoolOptions::new()
        .max_connections(4)
        .test_before_acquire(false);
    let pool = pool_on(PostgresServer::shared(), options).await;
    let ledger = ledger(&pool).await;
    let admin = PgPool::connect_with(pool.connect_options().as_ref().clone()).await;
    let admin = admin.expect("a connection");
    for number in 0..10 {
        let lease = start(&ledger, number).await;
        query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&admin)
        .await
        .expect("it may");
        let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
        assert_eq!(finished.expect("a reply"), Finished::Answered);
    }
}

#[tokio::test]
async fn a_server_that_was_killed_has_what_it_acknowledged() {
    let server = PostgresServer::start();
    let pool = pool_on(&server, PgPoolOptions::new().max_connections(4)).await;
    let ledger = ledger(&pool).await;
    let store = PostgresReplayStore::new(pool.clone()).patience(Duration::from_mins(1));
    let running = start(&ledger, 1).await;
    let promised = start(&ledger, 2).await;
    let held = ledger.promise(promised, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    server.kill();
    let begun = Instant::now();
    claim(&ledger, 3).await.expect_err("it is gone");
    assert!(begun.elapsed() < Duration::from_secs(6));
    let id = TokenId::new("a.example", "1");
    let now = SystemTime::now();
    let claimed = store.claim(id, now, now + TERM);
    let restart = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.run();
    };
    let (claimed, ()) = tokio::join!(claimed, restart);
    assert_eq!(claimed.expect("it came back"), Claim::First);

    let found = ledger.find(key(2)).await.expect("a reply");
    assert_eq!(found, Some(Standing::Promised));
    let finished = ledger.finish(running, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);

    // One that hangs is an error, too, and what it does later is known later.
    server.pause();
    let begun = Instant::now();
    let error = claim(&ledger, 4).await.expect_err("it hangs");
    assert_eq!(error.to_string(), "no reply of the database within 5s");
    assert!(begun.elapsed() < Duration::from_secs(6));
    server.resume();
    let _ = claim(&ledger, 4).await.expect("a reply");
}

#[tokio::test]
async fn transactions_that_conflict_are_repeated() {
    let pool = pool(4).await;
    query(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation \
         = ''serializable''', current_database()); END $$",
    )
    .execute(&pool)
    .await
    .expect("it may");
    let options = pool.connect_options().as_ref().clone();
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect_with(options)
        .await;
    let pool = pool.expect("connections");
    let level: String = query_scalar("SHOW transaction_isolation")
        .fetch_one(&pool)
        .await
        .expect("a level");
    assert_eq!(level, "serializable");
    let ledger = ledger(&pool).await;
    for number in 0..10 {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        // Each changes the row that the others read.
        let renewals = (0..8).map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.renew(lease, TERM).await })
        });
        for renewed in renewals.collect::<Vec<_>>() {
            let held = renewed.await.expect("no panic").expect("a reply");
            assert_eq!(held, Hold::Held);
        }
    }
}

/// A step of the ledger locks one row, so only what the user's own triggers and
/// transactions do can end in a deadlock; Postgres then chooses a victim.
#[tokio::test]
async fn the_victim_of_a_deadlock_is_repeated() {
    let pool = pool(1).await;
    let ledger = ledger(&pool).await;
    for statement in [
        "CREATE SEQUENCE victims",
        "CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('victims') % 3 <> 0 THEN \
         RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; \
         RETURN NEW; END $$",
        "CREATE TRIGGER deadlock BEFORE INSERT OR UPDATE ON c1_deliveries \
         FOR EACH ROW EXECUTE FUNCTION deadlock()",
    ] {
        query(statement).execute(&pool).await.expect(statement);
    }
    let lease = start(&ledger, 1).await;
    let held = ledger.renew(lease, TERM).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    let answer = RecordedAnswer::new(200, Bytes::from_static(b"done"));
    let finished = ledger.finish(lease, answer).await.expect("a reply");
    assert_eq!(finished, Finished::Answered);
    let victims: i64 = query_scalar("SELECT last_value FROM victims")
        .fetch_one(&pool)
        .await
        .expect("a number");
    assert_eq!(victims, 9, "each of three steps was the victim twice");
}

#[tokio::test]
async fn a_refusal_names_its_code_and_no_secret() {
    let pool = pool(2).await;
    let ledger = ledger(&pool).await;
    let lease = start(&ledger, 1).await;
    // Postgres quotes the row in the details of this refusal.
    query("ALTER TABLE c1_deliveries ADD CHECK (delivery IS NULL)")
        .execute(&pool)
        .await
        .expect("a constraint");
    let delivery = Bytes::from_static(b"https://callback.example/secret");
    let error = ledger.promise(lease, delivery).await.expect_err("refused");
    let told = format!("{error} {error:?}");
    assert!(told.contains("23514"), "{told}");
    for secret in ["callback", "68747470", "Failing row"] {
        assert!(!told.contains(secret), "{told}");
    }
    let found = ledger.find(key(1)).await.expect("a reply");
    assert_eq!(found, Some(Standing::Running), "nothing changed");

    // A standby after a fail-over, or a server that is being moved.
    query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        .execute(&pool)
        .await
        .expect("it may");
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("default_transaction_read_only", "on")]);
    let standby = PostgresLedger::new(PgPool::connect_lazy_with(options));
    let error = claim(&standby, 2).await.expect_err("read-only");
    assert!(error.to_string().ends_with("(25006)"), "{error}");

    // A limit on statements.
    let mut blocker = pool.begin().await.expect("a transaction");
    query("LOCK TABLE c1_deliveries")
        .execute(&mut *blocker)
        .await
        .expect("a lock");
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("statement_timeout", "200")]);
    let hurried = PostgresLedger::new(PgPool::connect_lazy_with(options));
    let error = claim(&hurried, 2).await.expect_err("too slow");
    assert!(error.to_string().ends_with("(57014)"), "{error}");
    blocker.rollback().await.expect("an end");
    start(&hurried, 2).await;

    // No table.
    let nowhere = PostgresLedger::new(pool.clone())
        .prefix("no_")
        .expect("a name");
    let error = claim(&nowhere, 1).await.expect_err("no table");
    assert!(error.to_string().ends_with("(42P01)"), "{error}");
}

/// Postgres' `now()` is the beginning of a transaction, which may have been long ago.
#[tokio::test]
async fn time_is_the_servers_and_that_of_the_statement() {
    let pool = pool(1).await;
    let ledger = ledger(&pool).await;
    // The only connection stays in this transaction.
    query("BEGIN").execute(&pool).await.expect("a transaction");
    let lease = start(&ledger, 1).await;
    let renewed = ledger.renew(lease, Duration::from_millis(300)).await;
    assert_eq!(renewed.expect("a reply"), Hold::Held);
    query("SELECT pg_sleep(0.4)")
        .execute(&pool)
        .await
        .expect("a while");
    let found = ledger.find(key(1)).await.expect("a reply");
    assert_eq!(found, Some(Standing::Released));
    query("ROLLBACK").execute(&pool).await.expect("an end");
}
