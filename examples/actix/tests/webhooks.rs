//! The example on actix, from outside.
#![cfg(unix)]

use serde_json::json;
use support::DOMAIN;
use support::example::Example;
use tower_conductorone::event::{Event, FindingDispatch, ProvisionStep, Test};
use tower_conductorone::testing::attack::AttackResult;
use tower_conductorone::testing::{AttackPack, FakeTenant};

const EXAMPLE: &str = env!("CARGO_BIN_EXE_actix-example");

#[tokio::test]
async fn a_webhook_is_verified_answered_and_done_once() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    let example = Example::start(EXAMPLE, &[("C1_JWKS_URL", &jwks.url())]).await;
    let step = tenant.delivery(ProvisionStep::NAME);
    let answer = example.send(&step).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json(), json!({ "version": "v1", "complete": {} }));
    let again = example.send(&step.retried()).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.json(), answer.json());
    assert_eq!(example.send(&step).await.status, 401, "the same token");

    let other = tenant.delivery(FindingDispatch::NAME);
    let answer = example.send(&other).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "60");
    let forged = tenant.delivery(Test::NAME).tampered_body("{}");
    let answer = example.send(&forged).await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (401, "invalid_token")
    );
    let log = example.stop().await;
    assert!(log.contains("stopped, 0 deliveries were cut off"), "{log}");
}

#[tokio::test]
async fn no_attack_gets_through_the_conversion() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    let example = Example::start(EXAMPLE, &[("C1_JWKS_URL", &jwks.url())]).await;
    let attacks = AttackPack::new(&tenant, "https://hooks.example.com/webhooks");
    let to = format!("http://{}/webhooks", example.address);
    let report = attacks.fire_at(&to).await.expect("it answers");
    let failures: Vec<_> = report.failures().map(AttackResult::name).collect();
    // The fallback wants every other event again.
    assert_eq!(failures, ["event_unknown"]);
}
