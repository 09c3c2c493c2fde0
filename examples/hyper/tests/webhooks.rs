//! The example takes webhooks over both protocols, and stops well.
#![cfg(unix)]

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use support::DOMAIN;
use support::example::Example;
use support::wire::Protocol;
use tower_conductorone::event::{Event, FindingDispatch, ProvisionStep, Test};
use tower_conductorone::testing::FakeTenant;

const EXAMPLE: &str = env!("CARGO_BIN_EXE_hyper-example");

fn get(path: &str) -> Request<Full<Bytes>> {
    let request = Request::get(path).header("host", "hooks.example.com");
    request.body(Full::default()).expect("a request")
}

#[tokio::test]
async fn a_webhook_is_answered_over_http1_and_http2_on_one_port() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    let example = Example::start(EXAMPLE, &[("C1_JWKS_URL", &jwks.url())]).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let step = tenant.delivery(ProvisionStep::NAME);
        let answer = example.send_over(protocol, step.request()).await;
        assert_eq!(answer.status, 200, "{protocol:?}: {answer:?}");
        assert_eq!(answer.json(), json!({ "version": "v1", "complete": {} }));
        // A retry has a token of its own, and gets the answer of the first run.
        let again = example.send_over(protocol, step.retried().request()).await;
        assert_eq!(again.headers["idempotent-replayed"], "true");
        let test = tenant.delivery(Test::NAME);
        let answer = example.send_over(protocol, test.request()).await;
        assert_eq!(answer.json(), json!({ "version": "v1" }), "{protocol:?}");
        let other = tenant.delivery(FindingDispatch::NAME);
        let answer = example.send_over(protocol, other.request()).await;
        assert_eq!(answer.status, 503, "{protocol:?}");
        let forged = tenant.delivery(Test::NAME).tampered_body("{}");
        let answer = example.send_over(protocol, forged.request()).await;
        assert_eq!(answer.status, 401, "{protocol:?}");
        for (path, status) in [("/healthz", 200), ("/elsewhere", 404)] {
            let answer = example.send_over(protocol, get(path)).await;
            assert_eq!(answer.status, status, "{protocol:?} {path}");
        }
    }
    let log = example.stop().await;
    assert!(log.contains("stopped, 0 deliveries were cut off"), "{log}");
}
