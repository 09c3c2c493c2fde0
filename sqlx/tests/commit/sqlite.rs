use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction, query, query_scalar};
use tower_conductorone::DeliveryHandle;
use tower_conductorone::event::Outcome;
use tower_conductorone_sqlx::{CommitError, SqliteLedger};

use crate::books::{Books, Fate, methods};
use crate::cases::cases;

#[derive(Clone)]
pub(crate) struct File {
    pool: SqlitePool,
    ledger: SqliteLedger,
    path: String,
    _folder: Arc<Folder>,
}

/// Deleted after its test, in the process that made it.
struct Folder(Option<std::path::PathBuf>);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

impl File {
    async fn at(path: String, folder: Folder) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().max_connections(4);
        let pool = pool.connect_with(options).await.expect("a file");
        let ledger = SqliteLedger::new(pool.clone());
        Self {
            pool,
            ledger,
            path,
            _folder: Arc::new(folder),
        }
    }
}

/// A file has no connection to lose.
async fn lose_connection(_: &SqlitePool, _: &mut Transaction<'_, Sqlite>) {
    panic!("not in SQLite");
}

impl Books for File {
    const CRASHES: &'static str = "sqlite::crashes";
    const TROUBLE: &'static [Fate] = &[];
    const EXPIRE: &'static str = "UPDATE c1_deliveries SET due_at = 0";

    async fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("c1-commit-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder");
        let path = folder.join("hooks.db").display().to_string();
        let file = Self::at(path, Folder(Some(folder))).await;
        file.ledger.migrate().await.expect("a migration");
        file.execute("CREATE TABLE grants (webhook_id TEXT)").await;
        file
    }

    async fn open(url: &str) -> Self {
        Self::at(url.to_owned(), Folder(None)).await
    }

    fn url(&self) -> String {
        self.path.clone()
    }

    methods!(
        SqliteLedger,
        |pool: &SqlitePool| {
            let pool = pool.clone();
            async move { pool.begin_with("BEGIN IMMEDIATE").await }
        },
        lose_connection
    );
}

cases!(File);
