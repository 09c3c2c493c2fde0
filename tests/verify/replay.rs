//! A token is let through once, and only a request that is otherwise good uses
//! it up.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::{Value, json};
use support::body::{Script, data, wait};
use support::log::Log;
use support::{DOMAIN, Outcome, TEST_EVENT, builder, now, receiver, send};
use tokio::sync::Barrier;
use tokio::time::{Instant, timeout};
use tower_conductorone::keys::KeySet;
use tower_conductorone::replay::{
    Claim, MemoryReplayStore, ReplayStore, ReplayStoreError, TokenId,
};
use tower_conductorone::testing::{Delivery, FakeTenant, ManualClock};
use tower_conductorone::{BoxFuture, Clock, ReplayPolicy, Tenant, VerifyWebhookLayer};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// A receiver with this store, and its clock.
fn receiver_with(
    tenant: &FakeTenant,
    store: impl ReplayStore,
) -> (VerifyWebhookLayer, ManualClock) {
    let clock = support::clock();
    let layer = builder(tenant)
        .replay_store(store)
        .clock(clock.clone())
        .build()
        .expect("good");
    (layer, clock)
}

#[track_caller]
fn assert_replayed(outcome: &Outcome) {
    assert_eq!(outcome.code(), "replayed_token", "{}", outcome.reason());
    assert_eq!(outcome.status, 401);
    assert_eq!(outcome.public_code(), "invalid_token");
    assert!(outcome.handled.is_none());
}

#[track_caller]
fn assert_unavailable(outcome: &Outcome) {
    assert_eq!(outcome.code(), "replay_store_unavailable");
    assert_eq!(outcome.status, 503);
    assert_eq!(outcome.public_code(), "replay_store_unavailable");
    let wait: u64 = outcome.headers["retry-after"]
        .to_str()
        .expect("ASCII")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(outcome.handled.is_none());
}

// A store that tells what was asked of it.

#[derive(Clone, Debug, Default)]
struct Recorder {
    memory: Arc<MemoryReplayStore>,
    claims: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug)]
struct Asked {
    tenant: String,
    jti: String,
    now: SystemTime,
    until: SystemTime,
}

impl Recorder {
    fn count(&self) -> usize {
        self.claims.lock().expect("no panic").len()
    }
}

impl ReplayStore for Recorder {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        self.claims.lock().expect("no panic").push(Asked {
            tenant: id.tenant.to_owned(),
            jti: id.jti.to_owned(),
            now,
            until,
        });
        self.memory.claim(id, now, until)
    }
}

#[tokio::test]
async fn a_second_use_is_refused() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let request = delivery(&tenant).request();
    assert!(!send(&layer, request.clone()).await.webhook().is_replay());
    for _ in 0..3 {
        assert_replayed(&send(&layer, request.clone()).await);
    }
    // Clones of the layer know of it, too; another delivery is another thing.
    assert_replayed(&send(&layer.clone(), request).await);
    assert_eq!(
        send(&layer, delivery(&tenant).request()).await.code(),
        "accepted"
    );
}

#[tokio::test]
async fn a_refused_replay_says_which_webhook_it_was() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let delivery = delivery(&tenant).webhook_id("2fCjgK8tYJxV9u8d1wupBMeXZ45");
    let delivery = delivery.claim(
        "jti",
        serde_json::json!("2fCjnQxpBRyaQQgPO3rW6EWNdld\u{1b}"),
    );
    send(&layer, delivery.request()).await;
    let outcome = send(&layer, delivery.request()).await;
    assert_replayed(&outcome);
    let reason = outcome.reason();
    for named in [
        r#""2fCjgK8tYJxV9u8d1wupBMeXZ45""#,
        r#""2fCjnQxpBRyaQQgPO3rW6EWNdld\u{1b}""#,
        TEST_EVENT,
    ] {
        assert!(reason.contains(named), "{named}: {reason}");
    }
}

#[tokio::test]
async fn it_is_the_jti_that_counts_not_the_token() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let first = delivery(&tenant).claim("jti", json!("one"));
    assert_eq!(send(&layer, first.request()).await.code(), "accepted");
    // ES256 signs at random: a token made anew differs.
    assert_ne!(first.token_string(), first.token_string());
    assert_replayed(&send(&layer, first.request()).await);
    let longer = first.clone().issued_at(now() + seconds(20));
    assert_replayed(&send(&layer, longer.request()).await);
    let other_event = tenant.delivery("c1.webhooks.v1.PayloadWorkflowStep");
    let other_event = other_event.issued_at(now()).claim("jti", json!("one"));
    assert_replayed(&send(&layer, other_event.request()).await);
    // Ids are compared as they are.
    for jti in ["One", "one ", "one\u{0}", "on"] {
        let other = delivery(&tenant).claim("jti", json!(jti));
        assert_eq!(
            send(&layer, other.request()).await.code(),
            "accepted",
            "{jti:?}"
        );
    }
}

#[tokio::test]
async fn a_jti_counts_for_its_tenant_alone() {
    let one = FakeTenant::new("one.conductor.one");
    let two = FakeTenant::new("two.conductor.one");
    let static_keys = |tenant: &FakeTenant| {
        let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("good keys");
        Tenant::new(tenant.domain()).static_keys(keys)
    };
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(static_keys(&one))
        .tenant(static_keys(&two))
        .clock(support::clock())
        .build()
        .expect("good");
    for tenant in [&one, &two] {
        let request = delivery(tenant).claim("jti", json!("same")).request();
        let outcome = send(&layer, request.clone()).await;
        assert_eq!(outcome.webhook().tenant(), tenant.domain());
        assert_replayed(&send(&layer, request).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_simultaneous_uses_exactly_one_passes() {
    let tenant = FakeTenant::new(DOMAIN);
    for policy in [ReplayPolicy::Refuse, ReplayPolicy::Mark] {
        let layer = builder(&tenant)
            .replay_policy(policy)
            .build()
            .expect("good");
        for round in 0..25 {
            let request = delivery(&tenant).request();
            let barrier = Arc::new(Barrier::new(100));
            let uses: Vec<_> = (0..100)
                .map(|_| {
                    let (layer, request) = (layer.clone(), request.clone());
                    let barrier = Arc::clone(&barrier);
                    tokio::spawn(async move {
                        barrier.wait().await;
                        send(&layer, request).await
                    })
                })
                .collect();
            let mut first = 0;
            for outcome in uses {
                let outcome = outcome.await.expect("no panic");
                match policy {
                    ReplayPolicy::Refuse if outcome.rejection.is_some() => {
                        assert_replayed(&outcome);
                    }
                    _ if outcome.webhook().is_replay() => {}
                    _ => first += 1,
                }
            }
            assert_eq!(first, 1, "{policy:?}, round {round}");
        }
    }
}

#[tokio::test]
async fn marked_replays_reach_the_handler() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = builder(&tenant)
        .replay_policy(ReplayPolicy::Mark)
        .build()
        .expect("good");
    let delivery = delivery(&tenant);
    let replays = async || {
        let outcome = send(&layer, delivery.request()).await;
        assert_eq!(outcome.webhook().body(), &delivery.body_bytes());
        outcome.webhook().is_replay()
    };
    assert!(!replays().await);
    assert!(replays().await);
    assert!(replays().await);
    // Everything else is checked as ever.
    let forged = FakeTenant::new(DOMAIN)
        .delivery(TEST_EVENT)
        .issued_at(now());
    assert_eq!(send(&layer, forged.request()).await.code(), "unknown_key");
    let tampered = delivery.clone().tampered_body("{}");
    let outcome = send(&layer, tampered.request()).await;
    assert_eq!(outcome.code(), "body_hash_mismatch");
}

#[tokio::test]
async fn switched_off_every_use_passes_and_the_log_warns_of_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let log = Log::default();
    let store = Recorder::default();
    let on = builder(&tenant).replay_store(store.clone());
    let off = builder(&tenant)
        .replay_store(store.clone())
        .dangerous_disable_replay_guard();
    let capturing = log.capture(tracing::Level::INFO);
    on.build().expect("good");
    assert_eq!(log.take(), "");
    let layer = off.build().expect("good");
    drop(capturing);
    let text = log.take();
    assert!(
        text.contains(" WARN ") && text.contains("replays"),
        "{text}"
    );

    let request = delivery(&tenant).request();
    for _ in 0..3 {
        let outcome = send(&layer, request.clone()).await;
        assert!(!outcome.webhook().is_replay());
    }
    assert_eq!(store.count(), 0);
}

// How long it is remembered.

#[tokio::test]
async fn an_id_is_remembered_for_as_long_as_its_token_can_pass() {
    let tenant = FakeTenant::new(DOMAIN);
    let issued = |at: SystemTime| at.duration_since(UNIX_EPOCH).expect("later").as_secs_f64();
    for leeway in [0, 30, 60] {
        for fraction in [0.0, 0.1, 0.5, 0.999] {
            let clock = support::clock();
            let layer = builder(&tenant)
                .leeway(seconds(leeway))
                .clock(clock.clone())
                .build()
                .expect("good");
            let exp = issued(now()) + 120.0 + fraction;
            let used = delivery(&tenant).claim("exp", json!(exp));
            assert_eq!(send(&layer, used.request()).await.code(), "accepted");
            let end = now() + seconds(120 + leeway) + Duration::from_secs_f64(fraction);
            let ms = Duration::from_millis(1);
            // Time passes; others come and go, which is when the store tidies up.
            for (at, code) in [
                (now() + seconds(1), "replayed_token"),
                (now() + seconds(119), "replayed_token"),
                (end - seconds(1), "replayed_token"),
                (end - ms, "replayed_token"),
                (end + ms, "token_expired"),
                (end + seconds(1), "token_expired"),
                // The clock was wrong, and is set back.
                (end - ms, "replayed_token"),
            ] {
                clock.set(at);
                let other = tenant.delivery(TEST_EVENT).issued_at(at);
                assert_eq!(send(&layer, other.request()).await.code(), "accepted");
                let outcome = send(&layer, used.request()).await;
                assert_eq!(outcome.code(), code, "{leeway} s, {fraction}, {at:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_is_remembered_while_the_body_of_its_replay_dribbles_in() {
    let tenant = FakeTenant::new(DOMAIN);
    let (layer, clock) = receiver_with(&tenant, MemoryReplayStore::default());
    let captured = delivery(&tenant);
    assert_eq!(send(&layer, captured.request()).await.code(), "accepted");

    // At the last moment at which its token is good, it comes again, slowly …
    clock.advance(seconds(149));
    let script = Script::new([wait(9.0), data(captured.body_bytes())]);
    let reading = script.seen();
    let request = captured.request().map(|_| script);
    let replay = tokio::spawn({
        let layer = layer.clone();
        async move { send(&layer, request).await }
    });
    while reading.polls() == 0 {
        tokio::task::yield_now().await;
    }
    // … and while it does (on a machine that is busy), its time runs out, and
    // others come and go.
    for _ in 0..8 {
        clock.advance(seconds(20));
        let other = tenant.delivery(TEST_EVENT).issued_at(clock.now());
        assert_eq!(send(&layer, other.request()).await.code(), "accepted");
    }
    let outcome = replay.await.expect("no panic");
    assert!(outcome.handled.is_none(), "replayed");
    assert_eq!(outcome.status, 401);
}

#[tokio::test]
async fn the_store_is_told_how_long_to_remember() {
    let tenant = FakeTenant::new(DOMAIN);
    let store = Recorder::default();
    let (layer, _) = receiver_with(&tenant, store.clone());
    let used = delivery(&tenant).claim("jti", json!("one"));
    assert_eq!(send(&layer, used.request()).await.code(), "accepted");
    let claims = store.claims.lock().expect("no panic");
    let [asked] = &claims[..] else {
        panic!("one claim: {claims:?}")
    };
    assert_eq!((&*asked.tenant, &*asked.jti), (DOMAIN, "one"));
    assert_eq!(asked.now, now());
    // exp and the leeway, at least.
    assert!(asked.until >= now() + seconds(150), "{asked:?}");
    assert!(asked.until <= now() + seconds(300), "{asked:?}");
}

// The bounds of the store in memory.

#[tokio::test]
async fn a_store_full_of_live_ids_refuses_rather_than_forgets() {
    let tenant = FakeTenant::new(DOMAIN);
    let (layer, clock) = receiver_with(&tenant, MemoryReplayStore::new(3));
    let known: Vec<_> = (0..3).map(|_| delivery(&tenant).request()).collect();
    for request in &known {
        assert_eq!(send(&layer, request.clone()).await.code(), "accepted");
    }
    let late = tenant.delivery(TEST_EVENT).issued_at(now() + seconds(30));
    for _ in 0..5 {
        assert_unavailable(&send(&layer, late.request()).await);
    }
    // What it knows, it still knows.
    for request in &known {
        assert_replayed(&send(&layer, request.clone()).await);
    }
    // Once they have expired, there is room; the refused one was not used up.
    clock.advance(seconds(160));
    for request in known {
        assert_eq!(send(&layer, request).await.code(), "token_expired");
    }
    clock.advance(seconds(100));
    let mut retried = late.clone();
    for _ in 0..3 {
        retried = tenant.delivery(TEST_EVENT).issued_at(now() + seconds(260));
        assert_eq!(send(&layer, retried.request()).await.code(), "accepted");
    }
    assert_replayed(&send(&layer, retried.request()).await);
    let one_more = tenant.delivery(TEST_EVENT).issued_at(now() + seconds(260));
    assert_unavailable(&send(&layer, one_more.request()).await);
}

#[tokio::test]
async fn a_tenant_that_fills_its_share_takes_no_room_from_the_others() {
    let loud = FakeTenant::new(DOMAIN);
    let quiet = FakeTenant::new("quiet.conductor.one");
    let keys = KeySet::from_json(quiet.jwks().as_bytes()).expect("good keys");
    let layer = builder(&loud)
        .tenant(Tenant::new(quiet.domain()).static_keys(keys))
        .replay_store(MemoryReplayStore::new(3))
        .build()
        .expect("good");
    for _ in 0..3 {
        let outcome = send(&layer, delivery(&loud).request()).await;
        assert_eq!(outcome.code(), "accepted");
    }
    for _ in 0..3 {
        assert_unavailable(&send(&layer, delivery(&loud).request()).await);
        let known = delivery(&quiet).request();
        assert_eq!(send(&layer, known.clone()).await.code(), "accepted");
        assert_replayed(&send(&layer, known).await);
    }
    assert_unavailable(&send(&layer, delivery(&quiet).request()).await);
}

#[tokio::test]
async fn a_delivery_refused_for_lack_of_room_passes_once_there_is_some() {
    let tenant = FakeTenant::new(DOMAIN);
    let store = MemoryReplayStore::new(1);
    let soon = now() + seconds(1);
    let claim = store
        .claim(TokenId::new(DOMAIN, "other"), now(), soon)
        .await;
    assert_eq!(claim.expect("room"), Claim::First);
    let (layer, clock) = receiver_with(&tenant, store);
    let delivery = delivery(&tenant);
    assert_unavailable(&send(&layer, delivery.request()).await);
    clock.advance(seconds(2));
    assert_eq!(send(&layer, delivery.request()).await.code(), "accepted");
    assert_replayed(&send(&layer, delivery.request()).await);
}

// Stores that do not answer.

#[derive(Debug)]
struct Broken;

impl ReplayStore for Broken {
    fn claim<'a>(
        &'a self,
        _: TokenId<'a>,
        _: SystemTime,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async {
            Err(ReplayStoreError::new("no connection").with_source("connection refused"))
        })
    }
}

#[tokio::test]
async fn a_store_that_fails_lets_nothing_through() {
    let tenant = FakeTenant::new(DOMAIN);
    for policy in [ReplayPolicy::Refuse, ReplayPolicy::Mark] {
        let layer = builder(&tenant)
            .replay_store(Broken)
            .replay_policy(policy)
            .build()
            .expect("good");
        let outcome = send(&layer, delivery(&tenant).request()).await;
        assert_unavailable(&outcome);
        assert!(outcome.reason().contains("no connection"));
        assert!(outcome.reason().contains("connection refused"));
        // Bad requests get their own answer: nothing was asked of the store.
        let bad = delivery(&tenant).claim("aud", json!("other.example.com"));
        let outcome = send(&layer, bad.request()).await;
        assert_eq!(outcome.code(), "wrong_audience");
    }
}

#[derive(Clone, Debug, Default)]
struct Hanging {
    asked: Arc<AtomicUsize>,
    given_up: Arc<AtomicUsize>,
}

impl ReplayStore for Hanging {
    fn claim<'a>(
        &'a self,
        _: TokenId<'a>,
        _: SystemTime,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        struct OnDrop<'a>(&'a AtomicUsize);
        impl Drop for OnDrop<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        let on_drop = OnDrop(&self.given_up);
        Box::pin(async move {
            let _on_drop = on_drop;
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn a_request_dropped_while_the_store_hangs_leaves_nothing_behind() {
    let tenant = FakeTenant::new(DOMAIN);
    let store = Hanging::default();
    let (layer, _) = receiver_with(&tenant, store.clone());
    {
        let mut waiting = pin!(send(&layer, delivery(&tenant).request()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
        assert_eq!(store.given_up.load(Ordering::SeqCst), 0);
    }
    assert_eq!(store.given_up.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_the_time_limit_and_no_more() {
    let tenant = FakeTenant::new(DOMAIN);
    for (limit, expected) in [(None, seconds(20)), (Some(seconds(2)), seconds(2))] {
        for policy in [ReplayPolicy::Refuse, ReplayPolicy::Mark] {
            let store = Hanging::default();
            let mut builder = builder(&tenant)
                .replay_store(store.clone())
                .replay_policy(policy);
            if let Some(limit) = limit {
                builder = builder.replay_store_timeout(limit);
            }
            let layer = builder.build().expect("good");
            let sent = Instant::now();
            let request = delivery(&tenant).request();
            let outcome = timeout(seconds(60), send(&layer, request)).await;
            let outcome = outcome.expect("an answer");
            assert_eq!(sent.elapsed(), expected);
            assert_unavailable(&outcome);
            assert!(outcome.reason().contains("no answer within"));
            assert_eq!(store.given_up.load(Ordering::SeqCst), 1);
        }
    }
}

/// Remembers at once, but is slow to say so.
#[derive(Debug, Default)]
struct SlowToAnswer(MemoryReplayStore);

impl ReplayStore for SlowToAnswer {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async move {
            let claim = self.0.claim(id, now, until).await?;
            if claim == Claim::First {
                tokio::time::sleep(seconds(21)).await;
            }
            Ok(claim)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_lands_too_late_lets_nothing_through_twice() {
    let tenant = FakeTenant::new(DOMAIN);
    let (layer, _) = receiver_with(&tenant, SlowToAnswer::default());
    let request = delivery(&tenant).request();
    assert_unavailable(&send(&layer, request.clone()).await);
    assert_replayed(&send(&layer, request).await);
}

/// Forgets an ID as soon as the contract allows, by the receiver's clock. From the second
/// claim on, it is slow.
#[derive(Clone, Debug)]
struct Forgetful {
    clock: ManualClock,
    claims: Arc<Mutex<HashMap<String, SystemTime>>>,
}

impl ReplayStore for Forgetful {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        _: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(async move {
            let mut claims = self.claims.lock().expect("no panic");
            if !claims.is_empty() {
                self.clock.advance(seconds(2));
            }
            claims.retain(|_, until| *until > self.clock.now());
            match claims.insert(id.jti.to_owned(), until) {
                None => Ok(Claim::First),
                Some(_) => Ok(Claim::Seen),
            }
        })
    }
}

#[tokio::test]
async fn a_store_may_forget_a_token_that_expires_while_it_is_claimed() {
    let tenant = FakeTenant::new(DOMAIN);
    let clock = support::clock();
    let store = Forgetful {
        clock: clock.clone(),
        claims: Arc::default(),
    };
    let layer = builder(&tenant)
        .replay_store(store)
        .clock(clock.clone())
        .build()
        .expect("good");
    let captured = delivery(&tenant).request();
    assert_eq!(send(&layer, captured.clone()).await.code(), "accepted");
    clock.advance(seconds(149));
    let replay = send(&layer, captured).await;
    assert!(replay.handled.is_none(), "replayed");
    assert_eq!(replay.code(), "token_expired");
}

// What is refused does not use its token up.

type Change = Box<dyn Fn(Delivery) -> Delivery>;

#[tokio::test]
async fn a_refused_request_stores_nothing() {
    let tenant = FakeTenant::new(DOMAIN);
    let stranger = FakeTenant::new(DOMAIN);
    let store = Recorder::default();
    let layer = builder(&tenant)
        .replay_store(store.clone())
        .max_body_bytes(10_000)
        .build()
        .expect("good");
    let good = delivery(&tenant).claim("jti", json!("one"));
    let body = |body: Value| -> Change {
        let body = body.to_string();
        Box::new(move |delivery| delivery.body(body.clone()))
    };
    let header = |name: &'static str, value: &'static str| -> Change {
        Box::new(move |delivery| delivery.http_header(name, value))
    };
    let claim = |name: &'static str, value: Value| -> Change {
        Box::new(move |delivery| delivery.claim(name, value.clone()))
    };
    let table: Vec<(&str, Change)> = vec![
        (
            "method_not_allowed",
            Box::new(|d| d.method(http::Method::PUT)),
        ),
        (
            "unsupported_media_type",
            header("content-type", "text/plain"),
        ),
        (
            "unsupported_content_coding",
            header("content-encoding", "gzip"),
        ),
        (
            "missing_token",
            Box::new(|d| d.without_http_header("authorization")),
        ),
        ("malformed_token", header("authorization", "bearer a.b")),
        (
            "wrong_token_type",
            Box::new(|d| d.header_param("typ", json!("at+jwt"))),
        ),
        ("unknown_tenant", claim("iss", json!("other.conductor.one"))),
        (
            "unknown_key",
            Box::new(|d| d.header_param("kid", json!("other"))),
        ),
        (
            "invalid_signature",
            Box::new(move |d| {
                let (header, claims) = (d.header_params(), d.claims());
                d.token(stranger.sign(
                    Value::Object(header).to_string(),
                    Value::Object(claims).to_string(),
                ))
            }),
        ),
        ("wrong_token_type", claim("c1typ", json!("at"))),
        ("wrong_audience", claim("aud", json!("other.example.com"))),
        (
            "token_expired",
            Box::new(|d| d.issued_at(now() - seconds(200))),
        ),
        (
            "token_not_yet_valid",
            Box::new(|d| d.issued_at(now() + seconds(200))),
        ),
        (
            "token_lifetime_too_long",
            claim("exp", json!(1_713_319_999)),
        ),
        ("wrong_method", claim("htm", json!("PUT"))),
        (
            "wrong_url",
            claim("htu", json!("https://hooks.example.com/other")),
        ),
        ("body_too_large", Box::new(|d| d.body(vec![b' '; 10_001]))),
        ("incomplete_body", Box::new(|d| d.body(""))),
        ("body_hash_mismatch", Box::new(|d| d.tampered_body("{}"))),
        (
            "content_digest_mismatch",
            header("content-digest", "sha-256=AAAA"),
        ),
        ("invalid_envelope", body(json!({"version": "v1"}))),
        ("unsupported_version", body(json!({"version": "v2"}))),
        ("header_mismatch", header("webhook-id", "other")),
    ];
    for (code, change) in table {
        let outcome = send(&layer, change(good.clone()).request()).await;
        assert_eq!(outcome.code(), code, "{}", outcome.reason());
        assert_eq!(store.count(), 0, "{code}");
    }
    assert_eq!(send(&layer, good.request()).await.code(), "accepted");
    assert_eq!(store.count(), 1);
}

// The store in memory against a model of it.

/// The store's answer; it never waits.
fn claim(
    store: &MemoryReplayStore,
    id: TokenId<'_>,
    now: SystemTime,
    until: SystemTime,
) -> Result<Claim, ReplayStoreError> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(store.claim(id, now, until)).poll(&mut cx) {
        Poll::Ready(claim) => claim,
        Poll::Pending => panic!("it waits"),
    }
}

#[derive(Clone, Debug)]
struct Step {
    /// How the clock moves before the claim, in milliseconds.
    moves: i64,
    tenant: u8,
    jti: u8,
    /// How long the id is to be remembered from then on, in milliseconds.
    lives: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let moves = prop_oneof![
        4 => 0..2_000_i64,
        1 => 0..200_000_i64,
        1 => -5_000..0_i64,
    ];
    (moves, 0..2_u8, 0..12_u8, 0..150_000_u64).prop_map(|(moves, tenant, jti, lives)| Step {
        moves,
        tenant,
        jti,
        lives,
    })
}

/// How many ids of a tenant are so.
fn count(
    model: &HashMap<(u8, u8), (u64, u64)>,
    tenant: u8,
    is_so: impl Fn(&(u64, u64)) -> bool,
) -> usize {
    let of_tenant = |((of, _), id): &(&(u8, u8), &(u64, u64))| *of == tenant && is_so(id);
    model.iter().filter(of_tenant).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// The model knows of every id until when it is to be remembered, and the
    /// latest time of a claim of its tenant's since then. Up to that moment the id must be known, up to a
    /// second after it the store may do either; from then on it takes no room.
    /// Each tenant has room of its own.
    #[test]
    fn memory_answers_like_a_model(steps in prop::collection::vec(step(), 1..200), capacity in 1..10_usize) {
        let store = MemoryReplayStore::new(capacity);
        let mut model: HashMap<(u8, u8), (u64, u64)> = HashMap::new();
        let mut now = 1_713_312_120_000_u64;
        let mut latest_now = [now; 2];
        let time = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        for Step { moves, tenant, jti, lives } in steps {
            now = now.saturating_add_signed(moves);
            let latest_now = &mut latest_now[usize::from(tenant)];
            *latest_now = now.max(*latest_now);
            for (_, (_, latest)) in model.iter_mut().filter(|((of, _), _)| *of == tenant) {
                *latest = now.max(*latest);
            }
            let must_know = |&(until, latest): &(u64, u64)| until >= latest;
            let may_know = |&(until, latest): &(u64, u64)| until + 1_000 > latest;

            let until = now + lives;
            let names = (format!("tenant {tenant}"), format!("jti {jti}"));
            let answer = claim(&store, TokenId::new(&names.0, &names.1), time(now), time(until));
            let known = model.get(&(tenant, jti)).copied();
            match answer {
                // What had ended before the clock was set back may be forgotten.
                Ok(Claim::Seen) => prop_assert!(
                    known.is_some_and(|id| may_know(&id)) || until / 1_000 < *latest_now / 1_000,
                    "never claimed"
                ),
                Ok(Claim::First) => {
                    prop_assert!(!known.is_some_and(|id| must_know(&id)), "let through twice");
                    model.insert((tenant, jti), (until, now));
                    let held = count(&model, tenant, must_know);
                    prop_assert!(held <= capacity, "beyond its bound");
                }
                Err(_) => {
                    prop_assert!(!known.is_some_and(|id| must_know(&id)), "known, but not said");
                    let held = count(&model, tenant, may_know);
                    prop_assert!(held >= capacity, "there was room");
                }
            }
        }
    }

    /// A store whose IDs are divided, and whose parts forget at different times.
    #[test]
    fn memory_with_many_ids_lets_nothing_through_twice(steps in prop::collection::vec(step(), 1..200)) {
        let store = MemoryReplayStore::default();
        let mut live: HashMap<(u8, u8), u64> = HashMap::new();
        let mut now = 1_713_312_120_000_u64;
        let time = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        for Step { moves, tenant, jti, lives } in steps {
            now = now.saturating_add_signed(moves);
            live.retain(|(of, _), until| *of != tenant || *until >= now);
            let until = now + lives;
            let names = (format!("tenant {tenant}"), format!("jti {jti}"));
            let answer = claim(&store, TokenId::new(&names.0, &names.1), time(now), time(until));
            if answer.expect("room") == Claim::First {
                let before = live.insert((tenant, jti), until);
                prop_assert_eq!(before, None, "let through twice");
            }
        }
    }
}

#[test]
fn memory_keeps_apart_what_only_looks_alike() {
    let store = MemoryReplayStore::new(100);
    let until = now() + seconds(60);
    let ids = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc", ""),
        ("", "abc"),
        ("a\u{0}b", "c"),
        ("a", "b\u{0}c"),
        ("c", "ab"),
        ("AB", "c"),
    ];
    for expected in [Claim::First, Claim::Seen] {
        for (tenant, jti) in ids {
            let answer = claim(&store, TokenId::new(tenant, jti), now(), until);
            assert_eq!(answer.expect("room"), expected, "{tenant:?} {jti:?}");
        }
    }
}

#[test]
fn memory_is_claimed_only_by_a_claim_that_runs() {
    let store = MemoryReplayStore::new(1);
    let id = TokenId::new(DOMAIN, "one");
    drop(store.claim(id, now(), now() + seconds(60)));
    let answer = claim(&store, id, now(), now() + seconds(60));
    assert_eq!(answer.expect("room"), Claim::First);
}

#[test]
fn memory_stands_times_at_the_ends_of_what_there_is() {
    let store = MemoryReplayStore::default();
    let far = UNIX_EPOCH + Duration::from_secs(1 << 60);
    let early = UNIX_EPOCH - Duration::from_secs(1 << 40);
    for (jti, now, until, expected) in [
        ("far", far, far, Claim::First),
        ("early", early, early, Claim::First),
        // As early as one that is forgotten by now.
        ("ended", far, early, Claim::Seen),
        ("long", early, far, Claim::First),
    ] {
        let answer = claim(&store, TokenId::new(DOMAIN, jti), now, until);
        assert_eq!(answer.expect("room"), expected, "{jti}");
    }
}

#[test]
fn memory_makes_room_for_a_tenant_when_all_its_tokens_have_expired() {
    let store = MemoryReplayStore::new(10_000);
    let (first, later) = (now(), now() + seconds(61));
    let jtis: Vec<_> = (0..10_000).map(|number| number.to_string()).collect();
    for jti in &jtis {
        let answer = claim(
            &store,
            TokenId::new(DOMAIN, jti),
            first,
            first + seconds(60),
        );
        assert_eq!(answer.expect("room"), Claim::First);
    }
    let another = claim(&store, TokenId::new(DOMAIN, "another"), first, later);
    assert!(another.expect_err("it is full").is_full());
    for jti in &jtis {
        let answer = claim(
            &store,
            TokenId::new(DOMAIN, jti),
            later,
            later + seconds(60),
        );
        assert_eq!(answer.expect("room"), Claim::First);
    }
}

#[test]
fn memory_accepts_an_id_once_however_many_threads_claim_it() {
    let store = MemoryReplayStore::default();
    let jtis: Vec<_> = (0..2_000).map(|number| number.to_string()).collect();
    let until = now() + seconds(60);
    let accepted: usize = std::thread::scope(|scope| {
        let claimants: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let ids = jtis.iter().map(|jti| TokenId::new(DOMAIN, jti));
                    ids.filter(|id| claim(&store, *id, now(), until).expect("room") == Claim::First)
                        .count()
                })
            })
            .collect();
        claimants
            .into_iter()
            .map(|one| one.join().expect("no panic"))
            .sum()
    });
    assert_eq!(accepted, jtis.len());
}
