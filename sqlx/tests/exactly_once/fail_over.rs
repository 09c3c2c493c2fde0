//! The primary is lost, and its standby takes its place.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use sqlx::{Connection, PgConnection, query, query_scalar};
use support::callback::PROVISION;
use support::postgres_server::PostgresServer;
use support::wire::{attempt, within};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::{World, check, crash_under_load};

/// What ConductorOne gives an attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// One address for the primary, wherever it is, as a service name or a virtual address.
struct Proxy {
    address: SocketAddr,
    target: Arc<AtomicU16>,
}

impl Proxy {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound");
        let target = Arc::new(AtomicU16::new(port));
        tokio::spawn({
            let target = Arc::clone(&target);
            async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let port = target.load(Ordering::Relaxed);
                    tokio::spawn(async move {
                        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
                        copy_bidirectional(&mut client, &mut server?).await
                    });
                }
            }
        });
        Self { address, target }
    }
}

async fn connect(server: &PostgresServer) -> PgConnection {
    let connection = PgConnection::connect(&server.url("postgres")).await;
    connection.expect("a connection")
}

/// No commit is acknowledged before the standby has it.
async fn commit_on_both(primary: &PostgresServer) {
    let mut admin = connect(primary).await;
    for statement in [
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "ALTER SYSTEM SET synchronous_commit = 'remote_apply'",
        "SELECT pg_reload_conf()",
    ] {
        query(statement).execute(&mut admin).await.expect(statement);
    }
    within("a synchronous standby", async {
        let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while query_scalar::<_, i64>(synchronous)
            .fetch_one(&mut admin)
            .await
            .expect("a count")
            == 0
        {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The primary is killed under load. Then the standby is read-only for a while, as it is
/// until somebody promotes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_while_the_standby_takes_over() {
    let (primary, standby) = spawn_blocking(|| {
        let primary = PostgresServer::start();
        let standby = primary.standby();
        (primary, standby)
    })
    .await
    .expect("no panic");
    commit_on_both(&primary).await;
    let proxy = Proxy::start(primary.port()).await;
    let world = World::new(format!("postgres://c1@{}/postgres", proxy.address)).await;
    let probe = world.replica().await;

    let load = tokio::spawn({
        let world = Arc::clone(&world);
        async move { crash_under_load(&world, 3, 300).await }
    });
    sleep(Duration::from_secs(1)).await;
    primary.kill();
    proxy.target.store(standby.port(), Ordering::Relaxed);
    let address = *probe.address.lock().expect("no panic");
    let delivery = world.tenant.delivery(PROVISION);
    let answer = attempt(address, delivery.request(), ATTEMPT_TIMEOUT).await;
    let answer = answer.expect("an answer in time");
    assert_eq!(answer.status(), 503, "{answer:?}");
    let wait = answer.headers()["retry-after"].to_str().expect("text");
    assert!((1..=60).contains(&wait.parse().expect("seconds")), "{wait}");
    assert!(!load.is_finished(), "the load was over too early");
    query("SELECT pg_promote()")
        .execute(&mut connect(&standby).await)
        .await
        .expect("a promotion");
    let reports = load.await.expect("no panic");
    check(&world, reports).await;
}
