//! What the targets share: a tenant with a receiver in front of which requests
//! are put, and what must hold of every answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};
use tower_conductorone::keys::{Algorithm, KeySet};
use tower_conductorone::testing::{Delivery, FakeTenant, ManualClock};
use tower_conductorone::{Rejection, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer, Webhook};

pub mod claims;
pub mod url;

pub const DOMAIN: &str = "example.conductor.one";
pub const HOST: &str = "hooks.example.com";
/// The tenant's only key is published by this name, so that inputs can hold it.
pub const KID: &str = "fuzz";
/// The time at which the receivers' clock stands.
pub const NOW: u64 = 1_713_312_120;
/// What deliveries carry unless the body is what is fuzzed. The SHA-256 of it
/// stands in the corpus.
pub const BODY: &str =
    r#"{"version":"v1","webhookId":"fuzz","event":"c1.webhooks.v1.PayloadTest"}"#;

/// The members of a JSON object, unread.
pub type Members = BTreeMap<String, Box<RawValue>>;

static TENANT: LazyLock<FakeTenant> =
    LazyLock::new(|| FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa));

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
});

static RECEIVER: LazyLock<VerifyWebhookLayer> = LazyLock::new(|| {
    builder(&json!({ "keys": [jwk()] }).to_string())
        .expect("the tenant's own key")
        .build()
        .expect("a good configuration")
});

pub fn tenant() -> &'static FakeTenant {
    &TENANT
}

/// The tenant's public key.
pub fn jwk() -> Value {
    let set: Value = serde_json::from_str(&TENANT.jwks()).expect("JSON");
    let mut jwk = set["keys"][0].clone();
    jwk["kid"] = KID.into();
    jwk
}

/// A receiver with the keys of that document, which takes a token as often as
/// it comes; `None` if the document is refused.
pub fn builder(jwks: &str) -> Option<VerifyWebhookBuilder> {
    let keys = KeySet::from_json(jwks.as_bytes()).ok()?;
    let builder = VerifyWebhookLayer::builder()
        .public_url(format!("https://{HOST}"))
        .tenant(Tenant::new(DOMAIN).static_keys(keys))
        .clock(ManualClock::at(now()))
        .dangerous_disable_replay_guard();
    Some(builder)
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// A genuine delivery to `https://hooks.example.com/webhooks`, with [`BODY`].
pub fn delivery() -> Delivery {
    TENANT
        .delivery("c1.webhooks.v1.PayloadTest")
        .issued_at(now())
        .header_param("kid", KID.into())
        .body(BODY)
        .without_http_header("content-digest")
        .without_http_header("webhook-id")
        .without_http_header("webhook-event")
        .without_http_header("webhook-version")
        .without_http_header("webhook-callback-url")
}

/// Whether something takes longer than so many times something else does, and
/// long enough to be measured: then time and again.
pub fn is_slower<T, U>(work: impl Fn() -> T, measure: impl Fn() -> U, times: u32) -> bool {
    const MEASURABLE: Duration = Duration::from_millis(1);

    fn time<T>(work: impl Fn() -> T) -> Duration {
        let start = Instant::now();
        let made = work();
        let taken = start.elapsed();
        drop(made);
        taken
    }
    (0..8).all(|_| {
        let taken = time(&work);
        taken > MEASURABLE && taken > times * time(&measure)
    })
}

/// What became of a request.
pub struct Outcome {
    pub webhook: Option<Webhook>,
    pub status: u16,
    /// The fine code of the rejection, or `"accepted"`.
    pub code: &'static str,
}

impl Outcome {
    pub fn is_accepted(&self) -> bool {
        self.webhook.is_some()
    }
}

/// Sends a request to the usual receiver.
pub fn send(request: Request<Full<Bytes>>) -> Outcome {
    send_to(&RECEIVER, request)
}

/// Sends a request. Whatever it is, the answer is that of the handler, or a
/// rejection with a status that does not mislead ConductorOne and does not
/// blame the receiver, whose keys are at hand.
pub fn send_to(receiver: &VerifyWebhookLayer, request: Request<Full<Bytes>>) -> Outcome {
    let handled = Arc::new(Mutex::new(None));
    let handler = service_fn(|request: Request<Full<Bytes>>| {
        let handled = Arc::clone(&handled);
        async move {
            *handled.lock().expect("no panic") = request.extensions().get::<Webhook>().cloned();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"handled"))))
        }
    });
    let (parts, body) = RUNTIME.block_on(async {
        let Ok(response) = receiver.layer(handler).oneshot(request).await;
        let (parts, body) = response.into_parts();
        (parts, body.collect().await.expect("a full body").to_bytes())
    });
    let webhook = handled.lock().expect("no panic").take();
    let status = parts.status.as_u16();
    let code = match (&webhook, parts.extensions.get::<Rejection>()) {
        (Some(_), None) => {
            assert_eq!((status, &*body), (200, &b"handled"[..]));
            "accepted"
        }
        (None, Some(rejection)) => {
            assert!((400..500).contains(&status) && status != 410, "{status}");
            let problem: Value = serde_json::from_slice(&body).expect("problem details");
            assert_eq!(problem["status"], status);
            rejection.code()
        }
        _ => panic!("neither handled nor refused, or both"),
    };
    Outcome {
        webhook,
        status,
        code,
    }
}
