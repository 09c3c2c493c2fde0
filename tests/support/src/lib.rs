//! What the tests share: a receiver in process, and what became of a request.
//!
//! It is a package of its own, so that it is compiled once for all test programs.

pub mod bench;
pub mod body;
pub mod callback;
pub mod events;
#[cfg(unix)]
pub mod example;
pub mod host;
pub mod ledger;
pub mod log;
#[cfg(unix)]
pub mod pgbouncer;
#[cfg(unix)]
pub mod postgres_server;
pub mod redis_server;
pub mod refused;
pub mod scripted;
pub mod wire;
pub mod work;

use std::convert::Infallible;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::{FakeTenant, ManualClock};
use tower_conductorone::{
    Rejection, RejectionKind, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer, Webhook,
};

pub const DOMAIN: &str = "example.conductor.one";
pub const TEST_EVENT: &str = "c1.webhooks.v1.PayloadTest";

/// The moment at which the tests' clock stands: that of the token in
/// ConductorOne's documentation.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_713_312_120)
}

/// Where Cargo puts what it builds in this profile: `target/debug`, as a rule.
pub fn built() -> PathBuf {
    let tests = std::env::current_exe().expect("a path");
    let folder = tests.parent().and_then(Path::parent);
    folder.expect("target/debug").to_owned()
}

pub fn clock() -> ManualClock {
    ManualClock::at(now())
}

/// A builder for `https://hooks.example.com` and the tenant's present keys,
/// fixed, with the clock standing at [`now`].
pub fn builder(tenant: &FakeTenant) -> VerifyWebhookBuilder {
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("the tenant's own keys");
    VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant.domain()).static_keys(keys))
        .clock(clock())
}

/// [`builder`], built.
pub fn receiver(tenant: &FakeTenant) -> VerifyWebhookLayer {
    builder(tenant).build().expect("a good configuration")
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
    /// The rejection, if the layer answered.
    pub rejection: Option<Rejection>,
    /// What the inner service got, if it was called: its webhook and its body.
    pub handled: Option<(Webhook, Bytes)>,
}

impl Outcome {
    pub fn kind(&self) -> Option<RejectionKind> {
        self.rejection.as_ref().map(Rejection::kind)
    }

    /// The fine code of the rejection, or `"accepted"`.
    pub fn code(&self) -> &'static str {
        self.rejection.as_ref().map_or("accepted", Rejection::code)
    }

    /// The `code` in the answer's problem details.
    pub fn public_code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).expect("problem details");
        body["code"].as_str().expect("a code").to_owned()
    }

    /// The reason that goes to the log, with all of its causes.
    pub fn reason(&self) -> String {
        let mut text = String::new();
        let mut cause: Option<&dyn Error> = self
            .rejection
            .as_ref()
            .map(|rejection| rejection as &dyn Error);
        while let Some(error) = cause {
            text.push_str(&error.to_string());
            text.push_str("; ");
            cause = error.source();
        }
        text
    }

    /// Fails unless this became of the token: `"accepted"`, or refused with
    /// 401 for the reason of this code.
    #[track_caller]
    pub fn expect_token(&self, code: &str, case: impl std::fmt::Debug) {
        assert_eq!(self.code(), code, "{case:?}: {}", self.reason());
        let status = if code == "accepted" { 200 } else { 401 };
        assert_eq!(self.status, status, "{case:?}");
    }

    #[track_caller]
    pub fn webhook(&self) -> &Webhook {
        match &self.handled {
            Some((webhook, _)) => webhook,
            None => panic!("refused: {}: {}", self.code(), self.reason()),
        }
    }
}

/// Sends a request through the layer to a service that answers 200 `done`.
pub async fn send<B>(layer: &VerifyWebhookLayer, request: Request<B>) -> Outcome
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let handled = Arc::new(Mutex::new(None));
    let service = {
        let handled = Arc::clone(&handled);
        service_fn(move |request: Request<Full<Bytes>>| {
            let handled = Arc::clone(&handled);
            async move {
                let webhook = request.extensions().get::<Webhook>().cloned();
                let body = request
                    .into_body()
                    .collect()
                    .await
                    .expect("a full body")
                    .to_bytes();
                *handled.lock().expect("no panic") =
                    Some((webhook.expect("a webhook in the extensions"), body));
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        })
    };
    let response = layer
        .layer(service)
        .oneshot(request)
        .await
        .expect("infallible");
    let rejection = response.extensions().get::<Rejection>().cloned();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a full body").to_bytes();
    let handled = handled.lock().expect("no panic").take();
    assert!(
        handled.is_some() != rejection.is_some(),
        "either handled or refused"
    );
    Outcome {
        status: parts.status,
        headers: parts.headers,
        body,
        rejection,
        handled,
    }
}
