//! What bounds the work on deliveries: how many run, how long, and how late those
//! who ask are answered.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use support::body::{Script, Step, data, wait};
use support::work::{Work, numbered};
use support::{DOMAIN, builder, ledger, now};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::limit::ConcurrencyLimit;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{DeliverOnceLayer, DeliveryRun, Rejection, ReplayPolicy, Webhook};

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const COMPLETE: &str = r#"{"version":"v1","complete":{}}"#;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn complete() -> Response<Full<Bytes>> {
    Response::new(Full::from(COMPLETE))
}

/// What was answered: its status, the code of the rejection, the document, and
/// after how many seconds.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    code: Option<&'static str>,
    document: String,
    after: u64,
}

fn answer(status: u16, document: &str, after: u64) -> Answer {
    Answer {
        status,
        code: None,
        document: document.to_owned(),
        after,
    }
}

type Inbound = Request<axum::body::Body>;

#[derive(Clone)]
struct Receiver {
    tenant: FakeTenant,
    app: BoxCloneSyncService<Inbound, Response<axum::body::Body>, Infallible>,
}

impl Receiver {
    fn new<S, B>(once: &DeliverOnceLayer, inner: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self::of(&FakeTenant::new(DOMAIN), once, inner)
    }

    fn of<S, B>(tenant: &FakeTenant, once: &DeliverOnceLayer, inner: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let verify = builder(tenant)
            .replay_policy(ReplayPolicy::Mark)
            .body_timeout(secs(15));
        let app = verify.build().expect("good").layer(once.layer(inner));
        let app = ServiceExt::<Inbound>::map_response(app, |response| {
            response.map(axum::body::Body::new)
        });
        Self {
            tenant: tenant.clone(),
            app: BoxCloneSyncService::new(app),
        }
    }

    fn delivery(&self, number: usize) -> Delivery {
        numbered(&self.tenant, PROVISION, number).issued_at(now())
    }

    fn send(&self, delivery: &Delivery) -> JoinHandle<Answer> {
        self.call(delivery.request().map(axum::body::Body::new))
    }

    fn call(&self, request: Inbound) -> JoinHandle<Answer> {
        let (app, start) = (self.app.clone(), Instant::now());
        tokio::spawn(async move {
            let response = app.oneshot(request).await.expect("infallible");
            let (parts, body) = response.into_parts();
            let document = body.collect().await.expect("a body").to_bytes();
            let code = parts.extensions.get::<Rejection>().map(Rejection::code);
            let mut document = String::from_utf8(document.to_vec()).expect("UTF-8");
            if code.is_some() {
                let is_passing = parts.status == 503;
                assert_eq!(parts.headers.contains_key("retry-after"), is_passing);
                document.clear();
            }
            Answer {
                status: parts.status.as_u16(),
                code,
                document,
                after: start.elapsed().as_secs(),
            }
        })
    }

    async fn ask(&self, delivery: &Delivery) -> Answer {
        self.send(delivery).await.expect("no panic")
    }
}

/// A handler that takes so long.
fn takes(
    work: &Work,
    time: Duration,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static {
    let work = work.clone();
    service_fn(move |request: Request<Full<Bytes>>| {
        let work = work.clone();
        async move {
            let webhook = request.extensions().get::<Webhook>();
            let running = work.begin(webhook.expect("a webhook"));
            sleep(time).await;
            running.end();
            Ok(complete())
        }
    })
}

fn refused(code: &'static str, after: u64) -> Answer {
    Answer {
        status: 503,
        code: Some(code),
        document: String::new(),
        after,
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_max_running_new_deliveries_are_refused_at_once_and_nothing_else() {
    let once = DeliverOnceLayer::builder().max_running(2).build();
    let work = Work::default();
    let receiver = Receiver::new(&once.expect("good"), takes(&work, secs(10)));
    let earlier = receiver.delivery(0);
    assert_eq!(receiver.ask(&earlier).await, answer(200, COMPLETE, 10));

    let deliveries = [1, 2].map(|number| receiver.delivery(number));
    let mut running: Vec<_> = deliveries
        .iter()
        .map(|known| receiver.send(known))
        .collect();
    sleep(secs(1)).await;
    let new = receiver.delivery(3);
    assert_eq!(receiver.ask(&new).await, refused("too_many_running", 0));
    // What has been answered, and who asks for what is running.
    assert_eq!(receiver.ask(&earlier).await, answer(200, COMPLETE, 0));
    running.push(receiver.send(&deliveries[0]));
    for (running, after) in running.into_iter().zip([10, 10, 9]) {
        let got = running.await.expect("no panic");
        assert_eq!(got, answer(200, COMPLETE, after));
    }
    assert_eq!(receiver.ask(&new).await, answer(200, COMPLETE, 10));
    assert_eq!(work.runs(3), 1);
    work.expect_no_overlap();
}

#[tokio::test(start_paused = true)]
async fn a_full_replica_shares_the_run_of_another() {
    let shared = ledger::Shared::default();
    let replica = |places| {
        let once = DeliverOnceLayer::builder().ledger("hooks", shared.handle());
        once.max_running(places).build().expect("good")
    };
    let (work, tenant) = (Work::default(), FakeTenant::new(DOMAIN));
    let one = Receiver::of(&tenant, &replica(9), takes(&work, secs(10)));
    let two = Receiver::of(&tenant, &replica(1), takes(&work, secs(10)));
    let (delivery, other) = (one.delivery(1), one.delivery(2));
    let first = one.send(&delivery);
    let filling = two.send(&other);
    sleep(secs(1)).await;
    let duplicate = two.send(&delivery);
    assert_eq!(first.await.expect("no panic"), answer(200, COMPLETE, 10));
    assert_eq!(duplicate.await.expect("no panic"), answer(200, COMPLETE, 9));
    assert_eq!(filling.await.expect("no panic"), answer(200, COMPLETE, 10));
    assert_eq!(work.total(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_replica_refuses_at_once_although_its_ledger_is_in_trouble() {
    for trouble in [
        |ledger: &ledger::Shared| ledger.is_down(true),
        |ledger: &ledger::Shared| ledger.is_slow(secs(100)),
    ] {
        let shared = ledger::Shared::default();
        let once = DeliverOnceLayer::builder().ledger("hooks", shared.clone());
        let work = Work::default();
        let inner = takes(&work, secs(20));
        let receiver = Receiver::new(&once.max_running(1).build().expect("good"), inner);
        let filling = receiver.send(&receiver.delivery(1));
        sleep(secs(1)).await;
        trouble(&shared);
        let got = receiver.ask(&receiver.delivery(2)).await;
        assert_eq!((got.status, got.code), (503, Some("too_many_running")));
        // As long as the ledger may take to answer.
        assert!(got.after <= 5, "{got:?}");
        filling.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_that_wait_for_the_ledger_take_no_place_from_others() {
    // The ledger is down, or hangs.
    for is_down in [true, false] {
        let shared = ledger::Shared::default();
        let once = DeliverOnceLayer::builder().ledger("hooks", shared.clone());
        let work = Work::default();
        let inner = takes(&work, secs(1));
        let receiver = Receiver::new(&once.max_running(1).build().expect("good"), inner);
        if is_down {
            shared.is_down(true);
        } else {
            shared.is_slow(secs(100));
        }
        let waiting = [1, 2, 3].map(|number| receiver.send(&receiver.delivery(number)));
        for waiting in waiting {
            let got = waiting.await.expect("no panic");
            assert_eq!((got.status, got.code), (503, Some("ledger_unavailable")));
            assert!((18..=25).contains(&got.after), "{got:?}");
        }

        let first = receiver.send(&receiver.delivery(4));
        sleep(secs(3)).await;
        let second = receiver.send(&receiver.delivery(5));
        sleep(Duration::from_millis(4_500)).await;
        shared.is_down(false);
        shared.is_slow(Duration::ZERO);
        let (first, second) = (first.await.expect("no panic"), second.await);
        let second = second.expect("no panic");
        // If it hangs, until the first one's claim, which is lost, has taken too long.
        let at_least = if is_down { 5 } else { 8 };
        assert!((at_least..20).contains(&second.after), "{second:?}");
        for got in [&first, &second] {
            // There is one place, and now a handler has it.
            assert!([None, Some("too_many_running")].contains(&got.code));
        }
        assert!([first.status, second.status].contains(&200));
        work.expect_no_overlap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_inside_bounds_the_runs_and_no_duplicate() {
    let once = DeliverOnceLayer::builder().build().expect("good");
    let work = Work::default();
    let inner = ConcurrencyLimit::new(takes(&work, secs(10)), 1);
    let receiver = Receiver::new(&once, inner);
    let answered = receiver.delivery(0);
    assert_eq!(receiver.ask(&answered).await, answer(200, COMPLETE, 10));

    let (first, second) = (receiver.delivery(1), receiver.delivery(2));
    let asked = [&first, &second].map(|delivery| receiver.send(delivery));
    sleep(secs(1)).await;
    assert_eq!(work.live(), 1);
    assert_eq!(receiver.ask(&answered).await, answer(200, COMPLETE, 0));
    let [first, second] = asked.map(|asked| async { asked.await.expect("no panic").after });
    assert_eq!((first.await, second.await), (10, 20));
    assert_eq!(work.total(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_in_time_although_the_body_was_slow() {
    let once = DeliverOnceLayer::builder().build().expect("good");
    let work = Work::default();
    let receiver = Receiver::new(&once, takes(&work, secs(60)));
    let slow = |delivery: &Delivery| {
        let body = Script::new([wait(9.0), data(delivery.body_bytes())]);
        let body = axum::body::Body::new(body);
        receiver.call(delivery.request().map(|_| body))
    };
    let delivery = receiver.delivery(1);
    let first = slow(&delivery);
    let got = first.await.expect("no panic");
    assert_eq!(got, refused("delivery_running", 28));
    // A duplicate would wait for 20 s.
    let second = slow(&delivery);
    assert_eq!(
        second.await.expect("no panic"),
        refused("delivery_running", 28)
    );
    assert_eq!(work.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_cut_off_at_its_limit_and_called_again() {
    let once = DeliverOnceLayer::builder().run_limit(secs(60)).build();
    let work = Work::default();
    let receiver = Receiver::new(&once.expect("good"), takes(&work, secs(1_000_000)));
    let delivery = receiver.delivery(1);
    assert_eq!(
        receiver.ask(&delivery).await,
        refused("delivery_running", 28)
    );
    sleep(secs(31)).await;
    assert_eq!((work.live(), work.cut_off()), (1, 0));
    sleep(secs(2)).await;
    assert_eq!((work.live(), work.cut_off()), (0, 1));
    assert_eq!(
        receiver.ask(&delivery).await,
        refused("delivery_running", 28)
    );
    assert_eq!(work.total(), 2);
    work.expect_no_overlap();
}

#[tokio::test(start_paused = true)]
async fn a_response_whose_body_hangs_counts_by_its_status() {
    for status in [503, 200] {
        let once = DeliverOnceLayer::builder().build().expect("good");
        let called = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&called);
        let inner = service_fn(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let body = Script::new([data("{"), Step::Hang]);
                let response = Response::builder().status(status).body(body);
                Ok::<_, Infallible>(response.expect("a response"))
            }
        });
        let receiver = Receiver::new(&once, inner);
        let delivery = receiver.delivery(1);
        let got = receiver.ask(&delivery).await;
        if status == 503 {
            assert_eq!(got.after, 5);
            assert_eq!((got.status, got.code, &*got.document), (503, None, ""));
        } else {
            assert_eq!(got, refused("delivery_running", 28));
            // The run has failed after 30 s.
            sleep(secs(3)).await;
        }
        assert_eq!(called.load(Ordering::SeqCst), 1);
        receiver.ask(&delivery).await;
        assert_eq!(called.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_asked_for_nothing_but_the_plain_document() {
    let once = DeliverOnceLayer::builder().build().expect("good");
    let inner = service_fn(|request: Request<Full<Bytes>>| async move {
        let names: Vec<_> = request.headers().keys().map(ToString::to_string).collect();
        for name in ["accept-encoding", "range", "if-none-match", "if-match"] {
            assert!(!request.headers().contains_key(name), "{names:?}");
        }
        assert!(request.headers().contains_key("webhook-event"));
        Ok::<_, Infallible>(complete())
    });
    let receiver = Receiver::new(&once, inner);
    let delivery = receiver
        .delivery(1)
        .http_header("accept-encoding", "gzip")
        .http_header("range", "bytes=0-1")
        .http_header("if-none-match", "*")
        .http_header("if-match", "*");
    assert_eq!(receiver.ask(&delivery).await, answer(200, COMPLETE, 0));
}

#[tokio::test(start_paused = true)]
async fn a_layer_within_a_layer_says_so_at_once() {
    let once = DeliverOnceLayer::builder().build().expect("good");
    let called = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&called);
    let handler = service_fn(move |request: Request<Full<Bytes>>| {
        counted.fetch_add(1, Ordering::SeqCst);
        assert!(request.extensions().get::<DeliveryRun>().is_some());
        async { Ok::<_, Infallible>(complete()) }
    });
    let receiver = Receiver::new(&once, once.layer(handler));
    let got = receiver.ask(&receiver.delivery(1)).await;
    assert_eq!((got.status, got.after), (500, 0));
    assert_eq!(got.code, Some("installed_twice"));
    assert_eq!(called.load(Ordering::SeqCst), 0);
}

#[test]
fn bounds_that_cannot_work_are_refused_with_a_remedy() {
    let builder = DeliverOnceLayer::builder;
    for (built, expected) in [
        (builder().max_running(0), "max_running 0 cannot work"),
        (
            builder().max_running(usize::MAX),
            "max_running 18446744073709551615 cannot work",
        ),
        (builder().run_limit(Duration::ZERO), "the run_limit 0ns"),
    ] {
        let error = built.build().expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_reply_was_late_is_repeated_by_the_same_owner() {
    let shared = ledger::Shared::default();
    let once = DeliverOnceLayer::builder().ledger("hooks", shared.clone());
    let work = Work::default();
    let receiver = Receiver::new(&once.build().expect("good"), takes(&work, secs(1)));
    shared.is_slow(secs(6));
    let asked = receiver.send(&receiver.delivery(1));
    sleep(secs(3)).await;
    shared.is_slow(Duration::ZERO);
    let got = asked.await.expect("no panic");
    assert_eq!((got.status, &*got.document), (200, COMPLETE));
    assert!(got.after < 10, "{got:?}");
    assert_eq!(work.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_when_its_renewal_was_asked_for() {
    let shared = ledger::Shared::default();
    let once = DeliverOnceLayer::builder().ledger("hooks", shared.clone());
    let work = Work::default();
    let receiver = Receiver::new(&once.build().expect("good"), takes(&work, secs(1_000)));
    let _asked = receiver.send(&receiver.delivery(1));
    // The renewal after 10 s is heard of after 30, and no other is.
    sleep(secs(9)).await;
    shared.is_slow(secs(20));
    sleep(secs(20)).await;
    shared.is_down(true);
    sleep(secs(20)).await;
    assert_eq!(work.live(), 1);
    // The store's lease ends 55 s after the beginning.
    sleep(secs(5)).await;
    assert_eq!((work.live(), work.cut_off()), (0, 1));
}
