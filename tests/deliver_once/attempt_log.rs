//! What the log tells of deliveries: how each request was answered, and whose run a
//! handler's own line is of.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use support::callback::{Script, builder as callbacks, own_url, status};
use support::log::{self, Log};
use support::{DOMAIN, builder, now};
use tokio::time::sleep;
use tower::{Layer as _, Service, ServiceExt, service_fn};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{DeliverOnceBuilder, DeliverOnceLayer, DeliveryRun, VerifyWebhookLayer};
use tracing::span::{Attributes, Id};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

const ATTEMPT: &str = "tower_conductorone::attempt";
const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const COMPLETE: &str = r#"{"version":"v1","complete":{"comment":"done"}}"#;

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant
        .delivery(PROVISION)
        .issued_at(now())
        .callback_url(Some(&own_url()))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The lines of requests.
fn attempts(log: &Log) -> Vec<String> {
    let text = log.take();
    let lines = text.lines().filter(|line| line.contains(ATTEMPT));
    lines.map(str::to_owned).collect()
}

#[track_caller]
fn expect_all(line: &str, said: &[&str]) {
    for said in said {
        assert!(line.contains(said), "{said} is not in {line}");
    }
}

/// The value of a field.
#[track_caller]
fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let (_, value) = line.split_once(&format!(" {name}=")).expect(line);
    value.split(' ').next().expect("a value")
}

/// A receiver whose handler takes this long.
fn receiver(
    tenant: &FakeTenant,
    once: DeliverOnceBuilder,
    takes: Duration,
) -> (
    impl Service<Request<Full<Bytes>>, Response: Send, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
    + use<>,
    DeliverOnceLayer,
) {
    let once = once.build().expect("good");
    let handler = service_fn(move |_: Request<Full<Bytes>>| async move {
        sleep(takes).await;
        tracing::info!("granted");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(COMPLETE)))
    });
    let verify: VerifyWebhookLayer = builder(tenant).build().expect("good");
    (verify.layer(once.layer(handler)), once)
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_delivery_says_how_it_was_answered() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let (receiver, once) = receiver(&tenant, DeliverOnceLayer::builder(), seconds(2));
    let delivery = delivery(&tenant);
    let send = |delivery: Delivery| receiver.clone().oneshot(delivery.request());

    let (first, joined) = tokio::join!(send(delivery.clone()), async {
        sleep(seconds(1)).await;
        send(delivery.retried()).await
    });
    assert!(first.is_ok() && joined.is_ok());
    assert!(send(delivery.retried()).await.is_ok());
    assert!(once.drain().await.is_complete());
    let another = tenant.delivery(PROVISION).issued_at(now());
    assert!(send(another).await.is_ok());

    let lines = attempts(&log);
    let how: Vec<_> = lines.iter().map(|line| field(line, "c1.how")).collect();
    assert_eq!(
        how,
        [r#""ran""#, r#""joined""#, r#""replayed""#, r#""refused""#]
    );
    let [ran, joined, replayed, refused] = &lines[..] else {
        panic!("{lines:?}")
    };
    let key = field(ran, "c1.delivery");
    assert_eq!(key.len(), 96, "{key}");
    for same in [joined, replayed] {
        assert_eq!(field(same, "c1.delivery"), key);
    }
    assert_ne!(field(refused, "c1.delivery"), key);
    expect_all(
        ran,
        &["INFO", "c1.run=1", "c1.duration=2.0s", "status_code=200"],
    );
    expect_all(joined, &["c1.run=1", "c1.duration=1.0s"]);
    assert!(
        !replayed.contains("c1.run="),
        "the ledger does not say: {replayed}"
    );
    expect_all(
        refused,
        &[
            "WARN",
            r#"error.type="stopping""#,
            "status_code=503",
            "c1.cause=\"the receiver stops, and begins no work\"",
            "c1.remedy=",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_202_in_the_handler_s_stead_is_told_and_the_callback_too() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let client = callbacks().post(Script::new([status(200)])).build();
    let once = DeliverOnceLayer::builder().callbacks(client.expect("good"));
    let (receiver, once) = receiver(&tenant, once, seconds(60));
    let answered = receiver.oneshot(delivery(&tenant).request()).await;
    drop(answered.expect("202"));
    let lines = attempts(&log);
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    expect_all(
        line,
        &[
            "INFO",
            r#"c1.how="promised""#,
            "status_code=202",
            "c1.duration=25.0s",
            "c1.run=1",
        ],
    );
    sleep(seconds(60)).await;
    assert!(once.drain().await.is_complete());
    let text = log.take();
    let granted = text.lines().find(|line| line.contains("granted"));
    expect_all(
        granted.expect("the run went on"),
        &["webhook.run{", "c1.run=1"],
    );
    let posted = text
        .lines()
        .find(|line| line.contains("callback delivered"));
    expect_all(
        posted.expect("posted"),
        &[
            "webhook.callback{",
            "c1.callback.attempt=1",
            "200 OK",
            DOMAIN,
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_too_slow_is_one_line_with_the_reason() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let (receiver, _once) = receiver(&tenant, DeliverOnceLayer::builder(), seconds(60));
    assert!(receiver.oneshot(delivery(&tenant).request()).await.is_ok());
    let text = log.take();
    assert_eq!(text.lines().count(), 1, "{text}");
    expect_all(
        &text,
        &[
            "WARN",
            r#"error.type="delivery_running""#,
            "no callback client is configured",
            "exceeded 28s",
            "c1.delivery=",
        ],
    );
}

#[tokio::test]
async fn a_handler_s_own_lines_say_whose_run_they_are_of() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let once = DeliverOnceLayer::builder().build().expect("good");
    let fails_at_first = service_fn(async |request: Request<Full<Bytes>>| {
        let run = request.extensions().get::<DeliveryRun>().expect("one");
        tracing::info!("granting");
        let mut response = Response::new(Full::<Bytes>::from(COMPLETE));
        if run.number() == 1 {
            *response.status_mut() = http::StatusCode::BAD_GATEWAY;
        }
        Ok::<_, Infallible>(response)
    });
    let verify = builder(&tenant).build().expect("good");
    let receiver = verify.layer(once.layer(fails_at_first));
    let delivery = delivery(&tenant).webhook_id("an id");
    for delivery in [delivery.clone(), delivery.retried()] {
        let answered = receiver.clone().oneshot(delivery.request()).await;
        assert!(answered.is_ok());
    }
    let text = log.take();
    let of =
        |said: &str| -> Vec<&str> { text.lines().filter(|line| line.contains(said)).collect() };
    for (number, line) in (1..).zip(of("granting")) {
        expect_all(
            line,
            &[
                "webhook.run{",
                r#"c1.tenant="example.conductor.one""#,
                r#"c1.webhook.id="an id""#,
                &format!("c1.run={number}"),
            ],
        );
    }
    let [failed, done] = of(ATTEMPT)[..] else {
        panic!("{text}")
    };
    expect_all(
        failed,
        &["status_code=502", r#"error.type="502""#, "c1.run=1"],
    );
    expect_all(done, &["status_code=200", "c1.run=2"]);
}

#[tokio::test]
async fn a_run_that_fails_is_told_with_its_cause() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let once = DeliverOnceLayer::builder().build().expect("good");
    let useless = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("no document")))
    });
    let verify = builder(&tenant).build().expect("good");
    let request = delivery(&tenant).claim("jti", "an id".into()).request();
    assert!(
        verify
            .layer(once.layer(useless))
            .oneshot(request)
            .await
            .is_ok()
    );
    let lines = attempts(&log);
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    expect_all(
        line,
        &[
            "WARN",
            "webhook failed",
            r#"c1.how="ran""#,
            "c1.run=1",
            r#"error.type="unusable_response""#,
            r#"c1.jti="an id""#,
            r#"url.path="/webhooks""#,
            "c1.cause=",
            "c1.remedy=",
        ],
    );
}

/// Where the layer is used without `VerifyWebhook` outside, after `verify`.
#[tokio::test]
async fn without_the_other_layer_outside_this_one_tells() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let once = DeliverOnceLayer::builder().build().expect("good");
    let handler = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(COMPLETE)))
    });
    let verify = builder(&tenant).build().expect("good");
    let verified = verify.verify(delivery(&tenant).request()).await;
    let answered = once.layer(handler).oneshot(verified.expect("good")).await;
    assert!(answered.is_ok());
    let lines = attempts(&log);
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    expect_all(line, &[r#"c1.how="ran""#, "c1.run=1", "status_code=200"]);
}

/// Records which span follows from which, and what a span's parent is.
#[derive(Clone, Default)]
struct Links(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Links {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).expect("it").parent();
        let parent = parent.map_or("none", |parent| parent.name());
        let name = attributes.metadata().name();
        self.note(format!("{name} in {parent}"));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let name = |id| context.span(id).map_or("none", |span| span.name());
        self.note(format!("{} follows {}", name(id), name(follows)));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("it");
        self.note(format!("{} closed", span.name()));
    }
}

impl Links {
    fn note(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_follows_from_its_request_and_keeps_no_span_of_it_open() {
    let links = Links::default();
    let _capturing = log::capture(Registry::default().with(links.clone()));
    let tenant = FakeTenant::new(DOMAIN);
    let client = callbacks().post(Script::new([status(200)])).build();
    let once = DeliverOnceLayer::builder().callbacks(client.expect("good"));
    let (receiver, once) = receiver(&tenant, once, seconds(60));
    let of_request = tracing::info_span!("request");
    {
        use tracing::Instrument;
        let answer = receiver.oneshot(delivery(&tenant).request());
        drop(answer.instrument(of_request).await.expect("202"));
    }
    links.note("answered".to_owned());
    sleep(seconds(60)).await;
    assert!(once.drain().await.is_complete());
    let noted = links.0.lock().expect("no panic").clone();
    assert_eq!(
        noted,
        [
            "request in none",
            "webhook in request",
            "webhook.run in none",
            "webhook.run follows webhook",
            "webhook closed",
            "request closed",
            "answered",
            "webhook.callback in none",
            "webhook.callback follows webhook.run",
            "webhook.run closed",
            "webhook.callback closed",
        ]
    );
}
