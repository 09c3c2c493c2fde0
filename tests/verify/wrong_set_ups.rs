//! From a delivery that fails to its cause, by one line of the log.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use support::log::Log;
use support::{DOMAIN, TEST_EVENT, builder, now};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{DeliverOnceLayer, Tenant, VerifyWebhookBuilder};
use tracing::Level;

const EMPTY: &str = r#"{"version":"v1"}"#;
const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// A receiver whose handler answers this.
async fn send(verify: VerifyWebhookBuilder, document: &'static str, delivery: &Delivery) {
    let verify = verify.build().expect("good");
    let once = DeliverOnceLayer::builder().build().expect("good");
    let service = verify.layer(once.layer(handler(document, Duration::ZERO)));
    let answered = service.oneshot(delivery.request()).await;
    assert!(!answered.expect("an answer").status().is_success());
}

fn handler(
    document: &'static str,
    takes: Duration,
) -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send {
    service_fn(move |_: Request<Full<Bytes>>| async move {
        sleep(takes).await;
        Ok(Response::new(Full::from(document)))
    })
}

/// Whether one line says all of this.
#[track_caller]
fn expect_line(log: &Log, said: &[&str]) {
    let text = log.take();
    let is_it = |line: &str| said.iter().all(|said| line.contains(said));
    assert!(text.lines().any(is_it), "{said:?} in {text}");
}

#[tokio::test(start_paused = true)]
async fn each_of_ten_wrong_set_ups_is_told_by_one_line() {
    let log = Log::default();
    let _capturing = log.capture(Level::INFO);
    let tenant = FakeTenant::new(DOMAIN);
    let good = delivery(&tenant);

    let wrong_host = builder(&tenant).public_url("https://internal.example.com");
    send(wrong_host, EMPTY, &good).await;
    expect_line(
        &log,
        &[
            "wrong_audience",
            "internal.example.com",
            "set the public URL to https://hooks.example.com",
        ],
    );

    let behind_prefix = good
        .clone()
        .claim("htu", json!("https://hooks.example.com/apps/c1/webhooks"));
    send(builder(&tenant), EMPTY, &behind_prefix).await;
    expect_line(
        &log,
        &[
            "wrong_url",
            "set the public URL to https://hooks.example.com/apps/c1",
        ],
    );

    let other = FakeTenant::new("other.conductor.one");
    send(builder(&tenant), EMPTY, &delivery(&other)).await;
    expect_line(
        &log,
        &[
            "unknown_tenant",
            "other.conductor.one",
            "add its domain with VerifyWebhookBuilder::tenant",
        ],
    );

    let ago = good.clone().issued_at(now() - Duration::from_secs(600));
    send(builder(&tenant), EMPTY, &ago).await;
    expect_line(&log, &["token_expired", "480s ago", "clock", "NTP"]);

    let rewritten = good.clone().tampered_body(r#"{ "version": "v1" }"#);
    send(builder(&tenant), EMPTY, &rewritten).await;
    expect_line(&log, &["body_hash_mismatch", "rewrites the body"]);

    // The keys of yesterday, from a file.
    let yesterday = FakeTenant::new(DOMAIN);
    let keys = KeySet::from_json(yesterday.jwks().as_bytes()).expect("keys");
    let keys = Tenant::new(DOMAIN).static_keys(keys);
    let stale = builder(&other).tenant(keys);
    let rotated = good.clone().header_param("kid", json!("of today"));
    send(stale, EMPTY, &rotated).await;
    expect_line(&log, &["unknown_key", "of today", "JWKS URL"]);

    let provision = tenant.delivery(PROVISION).issued_at(now());
    send(builder(&tenant), EMPTY, &provision).await;
    expect_line(
        &log,
        &[
            "unusable_response",
            "does not match the event",
            "answer with the document that the event requires",
        ],
    );

    let verify = builder(&tenant).build().expect("good");
    let once = DeliverOnceLayer::builder().build().expect("good");
    let slow = verify.layer(once.layer(handler(EMPTY, Duration::from_secs(60))));
    assert!(slow.oneshot(good.request()).await.is_ok());
    expect_line(
        &log,
        &[
            "delivery_running",
            "no callback client is configured",
            "with callbacks the layer answers 202",
        ],
    );

    let verify = builder(&tenant).build().expect("good");
    let once = DeliverOnceLayer::builder().build().expect("good");
    let inside_out = once.layer(verify.layer(handler(EMPTY, Duration::ZERO)));
    assert!(inside_out.oneshot(good.request()).await.is_ok());
    expect_line(
        &log,
        &[
            "ERROR",
            "is VerifyWebhookLayer installed outside, on this route?",
        ],
    );

    let without_header = good.clone().without_http_header("authorization");
    send(builder(&tenant), EMPTY, &without_header).await;
    expect_line(
        &log,
        &["missing_token", "a proxy removes the Authorization header"],
    );
}
