//! A receiver as a process of its own: this test program, started once more.

use std::convert::Infallible;
use std::env;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{MethodRouter, any};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool, query};
use support::DOMAIN;
use support::wire::within;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::deliver_once::DeliverOnceBuilder;
use tower_conductorone::event::{Comment, Outcome, Payload, ProvisionReply};
use tower_conductorone::keys::KeySet;
use tower_conductorone::{
    DeliverOnceLayer, DeliveryHandle, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer, Webhook,
};
use tower_conductorone_sqlx::{
    PostgresLedger, PostgresReplayStore, SqliteLedger, SqliteReplayStore,
};

/// After which an answer becomes 202, and the work of the tenth that takes longer.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
const SLOW_WORK: Duration = Duration::from_millis(700);
/// The others' work takes less, in milliseconds.
const FAST_WORK: u64 = 100;
/// After its commit, the handler takes a few milliseconds more, in which it is killed.
const AFTER_WORK: u64 = 10;

/// For how long a receiver may be silent.
const LEASE: Duration = Duration::from_secs(3);

/// What the processes have in common.
#[derive(Clone)]
pub(crate) enum Database {
    Postgres(PgPool, PostgresLedger),
    Sqlite(SqlitePool, SqliteLedger),
}

impl Database {
    pub(crate) fn open(url: &str) -> Self {
        if url.starts_with("postgres:") {
            // It may be away at this moment.
            let pool = PgPoolOptions::new()
                .max_connections(8)
                .test_before_acquire(false)
                .connect_lazy(url)
                .expect("a URL");
            return Self::Postgres(pool.clone(), PostgresLedger::new(pool));
        }
        let options: SqliteConnectOptions = url.parse().expect("a URL");
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .connect_lazy_with(options);
        Self::Sqlite(pool.clone(), SqliteLedger::new(pool))
    }

    /// Creates the tables. No constraint keeps a second row of a delivery out.
    pub(crate) async fn create(&self) {
        let grants = "CREATE TABLE grants (webhook_id TEXT, answer TEXT)";
        match self {
            Self::Postgres(pool, ledger) => {
                ledger.migrate().await.expect("a migration");
                query(grants).execute(pool).await.expect("a table");
            }
            Self::Sqlite(pool, ledger) => {
                ledger.migrate().await.expect("a migration");
                query(grants).execute(pool).await.expect("a table");
            }
        }
    }

    /// The work: one row, committed with the answer.
    async fn grant(
        &self,
        webhook: &Webhook,
        delivery: &DeliveryHandle,
        comment: &str,
        outcome: Outcome,
    ) -> Result<Outcome, sqlx::Error> {
        let insert = "INSERT INTO grants VALUES ($1, $2)";
        let committed = match self {
            Self::Postgres(pool, ledger) => {
                let mut transaction = pool.begin().await?;
                let row = query(insert).bind(webhook.id()).bind(comment);
                row.execute(&mut *transaction).await?;
                ledger.commit(transaction, delivery, outcome).await
            }
            Self::Sqlite(pool, ledger) => {
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                let row = query(insert).bind(webhook.id()).bind(comment);
                row.execute(&mut *transaction).await?;
                ledger.commit(transaction, delivery, outcome).await
            }
        };
        Ok(committed.unwrap_or_else(|error| error.outcome()))
    }

    fn layers(
        &self,
        verify: VerifyWebhookBuilder,
        once: DeliverOnceBuilder,
    ) -> (VerifyWebhookLayer, DeliverOnceLayer) {
        let (verify, once) = match self {
            Self::Postgres(pool, ledger) => (
                verify.replay_store(PostgresReplayStore::new(pool.clone())),
                once.ledger("hooks", ledger.clone()),
            ),
            Self::Sqlite(pool, ledger) => (
                verify.replay_store(SqliteReplayStore::new(pool.clone())),
                once.ledger("hooks", ledger.clone()),
            ),
        };
        let (verify, once) = (verify.build(), once.build());
        (
            verify.expect("a good configuration"),
            once.expect("a good configuration"),
        )
    }
}

/// Whether the work on this delivery takes so long that it is promised.
pub(crate) fn is_slow(webhook_id: &str) -> bool {
    webhook_id.bytes().map(u32::from).sum::<u32>() % 10 == 0
}

async fn handle(
    State(database): State<Database>,
    webhook: Webhook,
    delivery: DeliveryHandle,
) -> Outcome {
    let Ok(Payload::ProvisionStep(step)) = webhook.payload() else {
        panic!("another event");
    };
    // The answer tells the runs apart.
    let comment = format!("{:032x}", fastrand::u128(..));
    let outcome = step.answer(ProvisionReply::complete(Comment::truncated(
        comment.as_str(),
    )));
    let work = if is_slow(webhook.id()) {
        SLOW_WORK
    } else {
        Duration::from_millis(fastrand::u64(..FAST_WORK))
    };
    sleep(work).await;
    let granted = database.grant(&webhook, &delivery, &comment, outcome).await;
    sleep(Duration::from_millis(fastrand::u64(..AFTER_WORK))).await;
    granted.unwrap_or_else(|_| Outcome::retry_later(Duration::from_secs(1)))
}

const DATABASE: &str = "C1_TEST_DATABASE";
const JWKS: &str = "C1_TEST_JWKS";
const CALLBACKS: &str = "C1_TEST_CALLBACKS";

/// Starts one, which ends with this process.
pub(crate) async fn start(database: &str, jwks: &str, callbacks: &str) -> (Child, SocketAddr) {
    let mut child = Command::new(env::current_exe().expect("this"))
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("receiver::receives_until_it_is_killed")
        .env(DATABASE, database)
        .env(JWKS, jwks)
        .env(CALLBACKS, callbacks)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = within("a receiver", async {
        loop {
            let line = lines.next_line().await.expect("UTF-8");
            let line = line.expect("the receiver runs");
            if let Some((_, address)) = line.split_once("listening on ") {
                return address.parse().expect("an address");
            }
        }
    });
    let address = address.await;
    // It would end if it could not print.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of other tests"]
async fn receives_until_it_is_killed() {
    let Ok(database) = env::var(DATABASE) else {
        return;
    };
    let told = |name| env::var(name).expect("the test sets it");
    std::thread::spawn(|| {
        // Until the test's process closes it, or ends.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let database = Database::open(&database);
    let keys = KeySet::from_json(told(JWKS).as_bytes()).expect("keys");
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).static_keys(keys));
    let callbacks = CallbackClient::builder()
        .dangerous_allow_http_on_loopback()
        .origin(DOMAIN, told(CALLBACKS));
    let once = DeliverOnceLayer::builder()
        .callbacks(callbacks.build().expect("a good configuration"))
        .answer_within(ANSWER_WITHIN)
        .lease(LEASE);
    let (verify, once) = database.layers(verify, once);
    let work: MethodRouter = any(handle).with_state(database);
    tokio::spawn(once.recover(work.clone()));
    let work: MethodRouter = work.layer(once);
    let app = Router::new().fallback_service(work.layer::<_, Infallible>(verify));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("bound");
    println!("listening on {address}");
    axum::serve(listener, app).await.expect("it serves");
}
