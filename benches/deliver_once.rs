//! What it costs to have a delivery's work done once, over each ledger, around a handler
//! that answers at once.
//!
//! ```text
//! cargo bench --bench deliver_once
//! ```
//!
//! Redis is a `redis-server` of the bench's own, on loopback; without one installed, its
//! cases are left out.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use support::bench::Bench;
use support::redis_server::RedisServer;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_conductorone::keys::{Algorithm, KeySet};
use tower_conductorone::redis::{RedisConnection, RedisLedger};
use tower_conductorone::replay::MemoryReplayStore;
use tower_conductorone::testing::{FakeTenant, Fixture};
use tower_conductorone::{DeliverOnceLayer, Tenant, VerifyWebhookLayer};

const EVENT: &str = "c1.webhooks.v1.PayloadProvisionStep";

/// Payloads in the order of ConductorOne's members, without white space.
fn payloads() -> [(&'static str, String); 3] {
    let of = |name| {
        let fixture = Fixture::named(name).expect("a fixture");
        let lines = fixture.json().lines().map(str::trim_start);
        lines.collect::<String>().replace("\": ", "\":")
    };
    let full = of("provision_step/grant.full");
    let large = format!("{{\"expanded\":[{}]}}", vec![&*full; 16].join(","));
    [
        ("1 KB", of("policy_post_action/grant.cancelled")),
        ("16 KB", full),
        ("256 KB", large),
    ]
}

/// The same payload, in canonical order.
fn canonical(payload: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(payload).expect("JSON");
    value.to_string()
}

/// Makes deliveries with this payload, each another one, as the verifying layer hands
/// them on.
fn verified(tenant: &FakeTenant, payload: String) -> impl FnMut() -> Request<Full<Bytes>> + Clone {
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("the tenant's own keys");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant.domain()).static_keys(keys))
        .replay_store(MemoryReplayStore::new(usize::MAX))
        .build()
        .expect("a good configuration");
    let verify = layer.layer(service_fn(hand_back));
    let tenant = tenant.clone();
    move || {
        let delivery = tenant.delivery(EVENT).payload("the payload".into());
        let body = delivery.envelope().to_string();
        let body = body.replace("\"the payload\"", &payload);
        let request = delivery.body(body).request();
        let answer = at_once(verify.clone().call(request)).expect("infallible");
        let verified = answer.into_parts().0.extensions.remove();
        verified.expect("it was verified")
    }
}

/// Answers with the request that it gets.
fn hand_back(verified: Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let mut answer = Response::default();
    answer.extensions_mut().insert(verified);
    ready(Ok(answer))
}

fn answer(_: Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let document = Bytes::from_static(br#"{"version":"v1","complete":{}}"#);
    ready(Ok(Response::new(document.into())))
}

/// The output of a future that does not wait.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// A Redis server, if one is installed.
fn redis() -> Option<RedisServer> {
    let version = Command::new("redis-server")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if version.is_ok() {
        return Some(RedisServer::start(&[]));
    }
    eprintln!("NO redis-server IS INSTALLED: the cases with Redis are left out");
    None
}

fn main() {
    let mut bench = Bench::new("deliver_once");
    let runtime = bench.runtime().handle().clone();
    let _context = runtime.enter();
    let tenant = FakeTenant::with_algorithm("example.conductor.one", Algorithm::EdDsa);
    let server = redis();
    for (size, payload) in payloads() {
        let sorted = canonical(&payload);
        for (order, payload) in [
            ("canonical order", sorted),
            ("ConductorOne's order", payload),
        ] {
            let bytes = payload.len();
            let mut request = verified(&tenant, payload);
            let same = request();
            let handler = service_fn(answer);
            let once = DeliverOnceLayer::builder().build().expect("the defaults");
            let once = once.layer(handler);
            let mut group = bench
                .group(format!("{size}, {order}"))
                .bytes(bytes)
                .case_async_with(
                    "the handler alone",
                    move || same.clone(),
                    async move |request| {
                        handler.oneshot(request).await.map(|answer| answer.status())
                    },
                )
                .case_async_with("once, in memory", request.clone(), async move |request| {
                    let answer = once.clone().oneshot(request).await.expect("infallible");
                    assert_eq!(answer.status(), 200);
                });
            if let Some(server) = &server {
                let connection = RedisConnection::to_server(server.url()).expect("a good URL");
                let once = DeliverOnceLayer::builder()
                    .ledger("bench", RedisLedger::new(connection))
                    .build()
                    .expect("a good configuration");
                let once = once.layer(handler);
                group = group.case_async_with("once, in Redis", request, async move |request| {
                    let answer = once.clone().oneshot(request).await.expect("infallible");
                    assert_eq!(answer.status(), 200);
                });
            }
            group.measure("the handler alone");
        }
    }
    bench.finish();
}
