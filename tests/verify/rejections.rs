//! Every way to break a good request, and what comes of it: the kind, the
//! answer, and that nothing else happened.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, Request};
use serde_json::{Value, json};
use support::body::{Script, Step, data};
use support::{DOMAIN, TEST_EVENT, builder, now, send};
use tower_conductorone::keys::{Algorithm, KeySet, KeySource, KeysUnavailable};
use tower_conductorone::replay::{
    Claim, MemoryReplayStore, ReplayStore, ReplayStoreError, TokenId,
};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{
    BoxFuture, RejectionKind as Kind, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer,
};

const INVALID: (&str, &str) = (
    "www-authenticate",
    r#"Bearer realm="ConductorOne webhooks", error="invalid_token""#,
);

/// Kind, code, status, code in the answer, and the header that goes with it.
type Answer = (
    Kind,
    &'static str,
    u16,
    &'static str,
    Option<(&'static str, &'static str)>,
);

const fn token(kind: Kind, code: &'static str) -> Answer {
    (kind, code, 401, "invalid_token", Some(INVALID))
}

const fn plain(kind: Kind, code: &'static str, status: u16) -> Answer {
    (kind, code, status, code, None)
}

const fn with(
    kind: Kind,
    code: &'static str,
    status: u16,
    header: (&'static str, &'static str),
) -> Answer {
    (kind, code, status, code, Some(header))
}

#[rustfmt::skip]
const ANSWERS: &[Answer] = &[
    with(Kind::MethodNotAllowed, "method_not_allowed", 405, ("allow", "POST")),
    with(Kind::UnsupportedMediaType, "unsupported_media_type", 415, ("accept", "application/json")),
    with(Kind::UnsupportedContentCoding, "unsupported_content_coding", 415, ("accept-encoding", "identity")),
    // RFC 6750 §3.1: no error code for a request without authentication.
    with(Kind::MissingToken, "missing_token", 401, ("www-authenticate", r#"Bearer realm="ConductorOne webhooks""#)),
    token(Kind::SeveralTokens, "several_tokens"),
    token(Kind::TokenTooLong, "token_too_long"),
    token(Kind::MalformedToken, "malformed_token"),
    token(Kind::UnsupportedAlgorithm, "unsupported_algorithm"),
    token(Kind::UnsupportedTokenHeader, "unsupported_token_header"),
    token(Kind::WrongTokenType, "wrong_token_type"),
    token(Kind::MissingClaim, "missing_claim"),
    token(Kind::InvalidClaim, "invalid_claim"),
    token(Kind::UnknownTenant, "unknown_tenant"),
    token(Kind::UnknownKey, "unknown_key"),
    token(Kind::AlgorithmMismatch, "algorithm_mismatch"),
    token(Kind::InvalidSignature, "invalid_signature"),
    token(Kind::WrongAudience, "wrong_audience"),
    token(Kind::TokenExpired, "token_expired"),
    token(Kind::TokenNotYetValid, "token_not_yet_valid"),
    token(Kind::TokenLifetimeTooLong, "token_lifetime_too_long"),
    token(Kind::WrongMethod, "wrong_method"),
    token(Kind::WrongUrl, "wrong_url"),
    token(Kind::BodyHashMismatch, "body_hash_mismatch"),
    token(Kind::ReplayedToken, "replayed_token"),
    plain(Kind::BodyTooLarge, "body_too_large", 413),
    plain(Kind::BodyTimeout, "body_timeout", 408),
    plain(Kind::UnreadableBody, "unreadable_body", 400),
    plain(Kind::IncompleteBody, "incomplete_body", 400),
    plain(Kind::ContentDigestMismatch, "content_digest_mismatch", 400),
    plain(Kind::InvalidEnvelope, "invalid_envelope", 400),
    plain(Kind::UnsupportedVersion, "unsupported_version", 400),
    plain(Kind::HeaderMismatch, "header_mismatch", 400),
    plain(Kind::InstalledTwice, "installed_twice", 500),
    with(Kind::KeysUnavailable, "keys_unavailable", 503, ("retry-after", "3")),
    with(Kind::ReplayStoreUnavailable, "replay_store_unavailable", 503, ("retry-after", "1")),
];

/// Only these are told from something in the body, or happen while it is read;
/// for all others it stays unread.
const AFTER_THE_BODY: &[Kind] = &[
    Kind::BodyHashMismatch,
    Kind::ReplayedToken,
    Kind::BodyTooLarge,
    Kind::BodyTimeout,
    Kind::UnreadableBody,
    Kind::IncompleteBody,
    Kind::ContentDigestMismatch,
    Kind::InvalidEnvelope,
    Kind::UnsupportedVersion,
    Kind::HeaderMismatch,
    Kind::ReplayStoreUnavailable,
];

/// Only these are told by the replay store; for all others it is not asked.
const BY_THE_STORE: &[Kind] = &[Kind::ReplayedToken, Kind::ReplayStoreUnavailable];

/// A good request with one thing wrong, and the receiver that it goes to.
struct Row {
    kind: Kind,
    what: &'static str,
    request: Request<Script>,
    receiver: fn(&FakeTenant, CountingStore) -> VerifyWebhookBuilder,
}

/// The table.
struct Table {
    tenant: FakeTenant,
    rows: Vec<Row>,
}

impl Table {
    /// A row for the usual receiver.
    fn row(&mut self, kind: Kind, what: &'static str, delivery: &Delivery) {
        self.request(kind, what, counted(delivery));
    }

    fn request(&mut self, kind: Kind, what: &'static str, request: Request<Script>) {
        self.rows.push(Row {
            kind,
            what,
            request,
            receiver: |tenant, store| builder(tenant).replay_store(store),
        });
    }

    fn at(
        &mut self,
        kind: Kind,
        what: &'static str,
        delivery: &Delivery,
        receiver: fn(&FakeTenant, CountingStore) -> VerifyWebhookBuilder,
    ) {
        self.rows.push(Row {
            kind,
            what,
            request: counted(delivery),
            receiver,
        });
    }

    /// A row whose token has this header, properly signed.
    fn header(&mut self, kind: Kind, what: &'static str, good: &Delivery, header: &str) {
        let claims = Value::Object(good.claims()).to_string();
        let token = self.tenant.sign(header, claims);
        self.row(kind, what, &good.clone().token(token));
    }
}

fn table() -> Table {
    let tenant = FakeTenant::new(DOMAIN);
    let mut table = Table {
        tenant: tenant.clone(),
        rows: Vec::new(),
    };
    let good = tenant.delivery(TEST_EVENT).issued_at(now());
    before_the_token(&mut table, &good);
    the_token_itself(&mut table, &good);
    keys_and_signature(&mut table, &good);
    claims(&mut table, &good);
    body(&mut table, &good);
    envelope(&mut table, &good);
    troubles_of_our_own(&mut table, &good);
    mistakes_of_our_own(&mut table, &good);
    table
}

fn before_the_token(table: &mut Table, good: &Delivery) {
    let good = || good.clone();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post"] {
        let method: Method = method.parse().expect("a method");
        let delivery = good().method(method);
        table.row(Kind::MethodNotAllowed, "another method", &delivery);
        let tokenless = delivery.without_http_header("authorization");
        table.row(
            Kind::MethodNotAllowed,
            "another method, no token",
            &tokenless,
        );
    }
    for media_type in [
        "text/plain",
        "application/jsonp",
        "application/problem+json",
        "",
    ] {
        let delivery = good().http_header("content-type", media_type);
        table.row(Kind::UnsupportedMediaType, "another media type", &delivery);
    }
    let untyped = good().without_http_header("content-type");
    table.row(Kind::UnsupportedMediaType, "no media type", &untyped);
    for coding in ["gzip", "br", "identity, gzip"] {
        let delivery = good().http_header("content-encoding", coding);
        table.row(
            Kind::UnsupportedContentCoding,
            "a content coding",
            &delivery,
        );
    }
}

fn the_token_itself(table: &mut Table, good: &Delivery) {
    let kid = table.tenant.signing_key();
    let authorization = |value: &str| good.clone().http_header("authorization", value);
    let missing = good.clone().without_http_header("authorization");
    table.row(Kind::MissingToken, "no Authorization header", &missing);
    for value in ["", "Basic dXNlcjpwYXNz", "DPoP a.b.c", "bearertoken"] {
        table.row(Kind::MissingToken, "another scheme", &authorization(value));
    }
    let mut twice = counted(good);
    let token = twice.headers()["authorization"].clone();
    twice.headers_mut().append("authorization", token);
    table.request(Kind::SeveralTokens, "the same token twice", twice);
    let long = authorization(&format!("bearer {}", "a".repeat(8193)));
    table.row(Kind::TokenTooLong, "8193 bytes", &long);
    for value in [
        "bearer",
        "bearer ",
        "bearer a b",
        "bearer a.b",
        "bearer a.b.c.d",
        "bearer ..",
    ] {
        table.row(Kind::MalformedToken, "no JWS", &authorization(value));
    }
    let header = |members: &str| format!(r#"{{"kid":{kid:?}{members}}}"#);
    for (what, members) in [
        ("alg none", r#","alg":"none""#),
        ("alg HS256", r#","alg":"HS256""#),
        ("alg in lower case", r#","alg":"es256""#),
    ] {
        table.header(Kind::UnsupportedAlgorithm, what, good, &header(members));
    }
    for (what, members) in [
        ("crit", r#","alg":"ES256","crit":["b64"]"#),
        ("b64", r#","alg":"ES256","b64":true"#),
        ("enc", r#","alg":"ES256","enc":"A256GCM""#),
        ("zip", r#","alg":"ES256","zip":"DEF""#),
    ] {
        table.header(Kind::UnsupportedTokenHeader, what, good, &header(members));
    }
    for (what, members) in [
        ("no alg", ""),
        ("a duplicate member", r#","alg":"ES256","alg":"ES256""#),
        ("a kid that is no string", r#","alg":"ES256","kid":7"#),
    ] {
        table.header(Kind::MalformedToken, what, good, &header(members));
    }
    let typed = good.clone().header_param("typ", json!("at+jwt"));
    table.row(Kind::WrongTokenType, "another typ", &typed);
    let typed = good.clone().claim("c1typ", json!("at"));
    table.row(Kind::WrongTokenType, "another c1typ", &typed);
}

fn keys_and_signature(table: &mut Table, good: &Delivery) {
    let tenant = table.tenant.clone();
    let other_key = tenant.add_key(Algorithm::EdDsa);
    let stolen = tenant.add_key(Algorithm::Es256);
    tenant.remove_key(&stolen);
    let stranger = FakeTenant::new(DOMAIN);

    let elsewhere = FakeTenant::new("other.conductor.one");
    let elsewhere = elsewhere.delivery(TEST_EVENT).issued_at(now());
    table.row(
        Kind::UnknownTenant,
        "a tenant that is not configured",
        &elsewhere,
    );
    let forged = stranger.delivery(TEST_EVENT).issued_at(now());
    table.row(Kind::UnknownKey, "a stranger's own kid", &forged);
    let removed = good.clone().signing_key(&stolen);
    table.row(Kind::UnknownKey, "a key that was removed", &removed);
    let nameless = forged.clone().without_header_param("kid");
    table.row(Kind::UnknownKey, "a stranger's key, no kid", &nameless);
    let named = forged.header_param("kid", json!(tenant.signing_key()));
    table.row(
        Kind::InvalidSignature,
        "a stranger's key under a good kid",
        &named,
    );
    let mut stripped = good.token_string();
    stripped.truncate(stripped.rfind('.').expect("three parts") + 1);
    table.row(
        Kind::InvalidSignature,
        "the signature left out",
        &good.clone().token(stripped),
    );
    let mismatched = good
        .clone()
        .signing_key(&other_key)
        .header_param("kid", json!(tenant.signing_key()));
    table.row(
        Kind::AlgorithmMismatch,
        "EdDSA under the kid of an ES256 key",
        &mismatched,
    );
}

fn claims(table: &mut Table, good: &Delivery) {
    let claim = |name: &str, value: Value| good.clone().claim(name, value);
    let at = |seconds: i64| json!(1_713_312_120 + seconds);
    for name in [
        "iss", "aud", "c1typ", "exp", "iat", "nbf", "jti", "htm", "htu", "htb_s256",
    ] {
        let without = good.clone().without_claim(name);
        table.row(Kind::MissingClaim, "a claim left out", &without);
        table.row(
            Kind::InvalidClaim,
            "a claim that is null",
            &claim(name, json!(null)),
        );
    }
    let other_host = claim("aud", json!("other.example.com"));
    table.row(Kind::WrongAudience, "for another host", &other_host);
    table.row(
        Kind::TokenExpired,
        "expired 30 s ago",
        &claim("exp", at(-30)),
    );
    table.row(Kind::TokenNotYetValid, "nbf in 31 s", &claim("nbf", at(31)));
    let far = claim("iat", at(631));
    table.row(Kind::TokenNotYetValid, "iat in over 10 minutes", &far);
    table.row(Kind::TokenLifetimeTooLong, "601 s", &claim("exp", at(601)));
    table.row(Kind::WrongMethod, "for GET", &claim("htm", json!("GET")));
    for (what, htu) in [
        ("for another path", "https://hooks.example.com/other"),
        ("for another host", "https://other.example.com/webhooks"),
        ("for http", "http://hooks.example.com/webhooks"),
        ("no absolute URL", "/webhooks"),
    ] {
        table.row(Kind::WrongUrl, what, &claim("htu", json!(htu)));
    }
    for (what, path) in [
        ("dot segments", "/grants/../webhooks"),
        ("encoded dot segments", "/grants/%2e%2E/webhooks"),
        ("another spelling", "/%77ebhooks"),
    ] {
        let mut request = counted(good);
        *request.uri_mut() = path.parse().expect("a URI");
        table.request(Kind::WrongUrl, what, request);
    }
}

fn body(table: &mut Table, good: &Delivery) {
    let tampered = good.clone().tampered_body(r#"{"version":"v1"}"#);
    table.row(Kind::BodyHashMismatch, "another body", &tampered);
    let hash = json!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let of_nothing = good.clone().claim("htb_s256", hash);
    table.row(Kind::BodyHashMismatch, "the hash of nothing", &of_nothing);
    for digest in [
        "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "sha-256=nonsense",
    ] {
        let delivery = good.clone().http_header("content-digest", digest);
        table.row(Kind::ContentDigestMismatch, "another digest", &delivery);
    }
    let declared = good.clone().http_header("content-length", "2097153");
    table.row(Kind::BodyTooLarge, "a Content-Length over 2 MiB", &declared);
    let large = good.clone().body(vec![b' '; 2 * 1024 * 1024 + 1]);
    table.row(Kind::BodyTooLarge, "a byte over 2 MiB", &large);
    let empty = good.clone().body("");
    table.row(Kind::IncompleteBody, "no body", &empty);
    let short = good.clone().http_header("content-length", "100000");
    table.row(
        Kind::IncompleteBody,
        "shorter than its Content-Length",
        &short,
    );
    for (kind, what, step) in [
        (Kind::BodyTimeout, "a body that stalls", Step::Hang),
        (
            Kind::UnreadableBody,
            "a body that breaks",
            Step::Fail("reset"),
        ),
    ] {
        let request = good.request().map(|_| Script::new([step]));
        table.request(kind, what, request);
    }
}

fn envelope(table: &mut Table, good: &Delivery) {
    for body in [
        &b"\xff"[..],
        b"[]",
        b"{}",
        b"{",
        br#"["v1","id","event",null,{}]"#,
        br#"{"version":"v1","event":"e"}"#,
        br#"{"version":"v1","webhookId":7,"event":"e"}"#,
    ] {
        let delivery = good.clone().body(body);
        table.row(Kind::InvalidEnvelope, "no envelope", &delivery);
    }
    for (name, value) in [("webhookId", "i"), ("event", "e")] {
        let mut envelope = json!({"version": "v1", "webhookId": "id", "event": "e"});
        envelope[name] = value.repeat(257).into();
        let delivery = good.clone().body(envelope.to_string());
        table.row(Kind::InvalidEnvelope, "a long name", &delivery);
    }
    let v2 = good
        .clone()
        .body(r#"{"version":"v2","webhookId":"id","event":"e"}"#);
    table.row(Kind::UnsupportedVersion, "version v2", &v2);
    for name in [
        "webhook-id",
        "webhook-event",
        "webhook-version",
        "webhook-callback-url",
    ] {
        let delivery = good.clone().http_header(name, "other");
        table.row(
            Kind::HeaderMismatch,
            "a header that contradicts the body",
            &delivery,
        );
    }
}

fn troubles_of_our_own(table: &mut Table, good: &Delivery) {
    table.at(
        Kind::KeysUnavailable,
        "keys out of reach",
        good,
        |tenant, store| {
            VerifyWebhookLayer::builder()
                .public_url("https://hooks.example.com")
                .tenant(Tenant::new(tenant.domain()).key_source(NoKeys))
                .clock(support::clock())
                .replay_store(store)
        },
    );
    table.at(
        Kind::ReplayStoreUnavailable,
        "a full replay store",
        good,
        |tenant, store| builder(tenant).replay_store(store.full()),
    );
    table.at(
        Kind::ReplayStoreUnavailable,
        "a replay store out of reach",
        good,
        |tenant, store| builder(tenant).replay_store(store.broken()),
    );
    table.at(
        Kind::ReplayedToken,
        "a token used before",
        good,
        |tenant, store| builder(tenant).replay_store(store.has_seen_it()),
    );
}

/// The request has come through the layer before.
fn mistakes_of_our_own(table: &mut Table, good: &Delivery) {
    let layer = builder(&table.tenant).build().expect("good");
    let outcome = pin!(send(&layer, good.request()));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(outcome) = outcome.poll(&mut context) else {
        panic!("nothing to wait for")
    };
    let mut request = counted(good);
    request.extensions_mut().insert(outcome.webhook().clone());
    table.request(Kind::InstalledTwice, "a layer twice", request);
}

#[tokio::test(start_paused = true)]
async fn every_way_to_break_a_request_has_its_answer_and_no_effect() {
    let table = table();
    for row in table.rows {
        let case = format!("{:?}: {}", row.kind, row.what);
        let (_, code, status, public_code, header) = *ANSWERS
            .iter()
            .find(|answer| answer.0 == row.kind)
            .expect("an answer for each kind");
        let store = CountingStore::default();
        let layer = (row.receiver)(&table.tenant, store.clone())
            .build()
            .expect("a good configuration");
        let body = row.request.body().seen();

        let outcome = send(&layer, row.request).await;

        assert!(outcome.handled.is_none(), "{case}");
        assert_eq!(
            outcome.kind(),
            Some(row.kind),
            "{case}: {}",
            outcome.reason()
        );
        assert_eq!(outcome.code(), code, "{case}");
        assert_eq!(outcome.status, status, "{case}");
        let mut headers = HeaderMap::new();
        headers.insert("content-type", value("application/problem+json"));
        if let Some((name, text)) = header {
            headers.insert(name, value(text));
        }
        assert_eq!(outcome.headers, headers, "{case}");
        let title = outcome.status.canonical_reason();
        let problem: Value = serde_json::from_slice(&outcome.body).expect("JSON");
        let expected = json!({ "title": title, "status": status, "code": public_code });
        assert_eq!(problem, expected, "{case}");

        if !AFTER_THE_BODY.contains(&row.kind) {
            assert_eq!(body.polls(), 0, "{case}: read the body");
        }
        if !BY_THE_STORE.contains(&row.kind) {
            assert_eq!(store.claims(), 0, "{case}: stored the jti");
        }
    }
}

/// Without this, a body that is never counted would pass for one never read.
#[tokio::test]
async fn a_good_request_reads_its_body_and_stores_its_jti() {
    let tenant = FakeTenant::new(DOMAIN);
    let store = CountingStore::default();
    let layer = builder(&tenant)
        .replay_store(store.clone())
        .build()
        .expect("a good configuration");
    let request = counted(&tenant.delivery(TEST_EVENT).issued_at(now()));
    let body = request.body().seen();
    assert_eq!(send(&layer, request).await.code(), "accepted");
    assert!(body.polls() > 0);
    assert_eq!(store.claims(), 1);
}

/// By the layer inside of this one, by extractors and by a `rejection_response`:
/// `tests/deliver_once/`, `axum_extractor.rs` and `rejection_hooks.rs` have them.
const BY_OTHERS: &[Kind] = &[
    Kind::DeliveryRunning,
    Kind::TooManyRunning,
    Kind::LedgerUnavailable,
    Kind::Stopping,
    Kind::NoCallback,
    Kind::HandlerFailed,
    Kind::UnusableResponse,
    Kind::DeliveryGivenUp,
    Kind::MissingWebhook,
    Kind::MissingDeliveryRun,
    Kind::UnexpectedEvent,
    Kind::UnreadablePayload,
    Kind::UnusableRejectionResponse,
];

#[tokio::test]
async fn every_kind_has_a_row_and_an_answer() {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for row in table().rows {
        *rows.entry(row.kind.code()).or_default() += 1;
    }
    let of_this_layer = || {
        let all = Kind::ALL.iter();
        all.filter(|kind| !BY_OTHERS.contains(kind))
    };
    for kind in of_this_layer() {
        assert!(rows.contains_key(kind.code()), "no row for {kind:?}");
        let answers = ANSWERS.iter().filter(|answer| answer.0 == *kind).count();
        assert_eq!(answers, 1, "{kind:?}");
    }
    assert_eq!(ANSWERS.len(), of_this_layer().count());
}

#[test]
fn no_kind_is_answered_410_or_2xx_or_3xx_and_5xx_only_for_our_own_trouble() {
    for kind in Kind::ALL {
        let status = kind.status();
        let ours = [
            Kind::KeysUnavailable,
            Kind::ReplayStoreUnavailable,
            Kind::DeliveryRunning,
            Kind::TooManyRunning,
            Kind::LedgerUnavailable,
            Kind::Stopping,
        ]
        .contains(kind);
        if ours {
            assert_eq!(status, 503, "{kind:?}");
        } else if [
            // A mistake in how the receiver is put together, or a handler that failed.
            Kind::InstalledTwice,
            Kind::MissingWebhook,
            Kind::MissingDeliveryRun,
            Kind::UnusableRejectionResponse,
            Kind::HandlerFailed,
            Kind::UnusableResponse,
            Kind::DeliveryGivenUp,
        ]
        .contains(kind)
        {
            assert_eq!(status, 500, "{kind:?}");
        } else {
            assert!(status.is_client_error() && status != 410, "{kind:?}");
        }
    }
}

#[test]
fn codes_are_unique_snake_case_and_coarse_only_for_the_token() {
    let mut codes = BTreeMap::new();
    for kind in Kind::ALL {
        let code = kind.code();
        assert!(
            code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{code}"
        );
        assert_eq!(codes.insert(code, kind), None, "{code}");
        let coarse = kind.status() == 401 && *kind != Kind::MissingToken;
        let public = if coarse { "invalid_token" } else { code };
        assert_eq!(kind.public_code(), public);
    }
}

fn value(text: &str) -> HeaderValue {
    text.parse().expect("a header's value")
}

/// The delivery's request, with a body that counts how often it is asked for
/// and does not say its size.
fn counted(delivery: &Delivery) -> Request<Script> {
    delivery
        .request()
        .map(|_| Script::new([data(delivery.body_bytes())]))
}

#[derive(Debug)]
struct NoKeys;

impl KeySource for NoKeys {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }

    fn renew<'a>(
        &'a self,
        _: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        // Not a whole number of seconds: rounded up in the answer.
        let wait = Duration::from_millis(2001);
        Box::pin(async move { Err(KeysUnavailable::new("the endpoint is down", wait)) })
    }
}

/// A replay store that counts its uses.
#[derive(Clone, Debug, Default)]
struct CountingStore {
    claims: Arc<AtomicUsize>,
    mood: Mood,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mood {
    /// Says that the id is new.
    #[default]
    Usual,
    Full,
    Broken,
    HasSeenIt,
}

impl CountingStore {
    fn claims(&self) -> usize {
        self.claims.load(Ordering::Relaxed)
    }

    fn full(self) -> Self {
        let mood = Mood::Full;
        Self { mood, ..self }
    }

    fn broken(self) -> Self {
        let mood = Mood::Broken;
        Self { mood, ..self }
    }

    fn has_seen_it(self) -> Self {
        let mood = Mood::HasSeenIt;
        Self { mood, ..self }
    }
}

impl ReplayStore for CountingStore {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        self.claims.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match self.mood {
                Mood::Usual => Ok(Claim::First),
                Mood::Full => MemoryReplayStore::new(0).claim(id, now, until).await,
                Mood::Broken => Err(ReplayStoreError::new("connection refused")),
                Mood::HasSeenIt => Ok(Claim::Seen),
            }
        })
    }
}
