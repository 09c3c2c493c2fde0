//! Each delivery's work is done once, however often it is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use support::{DOMAIN, TEST_EVENT, builder, ledger, now};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};
use tower::ServiceExt;
use tower_conductorone::event::{
    Acknowledgement, Comment, Outcome, Payload, ProvisionReply, Test as TestEvent,
};
use tower_conductorone::keys::KeySet;
use tower_conductorone::ledger::{DeliveryKey, Ledger};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{
    DeliverOnceLayer, DeliveryHandle, DeliveryRun, ReplayPolicy, Tenant, VerifyWebhookLayer,
    Webhook,
};
use tower_http::compression::CompressionLayer;

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const EMPTY: &str = r#"{"version":"v1"}"#;
const COMPLETE: &str = r#"{"version":"v1", "complete":{"comment":"done"}}"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: String,
    replayed: bool,
    code: Option<&'static str>,
    retry_after: Option<String>,
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        body: body.to_owned(),
        replayed: false,
        code: None,
        retry_after: None,
    }
}

/// A rejection with 500.
fn problem(code: &'static str) -> Answer {
    let body = format!(r#"{{"title":"Internal Server Error","status":500,"code":"{code}"}}"#);
    Answer {
        code: Some(code),
        ..answer(500, &body)
    }
}

fn replayed(status: u16, body: &str) -> Answer {
    Answer {
        replayed: true,
        ..answer(status, body)
    }
}

async fn read(response: Response) -> Answer {
    let code = response
        .extensions()
        .get::<tower_conductorone::Rejection>()
        .map(tower_conductorone::Rejection::code);
    let headers = response.headers().clone();
    let header = |name| {
        let value = headers.get(name)?.to_str().expect("text");
        Some(value.to_owned())
    };
    let replayed = header("idempotent-replayed").is_some_and(|value| value == "true");
    let retry_after = header("retry-after");
    let status = response.status().as_u16();
    if status == 200 {
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
    }
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    Answer {
        status,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
        replayed,
        code,
        retry_after,
    }
}

/// A receiver whose handler is counted.
#[derive(Clone)]
struct Receiver {
    tenant: FakeTenant,
    app: Router,
    runs: Arc<AtomicU32>,
    once: DeliverOnceLayer,
}

impl Receiver {
    fn new<F, R>(
        once: DeliverOnceLayer,
        handler: impl Fn(u32) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send,
        R: IntoResponse + 'static,
    {
        let tenant = FakeTenant::new(DOMAIN);
        let verify = builder(&tenant)
            .replay_policy(ReplayPolicy::Mark)
            .build()
            .expect("a good configuration");
        Self::with(tenant, verify, once, handler)
    }

    fn with<F, R>(
        tenant: FakeTenant,
        verify: VerifyWebhookLayer,
        once: DeliverOnceLayer,
        handler: impl Fn(u32) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send,
        R: IntoResponse + 'static,
    {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let handler = move |webhook: Webhook, request: Request<axum::body::Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            assert!(!webhook.id().is_empty());
            let run = request.extensions().get::<DeliveryRun>().expect("a run");
            handler(run.number())
        };
        let app = Router::new()
            .route("/webhooks", post(handler))
            .layer(once.clone())
            .layer(verify);
        Self {
            tenant,
            app,
            runs,
            once,
        }
    }

    fn provision(&self) -> Delivery {
        self.tenant.delivery(PROVISION).issued_at(now())
    }

    /// Sends it; the connection is held until the answer comes.
    fn send(&self, delivery: &Delivery) -> JoinHandle<Answer> {
        let (app, request) = (self.app.clone(), delivery.request());
        tokio::spawn(async move { read(app.oneshot(request).await.expect("infallible")).await })
    }

    async fn ask(&self, delivery: &Delivery) -> Answer {
        self.send(delivery).await.expect("no panic")
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

fn once() -> DeliverOnceLayer {
    DeliverOnceLayer::builder().build().expect("the defaults")
}

/// Lets what is ready run.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn document(text: &'static str) -> Response {
    ([("content-type", "application/json")], text).into_response()
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_gets_the_first_answer_byte_for_byte() {
    let receiver = Receiver::new(once(), async |_| document(COMPLETE));
    let delivery = receiver.provision();
    assert_eq!(receiver.ask(&delivery).await, answer(200, COMPLETE));
    for _ in 0..3 {
        // With the same token, and with a new one.
        assert_eq!(receiver.ask(&delivery).await, replayed(200, COMPLETE));
        let retried = delivery.retried();
        assert_eq!(receiver.ask(&retried).await, replayed(200, COMPLETE));
    }
    assert_eq!(receiver.runs(), 1);
}

/// A body that tells whether anything of it is left.
struct Buffer {
    bytes: Bytes,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_a_part_of_its_request_does_not_keep_the_request() {
    let tenant = FakeTenant::new(DOMAIN);
    let verify = builder(&tenant)
        .replay_policy(ReplayPolicy::Mark)
        .build()
        .expect("a good configuration");
    let echo = async |webhook: Webhook| {
        let document = axum::body::Body::from(webhook.payload_json().clone());
        ([("content-type", "application/json")], document).into_response()
    };
    let app = Router::new()
        .route("/webhooks", post(echo))
        .layer(once())
        .layer(verify);
    let payload = json!({"version": "v1"});
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let delivery = delivery.payload(payload.clone());
    for is_again in [false, true] {
        let alive = Arc::new(());
        let buffer = Buffer {
            bytes: delivery.body_bytes(),
            _alive: Arc::clone(&alive),
        };
        let body = Full::new(Bytes::from_owner(buffer));
        let request = delivery.request().map(|_| body);
        let answered = read(app.clone().oneshot(request).await.expect("infallible")).await;
        assert_eq!(answered.replayed, is_again);
        assert_eq!(answered.body, payload.to_string());
        settle().await;
        assert_eq!(Arc::strong_count(&alive), 1, "the buffer is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn what_makes_a_delivery_is_its_payload_not_how_it_is_written() {
    let receiver = Receiver::new(once(), async |_| document(COMPLETE));
    let delivery = receiver
        .provision()
        .webhook_id("one")
        .payload(json!({"a": 1, "b": [2]}));
    let envelope = |payload: &str, callback: &str| {
        format!(
            r#"{{"version":"v1","webhookId":"one","event":"{PROVISION}","callbackUrl":"{callback}","payload":{payload}}}"#
        )
    };
    let plain = |payload: &str, callback: &str| {
        delivery
            .clone()
            .without_http_header("webhook-callback-url")
            .body(envelope(payload, callback))
            .claim("jti", json!(format!("{payload}{callback}")))
    };
    assert_eq!(receiver.ask(&delivery).await.status, 200);
    for same in [
        plain(r#"{"a":1,"b":[2]}"#, "https://example.conductor.one/1"),
        plain(
            r#"{ "b" : [ 2 ], "a" : 1 }"#,
            "https://example.conductor.one/2",
        ),
    ] {
        assert!(receiver.ask(&same).await.replayed);
    }
    assert_eq!(receiver.runs(), 1);
    for (runs, other) in [
        (
            2,
            plain(r#"{"a":1,"b":[3]}"#, "https://example.conductor.one/1"),
        ),
        (
            3,
            receiver
                .provision()
                .webhook_id("two")
                .payload(json!({"a": 1, "b": [2]})),
        ),
    ] {
        assert!(!receiver.ask(&other).await.replayed);
        assert_eq!(receiver.runs(), runs);
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_of_a_running_delivery_share_its_run() {
    let receiver = Receiver::new(once(), async |_| {
        sleep(seconds(10)).await;
        document(COMPLETE)
    });
    let delivery = receiver.provision();
    let asked: Vec<_> = (0..100).map(|_| receiver.send(&delivery)).collect();
    let mut first = 0;
    for asked in asked {
        let got = asked.await.expect("no panic");
        assert_eq!((got.status, &*got.body), (200, COMPLETE));
        first += u32::from(!got.replayed);
    }
    assert_eq!((receiver.runs(), first), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_handler_goes_on_when_the_client_hangs_up() {
    let receiver = Receiver::new(once(), async |_| {
        sleep(seconds(10)).await;
        document(COMPLETE)
    });
    let delivery = receiver.provision();
    let asked = receiver.send(&delivery);
    settle().await;
    asked.abort();
    advance(seconds(11)).await;
    settle().await;
    assert_eq!(receiver.ask(&delivery).await, replayed(200, COMPLETE));
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_is_told_to_ask_again() {
    let receiver = Receiver::new(once(), async |_| {
        sleep(seconds(60)).await;
        document(COMPLETE)
    });
    let delivery = receiver.provision();
    let start = Instant::now();
    let first = receiver.send(&delivery);
    settle().await;
    let second = receiver.ask(&delivery).await;
    assert_eq!(
        (second.status, second.code),
        (503, Some("delivery_running"))
    );
    assert_eq!(second.retry_after.as_deref(), Some("1"));
    assert_eq!(start.elapsed().as_secs(), 20, "a duplicate waits for 20 s");
    let first = first.await.expect("no panic");
    assert_eq!((first.status, first.code), (503, Some("delivery_running")));
    assert_eq!(start.elapsed().as_secs(), 28, "the first for 28 s");
    // ConductorOne's retries get the answer in the end.
    sleep(seconds(15)).await;
    assert_eq!(receiver.ask(&delivery).await, replayed(200, COMPLETE));
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_is_passed_on_and_repeated() {
    for status in [500, 503, 404, 422, 401, 400] {
        let receiver = Receiver::new(once(), move |run| async move {
            if run < 3 {
                let status = StatusCode::from_u16(status).expect("a status");
                return (status, [("retry-after", "7")], "no").into_response();
            }
            document(COMPLETE)
        });
        let delivery = receiver.provision();
        for run in 1..=2 {
            let got = receiver.ask(&delivery).await;
            assert_eq!(
                (got.status, &*got.body, got.replayed),
                (status, "no", false)
            );
            assert_eq!(got.retry_after.as_deref(), Some("7"));
            assert_eq!(receiver.runs(), run);
        }
        assert_eq!(receiver.ask(&delivery).await, answer(200, COMPLETE));
        assert_eq!(receiver.ask(&delivery).await, replayed(200, COMPLETE));
        assert_eq!(receiver.runs(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_handler_is_500_and_the_next_run_is_the_second() {
    let receiver = Receiver::new(once(), async |run| {
        assert!(run > 1, "the first run panics");
        document(COMPLETE)
    });
    let delivery = receiver.provision();
    let duplicates: Vec<_> = (0..2).map(|_| receiver.send(&delivery)).collect();
    for duplicate in duplicates {
        assert_eq!(duplicate.await.expect("no panic here").status, 500);
    }
    assert_eq!(receiver.ask(&delivery).await, answer(200, COMPLETE));
    assert_eq!(receiver.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_conductorone_could_not_use_is_500_and_not_recorded() {
    let long = format!(
        r#"{{"version":"v1","complete":{{}},"more":"{}"}}"#,
        "x".repeat(250_000)
    );
    let cases: Vec<(&str, Response)> = vec![
        ("204", StatusCode::NO_CONTENT.into_response()),
        ("205", StatusCode::RESET_CONTENT.into_response()),
        ("empty", StatusCode::OK.into_response()),
        ("no JSON", "done".into_response()),
        ("broken off", document(r#"{"version":"v1","complete":{}"#)),
        (
            "another event's",
            document(r#"{"version":"v1","approve":{}}"#),
        ),
        (
            "two outcomes",
            document(r#"{"version":"v1","complete":{},"errored":{}}"#),
        ),
        ("no version", document(r#"{"complete":{}}"#)),
        ("too long", long.into_response()),
        (
            "a redirect",
            (StatusCode::SEE_OTHER, [("location", "/")]).into_response(),
        ),
        ("a router's 410", StatusCode::GONE.into_response()),
    ];
    for (name, response) in cases {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let receiver = Receiver::new(once(), move |run| {
            let (parts, body) = (parts.clone(), body.clone());
            async move {
                if run == 1 {
                    return Response::from_parts(parts, axum::body::Body::from(body));
                }
                document(COMPLETE)
            }
        });
        let delivery = receiver.provision();
        let got = receiver.ask(&delivery).await;
        assert_eq!(got, problem("unusable_response"), "{name}");
        assert_eq!(
            receiver.ask(&delivery).await,
            answer(200, COMPLETE),
            "{name}"
        );
        assert_eq!(receiver.runs(), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handlers_own_202_and_410_are_final() {
    for (status, outcome) in [(202, Outcome::accepted()), (410, Outcome::gone_for_good())] {
        let receiver = Receiver::new(once(), move |_| std::future::ready(outcome.clone()));
        let delivery = receiver.provision();
        assert_eq!(receiver.ask(&delivery).await, answer(status, ""));
        assert_eq!(receiver.ask(&delivery).await, replayed(status, ""));
        assert_eq!(receiver.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_is_answered_with_its_own_document() {
    for (event, body) in [
        (TEST_EVENT, r#"{"version":"v1"}"#),
        (
            "c1.webhooks.v1.PayloadPolicyApprovalStep",
            r#"{"version":"v1","deny":{}}"#,
        ),
        (
            "c1.webhooks.v1.PayloadPolicyPostAction",
            r#"{"version":"v1"}"#,
        ),
        (
            "c1.webhooks.v1.PayloadWorkflowStep",
            r#"{"version":"v1","context":{"a":[]}}"#,
        ),
        (
            "c1.webhooks.v1.PayloadOfTheFuture",
            r#"{"version":"v1","new":1}"#,
        ),
    ] {
        let receiver = Receiver::new(once(), move |_| async move { document(body) });
        let delivery = receiver.tenant.delivery(event).issued_at(now());
        assert_eq!(receiver.ask(&delivery).await, answer(200, body), "{event}");
        assert_eq!(
            receiver.ask(&delivery).await,
            replayed(200, body),
            "{event}"
        );
        assert_eq!(receiver.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_with_one_ledger_share_one_run() {
    // Two layers, as of two processes, on one ledger.
    let ledger = support::ledger::Shared::default();
    let replica = || {
        DeliverOnceLayer::builder()
            .ledger("hooks", ledger.clone())
            .build()
            .expect("a good configuration")
    };
    let slow = async |_| {
        sleep(seconds(10)).await;
        document(COMPLETE)
    };
    let one = Receiver::new(replica(), slow);
    let verify = builder(&one.tenant)
        .replay_policy(ReplayPolicy::Mark)
        .build()
        .expect("a good configuration");
    let other = Receiver::with(one.tenant.clone(), verify, replica(), slow);
    let delivery = one.provision();
    let first = one.send(&delivery);
    settle().await;
    let start = Instant::now();
    assert_eq!(other.ask(&delivery).await, replayed(200, COMPLETE));
    assert!(start.elapsed() < seconds(11), "{:?}", start.elapsed());
    assert_eq!(first.await.expect("no panic"), answer(200, COMPLETE));
    assert_eq!((one.runs(), other.runs()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_out_of_reach_is_asked_again_before_the_answer_is_503() {
    let ledger = support::ledger::Shared::default();
    let layer = DeliverOnceLayer::builder()
        .ledger("hooks", ledger.clone())
        .build();
    let receiver = Receiver::new(layer.expect("a good configuration"), async |_| {
        document(COMPLETE)
    });
    ledger.is_down(true);
    let start = Instant::now();
    let refused = receiver.ask(&receiver.provision()).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.code, Some("ledger_unavailable"));
    assert!(refused.retry_after.is_some());
    assert!((18..=20).contains(&start.elapsed().as_secs()));

    let asked = receiver.send(&receiver.provision());
    sleep(seconds(10)).await;
    ledger.is_down(false);
    assert_eq!(asked.await.expect("no panic"), answer(200, COMPLETE));
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_in_time_costs_two_steps_of_the_ledger() {
    let ledger = support::ledger::Shared::default();
    let layer = DeliverOnceLayer::builder()
        .ledger("hooks", ledger.clone())
        .build();
    let receiver = Receiver::new(layer.expect("a good configuration"), async |_| {
        sleep(seconds(1)).await;
        document(COMPLETE)
    });
    let delivery = receiver.provision();
    assert_eq!(receiver.ask(&delivery).await, answer(200, COMPLETE));
    assert_eq!(ledger.calls(), 2);
    assert_eq!(receiver.ask(&delivery).await, replayed(200, COMPLETE));
    assert_eq!(ledger.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_for_a_request_that_nobody_has_proven() {
    let handler = post(async || document(COMPLETE));
    let app = Router::new().route("/webhooks", handler).layer(once());
    let request = Request::post("/webhooks").body(Full::new(Bytes::new()));
    let response = app
        .oneshot(request.expect("a request"))
        .await
        .expect("infallible");
    assert_eq!(read(response).await, problem("missing_webhook"));
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_installed_twice_is_named() {
    let tenant = FakeTenant::new(DOMAIN);
    let verify = || {
        let builder = builder(&tenant).replay_policy(ReplayPolicy::Mark);
        builder.build().expect("good")
    };
    let handler = || Router::new().route("/webhooks", post(async || document(COMPLETE)));
    // One layer, or two.
    let (shared, another) = (once(), once());
    for inner in [shared.clone(), another] {
        let app = handler().layer(inner).layer(shared.clone()).layer(verify());
        let delivery = tenant.delivery(PROVISION).issued_at(now());
        let begun = tokio::time::Instant::now();
        let response = app.oneshot(delivery.request()).await.expect("infallible");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let given = read(response).await;
        assert_eq!(given.status, 500);
        assert!(
            given.body.contains(r#""code":"installed_twice""#),
            "{given:?}"
        );
    }
    let app = handler().layer(verify()).layer(once()).layer(verify());
    let delivery = tenant.delivery(PROVISION).issued_at(now());
    let response = app.oneshot(delivery.request()).await.expect("infallible");
    let given = read(response).await;
    assert_eq!(given.status, 500);
    assert!(
        given.body.contains(r#""code":"installed_twice""#),
        "{given:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_key_can_be_chosen() {
    let by_id = DeliverOnceLayer::builder()
        .key(|webhook| DeliveryKey::digest([webhook.id().as_bytes()]))
        .build()
        .expect("a good configuration");
    let receiver = Receiver::new(by_id, async |_| document(COMPLETE));
    let one = receiver
        .provision()
        .webhook_id("one")
        .payload(json!({"a": 1}));
    let two = receiver
        .provision()
        .webhook_id("one")
        .payload(json!({"a": 2}));
    assert_eq!(receiver.ask(&one).await, answer(200, COMPLETE));
    assert_eq!(receiver.ask(&two).await, replayed(200, COMPLETE));
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_the_key_says_tenants_and_events_are_kept_apart() {
    let by_id = DeliverOnceLayer::builder()
        .key(|webhook| DeliveryKey::digest([webhook.id().as_bytes()]))
        .build()
        .expect("a good configuration");
    let tenants = [DOMAIN, "other.conductor.one"].map(FakeTenant::new);
    let mut verify = builder(&tenants[0]).replay_policy(ReplayPolicy::Mark);
    let [_, other] = &tenants;
    let keys = KeySet::from_json(other.jwks().as_bytes()).expect("good keys");
    verify = verify.tenant(Tenant::new(other.domain()).static_keys(keys));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let app = Router::new()
        .route(
            "/webhooks",
            post(async move |webhook: Webhook| {
                counted.fetch_add(1, Ordering::SeqCst);
                document(if webhook.event() == TEST_EVENT {
                    EMPTY
                } else {
                    COMPLETE
                })
            }),
        )
        .layer(by_id)
        .layer(verify.build().expect("a good configuration"));
    for (tenant, event, expected) in [
        (&tenants[0], PROVISION, COMPLETE),
        (&tenants[1], PROVISION, COMPLETE),
        (&tenants[0], TEST_EVENT, EMPTY),
    ] {
        let delivery = tenant.delivery(event).issued_at(now()).webhook_id("one");
        let answered = app.clone().oneshot(delivery.request()).await;
        let answered = read(answered.expect("infallible")).await;
        assert_eq!(answered, answer(200, expected));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_the_work_and_begins_none() {
    let receiver = Receiver::new(once(), async |_| {
        sleep(seconds(10)).await;
        document(COMPLETE)
    });
    let delivery = receiver.provision();
    let asked = receiver.send(&delivery);
    settle().await;
    let layer = receiver.once.clone();
    let drained = tokio::spawn(async move { layer.drain().await.is_complete() });
    settle().await;
    let refused = receiver.ask(&receiver.provision()).await;
    assert_eq!((refused.status, refused.code), (503, Some("stopping")));
    let joined = receiver.ask(&delivery).await;
    assert_eq!(
        joined,
        replayed(200, COMPLETE),
        "what runs can still be joined"
    );
    assert_eq!(asked.await.expect("no panic"), answer(200, COMPLETE));
    assert!(drained.await.expect("no panic"), "all was done");
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_drains_too_long_is_cut_off_and_free_for_others() {
    let ledger = support::ledger::Shared::default();
    let replica = || {
        DeliverOnceLayer::builder()
            .ledger("hooks", ledger.clone())
            .build()
            .expect("a good configuration")
    };
    let one = Receiver::new(replica(), async |run| {
        if run == 1 {
            sleep(seconds(3600)).await;
        }
        document(COMPLETE)
    });
    let delivery = one.provision();
    let asked = one.send(&delivery);
    settle().await;
    let start = Instant::now();
    assert!(!one.once.drain().await.is_complete(), "not all was done");
    assert_eq!(start.elapsed().as_secs(), 25);
    assert_eq!(
        asked.await.expect("no panic").code,
        Some("delivery_running")
    );

    let verify = builder(&one.tenant)
        .replay_policy(ReplayPolicy::Mark)
        .build()
        .expect("a good configuration");
    let other = Receiver::with(one.tenant.clone(), verify, replica(), async |run| {
        document(if run == 2 { COMPLETE } else { "wrong" })
    });
    let start = Instant::now();
    assert_eq!(other.ask(&delivery).await, answer(200, COMPLETE));
    assert!(
        start.elapsed() < seconds(1),
        "without waiting for the lease's end"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_is_cut_off_is_never_taken_for_done() {
    for _ in 0..300 {
        let one = Receiver::new(
            DeliverOnceLayer::builder()
                .drain_timeout(Duration::ZERO)
                .build()
                .expect("good"),
            async |_| {
                sleep(seconds(1_000)).await;
                document("never")
            },
        );
        let delivery = one.provision();
        let asked = tokio::spawn({
            let one = one.clone();
            async move { one.ask(&delivery).await }
        });
        while one.runs() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(one.once.drain().await.cut_off(), 1);
        asked.abort();
    }
}

#[test]
fn what_cannot_work_is_refused_with_a_remedy() {
    let builder = DeliverOnceLayer::builder;
    for (built, expected) in [
        (
            builder().answer_within(seconds(28)),
            "answer_within 28s is too long",
        ),
        (
            builder().join_timeout(seconds(29)),
            "the join_timeout 29s is too long",
        ),
        (builder().lease(Duration::ZERO), "the lease 0ns cannot work"),
        (builder().lease(seconds(601)), "the lease 601s cannot work"),
    ] {
        let error = built.build().expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn the_layer_tells_the_policy_in_force() {
    let shown = format!("{:?}", once());
    for part in [
        "MemoryLedger",
        "answer_within: 25s",
        "join: 20s",
        "lease: 45s",
        "drain: 25s",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_may_be_compressed_outside_and_are_asked_for_plain_inside() {
    let comment = "the same ".repeat(100);
    let whole = format!(r#"{{"version":"v1","complete":{{"comment":"{comment}"}}}}"#);
    for inside in [false, true] {
        let tenant = FakeTenant::new(DOMAIN);
        let verify = builder(&tenant).build().expect("a good configuration");
        let given = whole.clone();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let handler = async move |headers: HeaderMap| {
            counted.fetch_add(1, Ordering::SeqCst);
            assert!(!headers.contains_key(ACCEPT_ENCODING));
            ([("content-type", "application/json")], given.clone())
        };
        let routes = Router::new().route("/webhooks", post(handler));
        let compress = CompressionLayer::new;
        let mut app = if inside {
            routes.layer(compress()).layer(once()).layer(verify)
        } else {
            routes.layer(once()).layer(verify).layer(compress())
        };
        let delivery = tenant.delivery(PROVISION).issued_at(now());
        // As it comes over the wire, and as ConductorOne's client hands it on.
        let raw = app.clone().oneshot(delivery.request()).await;
        let raw = raw.expect("infallible");
        assert_eq!(raw.headers().contains_key(CONTENT_ENCODING), !inside);
        let delivery = delivery.retried().webhook_id("another");
        let answered = delivery.call(&mut app).await;
        assert_eq!(
            (answered.status(), &**answered.body()),
            (StatusCode::OK, whole.as_bytes())
        );
        assert!(!answered.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }
}

/// For a ledger that records the answer in the handler's own transaction.
#[tokio::test(start_paused = true)]
async fn a_handler_can_check_its_outcome_before_it_returns_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let verify = builder(&tenant).build().expect("a good configuration");
    let once = DeliverOnceLayer::builder();
    let once = once.build().expect("a good configuration");
    let handler = async |handle: DeliveryHandle, webhook: Webhook| {
        let Ok(Payload::ProvisionStep(step)) = webhook.payload() else {
            panic!("another event");
        };
        assert_eq!((handle.lease().run(), handle.lease().attempt()), (1, 0));
        let codes = async |outcome: Outcome| {
            let checked = handle.check(&outcome).await;
            checked.map_err(|rejection| rejection.code())
        };
        let later = Outcome::retry_later(seconds(3));
        for (outcome, code) in [
            (Outcome::failed(), "handler_failed"),
            (later, "handler_failed"),
            // There is no callback URL.
            (Outcome::accepted(), "unusable_response"),
            // The document of another event.
            (
                TestEvent::default().answer(Acknowledgement::new()),
                "unusable_response",
            ),
        ] {
            assert_eq!(codes(outcome).await, Err(code));
        }
        let gone = codes(Outcome::gone_for_good()).await.expect("an answer");
        assert_eq!((gone.status(), &gone.document()[..]), (410, &b""[..]));
        let outcome = step.answer(ProvisionReply::complete(Comment::none()));
        let answer = codes(outcome.clone()).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let document: Value = serde_json::from_slice(answer.document()).expect("JSON");
        assert_eq!(document, json!({"version": "v1", "complete": {}}));
        outcome
    };
    let mut app = Router::new()
        .route("/webhooks", post(handler))
        .layer(once)
        .layer(verify);
    let delivery = tenant.delivery(PROVISION).issued_at(now());
    let response = delivery.callback_url(None).call(&mut app).await;
    assert_eq!(response.status(), 200, "{:?}", response.body());
}

/// A handler that records its answer itself, as in its own transaction, and how it ends.
struct Recording {
    ledger: ledger::Shared,
    end: End,
    ended: Arc<AtomicU32>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Same,
    Failed,
    Panic,
    /// It does more for half a minute.
    Later,
}

impl Recording {
    async fn handle(&self, delivery: DeliveryHandle, webhook: Webhook) -> Outcome {
        let Ok(Payload::ProvisionStep(step)) = webhook.payload() else {
            panic!("another event");
        };
        let outcome = step.answer(ProvisionReply::complete(Comment::none()));
        let answer = delivery.check(&outcome).await.expect("an answer");
        let finished = self.ledger.finish(delivery.lease(), answer.clone()).await;
        delivery.recorded(answer, finished.expect("a reply"));
        match self.end {
            End::Same => outcome,
            End::Failed => Outcome::failed(),
            End::Panic => panic!("after the commit"),
            End::Later => {
                sleep(seconds(30)).await;
                self.ended.fetch_add(1, Ordering::SeqCst);
                outcome
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_handler_recorded_counts_and_takes_no_more_steps() {
    for end in [End::Same, End::Failed, End::Panic, End::Later] {
        let tenant = FakeTenant::new(DOMAIN);
        let ledger = ledger::Shared::default();
        let ended = Arc::new(AtomicU32::new(0));
        let recording = Arc::new(Recording {
            ledger: ledger.clone(),
            end,
            ended: Arc::clone(&ended),
        });
        let handler = move |delivery: DeliveryHandle, webhook: Webhook| {
            let recording = Arc::clone(&recording);
            async move { recording.handle(delivery, webhook).await }
        };
        let once = DeliverOnceLayer::builder().ledger("hooks", ledger.clone());
        let once = once.build().expect("a good configuration");
        let verify = builder(&tenant).replay_policy(ReplayPolicy::Mark);
        let mut app = Router::new()
            .route("/webhooks", post(handler))
            .layer(once.clone())
            .layer(verify.build().expect("a good configuration"));
        let delivery = tenant.delivery(PROVISION).issued_at(now());
        let asked = Instant::now();
        let answered = delivery.call(&mut app).await;
        let got = (answered.status(), &answered.body()[..]);
        // Text of the same members, in whatever order serde_json keeps them.
        let document: Value = serde_json::from_slice(got.1).expect("JSON");
        let recorded = json!({ "version": "v1", "complete": {} });
        assert_eq!((got.0, document), (StatusCode::OK, recorded), "{end:?}");
        assert!(asked.elapsed() < seconds(1), "{end:?}");
        assert_eq!(
            ledger.calls(),
            2,
            "{end:?}: the claim, and the handler's own"
        );
        let again = delivery.call(&mut app).await;
        assert_eq!((again.status(), &again.body()[..]), got, "{end:?}");
        assert_eq!(ledger.calls(), 3, "{end:?}: another claim");
        // What the handler does after it has recorded its answer is not cut off.
        sleep(seconds(10)).await;
        assert!(once.drain().await.is_complete(), "{end:?}");
        let later = u32::from(matches!(end, End::Later));
        assert_eq!(ended.load(Ordering::SeqCst), later, "{end:?}");
        assert_eq!(ledger.calls(), 3, "{end:?}: no renewal, no finish");
    }
}
