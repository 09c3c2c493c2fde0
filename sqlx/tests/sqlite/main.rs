//! The ledger and the replay store in SQLite files.
#![cfg(feature = "sqlite")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs};

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlitePool, query, query_as, query_scalar};
use tokio::task::JoinSet;
use tower_conductorone::ledger::{
    Claimed, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError, Name, Owner, RecordedAnswer,
    Standing,
};
use tower_conductorone::testing::conformance;
use tower_conductorone_sqlx::{SqliteLedger, SqliteReplayStore};

const TERM: Duration = Duration::from_secs(45);

/// A file that is deleted after its test.
struct File(PathBuf);

impl File {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("c1-sqlite-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("hooks.db")
    }

    async fn pool(&self) -> SqlitePool {
        open(&self.path()).await
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn open(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new()
        .max_connections(8)
        .connect_with(options)
        .await;
    pool.expect("a file")
}

async fn ledger(pool: &SqlitePool) -> SqliteLedger {
    let ledger = SqliteLedger::new(pool.clone());
    ledger.migrate().await.expect("a migration");
    ledger
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

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_the_rules_of_all_ledgers() {
    let file = File::new();
    let pool = file.pool().await;
    let count = AtomicU32::new(0);
    let make = async || {
        let prefix = format!("test{}_", count.fetch_add(1, Ordering::Relaxed));
        let ledger = SqliteLedger::new(pool.clone())
            .prefix(&prefix)
            .expect("a name");
        ledger.migrate().await.expect("a migration");
        ledger
    };
    conformance::ledger(make, tokio::time::sleep).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replay_store_keeps_the_rules_of_all_stores() {
    let file = File::new();
    let pool = file.pool().await;
    let count = AtomicU32::new(0);
    let make = async || {
        let prefix = format!("test{}_", count.fetch_add(1, Ordering::Relaxed));
        let store = SqliteReplayStore::new(pool.clone())
            .prefix(&prefix)
            .expect("a name");
        store.migrate().await.expect("a migration");
        store
    };
    conformance::replay_store(make).await;
}

/// Ledgers with pools of their own do not share a queue of writers.
#[tokio::test(flavor = "multi_thread")]
async fn several_pools_may_use_one_file() {
    let file = File::new();
    let mut ledgers = Vec::new();
    for _ in 0..4 {
        ledgers.push(Arc::new(ledger(&file.pool().await).await));
    }
    for number in 0..20 {
        let mut all = JoinSet::new();
        for ledger in ledgers.iter().cycle().take(16) {
            let ledger = Arc::clone(ledger);
            all.spawn(async move { claim(&*ledger, number).await.expect("a reply") });
        }
        let claims = all.join_all().await;
        let started = claims.iter().filter(|it| matches!(it, Claimed::Started(_)));
        assert_eq!(started.count(), 1);
    }
}

#[tokio::test]
async fn a_row_can_be_read_by_a_person() {
    let file = File::new();
    let pool = file.pool().await;
    let ledger = ledger(&pool).await;
    let lease = start(&ledger, 1).await;
    let held = ledger
        .promise(lease, Bytes::from_static(b"the callback"))
        .await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let (key, stage, delivery, due, expires): (String, String, String, f64, f64) = query_as(
        "SELECT lower(hex(delivery_key)), state ->> 'stage', CAST(delivery AS TEXT), \
         (julianday(due_at / 1000, 'unixepoch') - julianday('now')) * 86400, \
         (julianday(expires_at / 1000, 'unixepoch') - julianday('now')) * 86400 \
         FROM c1_deliveries",
    )
    .fetch_one(&pool)
    .await
    .expect("a row");
    assert_eq!(key, lease.key().to_string());
    assert_eq!(
        (stage.as_str(), delivery.as_str()),
        ("promised", "the callback")
    );
    assert!((38.0..=45.0).contains(&due), "{due}");
    let nine_days = 9.0 * 86_400.0;
    assert!(
        (nine_days - 6.0..=nine_days).contains(&expires),
        "{expires}"
    );

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
async fn expired_rows_are_deleted_in_batches() {
    let file = File::new();
    let pool = file.pool().await;
    let ledger = ledger(&pool).await;
    let store = SqliteReplayStore::new(pool.clone());
    start(&ledger, 1).await;
    for statement in [
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200) \
         INSERT INTO c1_deliveries SELECT CAST(n AS BLOB), x'', '{}', NULL, NULL, 'dead', 0, 0, 0 FROM n",
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 600) \
         INSERT INTO c1_tokens SELECT 'a.example', CAST(n AS BLOB), x'', 0 FROM n",
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
    let found = ledger.find(key(1)).await.expect("a reply");
    assert_eq!(found, Some(Standing::Running), "what has not expired stays");
}

#[tokio::test]
async fn another_writer_is_waited_for_and_then_an_error() {
    let file = File::new();
    let pool = file.pool().await;
    let ledger = ledger(&pool).await;
    let busy = pool
        .begin_with("BEGIN IMMEDIATE")
        .await
        .expect("a transaction");
    let begun = Instant::now();
    let error = claim(&ledger, 1).await.expect_err("busy");
    assert!(
        begun.elapsed() < Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
    let is_late = error
        .to_string()
        .starts_with("no reply of the database within");
    assert!(is_late || error.to_string().ends_with("(5)"), "{error}");
    busy.rollback().await.expect("an end");
    let _ = claim(&ledger, 1).await.expect("a reply");
    // One that ends in time is no error.
    let busy = pool
        .begin_with("BEGIN IMMEDIATE")
        .await
        .expect("a transaction");
    let wait = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        busy.rollback().await.expect("an end");
    };
    let (claimed, ()) = tokio::join!(claim(&ledger, 2), wait);
    assert!(matches!(claimed, Ok(Claimed::Started(_))));
}

#[tokio::test]
async fn an_exhausted_pool_is_an_error_within_seconds() {
    let file = File::new();
    let pool = file.pool().await;
    let ledger = ledger(&pool).await;
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(pool.acquire().await.expect("a connection"));
    }
    let begun = Instant::now();
    let error = claim(&ledger, 1).await.expect_err("no connection");
    assert_eq!(error.to_string(), "no reply of the database within 5s");
    assert!(begun.elapsed() < Duration::from_secs(6));
    drop(all);
    start(&ledger, 1).await;
}

/// The process that [`a_killed_process_loses_nothing_that_it_acknowledged`] kills.
#[tokio::test]
#[ignore = "a part of another test"]
async fn works_until_it_is_killed() {
    let Some(path) = env::var_os("C1_SQLITE_FILE") else {
        return;
    };
    let ledger = ledger(&open(Path::new(&path)).await).await;
    for number in 0..=u8::MAX {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from(vec![number])).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        // Only now is it acknowledged.
        let mark = Path::new(&path).with_file_name(format!("promised-{number}"));
        fs::write(mark, "").expect("a mark");
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let file = File::new();
    let mut process = Command::new(env::current_exe().expect("this"))
        .args(["--ignored", "--exact", "works_until_it_is_killed"])
        .env("C1_SQLITE_FILE", file.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("a process");
    let mark = |number: u8| file.0.join(format!("promised-{number}"));
    let begun = Instant::now();
    while !mark(20).exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it works");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process.kill().expect("it runs");
    process.wait().expect("it ends");
    let acknowledged = (0..=u8::MAX)
        .filter(|number| mark(*number).exists())
        .count();
    let pool = file.pool().await;
    let ledger = ledger(&pool).await;
    // As if the leases had expired.
    query("UPDATE c1_deliveries SET due_at = 0")
        .execute(&pool)
        .await
        .expect("rows");
    let mut taken = 0;
    while let Some(next) = ledger
        .take(Name::NONE, Owner::random(), TERM)
        .await
        .expect("a reply")
    {
        let [number] = next.delivery[..] else {
            panic!("another delivery");
        };
        assert_eq!(next.lease.key(), key(number));
        taken += 1;
    }
    assert!(
        taken == acknowledged || taken == acknowledged + 1,
        "{taken} of {acknowledged}"
    );
}
