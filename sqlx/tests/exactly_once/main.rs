//! Receivers and their database are killed under load, and every delivery is done exactly
//! once: its row is there once, although nothing else keeps a second one out, and
//! ConductorOne has got the answer of the run that wrote it.
//!
//! 1,000 deliveries, or as many as `C1_TEST_DELIVERIES` says. `C1_TEST_SEED` repeats the
//! random numbers of another run, though not what the processes make of them.
#![cfg(all(feature = "postgres", feature = "sqlite"))]

mod fail_over;
mod receiver;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs};

use fastrand::Rng;
use serde_json::Value;
use sqlx::{Connection, PgConnection, query, query_as, query_scalar};
use support::postgres_server::PostgresServer;
use support::wire::attempt;
use support::{DOMAIN, callback::PROVISION};
use tokio::process::Child;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tower::service_fn;
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::testing::simulator::{CallbackServer, DeliveryReport, End, Simulator};

use self::receiver::{Database, is_slow};

/// A tenth of ConductorOne's.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the receivers have for a delivery, whatever crashes.
const GIVEN_UP: Duration = Duration::from_secs(90);

const AT_ONCE: usize = 64;

struct World {
    url: String,
    tenant: FakeTenant,
    simulator: Simulator,
    callbacks: CallbackServer,
    rng: Mutex<Rng>,
}

/// One of the receivers: one process after the other.
struct Replica {
    address: Arc<Mutex<SocketAddr>>,
    process: Child,
}

impl World {
    async fn new(url: String) -> Arc<Self> {
        let seed = env::var("C1_TEST_SEED");
        let seed = seed.map_or_else(|_| fastrand::u64(..), |it| it.parse().expect("a number"));
        eprintln!("C1_TEST_SEED={seed}");
        Database::open(&url).create().await;
        let tenant = FakeTenant::new(DOMAIN);
        let pauses = Duration::from_millis(300)..=Duration::from_millis(1500);
        let simulator = Simulator::new(&tenant).pauses(pauses).seed(seed);
        Arc::new(Self {
            callbacks: simulator.callbacks().serve().await.expect("a port"),
            rng: Mutex::new(Rng::with_seed(seed)),
            url,
            tenant,
            simulator,
        })
    }

    fn random(&self, range: std::ops::Range<usize>) -> usize {
        self.rng.lock().expect("no panic").usize(range)
    }

    async fn pause(&self, millis: std::ops::Range<usize>) {
        let millis = u64::try_from(self.random(millis)).expect("few");
        sleep(Duration::from_millis(millis)).await;
    }

    async fn start(&self) -> (Child, SocketAddr) {
        receiver::start(&self.url, &self.tenant.jwks(), &self.callbacks.origin()).await
    }

    async fn replica(&self) -> Replica {
        let (process, address) = self.start().await;
        let address = Arc::new(Mutex::new(address));
        Replica { address, process }
    }

    /// Kills a receiver, and starts another one somewhat later.
    async fn crash(&self, replica: &mut Replica) {
        replica.process.kill().await.expect("it runs");
        self.pause(0..500).await;
        let (process, address) = self.start().await;
        replica.process = process;
        *replica.address.lock().expect("no panic") = address;
    }

    /// Delivers so many, some at a time, each attempt to any of the receivers.
    async fn deliver(
        self: Arc<Self>,
        count: usize,
        replicas: Vec<Arc<Mutex<SocketAddr>>>,
        done: Arc<AtomicUsize>,
    ) -> Reports {
        let (mut senders, mut reports) = (JoinSet::new(), HashMap::new());
        for number in 0..count + AT_ONCE {
            if number >= AT_ONCE {
                let (id, report) = senders.join_next().await.expect("one").expect("no panic");
                reports.insert(id, report);
                done.fetch_add(1, Ordering::Relaxed);
            }
            if number >= count {
                continue;
            }
            let delivery = self.tenant.delivery(PROVISION);
            let id = delivery.envelope()["webhookId"].as_str().map(str::to_owned);
            let (world, replicas) = (Arc::clone(&self), replicas.clone());
            let over_the_wire = service_fn(move |request| {
                let replica = &replicas[world.random(0..replicas.len())];
                let address = *replica.lock().expect("no panic");
                attempt(address, request, ATTEMPT_TIMEOUT)
            });
            let delivered = self.simulator.deliver(over_the_wire, delivery);
            senders.spawn(async move {
                let id = id.expect("an id");
                // Else ConductorOne would wait for a lost callback for 8 days.
                let report = timeout(GIVEN_UP, delivered).await;
                let report = report.unwrap_or_else(|_| panic!("{id} was lost"));
                (id, report)
            });
        }
        reports
    }

    /// What the handlers' transactions have left: webhook ID and answer.
    async fn grants(&self) -> Vec<(String, String)> {
        let all = "SELECT webhook_id, answer FROM grants";
        match &Database::open(&self.url) {
            Database::Postgres(pool, _) => query_as(all).fetch_all(pool).await,
            Database::Sqlite(pool, _) => query_as(all).fetch_all(pool).await,
        }
        .expect("rows")
    }

    /// How many records the ledger has, by stage.
    async fn stages(&self) -> HashMap<String, usize> {
        let all = "SELECT state FROM c1_deliveries";
        let records: Vec<String> = match &Database::open(&self.url) {
            Database::Postgres(pool, _) => query_scalar(all).fetch_all(pool).await,
            Database::Sqlite(pool, _) => query_scalar(all).fetch_all(pool).await,
        }
        .expect("rows");
        let mut stages = HashMap::new();
        for record in records {
            let record: Value = serde_json::from_str(&record).expect("JSON");
            let stage = record["stage"].as_str().expect("a stage").to_owned();
            *stages.entry(stage).or_default() += 1;
        }
        stages
    }
}

fn deliveries() -> usize {
    let count = env::var("C1_TEST_DELIVERIES");
    count.map_or(1_000, |count| count.parse().expect("a number"))
}

type Reports = HashMap<String, DeliveryReport>;

/// Kills the receivers at random until all is delivered.
async fn crash_under_load(world: &Arc<World>, replicas: usize, count: usize) -> Reports {
    let begun = Instant::now();
    let mut running = Vec::new();
    for _ in 0..replicas {
        running.push(world.replica().await);
    }
    let addresses = running.iter().map(|it| Arc::clone(&it.address)).collect();
    let done = Arc::new(AtomicUsize::new(0));
    let delivered = Arc::clone(world).deliver(count, addresses, Arc::clone(&done));
    let delivered = tokio::spawn(delivered);
    let mut crashes = 0_usize;
    while !delivered.is_finished() {
        // Each lives long enough to finish some slow work.
        world.pause(900 / replicas..3_000 / replicas).await;
        let which = world.random(0..replicas);
        world.crash(&mut running[which]).await;
        crashes += 1;
        if crashes.is_multiple_of(50) {
            eprintln!("{} of {count} delivered", done.load(Ordering::Relaxed));
        }
    }
    let reports = delivered.await.expect("no panic");
    assert_eq!(reports.len(), count);
    eprintln!(
        "{count} deliveries in {:?}, {crashes} receivers killed",
        begun.elapsed()
    );
    assert!(crashes > 0);
    reports
}

/// Compares what ConductorOne has seen with what is in the database.
async fn check(world: &World, reports: Reports) {
    let (mut by_callback, mut retries) = (0, 0);
    let mut rows: HashMap<String, Vec<String>> = HashMap::new();
    for (id, answer) in world.grants().await {
        rows.entry(id).or_default().push(answer);
    }
    for (id, report) in &reports {
        assert!(report.is_success(), "{id} was lost: {report:?}");
        let rows = rows.remove(id).unwrap_or_default();
        let [row] = rows.as_slice() else {
            panic!("{id} was done {} times: {report:?}", rows.len());
        };
        let document = report.document().expect("a document").as_bytes();
        let document: Value = serde_json::from_slice(document).expect("JSON");
        assert_eq!(document["complete"]["comment"], *row, "{id}: {report:?}");
        let is_by_callback = report.end() == &End::CompletedByCallback;
        let callbacks = report.callbacks();
        let accepted = callbacks.iter().filter(|post| post.refusal().is_none());
        assert_eq!(accepted.count(), usize::from(is_by_callback), "{report:?}");
        by_callback += usize::from(is_by_callback);
        retries += report.attempts().len() - 1;
    }
    assert!(rows.is_empty(), "rows of no delivery: {rows:?}");
    // `stored` is left if a crash has hidden what became of the callback.
    let mut stages = world.stages().await;
    let has_answer = ["answered", "called_back", "stored"].map(|stage| stages.remove(stage));
    let has_answer: usize = has_answer.into_iter().flatten().sum();
    assert_eq!(has_answer, reports.len(), "{stages:?}");
    assert!(stages.is_empty(), "{stages:?}");
    let slow = reports.keys().filter(|id| is_slow(id)).count();
    eprintln!("{slow} slow ones, {by_callback} by callback, {retries} retries");
    assert!(by_callback >= slow / 2 && slow > 0 && retries > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_while_receivers_are_killed() {
    let server = PostgresServer::start();
    let world = World::new(server.url("postgres")).await;
    let reports = crash_under_load(&world, 3, deliveries()).await;
    check(&world, reports).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_while_the_receiver_is_killed() {
    let folder = env::temp_dir().join(format!("c1-exactly-once-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder");
    let world = World::new(format!("sqlite://{}/hooks.db", folder.display())).await;
    let reports = crash_under_load(&world, 1, deliveries()).await;
    check(&world, reports).await;
    fs::remove_dir_all(&folder).expect("it is there");
}

/// The server's connections end at random, and the server itself is killed with all its
/// processes, and starts again from its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_while_receivers_and_the_server_are_killed() {
    let server = Arc::new(PostgresServer::start());
    let world = World::new(server.url("postgres")).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let ending = tokio::spawn(end_connections(Arc::clone(&world), Arc::clone(&is_over)));
    let killing = {
        let (world, is_over) = (Arc::clone(&world), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut kills = 0;
            while !is_over.load(Ordering::Relaxed) {
                world.pause(1_500..4_000).await;
                server.kill();
                world.pause(0..500).await;
                let server = Arc::clone(&server);
                spawn_blocking(move || server.run())
                    .await
                    .expect("no panic");
                kills += 1;
            }
            (kills, server)
        })
    };
    let reports = crash_under_load(&world, 3, deliveries()).await;
    is_over.store(true, Ordering::Relaxed);
    let (kills, _server) = killing.await.expect("no panic");
    let ended = ending.await.expect("no panic");
    eprintln!("{kills} kills of the server, {ended} connections ended");
    assert!(kills > 0 && ended > 0);
    check(&world, reports).await;
}

async fn end_connections(world: Arc<World>, is_over: Arc<AtomicBool>) -> u64 {
    let mut ended = 0;
    while !is_over.load(Ordering::Relaxed) {
        let Ok(mut admin) = PgConnection::connect(&world.url).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        loop {
            world.pause(50..300).await;
            let done = query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
                 ORDER BY random() LIMIT 1",
            )
            .execute(&mut admin)
            .await;
            match done {
                Ok(done) if !is_over.load(Ordering::Relaxed) => ended += done.rows_affected(),
                _ => break,
            }
        }
    }
    ended
}
