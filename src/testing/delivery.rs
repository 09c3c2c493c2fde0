use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tower_service::Service;

use super::{FakeTenant, TestResponse, id, payload, response};

/// One delivery of a webhook, as ConductorOne sends it unless a method changes it.
///
/// Made by [`FakeTenant::delivery`]. Two deliveries never share a `jti` or a
/// webhook id. Each call of [`request`](Self::request) builds the same request
/// again: a replay. [`retried`](Self::retried) makes the next attempt instead.
///
/// A value that is set directly always counts. Derived values (`aud` and `htu`
/// from [`to`](Self::to), the token's hash from the body, …) follow the final
/// values, whatever the order of the calls.
#[derive(Clone)]
#[must_use = "a delivery does nothing until its request is built and sent"]
pub struct Delivery {
    tenant: FakeTenant,
    event: String,
    method: Method,
    target: String,
    webhook_id: String,
    callback_url: Option<String>,
    payload: Value,
    jti: String,
    issued_at: SystemTime,
    signing_key: Option<String>,
    header_params: Changes<String, Value>,
    claims: Changes<String, Value>,
    http_headers: Changes<HeaderName, HeaderValue>,
    signed_body: Option<Bytes>,
    sent_body: Option<Bytes>,
    token: Option<String>,
}

/// Values to set or, with `None`, to leave out, in order.
type Changes<K, V> = Vec<(K, Option<V>)>;

impl Delivery {
    pub(super) fn new(tenant: FakeTenant, event: String) -> Self {
        let callback = format!(
            "https://{}/api/v1/webhooks/callback/{}",
            tenant.domain(),
            id::ksuid()
        );
        Self {
            method: Method::POST,
            target: "https://hooks.example.com/webhooks".into(),
            webhook_id: id::ksuid(),
            callback_url: Some(callback),
            payload: payload::sample(&event),
            jti: id::ksuid(),
            issued_at: SystemTime::now(),
            signing_key: None,
            header_params: Vec::new(),
            claims: Vec::new(),
            http_headers: Vec::new(),
            signed_body: None,
            sent_body: None,
            token: None,
            tenant,
            event,
        }
    }

    /// Sets the webhook's URL in the tenant's configuration:
    /// `https://hooks.example.com/webhooks` by default.
    ///
    /// # Panics
    /// If it is not an absolute URL.
    pub fn to(mut self, url: impl Into<String>) -> Self {
        self.target = url.into();
        let _ = self.uri();
        self
    }

    /// Sets the method, in the request and in the token; `POST` by default.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the payload, `@type` included; by default a small one of the event's
    /// type.
    pub fn payload(mut self, payload: Value) -> Self {
        self.payload = payload;
        self
    }

    /// Sets the webhook's id; by default a new one.
    pub fn webhook_id(mut self, id: impl Into<String>) -> Self {
        self.webhook_id = id.into();
        self
    }

    /// Sets or removes the callback URL; by default a new one on the tenant's
    /// domain.
    pub fn callback_url(mut self, url: Option<&str>) -> Self {
        self.callback_url = url.map(Into::into);
        self
    }

    /// The next attempt of the same delivery, with a new token. (The same token
    /// again is a replay.)
    pub fn retried(&self) -> Self {
        let mut retried = self.clone();
        retried.claims.retain(|(name, _)| name != "jti");
        retried.jti = id::ksuid();
        retried
    }

    /// Sets when the token was issued; by default, when this delivery was made. The
    /// token is valid from one minute before to two minutes after.
    pub fn issued_at(mut self, time: SystemTime) -> Self {
        self.issued_at = time;
        self
    }

    /// Signs with the tenant's key that has this `kid`; by default with the
    /// [signing key](FakeTenant::signing_key) at the time when the token is built.
    pub fn signing_key(mut self, kid: impl Into<String>) -> Self {
        self.signing_key = Some(kid.into());
        self
    }

    /// Sets a claim of the token.
    pub fn claim(mut self, name: impl Into<String>, value: Value) -> Self {
        self.claims.push((name.into(), Some(value)));
        self
    }

    /// Leaves a claim out of the token.
    pub fn without_claim(mut self, name: impl Into<String>) -> Self {
        self.claims.push((name.into(), None));
        self
    }

    /// Sets a parameter of the token's header, which has `alg`, `kid` and `typ` by
    /// default. `alg` does not change the signature, which always uses the key's
    /// algorithm.
    pub fn header_param(mut self, name: impl Into<String>, value: Value) -> Self {
        self.header_params.push((name.into(), Some(value)));
        self
    }

    /// Leaves a parameter out of the token's header.
    pub fn without_header_param(mut self, name: impl Into<String>) -> Self {
        self.header_params.push((name.into(), None));
        self
    }

    /// Sends this token instead of a generated one.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sends and signs these bytes instead of the envelope.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.signed_body = Some(body.into());
        self
    }

    /// Sends these bytes, while the token signs the original body.
    /// `Content-Digest` matches the bytes sent, as an attacker on the way would
    /// make it.
    pub fn tampered_body(mut self, body: impl Into<Bytes>) -> Self {
        self.sent_body = Some(body.into());
        self
    }

    /// Sets a header of the request and replaces all others of this name.
    ///
    /// # Panics
    /// If the name or the value is not valid in a header.
    pub fn http_header<V>(mut self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        let Ok(value) = value.try_into() else {
            panic!("the value of {name} is not valid in a header")
        };
        self.http_headers.push((header_name(name), Some(value)));
        self
    }

    /// Leaves a header out of the request.
    ///
    /// # Panics
    /// If it is not a valid header name.
    pub fn without_http_header(mut self, name: &str) -> Self {
        self.http_headers.push((header_name(name), None));
        self
    }

    /// The event's envelope: the body unless [`body`](Self::body) or
    /// [`tampered_body`](Self::tampered_body) replaces it.
    #[must_use]
    pub fn envelope(&self) -> Value {
        let mut envelope = json!({
            "version": "v1",
            "webhookId": self.webhook_id,
            "event": self.event,
            "payload": self.payload,
        });
        if let Some(url) = &self.callback_url {
            envelope["callbackUrl"] = url.as_str().into();
        }
        envelope
    }

    /// The claims of the generated token.
    ///
    /// # Panics
    /// If one of the token's times is before 1970.
    #[must_use]
    pub fn claims(&self) -> Map<String, Value> {
        let url = self.target.split(['?', '#']).next().unwrap_or_default();
        let claims = [
            ("iss", self.tenant.domain().into()),
            ("aud", self.uri().host().into()),
            ("c1typ", "wh".into()),
            ("htm", self.method.as_str().into()),
            ("htu", url.into()),
            ("htb_s256", sha256(&self.signed_body()).into()),
            ("iat", numeric_date(self.issued_at).into()),
            (
                "nbf",
                numeric_date(self.issued_at - Duration::from_secs(60)).into(),
            ),
            (
                "exp",
                numeric_date(self.issued_at + Duration::from_secs(120)).into(),
            ),
            ("jti", self.jti.as_str().into()),
        ];
        changed(claims, &self.claims)
    }

    /// The header of the generated token.
    ///
    /// # Panics
    /// If the tenant does not have the signing key.
    #[must_use]
    pub fn header_params(&self) -> Map<String, Value> {
        let kid = self.kid();
        let alg = self.tenant.algorithm(&kid).as_str();
        let params = [
            ("alg", alg.into()),
            ("kid", kid.into()),
            ("typ", "JWT".into()),
        ];
        changed(params, &self.header_params)
    }

    /// The token that is sent.
    ///
    /// Each call signs it again. ES256 signatures are random, so the last part of
    /// the token then differs; its content never does.
    ///
    /// # Panics
    /// As [`claims`](Self::claims) and [`header_params`](Self::header_params).
    #[must_use]
    pub fn token_string(&self) -> String {
        self.token.clone().unwrap_or_else(|| {
            let header = Value::Object(self.header_params()).to_string();
            let claims = Value::Object(self.claims()).to_string();
            self.tenant.sign_with(&self.kid(), header, claims)
        })
    }

    /// The body that is sent.
    #[must_use]
    pub fn body_bytes(&self) -> Bytes {
        self.sent_body.clone().unwrap_or_else(|| self.signed_body())
    }

    /// The request as a server passes it to the receiver: its URI is the path and
    /// query of the webhook's URL.
    ///
    /// # Panics
    /// As [`token_string`](Self::token_string), and if the webhook's id, event or
    /// callback URL is not valid in a header.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        let uri = self.uri();
        let body = self.body_bytes();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(
                HOST,
                uri.authority().map_or("", |authority| authority.as_str()),
            )
            .header(ACCEPT_ENCODING, "gzip")
            .header(AUTHORIZATION, format!("bearer {}", self.token_string()))
            .header("content-digest", format!("sha-256={}", sha256(&body)))
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-version", "v1")
            .header("webhook-id", &self.webhook_id)
            .header("webhook-event", &self.event)
            .body(Full::new(body))
            .expect("everything is valid in a header");
        let headers = request.headers_mut();
        if let Some(url) = &self.callback_url {
            headers.insert(
                "webhook-callback-url",
                url.parse().expect("valid in a header"),
            );
        }
        for (name, value) in &self.http_headers {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
        request
    }

    /// Calls a service with the request, without a socket, and returns its response.
    /// A second call sends the same token: a replay.
    ///
    /// The service may be an axum `Router` or any other that takes requests with a
    /// `Full<Bytes>` body.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] mod of_a_feature {
    /// use axum::{Router, routing::post};
    /// use tower_conductorone::keys::KeySet;
    /// use tower_conductorone::testing::FakeTenant;
    /// use tower_conductorone::{RejectionKind, Tenant, VerifyWebhookLayer, Webhook};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tenant = FakeTenant::new("example.conductor.one");
    /// let keys = KeySet::from_json(tenant.jwks().as_bytes())?;
    /// let verify = VerifyWebhookLayer::builder()
    ///     .public_url("https://hooks.example.com")
    ///     .tenant(Tenant::new(tenant.domain()).static_keys(keys))
    ///     .build()?;
    /// let mut app = Router::new()
    ///     .route("/webhooks", post(async |webhook: Webhook| webhook.event().to_owned()))
    ///     .layer(verify);
    ///
    /// let response = tenant.delivery("c1.webhooks.v1.PayloadTest").call(&mut app).await;
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(response.body(), "c1.webhooks.v1.PayloadTest");
    ///
    /// let late = tenant
    ///     .delivery("c1.webhooks.v1.PayloadTest")
    ///     .issued_at(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_713_312_120));
    /// let response = late.call(&mut app).await;
    /// let rejection = response.rejection().expect("refused");
    /// assert_eq!(rejection.kind(), RejectionKind::TokenExpired);
    /// # Ok(())
    /// # }
    /// # }
    /// # #[cfg(feature = "axum")] of_a_feature::main().unwrap();
    /// ```
    ///
    /// # Panics
    /// As [`request`](Self::request), and if the service or the response's body
    /// fails.
    pub async fn call<S, B>(&self, service: &mut S) -> TestResponse
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match response::call(service, self.request()).await {
            Ok(answer) => answer,
            Err(error) => panic!("the service failed: {error}"),
        }
    }

    pub(super) fn tenant(&self) -> &FakeTenant {
        &self.tenant
    }

    fn signed_body(&self) -> Bytes {
        self.signed_body
            .clone()
            .unwrap_or_else(|| self.envelope().to_string().into())
    }

    fn kid(&self) -> String {
        self.signing_key
            .clone()
            .unwrap_or_else(|| self.tenant.signing_key())
    }

    fn uri(&self) -> Uri {
        match self.target.parse::<Uri>() {
            Ok(uri) if uri.scheme().is_some() => uri,
            _ => panic!("{:?} is not an absolute URL", self.target),
        }
    }
}

/// Omits the token and the callback URL, which may be real ones.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("tenant", &self.tenant)
            .field("event", &self.event)
            .field("target", &self.target)
            .field("webhook_id", &self.webhook_id)
            .finish_non_exhaustive()
    }
}

fn changed<const N: usize>(
    members: [(&str, Value); N],
    changes: &Changes<String, Value>,
) -> Map<String, Value> {
    let mut members: Map<_, _> = members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
    for (name, value) in changes {
        match value {
            Some(value) => drop(members.insert(name.clone(), value.clone())),
            None => drop(members.remove(name)),
        }
    }
    members
}

fn header_name(name: &str) -> HeaderName {
    name.parse().expect("a header's name")
}

fn sha256(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

fn numeric_date(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .expect("a time after 1970")
        .as_secs()
}
