//! What it costs to have a delivery's work done once, with the in-memory ledger:
//! the time per delivery that the layer adds to a handler that answers at once.
//!
//! ```text
//! cargo bench --bench deliver_once
//! ```
//!
//! With and without the layer take turns, and the smallest time of each counts:
//! that is what it costs where nothing else runs.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_conductorone::keys::{Algorithm, KeySet};
use tower_conductorone::testing::{FakeTenant, Fixture};
use tower_conductorone::{DeliverOnceLayer, Tenant, VerifyWebhookLayer, Webhook};

const ROUNDS: usize = 60;

const DOCUMENT: &str = r#"{"version":"v1","complete":{}}"#;

/// How many deliveries are made in a round, each another one.
const DELIVERIES: usize = 500;

/// The payload as ConductorOne writes it: its members in their own order, which
/// is not that of their names.
fn payload(fixture: &Fixture) -> String {
    fixture.json().lines().map(str::trim_start).collect()
}

/// What the verifying layer hands on for deliveries with this payload.
async fn verified(tenant: &FakeTenant, event: &str, payload: &str) -> Vec<Request<Full<Bytes>>> {
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("the tenant's own keys");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant.domain()).static_keys(keys))
        .build()
        .expect("a good configuration");
    let mut requests = Vec::new();
    for _ in 0..DELIVERIES {
        let (handed_on, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let inner = service_fn(move |request: Request<Full<Bytes>>| {
            let sent = handed_on.send(request).is_ok();
            async move {
                assert!(sent);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        let delivery = tenant.delivery(event).payload("the payload".into());
        let body = delivery.envelope().to_string();
        let body = body.replace("\"the payload\"", payload);
        let request = delivery.body(body).request();
        let answer = layer.layer(inner).oneshot(request).await;
        assert_eq!(answer.expect("infallible").status(), 200);
        requests.push(receiver.recv().await.expect("handed on"));
    }
    requests
}

/// The time per delivery.
async fn time<S, B>(service: S, requests: &[Request<Full<Bytes>>]) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
{
    let requests = requests.to_vec();
    let count = u32::try_from(requests.len()).expect("not many");
    let start = Instant::now();
    for request in requests {
        let answer = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(black_box(answer).status(), 200);
    }
    start.elapsed() / count
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let tenant = FakeTenant::with_algorithm("example.conductor.one", Algorithm::EdDsa);
    let handler = service_fn(async |request: Request<Full<Bytes>>| {
        assert!(request.extensions().get::<Webhook>().is_some());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(DOCUMENT)))
    });
    println!(
        "{:<36} {:>7} {:>10} {:>10} {:>10}",
        "payload", "bytes", "without", "with", "added"
    );
    let provisions = Fixture::ALL
        .iter()
        .filter(|fixture| fixture.name().starts_with("provision_step/"));
    for fixture in provisions {
        let payload = payload(fixture);
        let requests = verified(&tenant, fixture.event(), &payload).await;
        let (mut without, mut with) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            without = without.min(time(handler, &requests).await);
            let once = DeliverOnceLayer::builder().build().expect("the defaults");
            with = with.min(time(once.layer(handler), &requests).await);
        }
        println!(
            "{:<36} {:>7} {:>10.2?} {:>10.2?} {:>10.2?}",
            fixture.name(),
            payload.len(),
            without,
            with,
            with.saturating_sub(without),
        );
    }
}
