//! The operations whose costs are counted: a call of [`case`] for each.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::iter::repeat_with;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use support::body::{Script, data};
use support::refused::refused;
use support::{DOMAIN, TEST_EVENT, now};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, service_fn};
use tower_conductorone::event::Payload;
use tower_conductorone::keys::{Algorithm, KeySet};
use tower_conductorone::replay::{
    Claim, MemoryReplayStore, ReplayStore, ReplayStoreError, TokenId,
};
use tower_conductorone::testing::{Delivery, FakeTenant, Fixture};
use tower_conductorone::{
    BoxFuture, DeliverOnceLayer, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer,
};

use crate::count::case;

/// Payloads of about these sizes.
const PAYLOADS: [(&str, &str); 2] = [
    ("1 KB", "policy_post_action/grant.denied"),
    ("16 KB", "provision_step/grant.full"),
];

pub fn count_all(rsa_key: &[u8]) {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _context = runtime.enter();
    let eddsa = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    accept("EdDSA", &eddsa);
    accept_in_frames(&eddsa);
    accept(
        "ES256",
        &FakeTenant::with_algorithm(DOMAIN, Algorithm::Es256),
    );
    let rs256 = FakeTenant::from_pkcs8(DOMAIN, rsa_key);
    accept("RS256", &rs256.expect("a key"));
    refuse(&eddsa);
    look_up(&eddsa);
    refuse_used();
    deliver_once(&eddsa, &runtime);
    type_payloads();
}

fn accept(algorithm: &str, tenant: &FakeTenant) {
    for (size, fixture) in PAYLOADS {
        let name = format!("accept, {algorithm}, {size}");
        verify(&name, &receiver(tenant), 200, || delivery(tenant, fixture));
    }
}

/// The body is copied once, into a buffer of its length.
fn accept_in_frames(tenant: &FakeTenant) {
    let (_, fixture) = PAYLOADS[1];
    let requests = repeat_with(|| {
        let (mut head, body) = delivery(tenant, fixture).request().into_parts();
        let body = at_once(body.collect()).expect("infallible").to_bytes();
        head.headers.insert(CONTENT_LENGTH, body.len().into());
        let frames = body.chunks(4096).map(|frame| data(frame.to_vec()));
        Request::from_parts(head, Script::new(frames))
    });
    let receiver = receiver(tenant);
    verify_all("accept, EdDSA, 16 KB in frames", &receiver, 200, requests);
}

fn refuse(tenant: &FakeTenant) {
    let layer = receiver(tenant);
    for refused in refused(tenant) {
        let name = format!("refuse, {}", refused.name);
        let requests = repeat_with(|| refused.request.clone());
        verify_all(&name, &layer, refused.status, requests);
        if matches!(refused.name, "no token" | "unknown kid") {
            // The answer takes the map in which a router has put something.
            let routed = repeat_with(|| {
                let mut request = refused.request.clone();
                request.extensions_mut().insert("a route");
                request
            });
            let name = format!("{name}, behind a router");
            verify_all(&name, &layer, refused.status, routed);
        }
    }
}

/// Looks for a tenant and a key among many: an unknown key is compared with all.
fn look_up(tenant: &FakeTenant) {
    let unknown = || {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        delivery.header_param("kid", json!("another"))
    };
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("good keys");
    let others = (1..1_000).map(|number| {
        let other = Tenant::new(format!("tenant-{number}.conductor.one"));
        other.static_keys(keys.clone())
    });
    let of_many = others.fold(support::builder(tenant), VerifyWebhookBuilder::tenant);
    let of_many = of_many.build().expect("a good configuration");
    verify("refuse, unknown kid, 1,000 tenants", &of_many, 401, unknown);

    let jwks: Value = serde_json::from_str(&tenant.jwks()).expect("JSON");
    let many: Vec<Value> = (0..64)
        .map(|number| {
            let mut key = jwks["keys"][0].clone();
            key["kid"] = format!("key-{number}").into();
            key
        })
        .collect();
    let many = json!({ "keys": many }).to_string();
    let many = KeySet::from_json(many.as_bytes()).expect("good keys");
    let with_many = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).static_keys(many))
        .clock(support::clock())
        .build()
        .expect("a good configuration");
    verify("refuse, unknown kid, 64 keys", &with_many, 401, unknown);
}

/// For tokens that were used before. (Others may let a table grow.)
fn refuse_used() {
    for live in [1_000, 100_000] {
        let store = MemoryReplayStore::new(live);
        for number in 0..live {
            assert_eq!(claim(&store, number), Claim::First);
        }
        let name = format!("refuse, used token among {live}");
        case(&name, 0.., |number| {
            assert_eq!(claim(&store, number), Claim::Seen);
        });
    }
}

fn claim(store: &MemoryReplayStore, number: usize) -> Claim {
    let jti = format!("{number:027}");
    let claim = store.claim(
        TokenId::new(DOMAIN, &jti),
        now(),
        now() + Duration::from_secs(150),
    );
    at_once(claim).expect("room")
}

fn receiver(tenant: &FakeTenant) -> VerifyWebhookLayer {
    let layer = support::builder(tenant).replay_store(NeverSeen);
    layer.build().expect("a good configuration")
}

/// A replay store whose claims always cost the same. In memory, one in many lets a table
/// grow.
#[derive(Debug)]
struct NeverSeen;

impl ReplayStore for NeverSeen {
    fn claim<'a>(
        &'a self,
        _: TokenId<'a>,
        _: SystemTime,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(ready(Ok(Claim::First)))
    }
}

/// For deliveries that were made only once.
fn deliver_once(tenant: &FakeTenant, runtime: &Runtime) {
    for (size, fixture) in PAYLOADS {
        let mut verify = receiver(tenant).layer(service_fn(hand_back));
        let verified = repeat_with(|| {
            let request = delivery(tenant, fixture).request();
            let mut answer = at_once(verify.call(request)).expect("infallible");
            let verified = answer.extensions_mut().remove::<Request<Full<Bytes>>>();
            verified.expect("it was verified")
        });
        let layer = DeliverOnceLayer::builder().build().expect("the defaults");
        let mut service = layer.layer(service_fn(answer));
        case(&format!("deliver once, {size}"), verified, |request| {
            let answer = runtime.block_on(service.call(request));
            assert_eq!(answer.expect("infallible").status(), 200);
        });
    }
}

fn type_payloads() {
    for (size, fixture) in PAYLOADS {
        let fixture = Fixture::named(fixture).expect("a fixture");
        let payloads = repeat_with(|| fixture.payload().to_string());
        case(&format!("type, {size}"), payloads, |payload| {
            let payload = Payload::from_json(fixture.event(), payload.as_bytes());
            drop(payload.expect("typed"));
        });
    }
}

/// Counts what the layer costs for requests that are answered with this status.
fn verify(name: &str, layer: &VerifyWebhookLayer, status: u16, delivery: impl Fn() -> Delivery) {
    verify_all(name, layer, status, repeat_with(|| delivery().request()));
}

fn verify_all<B>(
    name: &str,
    layer: &VerifyWebhookLayer,
    status: u16,
    requests: impl IntoIterator<Item = Request<B>>,
) where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut service = layer.layer(service_fn(answer));
    case(name, requests, |request| {
        let answer = at_once(service.call(request)).expect("infallible");
        assert_eq!(answer.status(), status, "{name}");
    });
}

/// A delivery with this payload.
fn delivery(tenant: &FakeTenant, fixture: &str) -> Delivery {
    let fixture = Fixture::named(fixture).expect("a fixture");
    let delivery = tenant.delivery(fixture.event()).issued_at(now());
    delivery.payload(fixture.payload())
}

/// A handler that needs next to nothing.
fn answer(_: Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let document = Bytes::from_static(br#"{"version":"v1","complete":{}}"#);
    ready(Ok(Response::new(document.into())))
}

/// A handler that answers with the request that it gets.
fn hand_back(verified: Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let mut answer = Response::default();
    answer.extensions_mut().insert(verified);
    ready(Ok(answer))
}

/// The output of a future that does not wait.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
