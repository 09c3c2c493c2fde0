//! The crate with one of its features, or none: what every user has works, and
//! what the feature adds is there.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_conductorone::event::{Acknowledgement, Outcome, Test};
use tower_conductorone::keys::KeySet;
use tower_conductorone::{
    DeliverOnceLayer, DeliveryRun, EventRouter, Tenant, Typed, VerifyWebhookLayer, Webhook,
};

const DOMAIN: &str = "example.conductor.one";
const BODY: &str = r#"{"version":"v1","webhookId":"2fCjgK8tYJxV9u8d1wupBMeXZ45",
    "event":"c1.webhooks.v1.PayloadTest","payload":{}}"#;

/// Signs for the tenant.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed"))
    }

    fn jwks(&self) -> Value {
        let public = BASE64_URL_SAFE_NO_PAD.encode(self.0.public_key());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": public }] })
    }

    /// A layer that takes this signer's keys for the tenant's.
    fn layer(&self) -> VerifyWebhookLayer {
        let keys = KeySet::from_json(self.jwks().to_string().as_bytes()).expect("a key");
        VerifyWebhookLayer::builder()
            .public_url("https://hooks.example.com")
            .tenant(Tenant::new(DOMAIN).static_keys(keys))
            .build()
            .expect("a good configuration")
    }

    /// The delivery, under a token with this ID.
    fn request(&self, token_id: &str) -> Request<Full<Bytes>> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs();
        let header = json!({ "alg": "EdDSA", "kid": "one", "typ": "JWT" });
        let claims = json!({
            "iss": DOMAIN,
            "aud": "hooks.example.com",
            "c1typ": "wh",
            "htm": "POST",
            "htu": "https://hooks.example.com/webhooks",
            "htb_s256": BASE64_STANDARD.encode(digest(&SHA256, BODY.as_bytes())),
            "iat": now,
            "nbf": now - 60,
            "exp": now + 120,
            "jti": token_id,
        });
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        Request::post("/webhooks")
            .header("authorization", format!("bearer {signed}.{signature}"))
            .header("content-type", "application/json")
            .body(Full::from(BODY))
            .expect("a request")
    }
}

/// Only the feature axum knows the path that a nested router has stripped.
#[tokio::test]
async fn a_path_that_is_too_short_has_a_remedy_that_names_the_feature() {
    let signer = Signer::new(1);
    let mut request = signer.request("one");
    *request.uri_mut() = "/".parse().expect("a path");
    let Err(rejection) = signer.layer().verify(request).await else {
        panic!("accepted")
    };
    assert_eq!(rejection.code(), "wrong_url");
    let remedy = rejection.remedy();
    assert_eq!(
        remedy.ends_with("switch on the feature axum"),
        !cfg!(feature = "axum"),
        "{remedy}"
    );
}

/// Answers with the number of the call and the webhook's event.
fn handler()
-> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let calls = Arc::new(AtomicUsize::new(0));
    service_fn(move |request: Request<Full<Bytes>>| {
        let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
        let webhook = request.extensions().get::<Webhook>();
        let event = webhook.expect("a proven webhook").event();
        let answer = json!({ "version": "v1", "context": { "call": call, "event": event } });
        let answer = Response::builder()
            .header("content-type", "application/json")
            .body(Full::from(answer.to_string()))
            .expect("an answer");
        async { Ok(answer) }
    })
}

async fn read(response: Response<impl http_body::Body<Data = Bytes>>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await;
    let body = body.unwrap_or_else(|_| panic!("a whole body")).to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_genuine_webhook_is_let_through_and_a_forged_one_refused() {
    let tenant = Signer::new(1);
    let app = tenant.layer().layer(handler());

    let genuine = app.clone().oneshot(tenant.request("a")).await;
    let (status, answer) = read(genuine.expect("infallible")).await;
    assert_eq!(status, 200);
    assert_eq!(answer["context"]["event"], "c1.webhooks.v1.PayloadTest");

    let forged = app.clone().oneshot(Signer::new(2).request("b")).await;
    let (status, problem) = read(forged.expect("infallible")).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (401, &json!("invalid_token"))
    );

    let replayed = app.oneshot(tenant.request("a")).await;
    assert_eq!(replayed.expect("infallible").status(), 401);
}

#[tokio::test]
async fn a_delivery_that_comes_twice_is_handled_once_and_answered_alike() {
    let tenant = Signer::new(1);
    let once = DeliverOnceLayer::builder().build().expect("good defaults");
    let app = tenant.layer().layer(once.layer(handler()));
    for token_id in ["a", "b"] {
        let response = app.clone().oneshot(tenant.request(token_id)).await;
        let (status, answer) = read(response.expect("infallible")).await;
        assert_eq!(
            (status.as_u16(), &answer["context"]["call"]),
            (200, &json!(1))
        );
    }
}

#[tokio::test]
async fn an_event_router_calls_the_handler_of_an_event_once() {
    let tenant = Signer::new(1);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let router = EventRouter::builder()
        .on(move |test: Typed<Test>, run: DeliveryRun| {
            assert_eq!(run.number(), 1);
            counted.fetch_add(1, Ordering::SeqCst);
            async move { test.answer(Acknowledgement::new()) }
        })
        .fallback(async |_: Webhook| Outcome::failed())
        .build()
        .expect("one handler");
    let once = DeliverOnceLayer::builder().build().expect("good defaults");
    let app = tenant.layer().layer(once.layer(router));
    for token_id in ["a", "b"] {
        let response = app.clone().oneshot(tenant.request(token_id)).await;
        let (status, answer) = read(response.expect("infallible")).await;
        assert_eq!((status.as_u16(), answer), (200, json!({ "version": "v1" })));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_extracts_the_webhook() {
    use axum_core::extract::FromRequestParts;

    let tenant = Signer::new(1);
    let app = tenant
        .layer()
        .layer(service_fn(async |request: Request<_>| {
            let (mut parts, _): (_, Full<Bytes>) = request.into_parts();
            let webhook = Webhook::from_request_parts(&mut parts, &()).await;
            let answer = json!(webhook.expect("a webhook").tenant());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer.to_string())))
        }));
    let response = app.oneshot(tenant.request("a")).await;
    assert_eq!(read(response.expect("infallible")).await.1, DOMAIN);
}

#[cfg(feature = "jsonwebtoken")]
#[test]
fn keys_come_from_a_set_of_jsonwebtoken() {
    let jwks: jsonwebtoken::jwk::JwkSet =
        serde_json::from_value(Signer::new(1).jwks()).expect("a set");
    KeySet::try_from(&jwks).expect("its key");
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn redis_keeps_the_ledger() {
    use tower_conductorone::redis::{RedisConnection, RedisLedger};

    let connection = RedisConnection::to_server("redis://127.0.0.1").expect("a good URL");
    DeliverOnceLayer::builder()
        .ledger("test", RedisLedger::new(connection))
        .build()
        .expect("good");
    let tls = RedisConnection::to_server("rediss://127.0.0.1");
    assert_eq!(tls.is_ok(), cfg!(feature = "redis-tls"));
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn reqwest_fetches_the_keys_of_a_tenant_without_any() {
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(DOMAIN)
        .build();
    layer.expect("a good configuration");
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn the_testing_kit_delivers() {
    use tower_conductorone::testing::FakeTenant;

    let tenant = FakeTenant::new(DOMAIN);
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("its keys");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).static_keys(keys))
        .build()
        .expect("a good configuration");
    let delivery = tenant.delivery("c1.webhooks.v1.PayloadTest");
    let response = layer.layer(handler()).oneshot(delivery.request()).await;
    assert_eq!(response.expect("infallible").status(), 200);
}
