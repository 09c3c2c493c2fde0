//! A thousand deliveries to a handler behind both layers, in virtual time: each
//! one ends well, and its work is done once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use support::events::{answer, document};
use support::host::{self, Host};
use support::work::{Work, numbered};
use support::{DOMAIN, builder, ledger, now};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::ledger::{Ledger, MemoryLedger};
use tower_conductorone::testing::simulator::{
    AttemptResult, DeliveryReport, End, Simulator, Switches,
};
use tower_conductorone::testing::{EVENTS, FakeTenant, VirtualClock};
use tower_conductorone::{DeliverOnceLayer, DeliveryRun, ReplayPolicy, Webhook};

const DELIVERIES: usize = 1000;

/// How many have to outlast an outage: each makes dozens of attempts.
const OUTLASTING: usize = 200;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What goes wrong, the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Fails,
    Panics,
    Mumbles,
    /// The client does, while the handler works.
    HangsUp,
    /// The client does, just when it would have been told.
    HangsUpAtTheAnswer,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::None,
    Trouble::Fails,
    Trouble::Panics,
    Trouble::Mumbles,
    Trouble::HangsUp,
    Trouble::HangsUpAtTheAnswer,
];

impl Trouble {
    fn runs(self) -> usize {
        match self {
            Self::Fails | Self::Panics | Self::Mumbles => 2,
            Self::None | Self::HangsUp | Self::HangsUpAtTheAnswer => 1,
        }
    }
}

/// What the handler has to do for a delivery.
#[derive(Clone, Copy, Debug)]
struct Task {
    takes: Duration,
    trouble: Trouble,
}

/// A receiver with both layers, whose documents go to the simulator's endpoint.
struct Receiver {
    app: Host,
    work: Work,
}

fn receiver(
    tenant: &FakeTenant,
    simulator: &Simulator,
    clock: VirtualClock,
    policy: ReplayPolicy,
    (ledger, max_running): (impl Ledger, usize),
    task: impl Fn(usize) -> Task + Clone + Send + 'static,
) -> Receiver {
    let client = CallbackClient::builder()
        .clock(clock)
        .post(simulator.callbacks());
    let once = DeliverOnceLayer::builder()
        .ledger("hooks", ledger)
        .max_running(max_running)
        .callbacks(client.build().expect("good"))
        .build()
        .expect("good");
    let verify = builder(tenant).clock(clock).replay_policy(policy);
    let work = Work::default();
    let handler = {
        let work = work.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let (work, task) = (work.clone(), task.clone());
            async move { Ok::<_, Infallible>(handle(&work, task, request).await) }
        })
    };
    let app = Host::default();
    app.start(verify.build().expect("good").layer(once.layer(handler)));
    Receiver { app, work }
}

async fn handle(
    work: &Work,
    task: impl Fn(usize) -> Task,
    request: Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let extensions = request.extensions();
    let webhook = extensions.get::<Webhook>().expect("a webhook").clone();
    let run = extensions.get::<DeliveryRun>().expect("a run").number();
    let running = work.begin(&webhook);
    let task = task(running.number());
    sleep(task.takes).await;
    running.end();
    match (task.trouble, run) {
        (Trouble::Fails, 1) => answer(StatusCode::BAD_GATEWAY, ""),
        // Without the panic hook, which would print it hundreds of times.
        (Trouble::Panics, 1) => std::panic::resume_unwind(Box::new("the first run")),
        (Trouble::Mumbles, 1) => answer(StatusCode::OK, "done"),
        _ => answer(StatusCode::OK, document(webhook.event())),
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_handlers_of_up_to_two_minutes_run_once_each_and_end_well() {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let clock = VirtualClock::starting_at(now());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let takes: Vec<_> = (0..DELIVERIES)
        .map(|_| Duration::from_millis(rng.u64(0..=120_000)))
        .collect();
    let simulator = Simulator::new(&tenant).clock(clock).seed(seed);
    let task = {
        let takes = takes.clone();
        move |number: usize| Task {
            takes: takes[number],
            trouble: Trouble::None,
        }
    };
    let ledger = (MemoryLedger::default(), DELIVERIES);
    let mark = ReplayPolicy::Mark;
    let receiver = receiver(&tenant, &simulator, clock, mark, ledger, task);
    let mut delivering = JoinSet::new();
    for number in 0..DELIVERIES {
        let delivery = numbered(&tenant, EVENTS[number % EVENTS.len()], number);
        let delivered = simulator.deliver(receiver.app.clone(), delivery);
        let wait = Duration::from_millis(rng.u64(0..120_000));
        delivering.spawn(async move {
            sleep(wait).await;
            (number, delivered.await)
        });
    }
    for (number, report) in delivering.join_all().await {
        let expected = match takes[number].as_secs() {
            ..25 => End::Delivered,
            _ => End::CompletedByCallback,
        };
        assert_eq!(report.end(), &expected, "{number} {report:?}");
        // So there was no time-out, either.
        assert_eq!(report.attempts().len(), 1, "{number} {report:?}");
        assert!(report.callbacks().len() <= 1, "posted once: {report:?}");
        assert_eq!(receiver.work.runs(number), 1, "{number} {report:?}");
    }
    assert_eq!(receiver.work.total(), DELIVERIES);
    receiver.work.expect_no_overlap();
}

/// The way to a receiver, on which the client hangs up once, if that is the
/// trouble.
fn hanging_up(
    app: Host,
    trouble: Trouble,
    after: Duration,
) -> impl Service<Request<Full<Bytes>>, Response = host::Answer, Error = BoxError, Future: Send>
+ Clone
+ Send {
    let hung_up = Arc::new(AtomicBool::new(false));
    service_fn(move |request: Request<Full<Bytes>>| {
        let is_first = !hung_up.swap(true, Ordering::SeqCst);
        let answered = app.clone().oneshot(request);
        async move {
            match trouble {
                Trouble::HangsUp if is_first => {
                    let _ = timeout(after, answered).await;
                    Err("connection reset".into())
                }
                Trouble::HangsUpAtTheAnswer if is_first => {
                    drop(answered.await);
                    Err("connection reset".into())
                }
                _ => answered.await,
            }
        }
    })
}

/// Delivers a few in every trouble, quick and slow ones.
async fn deliver_in_trouble(tenant: &FakeTenant, switches: Switches, policy: ReplayPolicy) {
    let clock = VirtualClock::starting_at(now());
    let simulator = Simulator::new(tenant).clock(clock).switches(switches);
    let task = |number: usize| Task {
        takes: secs([1, 70][number / TROUBLES.len()]),
        trouble: TROUBLES[number % TROUBLES.len()],
    };
    let ledger = (MemoryLedger::default(), DELIVERIES);
    let receiver = receiver(tenant, &simulator, clock, policy, ledger, task);
    let mut delivering = JoinSet::new();
    for number in 0..2 * TROUBLES.len() {
        let Task { takes, trouble } = task(number);
        let app = hanging_up(receiver.app.clone(), trouble, takes / 2);
        let delivery = numbered(tenant, EVENTS[number % EVENTS.len()], number);
        let delivered = simulator.deliver(app, delivery);
        delivering.spawn(async move { (number, delivered.await) });
    }
    for (number, report) in delivering.join_all().await {
        let case = || format!("{switches:?} {policy:?} {:?} {report:?}", task(number));
        assert!(report.is_success(), "{}", case());
        let runs = task(number).trouble.runs();
        assert_eq!(receiver.work.runs(number), runs, "{}", case());
        let timed_out = |report: &DeliveryReport| {
            let mut attempts = report.attempts().iter();
            attempts.any(|attempt| attempt.result() == &AttemptResult::TimedOut)
        };
        assert!(!timed_out(&report), "{}", case());
    }
    receiver.work.expect_no_overlap();
}

#[tokio::test(start_paused = true)]
async fn under_all_switches_none_is_lost_and_none_runs_twice() {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    for switches in Switches::all() {
        deliver_in_trouble(&tenant, switches, ReplayPolicy::Mark).await;
    }
}

/// A token that is sent again is refused for the two minutes of its life; what
/// runs meanwhile is not disturbed, and the next token gets its answer.
#[tokio::test(start_paused = true)]
async fn the_same_holds_if_tokens_are_taken_once() {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    for switches in Switches::all() {
        deliver_in_trouble(&tenant, switches, ReplayPolicy::Refuse).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_out_of_reach_for_a_quarter_of_an_hour_loses_none() {
    outlast(DELIVERIES, secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_if_few_handlers_may_run_at_once() {
    outlast(20, secs(1)).await;
}

/// Delivers to handlers that take so long at most, through an outage of the ledger.
async fn outlast(max_running: usize, longest: Duration) {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let clock = VirtualClock::starting_at(now());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let simulator = Simulator::new(&tenant).clock(clock).seed(seed);
    let ledger = ledger::Shared::default();
    let task = move |number: usize| Task {
        takes: longest.mul_f64(Rng::with_seed(seed ^ number as u64).f64()),
        trouble: Trouble::None,
    };
    let way = ledger.handle();
    let mark = ReplayPolicy::Mark;
    let ledger = (way.clone(), max_running);
    let receiver = receiver(&tenant, &simulator, clock, mark, ledger, task);
    let refused = Arc::new(AtomicUsize::new(0));
    let tapped = {
        let (app, refused) = (receiver.app.clone(), Arc::clone(&refused));
        service_fn(move |request: Request<Full<Bytes>>| {
            let (app, refused) = (app.clone(), Arc::clone(&refused));
            async move {
                let answer = app.oneshot(request).await?;
                if answer.status() == 503 {
                    assert!(answer.headers().contains_key("retry-after"));
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, BoxError>(answer)
            }
        })
    };
    let mut delivering = JoinSet::new();
    for number in 0..OUTLASTING {
        let mut simulator = simulator.clone();
        if number % 2 == 0 {
            // That uses up the attempts soonest.
            simulator = simulator.pauses(secs(3)..=secs(3));
        }
        let delivery = numbered(&tenant, EVENTS[number % EVENTS.len()], number);
        let delivered = simulator.deliver(tapped.clone(), delivery);
        let wait = Duration::from_millis(rng.u64(0..300_000));
        delivering.spawn(async move {
            sleep(wait).await;
            (number, delivered.await)
        });
    }
    sleep(secs(120)).await;
    way.is_down(true);
    sleep(secs(15 * 60)).await;
    way.is_down(false);
    let mut reruns = 0;
    for (number, report) in delivering.join_all().await {
        assert!(report.is_success(), "{number} {report:?}");
        reruns += receiver.work.runs(number) - 1;
    }
    // Those that were at work for longer than their leases could be renewed.
    assert!(reruns <= receiver.work.cut_off(), "{reruns}");
    receiver.work.expect_no_overlap();
    assert!(refused.load(Ordering::SeqCst) > OUTLASTING);
}
