//! What ConductorOne really sends is let through, as it came.

use serde_json::{Value, json};
use support::{DOMAIN, TEST_EVENT, now, receiver, send};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{EVENTS, FakeTenant};

#[tokio::test]
async fn every_event_under_every_algorithm() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let layer = receiver(&tenant);
        for event in EVENTS.iter().copied() {
            let delivery = tenant.delivery(event).issued_at(now());
            let outcome = send(&layer, delivery.request()).await;
            assert_eq!(outcome.webhook().event(), event, "{algorithm}");
            assert_eq!(
                (outcome.status.as_u16(), &*outcome.body),
                (200, &b"done"[..])
            );
        }
    }
}

#[tokio::test]
async fn the_handler_gets_the_webhook_and_the_same_bytes() {
    let tenant = FakeTenant::new(DOMAIN);
    // White space, key order and a last line feed survive.
    let body = "{ \"payload\" : {\"b\":1, \"a\":[ ]},\n \"event\":\"c1.webhooks.v1.PayloadTest\", \
                \"webhookId\":\"2fCjgK8tYJxV9u8d1wupBMeXZ45\", \"callbackUrl\":null, \
                \"version\":\"v1\", \"later\": {\"deep\": [[]]} }\n";
    let delivery = tenant
        .delivery(TEST_EVENT)
        .issued_at(now())
        .body(body)
        .webhook_id("2fCjgK8tYJxV9u8d1wupBMeXZ45")
        .callback_url(None);
    let outcome = send(&receiver(&tenant), delivery.request()).await;
    let (webhook, seen) = outcome.handled.expect("accepted");
    assert_eq!(seen, body.as_bytes());
    assert_eq!(webhook.body(), body.as_bytes());
    assert_eq!(webhook.tenant(), DOMAIN);
    assert_eq!(webhook.id(), "2fCjgK8tYJxV9u8d1wupBMeXZ45");
    assert_eq!(webhook.event(), TEST_EVENT);
    assert_eq!(webhook.version(), "v1");
    assert!(webhook.callback_url().is_none());
    assert!(!webhook.is_replay());
    assert_eq!(webhook.payload_json(), &br#"{"b":1, "a":[ ]}"#[..]);
    let payload: Value = webhook.deserialize_payload().expect("JSON");
    assert_eq!(payload, json!({ "a": [], "b": 1 }));
    assert_eq!(webhook.claims().issuer(), DOMAIN);
    assert_eq!(webhook.claims().audience(), "hooks.example.com");
    assert_eq!(webhook.claims().issued_at(), now());
    assert_eq!(
        webhook.claims().target(),
        "https://hooks.example.com/webhooks"
    );
}
