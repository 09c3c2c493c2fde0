//! Where the jobs are kept: the engine's tables in a `SQLite` file.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use apalis::prelude::TaskBuilder;
use apalis_sqlite::queries::push_tasks;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqliteStorage};

use crate::BoxError;
use crate::job::Job;
use crate::worker::RUNS;

const QUEUE: &str = "inbox";

#[derive(Clone)]
pub(crate) struct Store(SqlitePool);

impl Store {
    pub(crate) async fn open(path: &Path) -> Result<Self, BoxError> {
        // It will hold secrets.
        let mut file = OpenOptions::new();
        file.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        file.open(path)?;
        // What is committed stays, even if the power fails. Not the engine's
        // `setup`, which switches that off (`synchronous = OFF`).
        let options = SqliteConnectOptions::new()
            .filename(path)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL");
        let pool = SqlitePool::connect_with(options).await?;
        SqliteStorage::migrations().run(&pool).await?;
        Ok(Self(pool))
    }

    /// Stores a job, to be done after a while, unless it is there already.
    pub(crate) async fn put(&self, job: &Job, after: Duration) -> Result<(), BoxError> {
        let task = TaskBuilder::new(serde_json::to_vec(job)?)
            .idempotency_key(job.unique_key())
            .run_after(after)
            .max_attempts(RUNS)
            .build();
        let mut transaction = self.0.begin().await?;
        // A receiver with tables of its own writes to them here.
        push_tasks(&mut *transaction, QUEUE, &[task]).await?;
        Ok(transaction.commit().await?)
    }

    /// What a worker takes the jobs from.
    pub(crate) fn backend(&self) -> SqliteStorage<Job> {
        let config = Config::default()
            .queue(QUEUE)
            // While more than one is held back, the engine sends no heartbeat.
            .batch_size(1)
            // A worker that was not seen for five seconds has lost its jobs.
            .heartbeat_interval(Duration::from_secs(1))
            .missed_heartbeats(5);
        SqliteStorage::new(&self.0).with_config(config)
    }
}
