//! Receivers on a real Postgres or SQLite file: what they acknowledged survives.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

use http::StatusCode;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use support::postgres_server::PostgresServer;
use support::wire::{BoxError, Protocol, attempt, within};
use tokio::sync::mpsc;
use tower::service_fn;
use tower_conductorone::testing::EVENTS;
use tower_conductorone::testing::simulator::End;

use crate::world::World;

const PROVISION: &str = EVENTS[1];
const HTTP1: Protocol = Protocol::Http1;

/// A folder for a SQLite file, which is deleted after its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("c1-receiver-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("hooks.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The URL of a new database.
async fn postgres() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("receiver{}", MADE.fetch_add(1, Ordering::Relaxed));
    let server = PostgresServer::shared();
    let admin = PgConnection::connect(&server.url("postgres")).await;
    let mut admin = admin.expect("a connection");
    let made = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")));
    made.execute(&mut admin).await.expect("a database");
    server.url(&name)
}

async fn a_restart_forgets_nothing(url: &str) {
    let world = World::on(&["--database-url", url]).await;
    let receiver = world.receiver("").await;
    let delivery = world.tenant.delivery(PROVISION);
    let first = receiver.send(HTTP1, &delivery).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(receiver.stop().await.len(), 1);

    let receiver = world.receiver("").await;
    let again = receiver.send(HTTP1, &delivery.retried()).await;
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    // Nor does a token pass twice.
    assert_eq!(receiver.send(HTTP1, &delivery).await.status, 401);
    let other = world.tenant.delivery(PROVISION);
    assert_eq!(receiver.send(HTTP1, &other).await.status, 200);
    assert_eq!(receiver.stop().await.len(), 1, "the other one");
}

/// It is killed while it works on it.
async fn what_was_promised_is_kept_by_the_next_process(url: &str) {
    let world = World::on(&["--database-url", url]).await;
    let mut receiver = world.receiver("--respond async --work-ms 60000").await;
    let address = receiver.address;
    let limit = Duration::from_secs(30);
    let (answers, mut answered) = mpsc::unbounded_channel();
    let over_the_wire = service_fn(move |request| {
        let answers = answers.clone();
        async move {
            let answer = attempt(address, request, limit).await?;
            let _ = answers.send(answer.status());
            Ok::<_, BoxError>(answer)
        }
    });
    let delivery = world.tenant.delivery(PROVISION);
    let id = delivery.envelope()["webhookId"].clone();
    let delivered = tokio::spawn(world.simulator.deliver(over_the_wire, delivery));
    receiver.line().await;
    let status = within("an answer", answered.recv()).await;
    assert_eq!(status, Some(StatusCode::ACCEPTED));
    receiver.signal("KILL");
    receiver.exit().await;

    let mut receiver = world.receiver("").await;
    let report = within("a callback", delivered).await.expect("no panic");
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert_eq!(report.attempts().len(), 1, "{report:?}");
    assert_eq!(receiver.line().await["handled"], id);
    let log = receiver.log();
    assert!(!log.contains("/callback/"), "a secret in the log: {log}");
    assert_eq!(receiver.stop().await.len(), 0);
}

#[tokio::test]
async fn a_restart_forgets_nothing_of_what_is_in_postgres() {
    a_restart_forgets_nothing(&postgres().await).await;
}

#[tokio::test]
async fn a_restart_forgets_nothing_of_what_is_in_a_sqlite_file() {
    let folder = Folder::new();
    a_restart_forgets_nothing(&folder.url()).await;
    // It holds secrets: its owner alone may read it.
    let mode = fs::metadata(folder.file()).expect("a file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    // Bytes 18 and 19 of the header are 2 in the journal mode WAL.
    let header = fs::read(folder.file()).expect("a file");
    assert_eq!(header[18..20], [2, 2]);
}

#[tokio::test]
async fn what_was_promised_in_postgres_is_kept_by_the_next_process() {
    what_was_promised_is_kept_by_the_next_process(&postgres().await).await;
}

#[tokio::test]
async fn what_was_promised_in_a_sqlite_file_is_kept_by_the_next_process() {
    let folder = Folder::new();
    what_was_promised_is_kept_by_the_next_process(&folder.url()).await;
}

#[tokio::test]
async fn replicas_on_one_postgres_share_their_answers() {
    let world = World::on(&["--database-url", &postgres().await]).await;
    // Both migrate at the same time.
    let (one, other) = tokio::join!(world.receiver(""), world.receiver(""));
    let delivery = world.tenant.delivery(PROVISION);
    let first = one.send(HTTP1, &delivery).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = other.send(HTTP1, &delivery.retried()).await;
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(other.send(HTTP1, &delivery).await.status, 401);
    assert_eq!(one.stop().await.len(), 1);
    assert_eq!(other.stop().await.len(), 0);
}
