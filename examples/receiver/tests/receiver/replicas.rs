//! Receivers that share a Redis, as real processes: killed, restarted, and cut off
//! from it, they do each delivery's work once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::redis_server::RedisServer;
use support::wire::{Protocol, attempt, within};
use tokio::process::Child;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::service_fn;
use tower_conductorone::testing::EVENTS;
use tower_conductorone::testing::simulator::{DeliveryReport, End};

use crate::world::World;

const PROVISION: &str = EVENTS[1];
const HTTP1: Protocol = Protocol::Http1;

/// A tenth of ConductorOne's.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the receivers have for a delivery, whatever crashes.
const GIVEN_UP: Duration = Duration::from_secs(90);

/// The work on a delivery.
const WORK: Duration = Duration::from_millis(200);
/// How soon after its end a run is recorded, even where the processor is short.
const RECORDED: Duration = Duration::from_secs(1);

/// What the replicas have in common.
struct Replicas {
    world: World,
    redis: Mutex<RedisServer>,
}

impl Deref for Replicas {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Replicas {
    async fn new() -> Self {
        let redis = RedisServer::start(&["appendonly yes"]);
        Self {
            world: World::on(&["--redis-url", &redis.url()]).await,
            redis: Mutex::new(redis),
        }
    }

    fn redis(&self) -> MutexGuard<'_, RedisServer> {
        self.redis.lock().expect("no panic")
    }
}

#[tokio::test]
async fn one_replica_knows_what_another_has_done() {
    let world = Replicas::new().await;
    let (one, other) = (world.receiver("").await, world.receiver("").await);
    let delivery = world.tenant.delivery(PROVISION);
    let first = one.send(HTTP1, &delivery).await;
    assert_eq!(first.status, 200, "{first:?}");

    let again = other.send(HTTP1, &delivery.retried()).await;
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    // Nor does a token pass twice.
    assert_eq!(other.send(HTTP1, &delivery).await.status, 401);
    assert_eq!(one.stop().await.len(), 1);
    assert_eq!(other.stop().await.len(), 0);
}

#[tokio::test]
async fn what_a_killed_replica_has_accepted_is_finished_by_another() {
    let world = Replicas::new().await;
    let mut one = world.receiver("--respond async --work-ms 60000").await;
    let address = one.address;
    let over_the_wire = service_fn(move |request| attempt(address, request, ATTEMPT_TIMEOUT));
    let delivery = world.tenant.delivery(PROVISION);
    let delivered = tokio::spawn(world.simulator.deliver(over_the_wire, delivery));
    one.line().await;
    one.signal("KILL");
    one.exit().await;
    let other = world.receiver("--respond async").await;
    let report = within("a callback", delivered).await.expect("no panic");
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert_eq!(other.stop().await.len(), 1);
}

#[tokio::test]
async fn while_redis_hangs_the_answer_is_503_and_then_all_is_well_by_itself() {
    let world = Replicas::new().await;
    let receiver = world.receiver("").await;
    let delivery = world.tenant.delivery(PROVISION);
    world.redis().pause();
    let asked = Instant::now();
    let answer = receiver.send(HTTP1, &delivery).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let wait = answer.headers["retry-after"].to_str().expect("text");
    assert!((1..=60).contains(&wait.parse().expect("seconds")), "{wait}");
    assert!(asked.elapsed() < Duration::from_secs(30));
    world.redis().resume();
    let answer = receiver.send(HTTP1, &delivery.retried()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(receiver.stop().await.len(), 1);
}

/// A run of the work, as the process's line told it.
struct Run {
    process: usize,
    seen: Instant,
}

/// How many deliveries there are, in all and at a time.
#[derive(Clone, Copy)]
struct Load {
    count: usize,
    at_once: usize,
}

/// All that was seen.
#[derive(Default)]
struct Seen {
    runs: Mutex<HashMap<String, Vec<Run>>>,
    /// When each process was known to be dead.
    killed: Mutex<HashMap<usize, Instant>>,
    /// How many processes there were, which gives each its number.
    processes: AtomicUsize,
}

/// One of the replicas: one process after the other.
struct Replica {
    flags: &'static str,
    address: Arc<Mutex<SocketAddr>>,
    process: usize,
    child: Child,
    reader: JoinHandle<()>,
}

impl Replica {
    async fn start(world: &Replicas, seen: &Arc<Seen>, flags: &'static str) -> Self {
        let address = Arc::new(Mutex::new(SocketAddr::from(([127, 0, 0, 1], 0))));
        Self::launch(world, seen, flags, address).await
    }

    async fn launch(
        world: &Replicas,
        seen: &Arc<Seen>,
        flags: &'static str,
        address: Arc<Mutex<SocketAddr>>,
    ) -> Self {
        let work = WORK.as_millis();
        let receiver = world.receiver(&format!("{flags} --work-ms {work}")).await;
        let process = seen.processes.fetch_add(1, Ordering::Relaxed);
        *address.lock().expect("no panic") = receiver.address;
        let mut lines = receiver.lines;
        let seen = Arc::clone(seen);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let run = Run {
                    process,
                    seen: Instant::now(),
                };
                let line: Value = serde_json::from_str(&line).expect("a whole line");
                let id = line["handled"].as_str().expect("an id").to_owned();
                let mut runs = seen.runs.lock().expect("no panic");
                runs.entry(id).or_default().push(run);
            }
        });
        Self {
            flags,
            address,
            process,
            child: receiver.child,
            reader,
        }
    }

    /// Kills its process, and starts another one somewhat later.
    async fn crash(self, world: &Replicas, seen: &Arc<Seen>) -> Self {
        let Self {
            flags,
            address,
            process,
            mut child,
            reader,
        } = self;
        child.kill().await.expect("it runs");
        let dead = Instant::now();
        seen.killed.lock().expect("no panic").insert(process, dead);
        reader.await.expect("no panic");
        sleep(Duration::from_millis(fastrand::u64(0..500))).await;
        Self::launch(world, seen, flags, address).await
    }

    /// Ends its process, and what it has printed is read. (To stop gracefully takes
    /// minutes, if a crash has hidden what became of a callback.)
    async fn end(mut self) {
        self.child.kill().await.expect("it runs");
        self.reader.await.expect("no panic");
    }
}

/// Delivers so many, some at a time, each attempt to any of the replicas.
async fn deliver(
    world: Arc<Replicas>,
    Load { count, at_once }: Load,
    replicas: Vec<Arc<Mutex<SocketAddr>>>,
    done: Arc<AtomicUsize>,
) -> Vec<(String, DeliveryReport)> {
    let (mut senders, mut reports) = (JoinSet::new(), Vec::new());
    for number in 0..count {
        if senders.len() == at_once {
            reports.push(senders.join_next().await.expect("one").expect("no panic"));
            done.fetch_add(1, Ordering::Relaxed);
        }
        let delivery = world.tenant.delivery(EVENTS[number % EVENTS.len()]);
        let id = delivery.envelope()["webhookId"].as_str().map(str::to_owned);
        let replicas = replicas.clone();
        let over_the_wire = service_fn(move |request| {
            let replica = fastrand::choice(&replicas).expect("three");
            let address = *replica.lock().expect("no panic");
            attempt(address, request, ATTEMPT_TIMEOUT)
        });
        let delivered = world.simulator.deliver(over_the_wire, delivery);
        senders.spawn(async move {
            let id = id.expect("an id");
            // Else ConductorOne would wait for a lost callback for 8 days.
            let report = timeout(GIVEN_UP, delivered).await;
            let report = report.unwrap_or_else(|_| panic!("{id} was lost"));
            (id, report)
        });
    }
    while let Some(report) = senders.join_next().await {
        reports.push(report.expect("no panic"));
    }
    reports
}

/// What became of a load while processes crashed.
#[derive(Debug, Default)]
struct Tally {
    /// Of receivers, besides one of Redis.
    crashes: usize,
    by_callback: usize,
    runs: usize,
    /// Runs that repeated what the crash of a receiver had cut off.
    cut_off: usize,
    /// Runs that repeated what could not be recorded while Redis was away.
    unrecorded: usize,
}

/// Three replicas, of which one answers directly, one at a deadline before the
/// work is done, and one always by callback, are killed at random; in the middle,
/// Redis is killed as well, and comes back three seconds later with what its
/// append-only file has.
///
/// Each delivery is to end well, and no work is to be done again but what a kill
/// has cut off, after its process has died, and what could not be recorded while
/// Redis was away.
async fn crash_under(load: Load) -> Tally {
    let world = Arc::new(Replicas::new().await);
    let seen = Arc::new(Seen::default());
    let mut replicas = Vec::new();
    for flags in ["", "--answer-within-ms 100", "--respond async"] {
        replicas.push(Replica::start(&world, &seen, flags).await);
    }
    let addresses = replicas.iter().map(|it| Arc::clone(&it.address)).collect();
    let done = Arc::new(AtomicUsize::new(0));
    let delivered = deliver(Arc::clone(&world), load, addresses, Arc::clone(&done));
    let delivered = tokio::spawn(delivered);

    let (mut tally, mut outage) = (Tally::default(), None);
    while !delivered.is_finished() {
        sleep(Duration::from_millis(fastrand::u64(300..1500))).await;
        if outage.is_none() && done.load(Ordering::Relaxed) >= load.count / 2 {
            let begun = Instant::now();
            world.redis().kill();
            sleep(Duration::from_secs(3)).await;
            world.redis().revive();
            outage = Some((begun, Instant::now()));
        }
        let replica = replicas.swap_remove(fastrand::usize(..replicas.len()));
        replicas.push(replica.crash(&world, &seen).await);
        tally.crashes += 1;
    }
    let reports = delivered.await.expect("no panic");
    for replica in replicas {
        replica.end().await;
    }

    let (runs, killed) = (seen.runs.lock(), seen.killed.lock());
    let (mut runs, killed) = (runs.expect("no panic"), killed.expect("no panic"));
    assert_eq!(reports.len(), load.count);
    for (id, report) in &reports {
        assert!(report.is_success(), "{id} was lost: {report:?}");
        tally.by_callback += usize::from(report.end() == &End::CompletedByCallback);
        let runs = runs.get_mut(id);
        let runs = runs.unwrap_or_else(|| panic!("{id} was never done: {report:?}"));
        runs.sort_by_key(|run| run.seen);
        for pair in runs.windows(2) {
            let [before, after] = pair else { continue };
            let end = before.seen + WORK;
            let is_cut_off = |dead: &&Instant| **dead < end + RECORDED;
            match (killed.get(&before.process).filter(is_cut_off), outage) {
                (Some(dead), _) => {
                    assert!(*dead <= after.seen, "{id}: two at once");
                    tally.cut_off += 1;
                }
                (None, Some((from, until))) if from < end + RECORDED && before.seen < until => {
                    assert!(end <= after.seen, "{id}: two at once");
                    tally.unrecorded += 1;
                }
                _ => panic!("{id} was done again: {report:?}"),
            }
        }
    }
    tally.runs = runs.values().map(Vec::len).sum();
    let explained = load.count + tally.cut_off + tally.unrecorded;
    assert_eq!(tally.runs, explained, "work on nothing: {tally:?}");
    assert!(outage.is_some() && tally.crashes > 0, "{tally:?}");
    tally
}

/// With many at a time, a kill cuts off several runs, all of which are repeated.
///
/// 1,000 deliveries, or as many as `C1_TEST_DELIVERIES` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_crashes_each_delivery_is_done_once_at_a_time_and_none_is_lost() {
    let count = std::env::var("C1_TEST_DELIVERIES");
    let count: usize = count.map_or(1_000, |count| count.parse().expect("a number"));
    let started = Instant::now();
    let tally = crash_under(Load { count, at_once: 64 }).await;
    eprintln!("{count} deliveries in {:?}: {tally:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_there_are_no_more_runs_than_deliveries_and_crashes() {
    let (count, at_once) = (20, 1);
    let tally = crash_under(Load { count, at_once }).await;
    // One of the crashes is that of Redis.
    assert!(tally.runs <= count + tally.crashes + 1, "{tally:?}");
    assert!(tally.cut_off <= tally.crashes, "{tally:?}");
}
