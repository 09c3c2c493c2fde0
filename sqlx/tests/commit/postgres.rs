use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool, Postgres, Transaction, query, query_scalar};
use support::callback::{Script, status};
use support::postgres_server::PostgresServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_conductorone::DeliveryHandle;
use tower_conductorone::event::Outcome;
use tower_conductorone_sqlx::{CommitError, PostgresLedger};

use crate::books::{Books, Fate, methods};
use crate::cases::{called_back, cases};
use crate::pool::pool_on;
use crate::receiver::{COMPLETE, Receiver, by_callback, statuses};

#[derive(Clone)]
pub(crate) struct Database {
    pool: PgPool,
    ledger: PostgresLedger,
}

impl Database {
    fn on(pool: PgPool) -> Self {
        let ledger = PostgresLedger::new(pool.clone());
        Self { pool, ledger }
    }

    async fn connect(options: PgConnectOptions, connections: u32) -> Self {
        let pool = PgPoolOptions::new().max_connections(connections);
        Self::on(pool.connect_with(options).await.expect("connections"))
    }

    fn options(&self) -> PgConnectOptions {
        self.pool.connect_options().as_ref().clone()
    }
}

async fn lose_connection(pool: &PgPool, transaction: &mut Transaction<'_, Postgres>) {
    let pid = query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **transaction);
    let pid: i32 = pid.await.expect("a number");
    let end = query("SELECT pg_terminate_backend($1)").bind(pid);
    end.execute(pool).await.expect("it may");
}

impl Books for Database {
    const CRASHES: &'static str = "postgres::crashes";
    const TROUBLE: &'static [Fate] = &[Fate::LosesConnection];
    const EXPIRE: &'static str = "UPDATE c1_deliveries SET due_at = now() - interval '1 s'";

    async fn new() -> Self {
        let options = PgPoolOptions::new().max_connections(4);
        let database = Self::on(pool_on(PostgresServer::shared(), options).await);
        database.ledger.migrate().await.expect("a migration");
        let table = "CREATE TABLE grants (webhook_id text)";
        database.execute(table).await;
        database
    }

    async fn open(url: &str) -> Self {
        Self::connect(url.parse().expect("a URL"), 4).await
    }

    fn url(&self) -> String {
        self.options().to_url_lossy().to_string()
    }

    methods!(PostgresLedger, PgPool::begin, lose_connection);
}

cases!(Database);

/// What becomes of the reply to the first `COMMIT`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reply {
    /// The connection breaks.
    Lost,
    /// It never comes, and the connection stays.
    Late,
}

/// A way to the server on which a transaction is committed, and its client does not hear
/// of that. It happens once.
async fn way_that_keeps_a_reply(to: u16, reply_is: Reply) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let has_lost = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.expect("a connection");
            let has_lost = Arc::clone(&has_lost);
            tokio::spawn(async move {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await;
                let mut server = server.expect("a connection");
                let (mut said, mut reply) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        read = client.read(&mut said) => {
                            let Ok(length @ 1..) = read else { return };
                            let said = &said[..length];
                            server.write_all(said).await.expect("written");
                            let commits = said.windows(7).any(|part| part == b"COMMIT\0");
                            if commits && !has_lost.swap(true, Ordering::Relaxed) {
                                server.read_u8().await.expect("a reply");
                                if reply_is == Reply::Late {
                                    std::future::pending::<()>().await;
                                }
                                return;
                            }
                        }
                        read = server.read(&mut reply) => {
                            let Ok(length @ 1..) = read else { return };
                            client.write_all(&reply[..length]).await.expect("written");
                        }
                    }
                }
            });
        }
    });
    port
}

/// Returns why the commit failed.
async fn commit_without_reply(reply_is: Reply) -> String {
    let direct = Database::new().await;
    let options = direct.options();
    let port = way_that_keeps_a_reply(options.get_port(), reply_is).await;
    let lossy = Database::connect(options.port(port), 4).await;
    let receiver = Receiver::new(lossy, &[Fate::Good]);
    let answers = receiver.deliver(3).await;
    assert_eq!(statuses(&answers), [503, 200, 200], "{reply_is:?}");
    assert_eq!(receiver.runs(), 1);
    assert_eq!(direct.rows().await, 1);
    let errors = receiver.errors.lock().expect("no panic");
    assert!(matches!(errors[..], [CommitError::Ledger(_)]), "{errors:?}");
    errors[0].to_string()
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_known_to_the_next_attempt() {
    commit_without_reply(Reply::Lost).await;
}

#[tokio::test]
async fn a_commit_whose_reply_is_late_is_known_to_the_next_attempt() {
    let error = commit_without_reply(Reply::Late).await;
    assert_eq!(error, "no reply of the database within 5s");
}

/// A receiver whose handler repeats its transaction, on a way that keeps a reply.
async fn repeating(direct: &Database, reply_is: Reply) -> Arc<Receiver<Database>> {
    let options = direct.options();
    let port = way_that_keeps_a_reply(options.get_port(), reply_is).await;
    let lossy = Database::connect(options.port(port), 4).await;
    Receiver::new(lossy, &[Fate::Repeats])
}

#[tokio::test]
async fn work_that_is_repeated_after_a_lost_reply_is_committed_once() {
    for reply_is in [Reply::Lost, Reply::Late] {
        let direct = Database::new().await;
        let receiver = repeating(&direct, reply_is).await;
        let answers = receiver.deliver(2).await;
        assert_eq!(statuses(&answers), [200, 200], "{reply_is:?}");
        assert_eq!(receiver.runs(), 1);
        assert_eq!(direct.rows().await, 1);
        let errors = receiver.errors.lock().expect("no panic");
        assert!(matches!(errors[..], [CommitError::Ledger(_)]), "{errors:?}");
    }
}

#[tokio::test]
async fn promised_work_that_is_repeated_after_a_lost_reply_is_committed_once() {
    let direct = Database::new().await;
    let receiver = repeating(&direct, Reply::Lost).await;
    let script = Script::new([status(200)]);
    let answers = receiver.deliver_by(by_callback(&script), 1).await;
    assert_eq!(statuses(&answers), [202]);
    called_back(&direct).await;
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(receiver.runs(), 1);
    assert_eq!(direct.rows().await, 1);
    let errors = receiver.errors.lock().expect("no panic");
    assert!(matches!(errors[..], [CommitError::Ledger(_)]), "{errors:?}");
}

/// What the server has been told on the only connection, since that mark.
async fn statements(pool: &PgPool, mark: &str) -> Vec<String> {
    let log = "SELECT pg_read_file(current_setting('data_directory') || '/../log'), \
               pg_backend_pid()";
    let (log, pid): (String, i32) = sqlx::query_as(log).fetch_one(pool).await.expect("a log");
    let (_, log) = log.split_once(mark).expect("the mark");
    let pid = format!("[{pid}]");
    let mine = log.lines().filter(|line| line.contains(&pid));
    let statements = mine.filter_map(|line| {
        let (_, said) = line.split_once("LOG:  ")?;
        let (how, statement) = said.split_once(": ")?;
        (how == "statement" || how.starts_with("execute")).then(|| statement.to_owned())
    });
    statements.collect()
}

#[tokio::test]
async fn a_delivery_that_is_committed_takes_two_statements_of_the_ledger() {
    const MARK: &str = "SELECT 'from here'";
    let database = Database::new().await;
    let logs = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_statement = ''all''', \
                current_database()); END $$";
    database.execute(logs).await;
    let database = Database::connect(database.options(), 1).await;
    let receiver = Receiver::new(database.clone(), &[Fate::Good]);
    query(AssertSqlSafe(MARK))
        .execute(&database.pool)
        .await
        .expect("a mark");
    assert_eq!(statuses(&receiver.deliver(1).await), [200]);
    let said = statements(&database.pool, MARK).await;
    let begins: Vec<_> = said
        .iter()
        .map(|statement| statement.split(" (").next().unwrap_or_default())
        .map(|statement| statement.split(" SET").next().unwrap_or_default())
        .map(|statement| statement.split(" VALUES").next().unwrap_or_default())
        .collect();
    let own = &begins[..begins.len() - 1]; // the last one reads the log
    assert_eq!(
        own,
        [
            r#"INSERT INTO "c1_deliveries""#,
            "BEGIN",
            "INSERT INTO grants",
            r#"UPDATE "c1_deliveries""#,
            "COMMIT",
        ]
    );
}
