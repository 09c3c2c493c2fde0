//! The example's tenants, routes and layers, from outside.
#![cfg(unix)]

use serde_json::{Value, json};
use support::DOMAIN;
use support::example::Example;
use support::wire::Protocol;
use tower_conductorone::event::{Event, FindingDispatch, PolicyApprovalStep, ProvisionStep, Test};
use tower_conductorone::testing::{AttackPack, Delivery, FakeTenant, JwksServer};

const URL: &str = "https://hooks.example.com/c1/webhooks";

struct World {
    production: FakeTenant,
    sandbox: FakeTenant,
    example: Example,
    _jwks: [JwksServer; 2],
}

impl World {
    async fn new() -> Self {
        let production = FakeTenant::new(DOMAIN);
        let sandbox = FakeTenant::new("sandbox.conductor.one");
        let jwks = [
            production.serve().await.expect("a port"),
            sandbox.serve().await.expect("a port"),
        ];
        let settings = [
            ("C1_JWKS_URL", &*jwks[0].url()),
            ("C1_SANDBOX_JWKS_URL", &*jwks[1].url()),
        ];
        let example = env!("CARGO_BIN_EXE_axum-example");
        Self {
            example: Example::start(example, &settings).await,
            production,
            sandbox,
            _jwks: jwks,
        }
    }

    async fn answer(&self, delivery: Delivery) -> (u16, Value) {
        let delivery = delivery.to(URL).without_http_header("accept-encoding");
        let answer = self.example.send(&delivery).await;
        let document = serde_json::from_slice(&answer.body);
        (answer.status.as_u16(), document.unwrap_or_default())
    }
}

#[tokio::test]
async fn each_tenants_events_reach_their_handlers_below_the_nested_path() {
    let world = World::new().await;
    let (production, sandbox) = (&world.production, &world.sandbox);
    let complete = |comment| json!({ "version": "v1", "complete": { "comment": comment } });
    for (delivery, status, expected) in [
        (
            production.delivery(ProvisionStep::NAME),
            200,
            complete("provisioned"),
        ),
        (
            sandbox.delivery(ProvisionStep::NAME),
            200,
            complete("the sandbox: nothing was done"),
        ),
        (
            production.delivery(PolicyApprovalStep::NAME),
            200,
            json!({ "version": "v1", "deny": { "comment": "a machine approves nothing" } }),
        ),
        (
            sandbox.delivery(Test::NAME),
            200,
            json!({ "version": "v1" }),
        ),
        (production.delivery(FindingDispatch::NAME), 503, Value::Null),
    ] {
        let event = delivery.envelope()["event"].clone();
        let answer = world.answer(delivery).await;
        assert_eq!(answer.0, status, "{event}: {answer:?}");
        if status == 200 {
            assert_eq!(answer.1, expected, "{event}");
        }
    }
    // A tenant cannot sign for another one.
    let forged = sandbox.delivery(ProvisionStep::NAME);
    let forged = forged.claim("iss", json!(DOMAIN));
    assert_eq!(world.answer(forged).await.0, 401);
    let stranger = FakeTenant::new("stranger.conductor.one");
    assert_eq!(world.answer(stranger.delivery(Test::NAME)).await.0, 401);
    world.example.stop().await;
}

#[tokio::test]
async fn the_layers_compress_limit_and_hide_what_is_secret() {
    let world = World::new().await;
    let step = world.production.delivery(ProvisionStep::NAME).to(URL);
    let answer = world.example.send(&step).await; // ConductorOne accepts gzip
    assert_eq!(answer.headers["content-encoding"], "gzip");
    // The same answer, for an attempt that does not.
    let again = step.retried().without_http_header("accept-encoding");
    let again = world.example.send(&again).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers.get("content-encoding"), None);
    assert_eq!(again.json()["complete"]["comment"], "provisioned");

    let huge = "x".repeat(2 * 1024 * 1024 + 1);
    let huge = world.production.delivery(Test::NAME).to(URL).body(huge);
    assert_eq!(world.example.send(&huge).await.status, 413);
    let get = http::Request::get("/healthz").header("host", "hooks.example.com");
    let get = get
        .body(http_body_util::Full::default())
        .expect("a request");
    let answer = world.example.send_over(Protocol::Http2, get).await;
    assert_eq!(answer.status, 200);

    let log = world.example.stop().await;
    assert!(log.contains("\"authorization\": Sensitive"), "{log}");
    let secret = step.token_string();
    assert!(!log.contains(&secret), "a token in the log");
    assert!(!log.contains("/callback/"), "a callback URL in the log");
}

#[tokio::test]
async fn no_attack_gets_through_the_layers() {
    let world = World::new().await;
    let attacks = AttackPack::new(&world.production, URL);
    let to = format!("http://{}/c1/webhooks", world.example.address);
    let report = attacks.fire_at(&to).await.expect("it answers");
    report.assert_clean();
}
