//! What the ledger and the replay store do and leave in Postgres.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlx::{AssertSqlSafe, PgPool, query, query_as, query_scalar};
use tokio::task::JoinSet;
use tower_conductorone::ledger::{
    Claimed, Death, Finished, Hold, Ledger, Name, Owner, RecordedAnswer, Retention, Revival,
    Standing,
};
use tower_conductorone::replay::{Claim, ReplayStore, TokenId};
use tower_conductorone::testing::conformance;
use tower_conductorone_sqlx::{PostgresLedger, PostgresReplayStore};

use crate::{TERM, claim, key, ledger, ledgers, pool, replay_stores, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_the_rules_of_all_ledgers() {
    let pool = pool(16).await;
    conformance::ledger(ledgers(pool), tokio::time::sleep).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replay_store_keeps_the_rules_of_all_stores() {
    let pool = pool(16).await;
    conformance::replay_store(replay_stores(pool)).await;
}

/// What the server has done, in statements and transactions.
async fn commits(pool: &PgPool) -> i64 {
    let mut connection = pool.acquire().await.expect("a connection");
    // The server's own count is late: these are counted by this connection.
    query_scalar("SELECT count(*) FROM noted")
        .fetch_one(&mut *connection)
        .await
        .expect("a count")
}

#[tokio::test]
async fn a_delivery_takes_two_statements() {
    let pool = pool(4).await;
    let ledger = ledger(&pool).await;
    for statement in [
        "CREATE TABLE noted (what text)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO noted VALUES (TG_OP); RETURN NULL; END $$",
        // Statements that find no row count, too.
        "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON c1_deliveries \
         FOR EACH STATEMENT EXECUTE FUNCTION note()",
    ] {
        query(statement).execute(&pool).await.expect(statement);
    }
    start(&ledger, 1).await;
    let before = commits(&pool).await;
    let reads: i64 = reads_of(&pool).await;
    let lease = start(&ledger, 2).await;
    let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    assert_eq!(commits(&pool).await - before, 2);
    assert_eq!(reads_of(&pool).await, reads, "no query");
}

/// The index entries stay as they are: no new ones, and no dead ones to clean up.
#[tokio::test]
async fn a_delivery_that_is_answered_in_time_changes_no_index() {
    let pool = pool(1).await;
    let ledger = ledger(&pool).await;
    let answer = || RecordedAnswer::new(200, format!(r#"{{"comment":"{}"}}"#, "c".repeat(100)));
    for number in 0..200 {
        let lease = start(&ledger, number).await;
        let finished = ledger.finish(lease, answer()).await;
        assert_eq!(finished.expect("a reply"), Finished::Answered);
    }
    let flush = query("SELECT pg_stat_force_next_flush()");
    flush.execute(&pool).await.expect("Postgres 15 or newer");
    let (updates, heap_only): (i64, i64) = query_as(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables \
         WHERE relname = 'c1_deliveries'",
    )
    .fetch_one(&pool)
    .await
    .expect("numbers");
    assert_eq!(updates, 200);
    assert!(heap_only >= 198, "only {heap_only} of {updates}");
}

/// How often the ledger's query was planned or executed by any connection of the pool.
async fn reads_of(pool: &PgPool) -> i64 {
    let mut prepared = 0;
    let mut connections = Vec::new();
    while let Some(connection) = pool.try_acquire() {
        connections.push(connection);
    }
    for connection in &mut connections {
        let count: i64 = query_scalar(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT state%'",
        )
        .fetch_one(&mut **connection)
        .await
        .expect("a count");
        prepared += count;
    }
    prepared
}

#[tokio::test]
async fn a_row_can_be_read_by_a_person() {
    let pool = pool(2).await;
    let ledger = ledger(&pool).await;
    let lease = start(&ledger, 1).await;
    let held = ledger
        .promise(lease, Bytes::from_static(b"the callback"))
        .await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let (key, layer, stage, delivery, answer, listed): (
        String,
        String,
        String,
        String,
        Option<Vec<u8>>,
        String,
    ) = query_as(
        "SELECT encode(delivery_key, 'hex'), encode(layer, 'hex'), state::json->>'stage', \
         convert_from(delivery, 'UTF8'), answer, listed FROM c1_deliveries",
    )
    .fetch_one(&pool)
    .await
    .expect("a row");
    assert_eq!(key, lease.key().to_string());
    assert_eq!(
        (layer.as_str(), stage.as_str()),
        ("0000000000000000", "promised")
    );
    assert_eq!(
        (delivery.as_str(), answer, listed.as_str()),
        ("the callback", None, "promised")
    );
    let (due, expires): (f64, f64) = query_as(
        "SELECT extract(epoch FROM due_at - now())::float8, \
         extract(epoch FROM expires_at - now())::float8 FROM c1_deliveries",
    )
    .fetch_one(&pool)
    .await
    .expect("a row");
    assert!((40.0..=45.0).contains(&due), "{due}");
    let nine_days = 9.0 * 86_400.0;
    assert!(
        (nine_days - 5.0..=nine_days).contains(&expires),
        "{expires}"
    );

    // What is not needed any more is deleted.
    let Ok(Finished::Stored(lease)) = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await
    else {
        panic!("not stored");
    };
    let held = ledger.called_back(lease).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let secrets: i64 = query_scalar(
        "SELECT count(*) FROM c1_deliveries WHERE delivery IS NOT NULL OR answer IS NOT NULL",
    )
    .fetch_one(&pool)
    .await
    .expect("a count");
    assert_eq!(secrets, 0);
}

#[tokio::test]
async fn a_dead_row_can_be_revived_until_its_deadline_and_then_expires() {
    let pool = pool(2).await;
    let ledger = ledger(&pool).await;
    for number in [1, 2] {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let death = Death::new("no use").of("a.example", "an.Event");
        let held = ledger.bury(lease, death.id("task", "7")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
    }
    let (listed, reason, task, left, delivery): (String, String, String, f64, Vec<u8>) = query_as(
        "SELECT listed, state::json->>'reason', state::json->'about'->'ids'->>'task', \
         (state::json->>'deadline')::float8 / 1000 - extract(epoch FROM now())::float8, delivery \
         FROM c1_deliveries LIMIT 1",
    )
    .fetch_one(&pool)
    .await
    .expect("a row");
    assert_eq!(
        (listed, reason, task),
        ("dead".into(), "no use".into(), "7".into())
    );
    assert_eq!(delivery, b"work");
    let eight_days = 8.0 * 86_400.0;
    assert!((eight_days - 60.0..=eight_days).contains(&left), "{left}");

    query("UPDATE c1_deliveries SET state = jsonb_set(state::jsonb, '{deadline}', '1')::text")
        .execute(&pool)
        .await
        .expect("rows");
    let revived = ledger.revive(key(1)).await.expect("a reply");
    assert_eq!(revived, Revival::TooLate);
    let page = ledger.dead(None).await.expect("a reply");
    let left: Vec<_> = page.deliveries.iter().map(|dead| dead.time_left).collect();
    assert_eq!(left, [Duration::ZERO; 2]);

    query("UPDATE c1_deliveries SET expires_at = now() WHERE delivery_key = decode($1, 'hex')")
        .bind(key(1).to_string())
        .execute(&pool)
        .await
        .expect("a row");
    let revived = ledger.revive(key(1)).await.expect("a reply");
    assert_eq!(revived, Revival::Unknown);
    let page = ledger.dead(None).await.expect("a reply");
    let left: Vec<_> = page.deliveries.iter().map(|dead| dead.key).collect();
    assert_eq!(left, [key(2)]);
    assert_eq!(ledger.sweep().await.expect("a sweep"), 1);
}

#[tokio::test]
async fn a_role_that_may_use_the_tables_suffices() {
    let pool = pool(2).await;
    query("CREATE SCHEMA hooks")
        .execute(&pool)
        .await
        .expect("a schema");
    let of = |pool: &PgPool| {
        let ledger = PostgresLedger::new(pool.clone());
        let store = PostgresReplayStore::new(pool.clone());
        (
            ledger
                .schema("hooks")
                .and_then(|it| it.prefix("my_"))
                .expect("names"),
            store
                .schema("hooks")
                .and_then(|it| it.prefix("my_"))
                .expect("names"),
        )
    };
    // Several may do it at the same time, and again.
    let mut all = JoinSet::new();
    for _ in 0..4 {
        let (ledger, store) = of(&pool);
        all.spawn(async move { ledger.migrate().await.and(store.migrate().await) });
    }
    for migrated in all.join_all().await {
        migrated.expect("a migration");
    }
    let role = format!("receiver_{}", std::process::id());
    for statement in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT USAGE ON SCHEMA hooks TO {role}"),
        format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON hooks.my_deliveries, hooks.my_tokens TO {role}"
        ),
    ] {
        let done = query(AssertSqlSafe(statement)).execute(&pool).await;
        done.expect("a statement");
    }
    let options = pool.connect_options().as_ref().clone().username(&role);
    let (ledger, store) = of(&PgPool::connect_lazy_with(options));
    let lease = start(&ledger, 1).await;
    let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let held = ledger.release(lease, Duration::ZERO).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
    assert!(taken.expect("a reply").is_some());
    assert_eq!(ledger.sweep().await.expect("a sweep"), 0);
    let now = std::time::SystemTime::now();
    let claimed = store.claim(TokenId::new("a.example", "1"), now, now).await;
    assert_eq!(claimed.expect("a reply"), Claim::First);
    assert_eq!(store.sweep().await.expect("a sweep"), 0);

    for name in ["", "A", "1", "a-b", "a\"b", "a.b", "ä", &"a".repeat(41)] {
        PostgresLedger::new(pool.clone())
            .schema(name)
            .expect_err(name);
        PostgresLedger::new(pool.clone())
            .prefix(name)
            .expect_err(name);
    }
}

#[tokio::test]
async fn expired_rows_are_deleted_in_batches() {
    let pool = pool(2).await;
    let ledger = ledger(&pool).await;
    let store = PostgresReplayStore::new(pool.clone());
    start(&ledger, 1).await;
    for statement in [
        "INSERT INTO c1_deliveries SELECT n::text::bytea, 'x', '{}', NULL, NULL, 'dead', now(), \
         now() - interval '1 hour', 0 FROM generate_series(1, 1200) AS n",
        "INSERT INTO c1_tokens SELECT 'a.example', n::text::bytea, '', \
         now() - interval '1 hour' FROM generate_series(1, 600) AS n",
    ] {
        query(statement).execute(&pool).await.expect(statement);
    }
    let mut swept = Vec::new();
    for _ in 0..4 {
        swept.push(ledger.sweep().await.expect("a sweep"));
    }
    assert_eq!(swept, [500, 500, 200, 0]);
    assert_eq!(store.sweep().await.expect("a sweep"), 500);
    assert_eq!(store.sweep().await.expect("a sweep"), 100);
    let held = ledger.find(key(1)).await.expect("a reply");
    assert_eq!(held, Some(Standing::Running), "what has not expired stays");

    // By itself, while the ledger is used.
    query("UPDATE c1_deliveries SET expires_at = now()")
        .execute(&pool)
        .await
        .expect("a row");
    for _ in 0..130 {
        ledger.find(key(2)).await.expect("a reply");
    }
    for _ in 0..100 {
        let left: i64 = query_scalar("SELECT count(*) FROM c1_deliveries")
            .fetch_one(&pool)
            .await
            .expect("a count");
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("an expired row stays");
}

/// The pages of the tables and their indexes that the only connection has read so far.
async fn pages_read(pool: &PgPool) -> i64 {
    let flush = query("SELECT pg_stat_force_next_flush()");
    flush.execute(pool).await.expect("Postgres 15 or newer");
    let pages = "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint \
                 FROM pg_statio_user_tables WHERE relname LIKE 'c1%'";
    query_scalar(pages).fetch_one(pool).await.expect("a number")
}

/// Rows that were deleted stay in the indexes until Postgres vacuums, which it does not
/// while a transaction is older.
#[tokio::test]
async fn no_batch_steps_over_the_rows_of_those_before() {
    const BATCHES: usize = 60;
    let pool = pool(1).await;
    let ledger = ledger(&pool).await;
    let store = PostgresReplayStore::new(pool.clone());
    for statement in [
        "ALTER TABLE c1_deliveries SET (autovacuum_enabled = off)",
        "ALTER TABLE c1_tokens SET (autovacuum_enabled = off)",
        "INSERT INTO c1_deliveries SELECT md5(n::text)::bytea, 'x', '{}', NULL, NULL, \
         NULL, now(), now() - interval '1 day' + n * interval '1 second', 0 \
         FROM generate_series(1, 30000) AS n",
        "INSERT INTO c1_tokens SELECT 'a.example', md5(n::text)::bytea, '', \
         now() - interval '1 day' + n * interval '1 second' FROM generate_series(1, 30000) AS n",
        "VACUUM ANALYZE",
    ] {
        query(statement).execute(&pool).await.expect(statement);
    }
    let options = pool.connect_options().as_ref().clone();
    let other = PgPool::connect_with(options).await.expect("a connection");
    let mut old = other
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .expect("a transaction");
    query("SELECT 1 FROM c1_deliveries LIMIT 1")
        .execute(&mut *old)
        .await
        .expect("a snapshot");
    let mut pages = (Vec::new(), Vec::new());
    for _ in 0..BATCHES {
        let before = pages_read(&pool).await;
        assert_eq!(ledger.sweep().await.expect("a sweep"), 500);
        let between = pages_read(&pool).await;
        assert_eq!(store.sweep().await.expect("a sweep"), 500);
        pages.0.push(between - before);
        pages.1.push(pages_read(&pool).await - between);
    }
    for pages in [pages.0, pages.1] {
        let (first, most) = (pages[0], pages.iter().max().expect("some"));
        assert!(*most <= first + 20, "{pages:?}");
    }
    let plans =
        "SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE 'WITH swept%'";
    let plans: Vec<i64> = query_scalar(plans).fetch_all(&pool).await.expect("numbers");
    assert_eq!(plans, [5, 5], "after which Postgres tries one plan for all");
    old.rollback().await.expect("an end");
}

#[tokio::test]
async fn a_row_that_is_refreshed_meanwhile_is_not_deleted() {
    let pool = pool(4).await;
    let ledger = ledger(&pool).await;
    for statement in [
        "INSERT INTO c1_deliveries SELECT n::text::bytea, 'x', '{}', NULL, NULL, NULL, now(), \
         now() - interval '1 hour', 0 FROM generate_series(1, 4) AS n",
        // A sweep waits when it has begun, and has not yet looked for rows.
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$",
        "CREATE TRIGGER wait BEFORE DELETE ON c1_deliveries \
         FOR EACH STATEMENT EXECUTE FUNCTION wait()",
    ] {
        query(statement).execute(&pool).await.expect(statement);
    }
    let refresh = |key: &'static str| {
        query(
            "UPDATE c1_deliveries SET expires_at = now() + interval '1 hour' \
             WHERE delivery_key = $1",
        )
        .bind(key.as_bytes())
    };
    let mut gate = pool.begin().await.expect("a transaction");
    query("SELECT pg_advisory_xact_lock(1)")
        .execute(&mut *gate)
        .await
        .expect("a lock");
    let sweep = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.sweep().await.expect("a sweep") }
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    while !query_scalar::<_, bool>(waits)
        .fetch_one(&pool)
        .await
        .expect("a reply")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    refresh("1").execute(&pool).await.expect("a row");
    let mut open = pool.begin().await.expect("a transaction");
    refresh("2").execute(&mut *open).await.expect("a row");
    gate.commit().await.expect("an end");
    assert_eq!(sweep.await.expect("no panic"), 2);
    open.commit().await.expect("an end");
    assert_eq!(ledger.sweep().await.expect("a sweep"), 0);
    let left = "SELECT convert_from(delivery_key, 'UTF8') FROM c1_deliveries ORDER BY 1";
    let left: Vec<String> = query_scalar(left).fetch_all(&pool).await.expect("rows");
    assert_eq!(left, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_sweep_at_the_same_time_delete_each_row_once() {
    let pool = pool(4).await;
    ledger(&pool).await;
    query(
        "INSERT INTO c1_deliveries SELECT n::text::bytea, 'x', '{}', NULL, NULL, NULL, now(), \
         now() - n * interval '1 second', 0 FROM generate_series(1, 5000) AS n",
    )
    .execute(&pool)
    .await
    .expect("rows");
    let mut replicas = JoinSet::new();
    for _ in 0..4 {
        let replica = PostgresLedger::new(pool.clone());
        replicas.spawn(async move {
            let mut swept = 0;
            // As often as needed if it were alone.
            for _ in 0..10 {
                swept += replica.sweep().await.expect("a sweep");
            }
            swept
        });
    }
    let swept: u64 = replicas.join_all().await.into_iter().sum();
    let left: i64 = query_scalar("SELECT count(*) FROM c1_deliveries")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(swept + left.unsigned_abs(), 5_000);
}

#[tokio::test]
async fn an_expired_record_is_as_none() {
    let pool = pool(2).await;
    let hour = Duration::from_hours(1);
    let retention = Retention::new(hour, 24 * hour).expect("in range");
    let ledger = ledger(&pool).await.retention(retention);
    let lease = start(&ledger, 1).await;
    query("UPDATE c1_deliveries SET expires_at = now()")
        .execute(&pool)
        .await
        .expect("a row");
    let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Lost);
    assert_eq!(start(&ledger, 1).await.run(), 1);
}

#[tokio::test]
async fn no_step_reads_the_whole_table() {
    let pool = pool(1).await;
    let ledger = ledger(&pool).await;
    query(
        "INSERT INTO c1_deliveries SELECT decode(lpad(n::text, 96, '0'), 'hex'), decode(repeat('00', 8), 'hex'), '{}', \
         NULL, NULL, CASE n % 1000 WHEN 0 THEN 'promised' WHEN 1 THEN 'dead' END, now() + n * interval '1 second', now() + n * interval '1 day', \
         0 FROM generate_series(1, 200000) AS n",
    )
    .execute(&pool)
    .await
    .expect("rows");
    query("ANALYZE c1_deliveries")
        .execute(&pool)
        .await
        .expect("statistics");
    let scans = async || -> i64 {
        let flush = query("SELECT pg_stat_force_next_flush()");
        flush.execute(&pool).await.expect("Postgres 15 or newer");
        let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'c1_deliveries'";
        query_scalar(scans)
            .fetch_one(&pool)
            .await
            .expect("a number")
    };
    let before = scans().await;
    // Often enough for Postgres to replace each plan with one for all parameters.
    for number in 0..20 {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.renew(lease, Duration::ZERO).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
        assert!(taken.expect("a reply").is_some());
        let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
        assert_eq!(taken.expect("a reply"), None);
        // What is here has no state that can be read, and is passed over.
        let page = ledger.dead(None).await;
        assert!(page.expect("a reply").deliveries.is_empty());
        query("UPDATE c1_deliveries SET expires_at = now() WHERE delivery_key = decode($1, 'hex')")
            .bind(format!("{number:096}"))
            .execute(&pool)
            .await
            .expect("a row");
        ledger.sweep().await.expect("a sweep");
    }
    assert_eq!(scans().await, before);
}

#[tokio::test]
async fn no_claim_of_a_token_reads_the_whole_table() {
    let pool = pool(1).await;
    ledger(&pool).await;
    let store = PostgresReplayStore::new(pool.clone());
    query(
        "INSERT INTO c1_tokens SELECT 'a.example', sha256(n::text::bytea), '', \
         now() + n * interval '1 minute' FROM generate_series(1, 50000) AS n",
    )
    .execute(&pool)
    .await
    .expect("rows");
    query("ANALYZE c1_tokens")
        .execute(&pool)
        .await
        .expect("statistics");
    let scans = async || -> i64 {
        let flush = query("SELECT pg_stat_force_next_flush()");
        flush.execute(&pool).await.expect("Postgres 15 or newer");
        let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'c1_tokens'";
        query_scalar(scans)
            .fetch_one(&pool)
            .await
            .expect("a number")
    };
    let before = scans().await;
    let now = std::time::SystemTime::now();
    for number in 0..20 {
        let jti = number.to_string();
        for claim in [Claim::First, Claim::Seen] {
            let claimed = store.claim(TokenId::new("b.example", &jti), now, now + TERM);
            assert_eq!(claimed.await.expect("a reply"), claim);
        }
        query("UPDATE c1_tokens SET expires_at = now() WHERE tenant = 'b.example'")
            .execute(&pool)
            .await
            .expect("rows");
        assert!(store.sweep().await.expect("a sweep") >= 1);
    }
    assert_eq!(scans().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_many_replicas_start_one_run() {
    let pool = pool(32).await;
    let ledger = Arc::new(ledger(&pool).await);
    for number in 0..20 {
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let ledger = Arc::clone(&ledger);
            all.spawn(async move { claim(&*ledger, number).await.expect("a reply") });
        }
        let claims = all.join_all().await;
        let started = claims.iter().filter(|it| matches!(it, Claimed::Started(_)));
        assert_eq!(started.count(), 1);
    }
}
