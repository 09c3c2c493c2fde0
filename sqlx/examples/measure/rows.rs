//! A table with many finished deliveries, beside one with few.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sqlx::sqlite::SqliteSynchronous;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool, query, query_as, query_scalar, raw_sql};
use support::bench::Bench;
use support::postgres_server::PostgresServer;
use tower_conductorone::ledger::{Claimed, Finished, Hold, Ledger, Name, Owner, RecordedAnswer};
use tower_conductorone_sqlx::{PostgresLedger, SqliteLedger};

use crate::{Folder, TERM, deliver, postgres_pool, random_key, sqlite_pool};

const FEW: u64 = 1_000;
/// How many sweeps are timed, each of 500 expired rows.
const SWEEPS: u32 = 100;

/// Prefixes of the tables.
const SIZES: [&str; 2] = ["few_", "many_"];

/// As the ledger writes it.
const STATE: &str = "{\"version\":1,\"stage\":\"answered\",\"owner\":\
    \"00112233445566778899aabbccddeeff\",\"run\":1,\"attempt\":0,\"held\":false,\"status\":200}";

pub(crate) fn postgres(rows: u64) {
    let mut bench = Bench::new("sqlx-rows-postgres");
    // The size is to be measured, not the disk, nor what cleans up meanwhile.
    let settings = ["fsync=off", "autovacuum=off", "max_wal_size=512MB"];
    let server = PostgresServer::start_with(&settings);
    let (pool, ledgers) = bench.runtime().block_on(async {
        let pool = postgres_pool(&server.url("postgres"), 1);
        let mut ledgers = Vec::new();
        for (prefix, rows) in SIZES.into_iter().zip([FEW, rows]) {
            let ledger = PostgresLedger::new(pool.clone()).prefix(prefix);
            let ledger = ledger.expect("a name");
            ledger.migrate().await.expect("a migration");
            let begun = Instant::now();
            // In the keys' order, which is that of the index.
            let fill = format!(
                "INSERT INTO {prefix}deliveries (delivery_key, layer, state, answer, listed, \
                 due_at, expires_at, revision) \
                 SELECT decode(repeat('00', 16), 'hex') || digest, decode(repeat('00', 8), 'hex'), '{STATE}', \
                 '{{\"version\":\"v1\"}}', NULL, now(), \
                 now() + interval '2 hours' + n * interval '22 hours' / {rows}, n \
                 FROM (SELECT n, sha256(n::text::bytea) AS digest \
                 FROM generate_series(1, {rows}) AS n ORDER BY digest) AS new; \
                 VACUUM ANALYZE {prefix}deliveries; CHECKPOINT"
            );
            for statement in fill.split(';') {
                let done = raw_sql(AssertSqlSafe(statement.to_owned())).execute(&pool);
                done.await.expect(statement);
            }
            let size: String = query_scalar(AssertSqlSafe(format!(
                "SELECT pg_size_pretty(pg_total_relation_size('{prefix}deliveries'))"
            )))
            .fetch_one(&pool)
            .await
            .expect("a size");
            println!("{rows} rows, {size}, made in {:.0?}", begun.elapsed());
            ledgers.push(ledger);
        }
        (pool, ledgers)
    });
    let [few, many] = &ledgers[..] else {
        unreachable!("two sizes")
    };
    steps(&mut bench, few, many);
    bench.runtime().block_on(async {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..SWEEPS {
            for ((prefix, ledger), times) in SIZES.iter().zip(&ledgers).zip(&mut times) {
                // What expires together was written together: too long for the gaps that
                // the many rows have left here and there.
                let expired = format!(
                    "INSERT INTO {prefix}deliveries SELECT decode(repeat('00', 16), 'hex') || \
                     sha256(random()::text::bytea), layer, state, NULL, \
                     repeat('x', 200)::bytea, listed, now(), \
                     now() - (500 - n) * interval '1 microsecond', 0 \
                     FROM generate_series(1, 500) AS n, \
                     (SELECT * FROM {prefix}deliveries LIMIT 1) AS one"
                );
                query(AssertSqlSafe(expired))
                    .execute(&pool)
                    .await
                    .expect("rows");
                times.push(timed_sweep(Box::pin(ledger.sweep())).await);
            }
        }
        tell_sweeps(times);
        show_plans(&pool).await;
    });
}

pub(crate) fn sqlite(rows: u64) {
    let mut bench = Bench::new("sqlx-rows-sqlite");
    let folder = Folder::new();
    let (pool, ledgers) = bench.runtime().block_on(async {
        let path = folder.0.join("hooks.db");
        let pool = sqlite_pool(&path, SqliteSynchronous::Normal).await;
        let mut ledgers = Vec::new();
        for (prefix, rows) in SIZES.into_iter().zip([FEW, rows]) {
            let ledger = SqliteLedger::new(pool.clone()).prefix(prefix);
            let ledger = ledger.expect("a name");
            ledger.migrate().await.expect("a migration");
            let begun = Instant::now();
            // Multiplied by an odd number, the numbers are mixed, and stay different.
            let fill = format!(
                "INSERT INTO {prefix}deliveries (delivery_key, layer, state, answer, listed, \
                 due_at, expires_at, revision) \
                 WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows}) \
                 SELECT unhex(printf('%032d%08x%056d', 0, n * 2654435761 & 4294967295, 0)) AS key, \
                 zeroblob(8), '{STATE}', CAST('{{\"version\":\"v1\"}}' AS BLOB), NULL, 0, \
                 unixepoch() * 1000 + 7200000 + n * 79200000 / {rows}, n FROM n ORDER BY key"
            );
            let done = raw_sql(AssertSqlSafe(fill)).execute(&pool);
            done.await.expect("rows");
            println!("{rows} rows made in {:.0?}", begun.elapsed());
            ledgers.push(ledger);
        }
        checkpoint(&pool).await;
        let size = std::fs::metadata(&path).expect("a file").len() / 1_000_000;
        println!("{size} MB in all");
        (pool, ledgers)
    });
    let [few, many] = &ledgers[..] else {
        unreachable!("two sizes")
    };
    steps(&mut bench, few, many);
    bench.runtime().block_on(async {
        let mut times = [Vec::new(), Vec::new()];
        let mut checkpoints = [Vec::new(), Vec::new()];
        for _ in 0..SWEEPS {
            for (index, (prefix, ledger)) in SIZES.iter().zip(&ledgers).enumerate() {
                let expired = format!(
                    "INSERT INTO {prefix}deliveries (delivery_key, layer, state, answer, listed, \
                     due_at, expires_at, revision) \
                     WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 500) \
                     SELECT unhex(printf('%032d', 0) || hex(randomblob(32))), \
                     zeroblob(8), '{STATE}', x'00', NULL, 0, 1, 0 FROM n"
                );
                query(AssertSqlSafe(expired))
                    .execute(&pool)
                    .await
                    .expect("rows");
                checkpoint(&pool).await;
                times[index].push(timed_sweep(Box::pin(ledger.sweep())).await);
                checkpoints[index].push(checkpoint(&pool).await);
            }
        }
        tell_sweeps(times);
        println!("the pages that it wrote, and their checkpoint (min, median)");
        for (name, mut checkpoints) in ["few rows ", "many rows"].into_iter().zip(checkpoints) {
            checkpoints.sort_by_key(|(_, took)| *took);
            let ((pages, least), (_, median)) =
                (checkpoints[0], checkpoints[checkpoints.len() / 2]);
            println!("  {name} {pages}, {least:?}, {median:?}");
        }
    });
}

/// Copies the log into the file, and returns of how many pages, and how long it took.
async fn checkpoint(pool: &SqlitePool) -> (i64, Duration) {
    let begun = Instant::now();
    let (_, pages, _): (i64, i64, i64) = query_as("PRAGMA wal_checkpoint")
        .fetch_one(pool)
        .await
        .expect("a checkpoint");
    (pages, begun.elapsed())
}

/// The steps on both tables, in turns.
fn steps(bench: &mut Bench, few: &impl Ledger, many: &impl Ledger) {
    let ledgers: [(&str, &dyn Ledger); 2] = [("few rows", few), ("many rows", many)];
    let mut group = bench.group("a claim and a finish");
    for (name, ledger) in ledgers {
        group = group.case_async(name, async || deliver(ledger).await);
    }
    group.measure("few rows");
    let mut group = bench.group("a take, and nothing is due");
    for (name, ledger) in ledgers {
        group = group.case_async(name, async || {
            let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
            assert!(taken.expect("a reply").is_none());
        });
    }
    group.measure("few rows");
    let mut group = bench.group("a promise, taken over, finished and called back");
    for (name, ledger) in ledgers {
        group = group.case_async(name, async || call_back(ledger).await);
    }
    group.measure("few rows");
}

async fn call_back(ledger: &dyn Ledger) {
    let claimed = ledger.claim(random_key(), Owner::random(), TERM).await;
    let Ok(Claimed::Started(lease)) = claimed else {
        panic!("{claimed:?}");
    };
    let work = Bytes::from_static(&[b'w'; 500]);
    let held = ledger.promise(lease, work).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let held = ledger.release(lease, Duration::ZERO).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
    let lease = taken.expect("a reply").expect("it is due").lease;
    let run = ledger.begin(lease, TERM).await.expect("a reply");
    let answer = RecordedAnswer::new(200, r#"{"version":"v1"}"#);
    let finished = ledger.finish(run.expect("it is held"), answer).await;
    let Finished::Stored(lease) = finished.expect("a reply") else {
        panic!("it was promised");
    };
    let held = ledger.called_back(lease).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
}

async fn timed_sweep<E: std::fmt::Debug>(sweep: impl Future<Output = Result<u64, E>>) -> Duration {
    let begun = Instant::now();
    assert_eq!(sweep.await.expect("a reply"), 500);
    begun.elapsed()
}

fn tell_sweeps(times: [Vec<Duration>; 2]) {
    let [few, many] = times.map(|mut times| {
        times.sort();
        (times[0], times[times.len() / 2])
    });
    println!("\na sweep of 500 rows (min, median)");
    println!("  few rows  {:?}, {:?}", few.0, few.1);
    let ratio = many.0.as_secs_f64() / few.0.as_secs_f64();
    println!("  many rows {:?}, {:?}; ratio {ratio:.3}", many.0, many.1);
}

/// The plan of each statement that the ledger has prepared on the only connection.
async fn show_plans(pool: &PgPool) {
    let statements: Vec<(String, String, i32)> = query_as(
        "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements \
         WHERE statement LIKE '%\"many_deliveries\"%' AND statement NOT LIKE '%generate_series%'",
    )
    .fetch_all(pool)
    .await
    .expect("statements");
    // Whatever the parameters are.
    raw_sql("SET plan_cache_mode = force_generic_plan")
        .execute(pool)
        .await
        .expect("it may");
    for (name, statement, parameters) in statements {
        println!("\n{statement}");
        let nulls = vec!["NULL"; usize::try_from(parameters).expect("few")].join(", ");
        let explain = format!("EXPLAIN EXECUTE {name}({nulls})");
        let plan: Vec<String> = query_scalar(AssertSqlSafe(explain))
            .persistent(false)
            .fetch_all(pool)
            .await
            .expect("a plan");
        println!("    {}", plan.join("\n    "));
    }
}
