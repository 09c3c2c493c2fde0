//! What the log, the answers and `Debug` show: enough to find out what is
//! wrong, and no secrets.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use support::body::{Script, Step, data};
use support::log;
use support::{DOMAIN, Outcome, TEST_EVENT, builder, now, send};
use tower::{BoxError, Layer as _, Service as _, ServiceExt, service_fn};
use tower_conductorone::event::{Outcome as Answer, Payload};
use tower_conductorone::keys::{KeySet, KeySource, KeysUnavailable};
use tower_conductorone::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{
    BoxFuture, DeliverOnceLayer, EventRouter, Rejection, ReplayPolicy, Tenant,
    VerifyWebhookBuilder, VerifyWebhookLayer, Webhook,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, fmt as format};

// Capturing the log.

/// All that is logged, in each form that people log in.
#[derive(Clone, Default)]
struct Log {
    events: Arc<Mutex<Vec<(Level, String)>>>,
    spans: Arc<Mutex<String>>,
    text: log::Log,
    compact: log::Log,
    json: log::Log,
}

impl Log {
    fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        Registry::default()
            .with(self.clone())
            .with(
                format::layer()
                    .with_ansi(false)
                    .with_writer(self.text.clone()),
            )
            .with(
                format::layer()
                    .compact()
                    .with_ansi(false)
                    .with_writer(self.compact.clone()),
            )
            .with(format::layer().json().with_writer(self.json.clone()))
    }

    /// The events since the last call, with the values of their fields as they
    /// are. The forms in which they were written are checked on the way: each
    /// is a line of its own without control characters.
    #[track_caller]
    fn take(&self, what: &str) -> Vec<(Level, String)> {
        let events = std::mem::take(&mut *self.events.lock().expect("no panic"));
        for lines in [&self.text, &self.compact, &self.json] {
            let written = lines.take();
            let count = written.lines().count();
            assert_eq!(
                count,
                events.len(),
                "{what}: a line for each event: {written}"
            );
            let bad = written
                .lines()
                .flat_map(str::chars)
                .find(|c| c.is_control());
            assert_eq!(bad, None, "{what}: {written}");
        }
        events
    }

    fn everything(events: &[(Level, String)]) -> String {
        let texts: Vec<_> = events.iter().map(|(_, text)| text.as_str()).collect();
        texts.join("\n")
    }
}

/// What would let one line of a log look like two, or like another.
fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let event = (*event.metadata().level(), fields.0);
        self.events.lock().expect("no panic").push(event);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        assert!(["webhook", "webhook.run"].contains(&attributes.metadata().name()));
        for field in attributes.metadata().fields() {
            assert!(FIELDS.contains(&field.name()), "{field}");
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        self.span(&fields);
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        self.span(&fields);
    }
}

impl Log {
    /// What a span shows is judged with the events.
    fn span(&self, fields: &Fields) {
        assert_eq!(fields.0.chars().find(|c| is_unfit(*c)), None, "{fields:?}");
        self.spans.lock().expect("no panic").push_str(&fields.0);
    }
}

/// The fields of spans.
const FIELDS: [&str; 8] = [
    "c1.tenant",
    "c1.webhook.id",
    "c1.event",
    "c1.delivery",
    "c1.run",
    "c1.how",
    "http.response.status_code",
    "error.type",
];

#[derive(Debug, Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{field}={value} ");
    }
}

// The requests.

const CALLBACK: &str = "https://example.conductor.one/api/v1/webhooks/callback/callback-s3cret";

/// What must not be seen of [`CALLBACK`].
const CALLBACK_SECRET: &str = "callback-s3cret";
const PAYLOAD_SECRET: &str = "payload-s3cret";

/// Text that would forge a line of the log.
const FORGED: &str = "x\r\n2026-01-01T00:00:00Z ERROR forged \u{1b}[2J\u{0}\u{202e}\u{2028}\u{85}";

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant
        .delivery(TEST_EVENT)
        .issued_at(now())
        .callback_url(Some(CALLBACK))
        .payload(json!({ "@type": "x", "note": PAYLOAD_SECRET }))
}

/// Sends it, and checks that nothing of what is secret can be seen.
async fn sent<B>(log: &Log, layer: &VerifyWebhookLayer, request: Request<B>, what: &str) -> Sent
where
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let token = request.headers().get("authorization").cloned();
    let outcome = send(layer, request).await;
    let events = log.take(what);
    let shown = [
        Log::everything(&events),
        std::mem::take(&mut *log.spans.lock().expect("no panic")),
        format!("{:?} {:?}", outcome.headers, outcome.body),
        format!("{:?} {}", outcome.rejection, outcome.reason()),
        format!("{:?}", outcome.handled.as_ref().map(|handled| &handled.0)),
    ]
    .join("\n");
    let token = token.as_ref().and_then(|token| token.to_str().ok());
    // Each part of the token, and its beginning.
    let parts = token.unwrap_or_default().split([' ', '.']).skip(1);
    let parts = parts
        .filter(|part| part.len() > 8)
        .flat_map(|part| [part, &part[..9]]);
    for secret in parts.chain([CALLBACK_SECRET, PAYLOAD_SECRET]) {
        assert!(!shown.contains(secret), "{what}: {secret} in {shown}");
    }
    Sent { outcome, events }
}

struct Sent {
    outcome: Outcome,
    events: Vec<(Level, String)>,
}

impl Sent {
    /// The one event that says why the request was refused.
    #[track_caller]
    fn refusal(&self, what: &str) -> (Level, &str) {
        let refusals: Vec<_> = self
            .events
            .iter()
            .filter(|(level, _)| *level <= Level::INFO)
            .collect();
        let [(level, text)] = &refusals[..] else {
            panic!("{what}: {:?}", self.events)
        };
        let code = self.outcome.code();
        assert!(
            text.contains(&format!("error.type={code} ")),
            "{what}: {text}"
        );
        let bad = text.chars().find(|c| is_unfit(*c));
        assert_eq!(bad, None, "{what}: {text}");
        assert!(text.len() < 2_000, "{what}: {} bytes", text.len());
        (*level, text)
    }
}

type Change = Box<dyn Fn(Delivery) -> Delivery>;

fn claim(name: &'static str, value: impl Into<Value>) -> Change {
    let value = value.into();
    Box::new(move |delivery| delivery.claim(name, value.clone()))
}

fn param(name: &'static str, value: impl Into<Value>) -> Change {
    let value = value.into();
    Box::new(move |delivery| delivery.header_param(name, value.clone()))
}

fn header(name: &'static str, value: &'static str) -> Change {
    Box::new(move |delivery| delivery.http_header(name, value))
}

fn body(body: impl Into<Vec<u8>>) -> Change {
    let body = body.into();
    Box::new(move |delivery| delivery.body(body.clone()))
}

fn token(make: impl Fn(&Delivery) -> String + 'static) -> Change {
    Box::new(move |delivery| {
        let token = make(&delivery);
        delivery.token(token)
    })
}

/// Signed by somebody else, as good as can be.
fn forged() -> Change {
    let forger = FakeTenant::new(DOMAIN);
    token(move |delivery| {
        let header = Value::Object(delivery.header_params()).to_string();
        forger.sign(header, Value::Object(delivery.claims()).to_string())
    })
}

/// Texts from outside that must not reach the log as they are: secrets,
/// control characters, and more than a line can hold.
fn hostile_texts() -> [String; 4] {
    [
        CALLBACK.into(),
        format!("{FORGED}{CALLBACK}"),
        format!("{}{CALLBACK}", "long ".repeat(20)),
        "\u{1b}]0;".repeat(150),
    ]
}

/// What anybody can provoke, with the code that it gets.
fn by_anybody() -> Vec<(&'static str, Change)> {
    let forger = FakeTenant::new(DOMAIN);
    let text_as_header = forger.sign(json!(CALLBACK).to_string(), "{}");
    let text_as_claims = forger.sign(r#"{"alg":"ES256"}"#, json!(CALLBACK).to_string());
    let twice = json!(CALLBACK).to_string();
    let twice = forger.sign(format!("{{{twice}:1,{twice}:1}}"), "{}");
    let mut table = vec![
        (
            "method_not_allowed",
            Box::new(|d: Delivery| d.method(http::Method::GET)) as Change,
        ),
        (
            "method_not_allowed",
            Box::new(|d: Delivery| d.method("M".repeat(100_000).parse().expect("a token"))),
        ),
        ("unsupported_media_type", header("content-type", CALLBACK)),
        (
            "unsupported_content_coding",
            header("content-encoding", CALLBACK),
        ),
        (
            "missing_token",
            header("authorization", "basic dXNlcjpwYXNzd29yZA=="),
        ),
        (
            "malformed_token",
            header("authorization", "bearer !eyJhbGciOiJFUzI1NiJ9.e30.e30"),
        ),
        (
            "malformed_token",
            token(|_| "eyJhbGciOiJFUzI1NiJ9.eyJhbGciOiJFUzI1NiJ9".into()),
        ),
        ("malformed_token", token(move |_| text_as_header.clone())),
        ("malformed_token", token(move |_| text_as_claims.clone())),
        ("malformed_token", token(move |_| twice.clone())),
        ("token_too_long", token(|_| "abcdefghi".repeat(1_000))),
        ("unsupported_token_header", param("crit", json!([CALLBACK]))),
        (
            "missing_claim",
            Box::new(|d: Delivery| d.without_claim("jti")),
        ),
        ("invalid_signature", forged()),
    ];
    for text in hostile_texts() {
        table.extend([
            ("unsupported_algorithm", param("alg", &*text)),
            ("wrong_token_type", param("typ", &*text)),
            ("unknown_tenant", claim("iss", &*text)),
            ("invalid_claim", claim("exp", &*text)),
            ("invalid_claim", claim("aud", json!([text, text]))),
            ("invalid_claim", claim("htb_s256", &*text)),
        ]);
        if text.len() <= 256 {
            table.push(("unknown_key", param("kid", &*text)));
        }
    }
    table
}

/// What takes a token that the tenant signed.
fn by_the_tenant() -> Vec<(&'static str, Change)> {
    let mut table = vec![
        (
            "token_expired",
            Box::new(|d: Delivery| d.issued_at(now() - Duration::from_secs(999))) as Change,
        ),
        (
            "body_hash_mismatch",
            Box::new(|d: Delivery| d.tampered_body(CALLBACK)),
        ),
        ("body_too_large", body(CALLBACK.repeat(2_000))),
        ("incomplete_body", body("")),
        (
            "content_digest_mismatch",
            header("content-digest", "sha-256=callback-s3cret"),
        ),
        ("invalid_envelope", body(CALLBACK)),
        ("invalid_envelope", body(json!(CALLBACK).to_string())),
        (
            "invalid_envelope",
            body(json!({ "version": [PAYLOAD_SECRET] }).to_string()),
        ),
        (
            "invalid_envelope",
            body(json!({ "version": "v1", CALLBACK: CALLBACK }).to_string()),
        ),
        ("invalid_envelope", body(b"{\"payload-s3cret\xff")),
        (
            "unsupported_version",
            body(json!({ "version": PAYLOAD_SECRET }).to_string()),
        ),
        (
            "header_mismatch",
            header("webhook-callback-url", "https://x/callback/callback-s3cret"),
        ),
        ("header_mismatch", header("webhook-id", PAYLOAD_SECRET)),
    ];
    for text in hostile_texts() {
        table.extend([
            ("wrong_token_type", claim("c1typ", &*text)),
            ("wrong_audience", claim("aud", &*text)),
            ("wrong_method", claim("htm", &*text)),
            ("wrong_url", claim("htu", &*text)),
            (
                "wrong_url",
                claim("htu", format!("https://hooks.example.com/{text}")),
            ),
        ]);
    }
    table
}

fn receiver(tenant: &FakeTenant) -> VerifyWebhookBuilder {
    builder(tenant).max_body_bytes(100_000)
}

#[tokio::test]
async fn what_anybody_can_provoke_is_told_without_alarm_and_secrets() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    for (row, (code, change)) in by_anybody().into_iter().enumerate() {
        let what = format!("row {row}, {code}");
        // One layer writes few such lines in a second.
        let layer = receiver(&tenant).build().expect("good");
        let request = change(delivery(&tenant)).request();
        let sent = sent(&log, &layer, request, &what).await;
        assert_eq!(
            sent.outcome.code(),
            code,
            "{what}: {}",
            sent.outcome.reason()
        );
        let (level, text) = sent.refusal(&what);
        assert_eq!(level, Level::INFO, "{what}: {text}");
    }
}

#[tokio::test]
async fn what_the_tenant_s_key_is_behind_is_told_without_secrets() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    for (row, (code, change)) in by_the_tenant().into_iter().enumerate() {
        let what = format!("row {row}, {code}");
        let request = change(delivery(&tenant)).request();
        let sent = sent(&log, &layer, request, &what).await;
        assert_eq!(
            sent.outcome.code(),
            code,
            "{what}: {}",
            sent.outcome.reason()
        );
        sent.refusal(&what);
    }
    for (code, step) in [
        ("unreadable_body", Step::Fail("connection reset")),
        ("body_timeout", Step::Hang),
    ] {
        let layer = receiver(&tenant).body_timeout(Duration::from_millis(1));
        let layer = layer.build().expect("good");
        let script = Script::new([data(PAYLOAD_SECRET), step]);
        let request = delivery(&tenant).request().map(|_| script);
        let sent = sent(&log, &layer, request, code).await;
        assert_eq!(sent.refusal(code).0, Level::WARN);
    }
    let request = delivery(&tenant).request();
    sent(&log, &layer, request.clone(), "first").await;
    let replay = sent(&log, &layer, request, "replay").await;
    assert_eq!(replay.outcome.code(), "replayed_token");
    replay.refusal("replay");
}

#[tokio::test]
async fn an_accepted_webhook_is_told_without_secrets() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    for policy in [Some(ReplayPolicy::Refuse), Some(ReplayPolicy::Mark), None] {
        let layer = match policy {
            Some(policy) => receiver(&tenant).replay_policy(policy),
            None => receiver(&tenant).dangerous_disable_replay_guard(),
        };
        let layer = layer.build().expect("good");
        log.take("building");
        let sent = sent(&log, &layer, delivery(&tenant).request(), "accepted").await;
        assert_eq!(sent.outcome.code(), "accepted");
        let [(Level::DEBUG, verified), (Level::INFO, answered)] = &sent.events[..] else {
            panic!("{:?}", sent.events)
        };
        for said in [TEST_EVENT, DOMAIN, sent.outcome.webhook().id()] {
            assert!(verified.contains(said), "{said}: {verified}");
            assert!(answered.contains(said), "{said}: {answered}");
        }
    }
    // The tenant may name things as it likes; a line of the log stays a line.
    let layer = receiver(&tenant).build().expect("good");
    let odd = "odd\r\n\t\u{1b}[31m\u{0}";
    let envelope = json!({ "version": "v1", "webhookId": odd, "event": odd });
    let odd = ["id", "event", "callback-url"].iter().fold(
        delivery(&tenant).body(envelope.to_string()),
        |delivery, name| delivery.without_http_header(&format!("webhook-{name}")),
    );
    let sent = sent(&log, &layer, odd.request(), "odd names").await;
    assert_eq!(sent.outcome.code(), "accepted");
    for (_, text) in &sent.events {
        assert!(text.contains(r"odd\r\n\t\u{1b}[31m\0"), "{text}");
        assert!(!text.contains(is_unfit), "{text}");
    }
}

#[tokio::test]
async fn what_a_layer_inside_says_of_odd_names_and_failures_is_escaped() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let once = DeliverOnceLayer::builder().build().expect("good");
    let fails = service_fn(async |_: Request<Full<Bytes>>| {
        Err::<Response<Full<Bytes>>, BoxError>(format!("cannot read {FORGED}").into())
    });
    let useless = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(format!("{FORGED:?}"))))
    });
    let envelope = json!({ "version": "v1", "webhookId": FORGED, "event": FORGED });
    let odd = || {
        ["id", "event", "callback-url"].iter().fold(
            delivery(&tenant).body(envelope.to_string()),
            |delivery, name| delivery.without_http_header(&format!("webhook-{name}")),
        )
    };
    let responses = [
        layer
            .layer(once.layer(fails))
            .oneshot(odd().request())
            .await,
        layer
            .layer(once.layer(useless))
            .oneshot(odd().request())
            .await,
    ];
    for response in responses {
        assert_eq!(response.expect("an answer").status(), 500);
    }
    let fails = async |_: Webhook| Err::<Answer, _>(format!("cannot route {FORGED}"));
    let router = EventRouter::builder().fallback(fails).build();
    let mut router = layer.layer(router.expect("good"));
    let response = router.call(odd().request()).await.expect("an answer");
    assert_eq!(response.status(), 500);
    let events = log.take("inside");
    let errors = events.iter().filter(|(level, _)| *level == Level::ERROR);
    assert_eq!(errors.count(), 3, "{events:?}");
    let text = Log::everything(&events).replace('\n', "");
    assert!(text.contains("cannot read x"), "{text}");
    assert!(text.contains("cannot route x"), "{text}");
    assert!(!text.contains(is_unfit), "{text}");
}

#[tokio::test]
async fn an_odd_payload_s_error_is_escaped() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    for (payload, path) in [
        (
            json!({ "taskView": { "task": { "policy": { "policy": { "policySteps": { FORGED: 7 } } } } } }),
            "payload.taskView.task.policy.policy.policySteps",
        ),
        (
            json!({ "taskView": { "task": { "numericId": FORGED } } }),
            "numericId",
        ),
        (
            json!({ "taskView": { "task": { "createdAt": FORGED } } }),
            "createdAt",
        ),
        (
            json!({ "taskView": { "task": FORGED } }),
            "payload.taskView.task",
        ),
    ] {
        let delivery = tenant
            .delivery("c1.webhooks.v1.PayloadProvisionStep")
            .issued_at(now())
            .payload(payload);
        let outcome = send(&layer, delivery.request()).await;
        let error = outcome.webhook().payload().expect_err("odd");
        let text = format!("{error} {}", error.path());
        assert!(text.contains(path), "{text}");
        assert!(!text.contains(is_unfit), "{text}");
    }
}

#[tokio::test]
async fn a_layer_installed_twice_is_one_error_that_names_it() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let once = || DeliverOnceLayer::builder().build().expect("good");
    let handler = || {
        service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(r#"{"version":"v1"}"#)))
        })
    };
    let request = || delivery(&tenant).request();
    let twice = layer.layer(layer.layer(handler()));
    let response = twice.oneshot(request()).await.expect("an answer");
    let rejection = response.extensions().get::<Rejection>().expect("one");
    let cause = rejection.source().expect("a cause").to_string();
    assert!(cause.starts_with("VerifyWebhookLayer has"), "{cause}");
    let first = log.take("VerifyWebhookLayer");

    let twice = layer.layer(once().layer(once().layer(handler())));
    let response = twice.oneshot(request()).await.expect("an answer");
    assert_eq!(response.status(), 500);
    let second = log.take("DeliverOnceLayer");
    for (events, name) in [(first, "VerifyWebhookLayer"), (second, "DeliverOnceLayer")] {
        let loud: Vec<_> = events
            .iter()
            .filter(|(level, _)| *level == Level::ERROR)
            .collect();
        let [(_, text)] = loud[..] else {
            panic!("{events:?}")
        };
        assert!(
            text.contains(&format!("{name} has let this request through")),
            "{text}"
        );
        assert!(text.contains("installed twice"), "{text}");
    }
}

/// Keys and a store that are out of reach.
#[derive(Debug)]
struct Away;

impl KeySource for Away {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }

    fn renew<'a>(
        &'a self,
        _: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(async { Err(KeysUnavailable::new("no route", Duration::from_secs(3))) })
    }
}

impl ReplayStore for Away {
    fn claim<'a>(
        &'a self,
        _: TokenId<'a>,
        _: SystemTime,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async { Err(ReplayStoreError::new("the store is away").with_source("timed out")) })
    }
}

#[tokio::test]
async fn trouble_of_our_own_is_a_warning_with_its_causes() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    let without_keys = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(Away))
        .clock(support::clock());
    let without_store = receiver(&tenant).replay_store(Away);
    for (code, builder, causes) in [
        ("keys_unavailable", without_keys, &[DOMAIN, "no route"][..]),
        (
            "replay_store_unavailable",
            without_store,
            &["the store is away", "timed out"],
        ),
    ] {
        let layer = builder.build().expect("good");
        let sent = sent(&log, &layer, delivery(&tenant).request(), code).await;
        assert_eq!(sent.outcome.status, 503);
        let (level, text) = sent.refusal(code);
        assert_eq!(level, Level::WARN);
        for cause in causes {
            assert!(text.contains(cause), "{cause}: {text}");
        }
    }
}

#[tokio::test]
async fn the_log_says_what_was_expected_and_what_came() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let table: Vec<(Change, &[&str])> = vec![
        (
            claim("htu", "https://a.example.com/x"),
            &[
                "https://a.example.com/x",
                "https://hooks.example.com/webhooks",
                "public URL",
            ],
        ),
        (
            claim("aud", "a.example.com"),
            &["a.example.com", "hooks.example.com", "public URL"],
        ),
        (claim("iss", "a.conductor.one"), &["a.conductor.one"]),
        (param("kid", "another"), &["another", DOMAIN]),
        (param("alg", "HS256"), &["HS256", "RS256, ES256 or EdDSA"]),
        (claim("c1typ", "at"), &["\"at\"", "\"wh\""]),
        (claim("htm", "GET"), &["GET", "POST"]),
        (
            Box::new(|d| d.issued_at(now() - Duration::from_secs(180))),
            &["60s ago", "clock"],
        ),
        (
            Box::new(|d| d.issued_at(now() + Duration::from_secs(180))),
            &["120s in the future", "clock"],
        ),
    ];
    for (change, said) in table {
        let request = change(delivery(&tenant)).request();
        let sent = sent(&log, &layer, request, said[0]).await;
        let (_, text) = sent.refusal(said[0]);
        for said in said {
            assert!(text.contains(said), "{said}: {text}");
        }
        // All of that is for us, not for the caller.
        let answer = String::from_utf8_lossy(&sent.outcome.body).into_owned();
        let codes = [r#""code":"invalid_token""#, "Unauthorized"];
        assert!(codes.iter().all(|code| answer.contains(code)), "{answer}");
        assert!(answer.len() < 100, "{answer}");
    }
}

#[tokio::test]
async fn debug_shows_no_secrets() {
    fn shown(values: &[&dyn Debug]) -> String {
        values.iter().fold(String::new(), |text, value| {
            format!("{text}\n{value:?}\n{value:#?}")
        })
    }
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let delivery = delivery(&tenant);
    let token = delivery.token_string();
    let outcome = send(&layer, delivery.clone().token(&*token).request()).await;
    let webhook = outcome.webhook();
    let callback = webhook.callback_url().expect("one");
    assert_eq!(callback.expose_secret(), CALLBACK);
    let service = layer.layer("inner");
    let refused = send(&layer, delivery.clone().token(&*token).request()).await;
    let text = shown(&[
        webhook,
        &Some(webhook.clone()),
        webhook.claims(),
        callback,
        &layer,
        &layer.health(),
        &service,
        &tenant,
        &delivery,
        &receiver(&tenant),
        &refused.rejection.expect("a replay"),
    ]);
    let parts = token.split('.').chain([&*token]);
    for secret in parts.chain([CALLBACK_SECRET, PAYLOAD_SECRET]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    // Public keys are no secret, but no help either.
    let jwks: Value = serde_json::from_str(&tenant.jwks()).expect("JSON");
    let x = jwks["keys"][0]["x"].as_str().expect("a coordinate");
    assert!(!text.contains(x), "{text}");
    // What it does show.
    for said in [
        webhook.id(),
        TEST_EVENT,
        DOMAIN,
        webhook.claims().token_id(),
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[tokio::test]
async fn a_rejection_shows_its_causes_and_no_secrets() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let request = delivery(&tenant).claim("aud", json!(FORGED)).request();
    let outcome = send(&layer, request).await;
    let rejection = outcome.rejection.expect("refused");
    assert_eq!(rejection.to_string(), "webhook refused: wrong_audience");
    let cause = rejection.source().expect("a cause").to_string();
    assert!(cause.contains("hooks.example.com"), "{cause}");
    for text in [cause, format!("{rejection:?}")] {
        assert!(!text.contains(is_unfit), "{text:?}");
    }
}

#[test]
fn plain_http_on_loopback_is_warned_of_when_it_comes_into_force() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    receiver(&tenant).build().expect("good");
    assert_eq!(log.take("https"), []);
    let http = || receiver(&tenant).dangerous_allow_http_on_loopback();
    http().public_url("oops").build().expect_err("no URL");
    assert_eq!(log.take("no receiver"), []);
    http().build().expect("good");
    let events = log.take("http");
    let [(Level::WARN, text)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(text.contains("plain http"), "{text}");
}

#[tokio::test]
async fn answers_are_fixed_text() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let changes = by_anybody().into_iter().chain(by_the_tenant());
    let mut answers = std::collections::BTreeSet::new();
    for (_, change) in changes {
        let outcome = send(&layer, change(delivery(&tenant)).request()).await;
        let headers = outcome.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        let body = String::from_utf8_lossy(&outcome.body);
        answers.insert(format!("{} {headers:?} {body}", outcome.status));
    }
    // One for each code in the answers, however many ways there are to get it.
    assert!(answers.len() <= 13, "{answers:#?}");
}

#[tokio::test]
async fn an_odd_pointer_is_a_warning_of_a_sane_length() {
    let log = Log::default();
    let _capturing = log::capture(log.subscriber());
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant).build().expect("good");
    let pointer = format!("$.expanded[{FORGED}{}", "x".repeat(50_000));
    let delivery = tenant
        .delivery("c1.webhooks.v1.PayloadProvisionStep")
        .issued_at(now())
        .payload(json!({ "taskView": { "appPath": pointer }, "expanded": [1, 2, 3] }));
    let outcome = send(&layer, delivery.request()).await;
    log.take("verified");

    let payload = outcome.webhook().payload().expect("read");
    let objects = log.take("read");
    let [(Level::WARN, text)] = objects.as_slice() else {
        panic!("one for all odd objects: {objects:?}")
    };
    assert!(text.contains("count=3"), "{text}");

    let Payload::ProvisionStep(step) = payload else {
        panic!("{payload:?}")
    };
    assert!(step.task_view().app().is_none());
    let pointers = log.take("followed");
    let [(Level::WARN, text)] = pointers.as_slice() else {
        panic!("one for the pointer: {pointers:?}")
    };
    assert!(text.contains("appPath") && text.len() < 1_000, "{text}");
    assert!(!text.contains(is_unfit), "{text}");
}
