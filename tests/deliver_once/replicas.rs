//! Several replicas on one ledger, which crash, lose their way to it, and get
//! the same delivery at the same time: it is never run by two at once, nothing
//! is lost, and all who ask get one answer.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use support::callback::PROVISION;
use support::host::Host;
use support::ledger::Shared;
use support::work::{Work, number, numbered};
use support::{DOMAIN, builder, now};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_conductorone::callback::{CallbackClient, Post, PostError};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::simulator::{
    CallbackEndpoint, DeliveryReport, End, Simulator, Switches,
};
use tower_conductorone::testing::{Delivery, FakeTenant, VirtualClock};
use tower_conductorone::{BoxFuture, DeliverOnceLayer, DeliveryRun, ReplayPolicy, Webhook};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long the handler takes for a delivery.
trait Takes: Fn(usize) -> Duration + Clone + Send + 'static {}

impl<F: Fn(usize) -> Duration + Clone + Send + 'static> Takes for F {}

/// The way to the callback endpoint.
#[derive(Clone, Debug)]
struct Line {
    endpoint: CallbackEndpoint,
    breaks: Arc<AtomicU32>,
}

impl Post for Line {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        Box::pin(async {
            let answer = Post::post(&self.endpoint, request).await;
            let left = self.breaks.load(SeqCst);
            self.breaks.store(left.saturating_sub(1), SeqCst);
            if left == 0 {
                return answer;
            }
            Err(PostError::unknown("connection reset"))
        })
    }
}

struct Replica {
    /// Its way to the ledger.
    way: Shared,
    once: DeliverOnceLayer,
}

/// The replicas' surroundings.
#[derive(Clone)]
struct World {
    tenant: FakeTenant,
    clock: VirtualClock,
    simulator: Simulator,
    ledger: Shared,
    work: Work,
    hosts: Vec<Host>,
    /// How many answers to callbacks are still to be lost on their way.
    breaks: Arc<AtomicU32>,
    /// The documents with which each delivery was answered, by its number.
    answers: Arc<Mutex<HashMap<usize, HashSet<Bytes>>>>,
}

impl World {
    fn new(replicas: usize, seed: u64) -> Self {
        let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
        let clock = VirtualClock::starting_at(now());
        Self {
            simulator: Simulator::new(&tenant).clock(clock).seed(seed),
            tenant,
            clock,
            ledger: Shared::default(),
            work: Work::default(),
            hosts: (0..replicas).map(|_| Host::default()).collect(),
            breaks: Arc::default(),
            answers: Arc::default(),
        }
    }

    fn once(&self, ledger: &Shared) -> DeliverOnceLayer {
        let client = CallbackClient::builder().clock(self.clock).post(Line {
            endpoint: self.simulator.callbacks(),
            breaks: Arc::clone(&self.breaks),
        });
        DeliverOnceLayer::builder()
            .ledger("hooks", ledger.clone())
            .callbacks(client.build().expect("good"))
            .build()
            .expect("good")
    }

    /// Starts a replica whose handler takes that long.
    fn start(&self, host: &Host, takes: impl Takes) -> Replica {
        let (replica, recovered) = self.replica(host, takes);
        tokio::spawn(recovered);
        replica
    }

    /// Starts one that does not take up what others have left.
    fn start_alone(&self, host: &Host, takes: impl Takes) -> Replica {
        self.replica(host, takes).0
    }

    fn replica(&self, host: &Host, takes: impl Takes) -> (Replica, BoxFuture<'static, ()>) {
        let ledger = self.ledger.handle();
        let once = self.once(&ledger);
        let work = self.work.clone();
        let handler = service_fn(move |request: Request<Full<Bytes>>| {
            let (work, takes) = (work.clone(), takes.clone());
            async move {
                let extensions = request.extensions();
                let webhook = extensions.get::<Webhook>().expect("a webhook");
                let run = extensions.get::<DeliveryRun>().expect("a run").number();
                let running = work.begin(webhook);
                sleep(takes(running.number())).await;
                running.end();
                // Each run would answer something else.
                let document = format!(r#"{{"version":"v1","complete":{{"comment":"{run}"}}}}"#);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(document)))
            }
        });
        let verify = builder(&self.tenant)
            .clock(self.clock)
            .replay_policy(ReplayPolicy::Mark);
        let recovered = Box::pin(once.recover(handler.clone()));
        host.start(verify.build().expect("good").layer(once.layer(handler)));
        (Replica { way: ledger, once }, recovered)
    }

    /// Asks one replica.
    async fn ask(
        &self,
        host: usize,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        let webhook_number = number(&request.body().clone().collect().await?.to_bytes());
        let answer = self.hosts[host].clone().oneshot(request).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status == StatusCode::OK {
            let mut answers = self.answers.lock().expect("no panic");
            answers
                .entry(webhook_number)
                .or_default()
                .insert(body.clone());
        }
        Ok(Response::from_parts(parts, Full::new(body)))
    }

    /// The way to the replicas: each request is sent to one of them, and every
    /// third one a second time, to another, within a minute.
    fn balanced(
        &self,
        seed: u64,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + Send
    + 'static {
        let (world, rng) = (self.clone(), Arc::new(Mutex::new(Rng::with_seed(seed))));
        service_fn(move |request: Request<Full<Bytes>>| {
            let world = world.clone();
            let (host, doubled, later) = {
                let mut rng = rng.lock().expect("no panic");
                let host = rng.usize(..world.hosts.len());
                (host, rng.u8(..3) == 0, rng.u64(..60_000))
            };
            async move {
                if doubled {
                    let (world, request) = (world.clone(), request.clone());
                    let other = (host + 1) % world.hosts.len();
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(later)).await;
                        let _ = world.ask(other, request).await;
                    });
                }
                world.ask(host, request).await
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_crash_and_lose_their_ledger_share_each_delivery() {
    const DELIVERIES: usize = 300;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let world = World::new(3, seed);
    let takes = move |number: usize| {
        let chance = Rng::with_seed(seed ^ number as u64).u64(..90_000);
        Duration::from_millis(chance)
    };
    let mut replicas: Vec<_> = world
        .hosts
        .iter()
        .map(|host| world.start(host, takes))
        .collect();
    let mut delivering = JoinSet::new();
    for number in 0..DELIVERIES {
        let delivery = numbered(&world.tenant, PROVISION, number);
        let delivered = world
            .simulator
            .deliver(world.balanced(rng.u64(..)), delivery);
        let wait = Duration::from_millis(rng.u64(..600_000));
        delivering.spawn(async move {
            sleep(wait).await;
            (number, delivered.await)
        });
    }
    // What was at work when something happened to its replica may be run again.
    let mut at_risk = 0;
    for round in 0..30 {
        sleep(Duration::from_millis(rng.u64(5_000..30_000))).await;
        let replica = rng.usize(..3);
        at_risk += world.work.live();
        replicas[replica].way.is_down(true);
        if round % 2 == 0 {
            // To all others it has crashed: it never comes back to the ledger,
            // and its connections are gone.
            world.hosts[replica].kill();
            sleep(secs(2)).await;
            replicas[replica] = world.start(&world.hosts[replica], takes);
        } else {
            sleep(Duration::from_millis(rng.u64(1_000..90_000))).await;
            replicas[replica].way.is_down(false);
        }
    }
    for (number, report) in delivering.join_all().await {
        let case = || format!("{number} {report:?}");
        assert!(DeliveryReport::is_success(&report), "{}", case());
        let mut answers = world.answers.lock().expect("no panic");
        let answers = answers.entry(number).or_default();
        let document = report.document().expect("a success has one");
        answers.insert(document.as_bytes().clone());
        assert_eq!(answers.len(), 1, "{answers:?} {}", case());
    }
    world.work.expect_no_overlap();
    let runs = world.work.total();
    assert!(runs <= DELIVERIES + at_risk, "{runs} {at_risk}");
    assert!(world.work.cut_off() > 0, "something did happen");
}

/// A duplicate, asked of one replica; its status and document.
async fn ask(world: &World, host: usize, delivery: &Delivery) -> (u16, Bytes) {
    let answer = world.ask(host, delivery.request()).await.expect("answered");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), body)
}

fn spawn_ask(
    world: &World,
    host: usize,
    delivery: &Delivery,
) -> tokio::task::JoinHandle<(u16, Bytes)> {
    let (world, delivery) = (world.clone(), delivery.clone());
    tokio::spawn(async move { ask(&world, host, &delivery).await })
}

fn comment(run: u32) -> (u16, Bytes) {
    let document = format!(r#"{{"version":"v1","complete":{{"comment":"{run}"}}}}"#);
    (200, document.into())
}

fn delivery(world: &World) -> Delivery {
    numbered(&world.tenant, PROVISION, 0)
        .issued_at(now())
        // So that nothing can be promised.
        .callback_url(None)
}

#[tokio::test(start_paused = true)]
async fn a_handler_slower_than_the_lease_is_no_orphan() {
    let world = World::new(2, 0);
    for host in &world.hosts {
        world.start(host, |_| secs(100));
    }
    let delivery = delivery(&world);
    let first = spawn_ask(&world, 0, &delivery);
    for _ in 0..4 {
        assert_eq!(ask(&world, 1, &delivery).await.0, 503);
    }
    assert_eq!(first.await.expect("no panic").0, 503);
    assert_eq!(ask(&world, 1, &delivery).await, comment(1));
    assert_eq!(ask(&world, 0, &delivery).await, comment(1));
    assert_eq!(world.work.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_finisher_overwrites_nothing() {
    let world = World::new(2, 0);
    let one = world.start(&world.hosts[0], |_| secs(10));
    world.start(&world.hosts[1], |_| secs(10));
    let delivery = delivery(&world);
    let first = spawn_ask(&world, 0, &delivery);
    sleep(secs(1)).await;
    // The first is done after 10 s, and cannot record it before its lease is
    // over and the second has answered.
    one.way.is_down(true);
    sleep(secs(50)).await;
    assert_eq!(first.await.expect("no panic").0, 503);
    assert_eq!(ask(&world, 1, &delivery).await, comment(2));
    one.way.is_down(false);
    sleep(secs(5)).await;
    for host in [0, 1] {
        assert_eq!(ask(&world, host, &delivery).await, comment(2));
    }
    world.work.expect_no_overlap();
    assert_eq!((world.work.total(), world.work.cut_off()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_once_its_handler_is_gone_and_not_before() {
    let world = World::new(2, 0);
    let one = world.start(&world.hosts[0], |_| secs(100));
    world.start(&world.hosts[1], |_| secs(1));
    let delivery = delivery(&world);
    let first = spawn_ask(&world, 0, &delivery);
    sleep(secs(1)).await;
    // That it was given back is heard of half a second later.
    one.way.is_slow(Duration::from_millis(500));
    let second = spawn_ask(&world, 1, &delivery);
    assert!(!one.once.drain().await.is_complete(), "not all was done");
    assert_eq!(first.await.expect("no panic").0, 503);
    assert_eq!(second.await.expect("no panic").0, 503);
    assert_eq!(ask(&world, 1, &delivery).await, comment(2));
    world.work.expect_no_overlap();
    assert_eq!(world.work.total(), 2);
}

/// The document was posted, in one way or the other, after one run.
async fn delivered_once(world: &World, trouble: impl Future<Output = ()>) -> DeliveryReport {
    let delivery = numbered(&world.tenant, PROVISION, 0);
    let delivered = world.simulator.deliver(world.hosts[0].clone(), delivery);
    let (report, ()) = tokio::join!(delivered, trouble);
    assert!(report.is_success(), "{report:?}");
    assert!(report.callbacks().len() <= 1, "{report:?}");
    assert_eq!(world.work.total(), 1, "{report:?}");
    report
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ends_at_the_deadline_is_answered_in_one_way() {
    for millis in [24_999, 25_000, 25_001] {
        let world = World::new(1, 0);
        world.start(&world.hosts[0], move |_| Duration::from_millis(millis));
        let report = delivered_once(&world, async {}).await;
        assert_eq!(report.attempts().len(), 1, "{report:?}");
        let late = report.attempts()[0].took().abs_diff(secs(25));
        assert!(late <= Duration::from_millis(2), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_end_while_its_promise_is_recorded() {
    // The promise cannot be made, for a while or for longer than the lease.
    for late in [3, 60] {
        let world = World::new(1, 0);
        let one = world.start(&world.hosts[0], |_| secs(26));
        let report = delivered_once(&world, async {
            sleep(secs(24)).await;
            one.way.is_down(true);
            sleep(secs(late)).await;
            one.way.is_down(false);
        });
        assert_eq!(report.await.end(), &End::Delivered);
    }
    // It is made, and not heard of in time.
    let world = World::new(1, 0);
    let one = world.start(&world.hosts[0], |_| secs(26));
    let report = delivered_once(&world, async {
        sleep(secs(24)).await;
        one.way.is_slow(secs(3));
    });
    assert_eq!(report.await.end(), &End::CompletedByCallback);
}

#[tokio::test(start_paused = true)]
async fn what_was_promised_outlives_an_outage_of_the_ledger() {
    // Nobody recovers it but the replica that has promised it.
    let world = World::new(1, 0);
    let one = world.start_alone(&world.hosts[0], |_| secs(120));
    let delivery = numbered(&world.tenant, PROVISION, 0);
    let delivered = world.simulator.deliver(world.hosts[0].clone(), delivery);
    let (report, ()) = tokio::join!(delivered, async {
        sleep(secs(30)).await;
        one.way.is_down(true);
        sleep(secs(300)).await;
        one.way.is_down(false);
    });
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert!(report.took() < secs(600), "{report:?}");
    world.work.expect_no_overlap();
    assert_eq!((world.work.total(), world.work.cut_off()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_was_made_unheard_is_kept() {
    let world = World::new(1, 0);
    let one = world.start_alone(&world.hosts[0], |_| secs(60));
    let delivery = numbered(&world.tenant, PROVISION, 0);
    let delivered = world.simulator.deliver(world.hosts[0].clone(), delivery);
    let (report, ()) = tokio::join!(delivered, async {
        sleep(secs(24)).await;
        one.way.is_slow(secs(6));
        sleep(secs(2)).await;
        one.way.is_down(true);
        sleep(secs(300)).await;
        one.way.is_down(false);
        one.way.is_slow(Duration::ZERO);
    });
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert!(report.took() < secs(600), "{report:?}");
    world.work.expect_no_overlap();
}

/// The reply is late, and meanwhile a duplicate stores its own callback URL elsewhere.
#[tokio::test(start_paused = true)]
async fn a_promise_that_was_made_unheard_does_not_end_its_run() {
    let world = World::new(2, 0);
    let one = world.start(&world.hosts[0], |_| secs(60));
    let _other = world.start(&world.hosts[1], |_| secs(60));
    let delivery = numbered(&world.tenant, PROVISION, 0).issued_at(now());
    let first = spawn_ask(&world, 0, &delivery);
    sleep(secs(24)).await;
    one.way.is_slow(secs(6));
    sleep(secs(2)).await;
    let retried = delivery.retried().issued_at(now() + secs(26));
    assert_eq!(ask(&world, 1, &retried).await.0, 202);
    one.way.is_slow(Duration::ZERO);
    assert_eq!(first.await.expect("no panic").0, 503);
    sleep(secs(300)).await;
    assert_eq!((world.work.total(), world.work.cut_off()), (1, 0));
}

/// The ledger is back just before the lease ends under which the promise is made again.
#[tokio::test(start_paused = true)]
async fn a_promise_that_is_made_again_late_is_run_by_one() {
    // It goes down before or after the new claim, or the new promise.
    for (steps, outage) in (5..8).flat_map(|steps| (38..45).map(move |outage| (steps, outage))) {
        let world = World::new(2, 0);
        let one = world.start(&world.hosts[0], |_| secs(200));
        let _other = world.start(&world.hosts[1], |_| secs(200));
        let delivery = numbered(&world.tenant, PROVISION, 0).issued_at(now());
        assert_eq!(ask(&world, 0, &delivery).await.0, 202);
        one.way.forget();
        one.way.lasts(steps);
        while !one.way.has_gone_down() {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(secs(outage)).await;
        one.way.is_down(false);
        sleep(secs(600)).await;
        world.work.expect_no_overlap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_was_made_unheard_is_told_whoever_keeps_it() {
    // The ledger is back before the lease has run out, and the recovery takes it.
    let mut world = World::new(1, 0);
    let mut switches = Switches::default();
    switches.refuse_early_callbacks = true;
    world.simulator = world.simulator.switches(switches);
    let one = world.start(&world.hosts[0], |_| secs(200));
    let delivery = numbered(&world.tenant, PROVISION, 0);
    let delivered = world.simulator.deliver(world.hosts[0].clone(), delivery);
    let (report, ()) = tokio::join!(delivered, async {
        sleep(secs(24)).await;
        one.way.is_slow(secs(6));
        sleep(secs(2)).await;
        one.way.is_down(true);
        sleep(secs(37)).await;
        one.way.is_down(false);
        one.way.is_slow(Duration::ZERO);
    });
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert!(report.attempts().len() <= 4, "{report:?}");
    world.work.expect_no_overlap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_until_its_202_is_heard_after_a_long_outage() {
    for breaks in [0, 1] {
        let mut world = World::new(1, 0);
        let mut switches = Switches::default();
        switches.refuse_early_callbacks = true;
        world.simulator = world
            .simulator
            .switches(switches)
            .pauses(secs(10)..=secs(15));
        world.breaks.store(breaks, SeqCst);
        world.start(&world.hosts[0], |_| secs(30));
        let outage = Instant::now() + secs(400);
        let receiver = {
            let host = world.hosts[0].clone();
            // What it said to the first request is lost, and none gets to it then.
            let asked = Arc::new(AtomicU32::new(0));
            service_fn(move |request: Request<Full<Bytes>>| {
                let (host, first) = (host.clone(), asked.fetch_add(1, SeqCst) == 0);
                async move {
                    if first {
                        drop(host.oneshot(request).await);
                        return Err(BoxError::from("the answer was lost"));
                    }
                    if Instant::now() < outage {
                        return Err(BoxError::from("unreachable"));
                    }
                    host.oneshot(request).await
                }
            })
        };
        let delivery = numbered(&world.tenant, PROVISION, 0);
        let report = world.simulator.deliver(receiver, delivery).await;
        assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
        assert!(report.took() < secs(400 + 30 + 60), "{report:?}");
        assert_eq!(world.work.total(), 1, "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_stops_at_a_promise_leaves_it_to_others() {
    let world = World::new(2, 0);
    let one = world.start(&world.hosts[0], |_| secs(100));
    let delivery = numbered(&world.tenant, PROVISION, 0);
    let first = {
        let hosts = world.hosts.clone();
        // To the other, once the first is gone.
        service_fn(move |request: Request<Full<Bytes>>| {
            let hosts = hosts.clone();
            async move {
                match hosts[0].clone().oneshot(request.clone()).await {
                    Ok(answer) if answer.status() != 503 => Ok(answer),
                    _ => hosts[1].clone().oneshot(request).await,
                }
            }
        })
    };
    let delivered = world.simulator.deliver(first, delivery);
    let (report, ()) = tokio::join!(delivered, async {
        sleep(secs(24)).await;
        one.way.is_down(true);
        sleep(Duration::from_millis(1500)).await;
        assert!(!one.once.drain().await.is_complete(), "not all was done");
        world.hosts[0].kill();
        world.start(&world.hosts[1], |_| secs(1));
    });
    assert!(report.is_success(), "{report:?}");
    world.work.expect_no_overlap();
    assert_eq!((world.work.total(), world.work.cut_off()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_never_answers_is_one_out_of_reach() {
    let world = World::new(1, 0);
    let one = world.start(&world.hosts[0], |_| secs(1));
    one.way.is_slow(secs(100_000));
    let delivery = delivery(&world);
    assert_eq!(ask(&world, 0, &delivery).await.0, 503);
    one.way.is_slow(Duration::ZERO);
    // A step that was taken unheard is taken again.
    sleep(secs(46)).await;
    assert_eq!(ask(&world, 0, &delivery).await.0, 200);
    assert_eq!(world.work.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_heard_of_after_its_lease_is_made_again() {
    let world = World::new(1, 0);
    let one = world.start_alone(&world.hosts[0], |_| Duration::ZERO);
    one.way.stalls_once(secs(60));
    let delivery = numbered(&world.tenant, PROVISION, 0).issued_at(now());
    let asked = ask(&world, 0, &delivery);
    assert_eq!(asked.await.0, 503, "for as long as those who ask can wait");
    assert_eq!(world.work.total(), 0);
    sleep(secs(60)).await;
    assert_eq!(ask(&world, 0, &delivery).await.0, 200);
    assert_eq!(world.work.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_answered_at_once_takes_two_steps_in_the_ledger() {
    let world = World::new(1, 0);
    let one = world.start_alone(&world.hosts[0], |_| Duration::ZERO);
    let delivery = numbered(&world.tenant, PROVISION, 0).issued_at(now());
    assert_eq!(ask(&world, 0, &delivery).await, comment(1));
    assert_eq!(one.way.calls(), 2);
    assert_eq!(ask(&world, 0, &delivery).await, comment(1));
    assert_eq!(one.way.calls(), 3, "a duplicate takes one");
}
