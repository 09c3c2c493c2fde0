//! What it costs to find a token's key: while the keys are renewed, with up to 1,000
//! tenants, and with up to 64 keys in a set, the most that one may have.
//!
//! ```text
//! cargo bench --bench jwks
//! ```

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use support::bench::Bench;
use tower::{Layer, Service, service_fn};
use tower_conductorone::keys::{
    Algorithm, Fetch, FetchError, JwksCache, KeySet, KeySource, StaticKeys,
};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{BoxFuture, Tenant, VerifyWebhookLayer};

/// Always fetches this document.
#[derive(Debug)]
struct Document(Bytes);

impl Fetch for Document {
    fn fetch(
        &self,
        _: Request<()>,
        _: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(ready(Ok(Response::new(self.0.clone()))))
    }
}

/// A set with so many keys, the tenant's own last.
fn jwks(tenant: &FakeTenant, keys: usize) -> Bytes {
    let own: Value = serde_json::from_str(&tenant.jwks()).expect("JSON");
    let own = &own["keys"][0];
    let mut others: Vec<Value> = (1..keys)
        .map(|number| {
            let mut other = own.clone();
            // As long as a KSUID.
            other["kid"] = format!("{number:027}").into();
            other
        })
        .collect();
    others.push(own.clone());
    json!({ "keys": others }).to_string().into()
}

fn key_set(tenant: &FakeTenant, keys: usize) -> KeySet {
    KeySet::from_json(&jwks(tenant, keys)).expect("good keys")
}

/// A receiver for so many tenants.
fn receiver(keys: &KeySet, tenants: usize) -> VerifyWebhookLayer {
    let tenants = (0..tenants).map(|number| {
        let domain = format!("tenant-{number}.conductor.one");
        Tenant::new(domain).static_keys(keys.clone())
    });
    tenants
        .fold(VerifyWebhookLayer::builder(), |receiver, tenant| {
            receiver.tenant(tenant)
        })
        .public_url("https://hooks.example.com")
        .build()
        .expect("a good configuration")
}

fn answer(_: Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::default()))
}

/// Refuses a request, for which it looks for the tenant and for the key.
fn refuse(layer: &VerifyWebhookLayer) -> impl FnMut(Request<Full<Bytes>>) + use<> {
    let mut service = layer.layer(service_fn(answer));
    move |request| {
        let answer = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok(answer)) = answer else {
            panic!("it waits")
        };
        assert_eq!(answer.status(), 401);
    }
}

fn main() {
    let mut bench = Bench::new("jwks");
    let runtime = bench.runtime().handle().clone();
    let _context = runtime.enter();
    let tenant = FakeTenant::with_algorithm("tenant-0.conductor.one", Algorithm::EdDsa);

    for keys in [1, 10, 64] {
        let cache = || {
            let fetch = Document(jwks(&tenant, keys));
            let cache = JwksCache::builder("https://tenant-0.conductor.one/auth/v1/jwks");
            Arc::new(cache.build(fetch).expect("a good configuration"))
        };
        let (still, renewed) = (cache(), cache());
        let runtime = bench.runtime();
        runtime.block_on(still.refresh()).expect("keys");
        let (stop, renewals) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    while !stop.load(Ordering::Relaxed) {
                        renewed.refresh().await.expect("keys");
                        renewals.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
            while renewals.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            let fixed = StaticKeys::new(key_set(&tenant, keys));
            bench
                .group(format!("the keys in force, of {keys}"))
                .case("fixed keys", || fixed.current())
                .case("a cache", || still.current())
                .case("a cache that is renewed all the time", || renewed.current())
                .measure("fixed keys");
            stop.store(true, Ordering::Relaxed);
        });
        println!("  renewed {} times meanwhile", renewals.into_inner());
    }

    let unknown = tenant
        .delivery("c1.webhooks.v1.PayloadTest")
        .header_param("kid", json!("0".repeat(27)));
    let unknown = unknown.request();
    let request = || unknown.clone();
    let one = key_set(&tenant, 1);
    bench
        .group("an unknown kid, by tenants")
        .case_with("1 tenant", request, refuse(&receiver(&one, 1)))
        .case_with("10 tenants", request, refuse(&receiver(&one, 10)))
        .case_with("1,000 tenants", request, refuse(&receiver(&one, 1_000)))
        .measure("1 tenant");
    let of = |keys| refuse(&receiver(&key_set(&tenant, keys), 1));
    bench
        .group("an unknown kid, by keys")
        .case_with("1 key", request, of(1))
        .case_with("10 keys", request, of(10))
        .case_with("64 keys", request, of(64))
        .measure("1 key");
    bench.finish();
}
