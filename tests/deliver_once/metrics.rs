//! What is reported to the `metrics` facade, and to an observer of one's own.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::callback::{Script, builder as callbacks, own_url, status};
use support::{DOMAIN, builder, clock, now};
use tokio::time::sleep;
use tower::{Layer as _, ServiceExt, service_fn};
use tower_conductorone::ledger::{
    Claimed, DeliveryKey, Fill, Finished, Ledger, MemoryLedger, Name, Owner, RecordedAnswer,
};
use tower_conductorone::observe::{
    Attempt, CallbackAttempt, Observer, RunEnd, RunStart, StoreFill, StoreStep,
};
use tower_conductorone::replay::{MemoryReplayStore, ReplayStore, TokenId};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{DeliverOnceLayer, DeliveryRun, VerifyWebhookLayer};

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const COMPLETE: &str = r#"{"version":"v1","complete":{"comment":"done"}}"#;

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant
        .delivery(PROVISION)
        .issued_at(now() - Duration::from_secs(7))
        .callback_url(Some(&own_url()))
}

/// The type, labels and values of all metrics since the last call, by name.
fn taken(snapshotter: &Snapshotter) -> BTreeMap<String, Vec<(String, DebugValue)>> {
    let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels = key.key().labels();
        let labels: Vec<_> = labels
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let entry = (labels.join(","), value);
        by_name
            .entry(key.key().name().to_owned())
            .or_default()
            .push(entry);
    }
    by_name
}

/// Fails once, then is slow, then answers at once.
fn handler() -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send {
    service_fn(async |request: Request<Full<Bytes>>| {
        let run = request.extensions().get::<DeliveryRun>().expect("one");
        let mut response = Response::new(Full::from(COMPLETE));
        match run.number() {
            1 => *response.status_mut() = StatusCode::BAD_GATEWAY,
            _ => sleep(Duration::from_secs(60)).await,
        }
        Ok(response)
    })
}

/// A run that fails, one that is promised and called back, a refused request, a forged one.
async fn one_of_each(observer: impl Observer + Clone) {
    let tenant = FakeTenant::new(DOMAIN);
    let client = callbacks().post(Script::new([status(503), status(200)]));
    let once = DeliverOnceLayer::builder()
        .callbacks(client.build().expect("good"))
        .observer(observer.clone())
        .build()
        .expect("good");
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(DOMAIN)
        .fetch(tenant.fetch())
        .clock(clock())
        .observer(observer)
        .build()
        .expect("good");
    let receiver = verify.layer(once.layer(handler()));
    let delivery = delivery(&tenant);
    let expired = delivery.clone().issued_at(now() - Duration::from_secs(999));
    let forged = delivery.clone().token("abc.def.ghi");
    for delivery in [delivery.clone(), delivery.retried(), expired, forged] {
        let answered = receiver.clone().oneshot(delivery.request()).await;
        drop(answered.expect("infallible"));
    }
    sleep(Duration::from_secs(3600)).await;
    assert!(once.drain().await.is_complete());
}

/// A duplicate that waits for the run of another request.
async fn one_that_waits() {
    let tenant = FakeTenant::new(DOMAIN);
    let once = DeliverOnceLayer::builder().build().expect("good");
    let slow = service_fn(async |_: Request<Full<Bytes>>| {
        sleep(Duration::from_secs(5)).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(COMPLETE)))
    });
    let receiver = builder(&tenant).build().expect("good");
    let receiver = receiver.layer(once.layer(slow));
    let delivery = delivery(&tenant);
    let duplicate = delivery.retried();
    let send = |delivery: Delivery| receiver.clone().oneshot(delivery.request());
    let answers = tokio::join!(send(delivery), send(duplicate));
    assert!(answers.0.is_ok() && answers.1.is_ok());
}

/// A delivery that is promised 25 s after its arrival; a minute after that, something is
/// done.
async fn one_that_is_promised(a_minute_later: impl AsyncFnOnce()) {
    let tenant = FakeTenant::new(DOMAIN);
    let client = callbacks().post(Script::new([status(200)]));
    let once = DeliverOnceLayer::builder()
        .ledger("provisioning", MemoryLedger::default())
        .callbacks(client.build().expect("good"))
        .build()
        .expect("good");
    let slow = service_fn(async |_: Request<Full<Bytes>>| {
        sleep(Duration::from_secs(3600)).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(COMPLETE)))
    });
    let recovers = tokio::spawn(once.recover(slow));
    let receiver = builder(&tenant).build().expect("good");
    let receiver = receiver.layer(once.layer(slow));
    let answer = receiver.oneshot(delivery(&tenant).request()).await;
    assert_eq!(answer.expect("infallible").status(), StatusCode::ACCEPTED);
    sleep(Duration::from_secs(60)).await;
    a_minute_later().await;
    sleep(Duration::from_secs(3600)).await;
    assert!(once.drain().await.is_complete());
    recovers.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn the_open_promises_and_the_age_of_the_oldest_are_measured() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let gauges = || {
        let taken = taken(&snapshotter);
        let names = [
            "promises_open",
            "oldest_promise_timestamp_seconds",
            "dead_deliveries",
        ];
        names.map(|name| {
            match taken
                .get(&format!("c1_webhook_{name}"))
                .map(|values| &values[..])
            {
                Some([(layer, DebugValue::Gauge(value))]) if layer == "layer=provisioning" => {
                    value.into_inner()
                }
                other => panic!("{name}: {other:?}"),
            }
        })
    };
    let unix_time = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("a clock").as_secs_f64()
    };
    let began = unix_time();
    one_that_is_promised(async || {
        let [open, oldest, dead] = gauges();
        assert!(
            (open - 1.0).abs() < 0.1 && dead.abs() < 0.1,
            "{open} {dead}"
        );
        // It was measured at most 15 s ago, on a clock that stands still beside the wall's.
        let (at_least, at_most) = (began - oldest, unix_time() - oldest);
        assert!(
            at_most >= 45.0 && at_least <= 60.0,
            "{at_least} to {at_most}"
        );
    })
    .await;
    let nothing = gauges();
    assert!(nothing.iter().all(|value| value.abs() < 0.1), "{nothing:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_emitted_is_what_the_table_in_the_docs_says() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    one_of_each(Noted::default()).await;
    one_that_waits().await;
    one_that_is_promised(async || {}).await;

    let mut emitted = BTreeSet::new();
    for (name, values) in taken(&snapshotter) {
        for (labels, value) in values {
            let kind = match value {
                DebugValue::Counter(_) => "counter",
                DebugValue::Gauge(_) => "gauge",
                DebugValue::Histogram(_) => "histogram",
            };
            let labels: Vec<_> = labels
                .split(',')
                .filter_map(|label| Some(format!("`{}`", label.split_once('=')?.0)))
                .collect();
            let labels = match &labels[..] {
                [] => "none".to_owned(),
                labels => labels.join(", "),
            };
            emitted.insert(format!("`{name}` | {kind} | {labels}"));
        }
    }
    let docs = include_str!("../../src/observe/mod.rs");
    let rows = docs.lines().filter_map(|line| {
        let row = line.strip_prefix("//! | ")?;
        let mut cells = row.split(" | ");
        let [name, kind, labels] = [cells.next()?, cells.next()?, cells.next()?];
        let row = format!("{name} | {kind} | {labels}");
        name.starts_with("`c1_webhook_").then_some(row)
    });
    assert_eq!(emitted, rows.collect());
}

#[tokio::test(start_paused = true)]
async fn each_request_run_and_callback_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    one_of_each(Noted::default()).await;

    let taken = taken(&snapshotter);
    let count = |name: &str, labels: &str| {
        let values = taken.get(name).expect(name);
        let found = values.iter().find(|(known, _)| known == labels);
        match found {
            Some((_, DebugValue::Counter(count))) => *count,
            _ => panic!("{labels} is not in {values:?}"),
        }
    };
    for labels in [
        "event=ProvisionStep,how=ran,status=502,tenant=example.conductor.one",
        "event=ProvisionStep,how=promised,status=202,tenant=example.conductor.one",
        "event=,how=refused,status=401,tenant=example.conductor.one",
        "event=,how=refused,status=401,tenant=",
    ] {
        assert_eq!(count("c1_webhook_attempts_total", labels), 1);
    }
    for (tenant, code) in [(DOMAIN, "token_expired"), ("", "malformed_token")] {
        let labels = format!("code={code},tenant={tenant}");
        assert_eq!(count("c1_webhook_rejections_total", &labels), 1);
    }
    let of_delivery = |result: &str| format!("event=ProvisionStep,{result}tenant={DOMAIN}");
    let runs = |outcome| {
        let labels = of_delivery(&format!("outcome={outcome},"));
        count("c1_webhook_runs_total", &labels)
    };
    assert_eq!((runs("failed"), runs("answered")), (1, 1));
    assert_eq!(count("c1_webhook_repeated_runs_total", &of_delivery("")), 1);
    let posts = |result| {
        let labels = of_delivery(&format!("result={result},"));
        count("c1_webhook_callback_attempts_total", &labels)
    };
    assert_eq!((posts("retried"), posts("delivered")), (1, 1));
    let steps = |step| {
        count(
            "c1_webhook_store_steps_total",
            &format!("result=replied,{step}"),
        )
    };
    assert_eq!(steps("step=claim,store=replay_store"), 2);
    assert_eq!(steps("step=promise,store=ledger"), 1);
    let gauge = |name: &str| match taken.get(name).map(|values| &values[..]) {
        Some([(_, DebugValue::Gauge(value))]) => value.into_inner(),
        other => panic!("{name}: {other:?}"),
    };
    for none_is_left in ["runs_in_flight", "requests_in_flight"] {
        assert!(gauge(&format!("c1_webhook_{none_is_left}")).abs() < 0.1);
    }
    let difference = gauge("c1_webhook_clock_difference_seconds");
    assert!((difference - 7.0).abs() < 0.1, "{difference}");
}

#[tokio::test]
async fn each_recorder_gets_what_happens_while_it_is_installed() {
    let tenant = FakeTenant::new(DOMAIN);
    let answer = service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let receiver = builder(&tenant).build().expect("good").layer(answer);
    for _ in 0..3 {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let recording = metrics::set_default_local_recorder(&recorder);
        let answered = receiver.clone().oneshot(delivery(&tenant).request()).await;
        assert_eq!(answered.expect("infallible").status(), StatusCode::OK);
        drop(recording);
        let attempts = taken(&snapshotter).remove("c1_webhook_attempts_total");
        let labels = format!("event=ProvisionStep,how=ran,status=200,tenant={DOMAIN}");
        assert_eq!(attempts, Some(vec![(labels, DebugValue::Counter(1))]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_counted_while_it_does() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let gauge = |name: &str| match &taken(&snapshotter).get(name).map(|values| &values[..]) {
        Some([(_, DebugValue::Gauge(value))]) => value.into_inner(),
        other => panic!("{name}: {other:?}"),
    };
    let waits = async {
        sleep(Duration::from_secs(1)).await;
        gauge("c1_webhook_requests_waiting")
    };
    let ((), meanwhile) = tokio::join!(one_that_waits(), waits);
    assert!((meanwhile - 1.0).abs() < 0.1, "{meanwhile}");
    // Taking the values has reset them.
    let change = gauge("c1_webhook_requests_waiting");
    assert!((change + 1.0).abs() < 0.1, "{change}");
}

/// The store, the records and the capacity.
type Told = (&'static str, usize, usize);

/// What it was told of the stores.
#[derive(Clone, Debug, Default)]
struct Fills(Arc<Mutex<Vec<Told>>>);

impl Observer for Fills {
    fn store_fill(&self, told: &StoreFill) {
        let (store, fill) = (told.store().as_str(), told.fill());
        let fill = (store, fill.records(), fill.capacity());
        self.0.lock().expect("no panic").push(fill);
    }
}

#[tokio::test(start_paused = true)]
async fn how_full_the_stores_are_is_told_now_and_then() {
    let (tenant, fills) = (FakeTenant::new(DOMAIN), Fills::default());
    let once = DeliverOnceLayer::builder()
        .ledger("", MemoryLedger::default().max_records(70))
        .observer(fills.clone())
        .build()
        .expect("good");
    let verify = builder(&tenant)
        .replay_store(MemoryReplayStore::new(50))
        .observer(fills.clone())
        .build()
        .expect("good");
    let answers = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(COMPLETE)))
    });
    let receiver = verify.layer(once.layer(answers));
    let send = async || {
        let request = delivery(&tenant).request();
        let answer = receiver.clone().oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::OK);
    };
    let told = || std::mem::take(&mut *fills.0.lock().expect("no panic"));
    send().await;
    assert_eq!(told(), [("replay_store", 1, 50), ("ledger", 1, 70)]);
    for _ in 0..9 {
        sleep(Duration::from_secs(1)).await;
        send().await;
    }
    assert_eq!(told(), []);
    sleep(Duration::from_secs(15)).await;
    send().await;
    assert_eq!(told(), [("replay_store", 11, 50), ("ledger", 11, 70)]);
}

#[tokio::test]
async fn a_store_in_memory_is_as_full_as_the_fullest_of_its_tenants() {
    let ledger = MemoryLedger::default().max_records(100).max_bytes(1000);
    assert_eq!(ledger.fill(), Some(Fill::new(0, 100)));
    for (number, tenant) in [(1, "a"), (2, "b"), (3, "b")] {
        let key = DeliveryKey::from_bytes([number; 32]);
        let key = key.scoped(Name::NONE, Name::of(tenant));
        let claimed = ledger.claim(key, Owner::random(), Duration::from_secs(45));
        let Ok(Claimed::Started(lease)) = claimed.await else {
            panic!("it is new");
        };
        if number > 1 {
            let answer = RecordedAnswer::new(200, vec![b' '; 40]);
            assert_eq!(
                ledger.finish(lease, answer).await.ok(),
                Some(Finished::Answered)
            );
        }
    }
    // 25 records of 40 bytes have 1000.
    assert_eq!(ledger.fill(), Some(Fill::new(2, 25)));

    let store = MemoryReplayStore::new(300);
    assert_eq!(store.fill(), Some(Fill::new(0, 300)));
    for (tenant, jti) in [("a", "1"), ("b", "1"), ("b", "2"), ("b", "2")] {
        let token = TokenId::new(tenant, jti);
        let until = now() + Duration::from_secs(150);
        assert!(store.claim(token, now(), until).await.is_ok());
    }
    assert_eq!(store.fill(), Some(Fill::new(2, 300)));
}

/// What an observer was told.
#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl Noted {
    fn note(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }
}

impl Observer for Noted {
    fn attempt(&self, attempt: &Attempt<'_>) {
        let (how, error) = (attempt.how().as_str(), attempt.error_type());
        let status = attempt.status().map(|status| status.as_u16());
        self.note(format!("{how} {status:?} {error:?} {:?}", attempt.run()));
        assert_eq!(attempt.event().is_some(), attempt.delivery().is_some());
    }

    fn run_started(&self, run: &RunStart<'_>) {
        self.note(format!("run {} started", run.number()));
    }

    fn run_ended(&self, end: &RunEnd<'_>) {
        let (number, outcome) = (end.run().number(), end.outcome().as_str());
        self.note(format!("run {number} {outcome} in {:?}", end.duration()));
    }

    fn store(&self, step: &StoreStep) {
        // `renew` goes on for the whole run.
        if step.step() != "renew" {
            let (store, step, result) = (step.store().as_str(), step.step(), step.result());
            self.note(format!("{store} {step} {}", result.as_str()));
        }
    }

    fn callback(&self, attempt: &CallbackAttempt<'_>) {
        self.note(format!(
            "callback {} {:?}",
            attempt.number(),
            attempt.result()
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_gets_the_same_facts() {
    let noted = Noted::default();
    one_of_each(Arc::new(noted.clone())).await;
    let noted = noted.0.lock().expect("no panic").clone();
    assert_eq!(
        noted,
        [
            "replay_store claim replied",
            "ledger claim replied",
            "run 1 started",
            "run 1 failed in 0ns",
            "ledger release replied",
            r#"ran Some(502) Some("502") Some(1)"#,
            "replay_store claim replied",
            "ledger claim replied",
            "run 2 started",
            "ledger promise replied",
            "promised Some(202) None Some(2)",
            r#"refused Some(401) Some("token_expired") None"#,
            r#"refused Some(401) Some("malformed_token") None"#,
            "run 2 answered in 60s",
            "ledger finish replied",
            "callback 1 Retried",
            "ledger postpone replied",
            "ledger resume replied",
            "callback 2 Delivered",
            "ledger called_back replied",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_has_ended() {
    let noted = Noted::default();
    let tenant = FakeTenant::new(DOMAIN);
    let once = DeliverOnceLayer::builder()
        .drain_timeout(Duration::from_secs(1))
        .observer(noted.clone())
        .build()
        .expect("good");
    let hangs = service_fn(async |_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    });
    let verify = builder(&tenant).observer(noted.clone()).build();
    let receiver = verify.expect("good").layer(once.layer(hangs));
    let request = delivery(&tenant).request();
    let answered = tokio::spawn(receiver.oneshot(request));
    sleep(Duration::from_secs(1)).await;
    assert!(!once.drain().await.is_complete());
    assert!(answered.await.expect("no panic").is_ok());
    let noted = noted.0.lock().expect("no panic").clone();
    let runs: Vec<_> = noted
        .iter()
        .filter(|what| what.starts_with("run"))
        .collect();
    assert_eq!(runs, ["run 1 started", "run 1 cut_off in 2s"], "{noted:?}");
}
