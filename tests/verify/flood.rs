//! A flood of forged tokens: it costs the tenant's key server next to nothing,
//! and the deliveries among it no time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};
use support::body::{Script, data};
use support::log::Log;
use support::{DOMAIN, TEST_EVENT, clock, now, send};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, advance};
use tower_conductorone::keys::{Algorithm, Fetch, FetchError, JwksCache};
use tower_conductorone::testing::{FakeFetch, FakeTenant, Fault};
use tower_conductorone::{BoxFuture, Tenant, VerifyWebhookLayer};

/// Tells when the keys were asked for.
#[derive(Clone, Debug)]
struct Timed {
    fetch: FakeFetch,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Fetch for Timed {
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        self.times.lock().expect("no panic").push(Instant::now());
        self.fetch.fetch(request, max_body)
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forgeries_costs_few_fetches_and_no_delivery_any_time() {
    const ROUNDS: usize = 100;
    /// With a random kid, and as many without.
    const EACH: usize = 100;

    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let fetch = Timed {
        fetch: tenant.fetch(),
        times: Arc::default(),
    };
    let slow = Fault::Slow(Duration::from_millis(50));
    fetch.fetch.set_fault(Some(slow));
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks")
        .build(fetch.clone())
        .expect("good");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(cache))
        .clock(clock())
        .build()
        .expect("good");
    layer.ready().await;
    advance(Duration::from_secs(10)).await;

    // As good as can be, but for the key.
    let forger = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let original = forger.delivery(TEST_EVENT).issued_at(now());
    let (request, claims) = (original.request(), original.claims());
    let claims = Value::Object(claims).to_string();
    let request_with = |header: Value| {
        let mut request = request.clone();
        let token = forger.sign(header.to_string(), &claims);
        let bearer = format!("bearer {token}").parse().expect("ASCII");
        request.headers_mut().insert("authorization", bearer);
        request
    };
    for round in 0..ROUNDS {
        let mut flood = JoinSet::new();
        for number in 0..EACH {
            let kid = format!("{round}-{number}");
            for header in [json!({"alg": "EdDSA", "kid": kid}), json!({"alg": "EdDSA"})] {
                let (layer, request) = (layer.clone(), request_with(header));
                flood.spawn(async move { send(&layer, request).await.code() });
            }
        }
        // They are under way, perhaps waiting for keys, when a delivery comes.
        yield_now().await;
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let before = Instant::now();
        let outcome = send(&layer, delivery.request()).await;
        assert_eq!(outcome.code(), "accepted", "{}", outcome.reason());
        assert_eq!(before.elapsed(), Duration::ZERO, "round {round}");
        for code in flood.join_all().await {
            assert_eq!(code, "unknown_key");
        }
        advance(Duration::from_millis(700)).await;
    }

    // The first was made before the flood.
    let times = fetch.times.lock().expect("no panic");
    let caused = &times[1..];
    assert!(caused.len() >= 10, "the flood did cause some: {caused:?}");
    for three in caused.windows(3) {
        let span = three[2] - three[0];
        assert!(span >= Duration::from_secs(10), "three within {span:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_large_body_is_read_while_keys_are_awaited_for_a_flood() {
    const CONNECTIONS: usize = 200;

    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let fetch = tenant.fetch();
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks")
        .build(fetch.clone())
        .expect("good");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(cache))
        .clock(clock())
        .build()
        .expect("good");
    layer.ready().await;
    fetch.set_fault(Some(Fault::Slow(Duration::from_secs(1))));
    advance(Duration::from_secs(10)).await;

    let forger = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let mut flood = JoinSet::new();
    let mut bodies = Vec::new();
    for _ in 0..CONNECTIONS {
        let delivery = forger.delivery(TEST_EVENT).issued_at(now());
        let frames = (0..16).map(|_| data(vec![b' '; 16 * 1024]));
        let body = Script::new(frames);
        bodies.push(body.seen());
        let (layer, request) = (layer.clone(), delivery.request().map(|_| body));
        flood.spawn(async move { send(&layer, request).await.code() });
    }
    yield_now().await;
    assert_eq!(flood.len(), CONNECTIONS);
    assert!(flood.try_join_next().is_none(), "they wait for keys");
    assert!(bodies.iter().all(|body| body.polls() == 0));
    for code in flood.join_all().await {
        assert_eq!(code, "unknown_key");
    }
    for body in bodies {
        assert_eq!((body.polls(), body.is_dropped()), (0, true));
    }
}

/// What was logged since the last time, without the cache's own lines.
fn taken(log: &Log) -> Vec<String> {
    let own = ["cannot fetch the key set", "the key set has changed"];
    let text = log.take();
    text.lines()
        .filter(|line| !own.iter().any(|own| line.contains(own)))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn while_the_endpoint_is_down_a_forgery_raises_no_alarm() {
    let log = Log::default();
    let _capturing = log.capture(tracing::Level::INFO);
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let fetch = tenant.fetch();
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks")
        .build(fetch.clone())
        .expect("good");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(cache))
        .clock(clock())
        .build()
        .expect("good");
    layer.ready().await;
    fetch.set_fault(Some(Fault::Down));
    let forger = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let rotated = tenant.rotate(Algorithm::EdDsa);
    log.take();

    // The keys are as fresh as the server has said: no newer one is missing.
    // Then they are not: a genuine token of a new key could not be told from
    // a forged one, and it is our trouble.
    for (after, status, code) in [(0, 401, "unknown_key"), (600, 503, "keys_unavailable")] {
        advance(Duration::from_secs(after)).await;
        for signer in [&forger, &tenant] {
            let delivery = signer.delivery(TEST_EVENT).issued_at(now());
            let outcome = send(&layer, delivery.request()).await;
            assert_eq!((outcome.status.as_u16(), outcome.code()), (status, code));
            let lines = taken(&log);
            let [line] = &lines[..] else {
                panic!("one line: {lines:?}")
            };
            assert!(line.contains("INFO") && line.contains(code), "{line}");
        }
    }
    // ConductorOne's next attempt, once the server is back.
    fetch.set_fault(None);
    advance(Duration::from_secs(40)).await;
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let outcome = send(&layer, delivery.request()).await;
    assert_eq!(outcome.code(), "accepted", "{}", outcome.reason());
    assert_eq!(tenant.signing_key(), rotated);
}
