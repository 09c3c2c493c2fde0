//! Each request is one line of the log when it is answered, and a span meanwhile.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use support::body::{Script, Step, data};
use support::log::Log;
use support::{DOMAIN, TEST_EVENT, builder, now, receiver, send};
use tokio::time::{advance, sleep, timeout};
use tower::{BoxError, Layer, Service as _, ServiceExt, service_fn};
use tower_conductorone::observe::{Attempt, How, Observer};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{Rejection, Tenant, VerifyWebhookLayer};
use tower_http::trace::TraceLayer;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::Registry;

use crate::middleware::Hanging;

const ATTEMPT: &str = "tower_conductorone::attempt";

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// The only line about this.
#[track_caller]
fn only_line(log: &Log, about: &str) -> String {
    let text = log.take();
    let mut lines = text.lines().filter(|line| line.contains(about));
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_owned(),
        _ => panic!("not one line about {about}: {text}"),
    }
}

#[track_caller]
fn expect_all(line: &str, said: &[&str]) {
    for said in said {
        assert!(line.contains(said), "{said} is not in {line}");
    }
}

#[tokio::test]
async fn an_answered_webhook_is_one_line() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = delivery(&tenant).webhook_id("an id");
    send(&receiver(&tenant), delivery.request()).await;

    let text = log.take();
    assert_eq!(text.lines().count(), 1, "{text}");
    expect_all(
        &text,
        &[
            "INFO",
            ATTEMPT,
            "webhook answered",
            r#"c1.how="ran""#,
            "c1.duration=",
            "http.response.status_code=200",
            r#"c1.tenant="example.conductor.one""#,
            r#"c1.webhook.id="an id""#,
            r#"c1.event="c1.webhooks.v1.PayloadTest""#,
        ],
    );
    assert!(!text.contains("error.type"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn durations_have_a_unit() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    for (takes, said) in [
        (1_234_567, "c1.duration=1.2s"),
        (12_000, "c1.duration=12.0ms"),
    ] {
        let slow = service_fn(async |_: Request<Full<Bytes>>| {
            sleep(Duration::from_micros(takes)).await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let request = delivery(&tenant).request();
        let answered = receiver(&tenant).layer(slow).oneshot(request).await;
        assert!(answered.is_ok());
        expect_all(&log.take(), &[said]);
    }
}

#[tokio::test]
async fn a_signed_request_that_is_refused_has_its_cause_and_remedy() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = delivery(&tenant)
        .claim("aud", json!("apps.example.com"))
        .claim("htu", json!("https://apps.example.com/c1/webhooks"))
        .claim("jti", json!("the id of the token"));
    let outcome = send(&receiver(&tenant), delivery.request()).await;

    let rejection = outcome.rejection.expect("refused");
    assert_eq!(rejection.token_id(), Some("the id of the token"));
    let text = log.take();
    assert_eq!(text.lines().count(), 1, "{text}");
    expect_all(
        &text,
        &[
            "WARN",
            ATTEMPT,
            "webhook refused",
            r#"c1.how="refused""#,
            r#"error.type="wrong_audience""#,
            "http.response.status_code=401",
            r#"c1.jti="the id of the token""#,
            r#"url.path="/webhooks""#,
            "hooks.example.com",
            "set the public URL to https://apps.example.com/c1",
        ],
    );
}

#[test]
fn every_rejection_has_a_remedy() {
    for kind in tower_conductorone::RejectionKind::ALL {
        let remedy = kind.remedy();
        assert!((20..200).contains(&remedy.len()), "{kind:?}: {remedy}");
        assert!(!remedy.ends_with('.'), "{kind:?}: {remedy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_requests_is_counted_and_not_a_line_each() {
    let log = Log::default();
    let _capturing = log.capture(Level::TRACE);
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let forged = delivery(&tenant).token("abc.def.ghi");
    let bare = delivery(&tenant).without_http_header("authorization");
    let (mut lines, mut told, mut seen) = (0, 0, 0);
    // 10,000 requests in each of ten seconds.
    for _ in 0..1_000 {
        for _ in 0..50 {
            for delivery in [&forged, &bare] {
                let request = delivery.request().map(|_| Full::<Bytes>::default());
                assert!(layer.verify(request).await.is_err());
                seen += 1;
            }
        }
        advance(Duration::from_millis(10)).await;
    }
    // The rest of the last second is told when it is over.
    sleep(Duration::from_secs(2)).await;
    for line in log.take().lines() {
        lines += 1;
        assert!(line.contains("tower_conductorone::unsigned"), "{line}");
        let count = line.split("c1.count=").nth(1);
        told += count.map_or(1, |count| {
            expect_all(line, &["malformed_token", "missing_token"]);
            let count = count.split(' ').next().expect("a number");
            count.parse().expect("a number")
        });
    }
    assert!(lines <= 100, "{lines} lines");
    assert_eq!((seen, told), (100_000, 100_000));
}

#[tokio::test]
async fn unsigned_requests_can_be_left_out_by_their_target() {
    let log = Log::default();
    let filter: Targets = "tower_conductorone=info,tower_conductorone::unsigned=off"
        .parse()
        .expect("a filter");
    let lines = tracing_subscriber::fmt::layer().with_writer(log.clone());
    let _capturing = support::log::capture(Registry::default().with(lines.with_filter(filter)));
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    send(&layer, delivery(&tenant).token("abc.def.ghi").request()).await;
    assert_eq!(log.take(), "");
    let expired = delivery(&tenant).issued_at(now() - Duration::from_secs(999));
    send(&layer, expired.request()).await;
    expect_all(&log.take(), &["token_expired"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_caller_hangs_up_is_told() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let hangs = service_fn(async |_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
    });
    let answer = receiver(&tenant)
        .layer(hangs)
        .oneshot(delivery(&tenant).request());
    let in_time = tokio::time::timeout(Duration::from_secs(30), answer).await;
    assert!(in_time.is_err());
    let line = only_line(&log, ATTEMPT);
    expect_all(
        &line,
        &["WARN", r#"c1.how="abandoned""#, "c1.duration=30.0s"],
    );
}

/// How each request ended, and the tenant that signed it.
type Ends = Vec<(How, Option<String>)>;

#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Ends>>);

impl Observer for Told {
    fn attempt(&self, attempt: &Attempt<'_>) {
        let told = (attempt.how(), attempt.tenant().map(str::to_owned));
        self.0.lock().expect("no panic").push(told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_caller_hangs_up_during_its_verification_is_told() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let without_keys = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(Hanging::default()))
        .clock(support::clock());
    let signed = Some(DOMAIN.to_owned());
    for (builder, body, expected) in [
        (without_keys, None, None),
        (
            builder(&tenant),
            Some(Script::new([Step::Hang])),
            signed.clone(),
        ),
        (
            builder(&tenant).replay_store(Hanging::default()),
            None,
            signed,
        ),
    ] {
        let told = Told::default();
        let layer = builder.observer(told.clone()).build().expect("good");
        let delivery = delivery(&tenant).claim("jti", json!("the id"));
        let body = body.unwrap_or_else(|| Script::new([data(delivery.body_bytes())]));
        let request = delivery.request().map(|_| body);
        let fine = service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let answer = layer.layer(fine).oneshot(request);
        assert!(timeout(Duration::from_secs(5), answer).await.is_err());

        let told = told.0.lock().expect("no panic").clone();
        assert_eq!(told, [(How::Abandoned, expected.clone())]);
        match expected {
            // Anybody can send it.
            None => assert_eq!(log.take(), ""),
            Some(_) => expect_all(
                &only_line(&log, ATTEMPT),
                &[
                    "WARN",
                    r#"c1.how="abandoned""#,
                    r#"c1.jti="the id""#,
                    &format!("c1.tenant={DOMAIN:?}"),
                    "c1.duration=5.0s",
                    "url.path",
                ],
            ),
        }
    }
}

#[tokio::test]
async fn a_handler_that_gives_no_answer_is_not_taken_for_a_caller_who_hung_up() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);

    let fails = service_fn(async |_: Request<Full<Bytes>>| {
        Err::<Response<Full<Bytes>>, BoxError>("no database".into())
    });
    let answer = layer.layer(fails).oneshot(delivery(&tenant).request());
    assert!(answer.await.is_err());
    let line = only_line(&log, ATTEMPT);
    expect_all(
        &line,
        &["WARN", "not answered", r#"error.type="service_error""#],
    );

    let panics = service_fn(async |_: Request<Full<Bytes>>| panics());
    let service = layer.layer(panics);
    let request = delivery(&tenant).request();
    // On this thread, whose log is captured. The panic drops the future.
    let caught = tokio::task::LocalSet::new()
        .run_until(async { tokio::task::spawn_local(service.oneshot(request)).await })
        .await;
    assert!(caught.is_err_and(|error| error.is_panic()));
    let line = only_line(&log, ATTEMPT);
    expect_all(&line, &["WARN", "not answered", r#"error.type="panic""#]);
}

fn panics() -> Result<Response<Full<Bytes>>, Infallible> {
    panic!("on purpose")
}

#[tokio::test]
async fn an_error_of_the_handler_s_own_is_told_by_its_status() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let busy = service_fn(async |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Ok::<_, Infallible>(response)
    });
    let answer = receiver(&tenant)
        .layer(busy)
        .oneshot(delivery(&tenant).request());
    assert!(answer.await.is_ok());
    let line = only_line(&log, ATTEMPT);
    expect_all(
        &line,
        &[
            "INFO",
            r#"c1.how="ran""#,
            "http.response.status_code=503",
            r#"error.type="503""#,
        ],
    );
}

#[tokio::test]
async fn the_handler_s_own_lines_are_in_the_webhook_s_span_under_that_of_the_request() {
    let log = Log::default();
    let _capturing = log.capture(Level::DEBUG);
    let tenant = FakeTenant::new(DOMAIN);
    let logs = service_fn(async |_: Request<Full<Bytes>>| {
        tracing::info!("granted");
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let mut service = TraceLayer::new_for_http().layer(receiver(&tenant).layer(logs));
    let delivery = delivery(&tenant).webhook_id("an id");
    assert!(service.call(delivery.request()).await.is_ok());
    let line = only_line(&log, "granted");
    let (_, spans) = line.split_once("request{").expect("TraceLayer's span");
    expect_all(
        spans,
        &[
            "webhook{",
            r#"c1.tenant="example.conductor.one""#,
            r#"c1.webhook.id="an id""#,
            r#"c1.event="c1.webhooks.v1.PayloadTest""#,
        ],
    );
}

#[tokio::test]
async fn an_extractor_s_rejection_is_a_refusal() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let app = axum::Router::new()
        .route(
            "/webhooks",
            axum::routing::post(
                async |_: tower_conductorone::Typed<tower_conductorone::event::ProvisionStep>| {},
            ),
        )
        .layer(builder(&tenant).build().expect("good"));
    let odd = tenant
        .delivery("c1.webhooks.v1.PayloadProvisionStep")
        .issued_at(now())
        .payload(json!({ "taskView": { "task": 7 } }));
    let response = app.oneshot(odd.request()).await.expect("infallible");
    let rejection = response.extensions().get::<Rejection>().expect("one");
    assert_eq!(rejection.code(), "unreadable_payload");
    let line = only_line(&log, ATTEMPT);
    expect_all(
        &line,
        &[
            r#"c1.how="refused""#,
            r#"error.type="unreadable_payload""#,
            "c1.remedy=",
        ],
    );
}
