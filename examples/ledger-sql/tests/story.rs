//! The story, in both databases.

use std::env;
use std::process::Command;

use sqlx::{PgPool, SqlitePool, query_scalar};
use support::postgres_server::PostgresServer;

const STORY: &str = r#"
1. No crash.
   attempt 1: 200 {"complete":{},"version":"v1"} (the handler ran)
              rows that grant the access: 1
   attempt 2: 200 {"complete":{},"version":"v1"} (the recorded answer: the handler did not run)
              rows that grant the access: 1

2. The service crashes between its write and the commit.
   attempt 1: no answer: the process is gone
              rows that grant the access: 0
   attempt 2: 200 {"complete":{},"version":"v1"} (the handler ran)
              rows that grant the access: 1

3. The service crashes after the commit, before it answers.
   attempt 1: no answer: the process is gone
              rows that grant the access: 1
   attempt 2: 200 {"complete":{},"version":"v1"} (the recorded answer: the handler did not run)
              rows that grant the access: 1

Each access was granted once.
"#;

/// What it prints, with this `DATABASE_URL`.
fn told(database: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger-sql"));
    command
        .env_remove("DATABASE_URL")
        .env_remove("RUST_BACKTRACE");
    if let Some(url) = database {
        command.env("DATABASE_URL", url);
    }
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn story_of(database: &str) -> String {
    format!("The service keeps its table and its ledger in {database}.\n{STORY}")
}

#[test]
fn without_any_set_up_it_is_told_in_sqlite() {
    assert_eq!(told(None), story_of("SQLite"));
}

#[tokio::test]
async fn each_access_is_granted_once_in_sqlite() {
    let path = env::temp_dir().join(format!("ledger-sql-test-{}.db", std::process::id()));
    let url = format!("sqlite://{}", path.display());
    // Again, beside what is there.
    for number in [3, 6] {
        assert_eq!(told(Some(&url)), story_of("SQLite"));
        let pool = SqlitePool::connect(&url).await.expect("a file");
        let rows: Vec<i64> = query_scalar("SELECT count(*) FROM access GROUP BY task")
            .fetch_all(&pool)
            .await
            .expect("rows");
        assert_eq!(rows, vec![1; number]);
        let stages: Vec<String> = query_scalar("SELECT state ->> 'stage' FROM c1_deliveries")
            .fetch_all(&pool)
            .await
            .expect("rows");
        assert_eq!(stages, vec!["answered"; number]);
        pool.close().await;
    }
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

#[tokio::test]
async fn each_access_is_granted_once_in_postgres() {
    let url = PostgresServer::shared().url("postgres");
    assert_eq!(told(Some(&url)), story_of("Postgres"));
    let pool = PgPool::connect(&url).await.expect("a connection");
    let rows: Vec<i64> = query_scalar("SELECT count(*) FROM access GROUP BY task")
        .fetch_all(&pool)
        .await
        .expect("rows");
    assert_eq!(rows, [1; 3]);
}
