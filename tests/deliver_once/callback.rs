//! What is slower than ConductorOne's patience is answered 202, and finished
//! through the callback URL.

use std::fmt::Write;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use http_body_util::BodyExt;
use serde_json::json;
use support::callback::{Act, PROVISION, SECRET, Script, own_url, status};
use support::{DOMAIN, builder, ledger, now};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;
use tower_conductorone::deliver_once::DeliverOnceBuilder;
use tower_conductorone::event::Outcome;
use tower_conductorone::ledger::{
    Claimed, DeadDelivery, DeliveryKey, Finished, Hold, Ledger, MemoryLedger, Name, Owner,
    RecordedAnswer, Revival, Standing, Work,
};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{
    DeliverOnceLayer, DeliveryHandle, DeliveryRun, Rejection, ReplayPolicy, VerifyWebhookLayer,
    Webhook,
};
use tracing::span::Id;
use tracing::{Instrument, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

const COMPLETE: &str = r#"{"version":"v1", "complete":{"comment":"done"}}"#;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn document(text: &'static str) -> Response {
    ([("content-type", "application/json")], text).into_response()
}

/// A builder whose documents are posted by this script.
fn once(script: &Script) -> DeliverOnceBuilder {
    let client = support::callback::builder().post(script.clone());
    DeliverOnceLayer::builder().callbacks(client.build().expect("a good configuration"))
}

#[derive(Clone)]
struct Receiver {
    tenant: FakeTenant,
    handlers: Router,
    app: Router,
    runs: Arc<AtomicU32>,
    /// Where each run was asked for.
    uris: Arc<Mutex<Vec<String>>>,
    once: DeliverOnceLayer,
}

impl Receiver {
    fn new<F>(
        once: DeliverOnceBuilder,
        handler: impl Fn(u32) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send,
    {
        Self::of(&FakeTenant::new(DOMAIN), once, handler)
    }

    fn of<F>(
        tenant: &FakeTenant,
        once: DeliverOnceBuilder,
        handler: impl Fn(u32) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send,
    {
        let once = once.build().expect("a good configuration");
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let uris = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&uris);
        let handler = move |uri: Uri, _: Webhook, Extension(run): Extension<DeliveryRun>| {
            counted.fetch_add(1, Ordering::SeqCst);
            seen.lock().expect("no panic").push(uri.to_string());
            handler(run.number())
        };
        let verify: VerifyWebhookLayer = builder(tenant)
            .replay_policy(ReplayPolicy::Mark)
            .build()
            .expect("a good configuration");
        let handlers = Router::new().route("/webhooks", post(handler));
        Self {
            tenant: tenant.clone(),
            app: handlers.clone().layer(once.clone()).layer(verify),
            handlers,
            runs,
            uris,
            once,
        }
    }

    fn delivery(&self) -> Delivery {
        self.tenant
            .delivery(PROVISION)
            .issued_at(now())
            .callback_url(Some(&own_url()))
    }

    fn send(&self, delivery: &Delivery) -> JoinHandle<Response> {
        let (app, request) = (self.app.clone(), delivery.request());
        tokio::spawn(async move { app.oneshot(request).await.expect("infallible") })
    }

    /// The status, and the document; the response has then been written.
    async fn ask(&self, delivery: &Delivery) -> (u16, String) {
        let response = self.send(delivery).await.expect("no panic");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body");
        let body = String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8");
        (status, body)
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

/// A replica whose handler never ends, and its way to the ledger: once that is
/// down, all others take it for one that has crashed.
fn endless(
    tenant: &FakeTenant,
    shared: &ledger::Shared,
    once: DeliverOnceBuilder,
) -> (Receiver, ledger::Shared) {
    let mine = shared.handle();
    let once = once.always_by_callback().ledger("hooks", mine.clone());
    let receiver = Receiver::of(tenant, once, async |_| {
        sleep(seconds(100_000_000)).await;
        document("never")
    });
    (receiver, mine)
}

fn accepted() -> (u16, String) {
    (202, String::new())
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_answered_202_and_its_document_posted() {
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script), async |_| {
        sleep(seconds(60)).await;
        document(COMPLETE)
    });
    let delivery = receiver.delivery();
    let start = Instant::now();
    assert_eq!(receiver.ask(&delivery).await, accepted());
    assert_eq!(start.elapsed().as_secs(), 25);
    assert_eq!(
        receiver.ask(&delivery).await,
        accepted(),
        "a duplicate, meanwhile"
    );
    assert_eq!(start.elapsed().as_secs(), 25, "is not made to wait");
    assert_eq!(script.posts(), []);
    sleep(seconds(36)).await;
    assert_eq!(script.posts(), [seconds(60)]);
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(
        receiver.ask(&delivery).await,
        accepted(),
        "a duplicate, afterwards"
    );
    sleep(seconds(3600)).await;
    assert_eq!(script.posts().len(), 1, "posted once");
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handler_in_time_is_answered_itself() {
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script), async |_| {
        sleep(seconds(24)).await;
        document(COMPLETE)
    });
    let answer = receiver.ask(&receiver.delivery()).await;
    assert_eq!(answer, (200, COMPLETE.to_owned()));
    sleep(seconds(3600)).await;
    assert_eq!(script.posts(), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_before_the_202_is_written() {
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script), async |_| {
        sleep(seconds(26)).await;
        document(COMPLETE)
    });
    let response = receiver.send(&receiver.delivery()).await.expect("no panic");
    assert_eq!(response.status(), 202);
    sleep(seconds(10)).await;
    assert_eq!(script.posts(), [], "the server still has the response");
    drop(response);
    sleep(Duration::from_millis(450)).await;
    assert_eq!(script.posts(), [], "it is still on its way");
    sleep(seconds(1)).await;
    assert_eq!(script.posts().len(), 1);
}

/// What is answered for a promised delivery that was given up.
fn given_up() -> (u16, String) {
    let problem = r#"{"title":"Internal Server Error","status":500,"code":"delivery_given_up"}"#;
    (500, problem.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_400_after_a_post_that_broke_off_ends_the_delivery_as_called_back() {
    for (acts, expected) in [
        (vec![Act::Broken, status(400)], accepted()),
        (vec![Act::Unsent, status(400)], given_up()),
    ] {
        let script = Script::new(acts);
        let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
            document(COMPLETE)
        });
        let delivery = receiver.delivery();
        assert_eq!(receiver.ask(&delivery).await, accepted());
        sleep(seconds(3600)).await;
        assert_eq!(receiver.ask(&delivery).await, expected);
        assert_eq!(receiver.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_400_after_a_post_that_a_stop_cut_off_ends_the_delivery_as_called_back() {
    let script = Script::new([Act::Hang, status(400)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let stopping = once(&script)
        .always_by_callback()
        .drain_timeout(seconds(1))
        .ledger("hooks", shared.handle());
    let one = Receiver::of(&tenant, stopping, async |_| document(COMPLETE));
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document("never"),
    );
    let delivery = one.delivery();
    assert_eq!(one.ask(&delivery).await, accepted());
    sleep(seconds(1)).await;
    assert_eq!(script.posts().len(), 1);
    assert!(!one.once.drain().await.is_complete(), "the POST is cut off");
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(3600)).await;
    assert!(script.posts().len() > 1);
    assert_eq!(two.ask(&delivery).await, accepted());
    assert_eq!((one.runs(), two.runs()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_came_too_early_is_tried_again_for_minutes() {
    let script = Script::new([status(400), status(400), status(200)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(120)).await;
    assert_eq!(script.posts().len(), 3);

    let script = Script::new([status(400)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(3600)).await;
    let last = script.posts().pop().expect("a post");
    assert!(
        (45 * 60..46 * 60).contains(&last.as_secs()),
        "the last after {last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_attempts_to_post_are_soon_and_the_later_ones_go_on() {
    let script = Script::new([status(503)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(40)).await;
    assert!(script.posts().len() >= 3, "{:?}", script.posts());
    sleep(seconds(7 * 24 * 3600)).await;
    let a_week = script.posts();
    assert!(
        a_week
            .last()
            .is_some_and(|last| last.as_secs() > 6 * 24 * 3600)
    );
    sleep(seconds(2 * 24 * 3600)).await;
    let all = script.posts().len();
    sleep(seconds(30 * 24 * 3600)).await;
    assert_eq!(
        script.posts().len(),
        all,
        "after the deadline it is given up"
    );
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_promised_run_that_fails_is_repeated_by_the_receiver_itself() {
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |run| {
        assert_ne!(run, 2, "the second run panics");
        match run {
            1 => axum::http::StatusCode::BAD_GATEWAY.into_response(),
            3 => document("no document"),
            _ => document(COMPLETE),
        }
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(60)).await;
    assert_eq!((receiver.runs(), script.posts().len()), (4, 1));
    assert_eq!(script.documents(), [COMPLETE]);
}

#[tokio::test(start_paused = true)]
async fn a_promised_run_that_always_fails_is_given_up_after_fifty() {
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
        axum::http::StatusCode::BAD_GATEWAY.into_response()
    });
    let delivery = receiver.delivery();
    assert_eq!(receiver.ask(&delivery).await, accepted());
    sleep(seconds(3600)).await;
    assert_eq!((receiver.runs(), script.posts().len()), (50, 0));
    assert_eq!(receiver.ask(&delivery).await, given_up());
    assert_eq!(receiver.runs(), 50);
}

/// The one dead delivery, which shows no secret.
async fn dead(ledger: &impl Ledger) -> DeadDelivery {
    let page = ledger.dead(None).await.expect("a reply");
    let shown = format!("{page:?}");
    for secret in [SECRET, "https://", "done", "@type"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let [dead] = page.deliveries.try_into().expect("one is dead");
    dead
}

#[tokio::test(start_paused = true)]
async fn a_dead_delivery_that_is_revived_has_fifty_more_runs() {
    for (good_run, runs, documents) in [(60, 60, vec![COMPLETE]), (101, 100, vec![])] {
        let script = Script::new([status(200)]);
        let ledger = Arc::new(MemoryLedger::default());
        let once = once(&script).always_by_callback();
        let once = once.ledger("hooks", Arc::clone(&ledger));
        let receiver = Receiver::new(once, move |run| async move {
            if run < good_run {
                return axum::http::StatusCode::BAD_GATEWAY.into_response();
            }
            document(COMPLETE)
        });
        let task = json!({ "taskView": { "task": { "id": "2task", "numericId": "7" } } });
        let delivery = receiver.delivery().payload(task);
        tokio::spawn(receiver.once.recover(receiver.handlers.clone()));
        assert_eq!(receiver.ask(&delivery).await, accepted());
        sleep(seconds(3600)).await;
        let dead_one = dead(&ledger).await;
        assert_eq!((dead_one.run, dead_one.has_answer), (50, false));
        let death = &dead_one.death;
        assert_eq!((death.tenant(), death.event()), (DOMAIN, PROVISION));
        assert_eq!(death.reason(), "the handler failed too many times");
        let ids: Vec<_> = death.ids().collect();
        let [task, number, webhook] = ids.as_slice() else {
            panic!("{ids:?}");
        };
        assert_eq!((*task, *number), (("task", "2task"), ("task_number", "7")));
        assert_eq!(webhook.0, "webhook");
        assert!(dead_one.age < seconds(3600), "{:?}", dead_one.age);
        assert!(dead_one.time_left > seconds(7 * 24 * 3600));

        let revived = ledger.revive(dead_one.key).await.expect("a reply");
        assert_eq!(revived, Revival::Revived);
        sleep(seconds(3600)).await;
        assert_eq!(receiver.runs(), runs);
        assert_eq!(script.documents(), documents);
        if documents.is_empty() {
            assert_eq!(dead(&ledger).await.run, 100);
        } else {
            assert_eq!(receiver.ask(&delivery).await, accepted());
            let page = ledger.dead(None).await.expect("a reply");
            assert_eq!(page.deliveries, []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_delivery_whose_callback_was_refused_is_only_posted_again() {
    let script = Script::new([status(422), status(503), status(200)]);
    let ledger = Arc::new(MemoryLedger::default());
    let once = once(&script).always_by_callback();
    let once = once.ledger("hooks", Arc::clone(&ledger));
    let receiver = Receiver::new(once, async |_| document(COMPLETE));
    tokio::spawn(receiver.once.recover(receiver.handlers.clone()));
    let delivery = receiver.delivery();
    assert_eq!(receiver.ask(&delivery).await, accepted());
    sleep(seconds(60)).await;
    let dead = dead(&ledger).await;
    assert_eq!((dead.run, dead.has_answer), (1, true));
    assert_eq!(receiver.ask(&delivery).await, given_up());
    let revived = ledger.revive(dead.key).await.expect("a reply");
    assert_eq!(revived, Revival::Revived);
    sleep(seconds(60)).await;
    assert_eq!(script.documents(), [COMPLETE; 3]);
    assert_eq!(receiver.runs(), 1);
    assert_eq!(receiver.ask(&delivery).await, accepted());
}

#[tokio::test(start_paused = true)]
async fn a_dead_delivery_that_its_handler_answered_410_runs_again() {
    let script = Script::new([status(200)]);
    let ledger = Arc::new(MemoryLedger::default());
    let once = once(&script).always_by_callback();
    let once = once.ledger("hooks", Arc::clone(&ledger));
    let receiver = Receiver::new(once, async |run| match run {
        1 => Outcome::gone_for_good().into_response(),
        _ => document(COMPLETE),
    });
    tokio::spawn(receiver.once.recover(receiver.handlers.clone()));
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(60)).await;
    let dead = dead(&ledger).await;
    assert_eq!(dead.death.reason(), "the handler answered 410");
    assert!(!dead.has_answer);
    let revived = ledger.revive(dead.key).await.expect("a reply");
    assert_eq!(revived, Revival::Revived);
    sleep(seconds(60)).await;
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(receiver.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_callback_that_may_be_used_nothing_is_promised() {
    for url in [
        None,
        Some("https://evil.example.com/callback/x"),
        Some("not a URL"),
    ] {
        let script = Script::new([status(200)]);
        let slow = async |_| {
            sleep(seconds(60)).await;
            document(COMPLETE)
        };
        let receiver = Receiver::new(once(&script), slow);
        let delivery = receiver.delivery().callback_url(url);
        let start = Instant::now();
        let response = receiver.send(&delivery).await.expect("no panic");
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(start.elapsed().as_secs(), 28);
        sleep(seconds(20)).await;
        assert_eq!(receiver.ask(&delivery).await, (200, COMPLETE.to_owned()));

        // And where 202 would be the only answer, it is refused.
        let always = once(&script).always_by_callback();
        let receiver = Receiver::of(&receiver.tenant, always, slow);
        let response = receiver.send(&delivery).await.expect("no panic");
        assert_eq!(response.status(), 400);
        let rejection = response
            .extensions()
            .get::<Rejection>()
            .expect("a rejection");
        assert_eq!(rejection.code(), "no_callback");
        assert_eq!(receiver.runs(), 0);
        assert_eq!(script.posts(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_s_own_202_without_a_callback_that_may_be_used_is_500() {
    let script = Script::new([status(200)]);
    for (url, client, expected) in [
        (None, true, 500),
        (None, false, 500),
        (Some("https://evil.example.com/callback/x"), true, 500),
        (Some("not a URL"), true, 500),
        // Whoever posts it by himself knows where it may lead.
        (Some("https://other.example.com/callback/x"), false, 202),
        (Some(&*own_url()), true, 202),
        (Some(&*own_url()), false, 202),
    ] {
        let once = if client {
            once(&script)
        } else {
            DeliverOnceLayer::builder()
        };
        let receiver = Receiver::new(once, async |_| Outcome::accepted().into_response());
        let delivery = receiver.delivery().callback_url(url);
        let case = format!("{url:?} {client}");
        assert_eq!(receiver.ask(&delivery).await.0, expected, "{case}");
        // It has failed, and is run again.
        assert_eq!(receiver.ask(&delivery).await.0, expected, "{case}");
        let runs = if expected == 500 { 2 } else { 1 };
        assert_eq!(receiver.runs(), runs, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_document_goes_to_the_latest_callback_url_that_may_be_used() {
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script), async |_| {
        sleep(seconds(60)).await;
        document(COMPLETE)
    });
    let delivery = receiver.delivery();
    let to = |url: Option<&str>| delivery.clone().callback_url(url);
    let first = receiver.send(&to(Some(&format!("{}1", own_url()))));
    let latest = format!("{}2", own_url());
    for url in [
        Some(&*latest),
        Some("https://evil.example.com/callback/x"),
        Some("not a URL"),
        None,
    ] {
        sleep(seconds(1)).await;
        receiver.send(&to(url));
    }
    assert_eq!(first.await.expect("no panic").status(), 202);
    sleep(seconds(120)).await;
    assert_eq!(script.last_url().expect("a post"), *latest);
    assert_eq!((receiver.runs(), script.posts().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn another_replica_gets_the_latest_callback_url_with_the_promise() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let mine = shared.handle();
    let one = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", mine.clone()),
        async |_| {
            sleep(seconds(100_000_000)).await;
            document("never")
        },
    );
    let delivery = one.delivery();
    let first = one.send(&delivery);
    sleep(seconds(1)).await;
    let latest = format!("{}2", own_url());
    one.send(&delivery.callback_url(Some(&latest)));
    assert_eq!(first.await.expect("no panic").status(), 202);
    mine.is_down(true);
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(120)).await;
    assert_eq!(script.last_url().expect("a post"), *latest);
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_is_late_has_the_latest_callback_url() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let mine = shared.handle();
    let one = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", mine.clone()),
        async |_| {
            sleep(seconds(100_000_000)).await;
            document("never")
        },
    );
    let delivery = one.delivery();
    let first = one.send(&delivery);
    sleep(seconds(24)).await;
    mine.is_down(true);
    assert_eq!(first.await.expect("no panic").status(), 503);
    sleep(seconds(3)).await;
    let latest = format!("{}2", own_url());
    let retried = delivery.clone().issued_at(now() + seconds(1));
    let retried = one.send(&retried.callback_url(Some(&latest)));
    sleep(seconds(9)).await;
    mine.is_down(false);
    assert_eq!(retried.await.expect("no panic").status(), 202);
    // One that was held back on its way changes nothing.
    let old = format!("{}1", own_url());
    let held_back = delivery.clone().callback_url(Some(&old));
    assert_eq!(one.ask(&held_back).await, accepted());
    sleep(seconds(1)).await;
    mine.is_down(true);
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(120)).await;
    assert_eq!(script.last_url().expect("a post"), *latest);
}

#[tokio::test(start_paused = true)]
async fn a_promise_takes_the_latest_callback_url_over_from_any_replica() {
    // The replica that promised it goes on, or crashes.
    for crashes in [false, true] {
        let script = Script::new([status(503), status(503), status(200)]);
        let tenant = FakeTenant::new(DOMAIN);
        let shared = ledger::Shared::default();
        let mine = shared.handle();
        let by_callback = || once(&script).always_by_callback();
        let one = by_callback().ledger("hooks", mine.clone());
        let one = Receiver::of(&tenant, one, async |_| document(COMPLETE));
        let two = by_callback().ledger("hooks", shared.handle());
        let two = Receiver::of(&tenant, two, async |_| document("never"));
        let delivery = one.delivery();
        assert_eq!(one.ask(&delivery).await, accepted());
        sleep(seconds(1)).await;
        assert_eq!(script.last_url().expect("a post"), *own_url());
        let latest = format!("{}2", own_url());
        let retried = delivery.clone().issued_at(now() + seconds(1));
        let retried = retried.callback_url(Some(&latest));
        assert_eq!(two.ask(&retried).await, accepted());
        // One that cannot be used changes nothing.
        let unusable = delivery
            .clone()
            .callback_url(Some("https://elsewhere.example.com/"));
        let refused = two.ask(&unusable).await;
        assert_ne!(refused, accepted());
        if crashes {
            mine.is_down(true);
            tokio::spawn(two.once.recover(two.handlers.clone()));
        }
        sleep(seconds(120)).await;
        assert_eq!(script.last_url().expect("a post"), *latest, "{crashes}");
        assert_eq!(script.documents().last().expect("one"), COMPLETE);
        assert_eq!((one.runs(), two.runs()), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_what_the_layer_goes_around_uses_no_run_up() {
    // The wrapped service, the whole app, and a router without the route.
    for wrong in 0..3 {
        let script = Script::new([status(200)]);
        let tenant = FakeTenant::new(DOMAIN);
        let shared = ledger::Shared::default();
        let (one, mine) = endless(&tenant, &shared, once(&script));
        assert_eq!(one.ask(&one.delivery()).await, accepted());
        mine.is_down(true);
        sleep(seconds(60)).await;
        let receiver = || {
            let building = once(&script).ledger("hooks", shared.handle());
            Receiver::of(&tenant, building, async |_| document(COMPLETE))
        };
        let mistaken = receiver();
        let service = match wrong {
            0 => mistaken.handlers.clone().layer(mistaken.once.clone()),
            1 => mistaken.app.clone(),
            _ => Router::new().nest("/c1", mistaken.handlers.clone()),
        };
        tokio::spawn(mistaken.once.recover(service));
        // Long enough for far more than 50 runs.
        sleep(seconds(2 * 60 * 60)).await;
        assert_eq!((mistaken.runs(), script.posts().len()), (0, 0), "{wrong}");
        let _ = mistaken.once.drain().await;
        let right = receiver();
        tokio::spawn(right.once.recover(right.handlers.clone()));
        sleep(seconds(120)).await;
        assert_eq!((right.runs(), script.documents().len()), (1, 1), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovered_handler_that_answers_a_rejection_uses_its_runs_up() {
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let script = Script::new([status(200)]);
    let (one, mine) = endless(&tenant, &shared, once(&script));
    assert_eq!(one.ask(&one.delivery()).await, accepted());
    mine.is_down(true);
    sleep(seconds(60)).await;

    let two = once(&script).ledger("hooks", shared.handle()).build();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let handler = async move |handle: DeliveryHandle| {
        counted.fetch_add(1, Ordering::SeqCst);
        let checked = handle.check(&Outcome::failed()).await;
        checked.expect_err("it is no answer")
    };
    let handlers = Router::new().route("/webhooks", post(handler));
    tokio::spawn(two.expect("good").recover(handlers));
    sleep(seconds(2 * 60 * 60)).await;
    // The first of the fifty was cut off.
    assert_eq!(runs.load(Ordering::SeqCst), 49);
    let dead = dead(&shared).await;
    let expected = (50, "the handler failed too many times");
    assert_eq!((dead.run, dead.death.reason()), expected);
}

/// A replica crashes with promised deliveries: so many whose handlers hang, and one
/// whose document ConductorOne has not taken at the first post.
async fn leave_behind(hanging: u32, tenant: &FakeTenant, shared: &ledger::Shared, script: &Script) {
    let mine = shared.handle();
    let building = once(script)
        .always_by_callback()
        .ledger("hooks", mine.clone());
    // The last one's document is made, and not taken by ConductorOne at once.
    let called = Arc::new(AtomicU32::new(0));
    let one = Receiver::of(tenant, building, move |_| {
        let is_last = called.fetch_add(1, Ordering::SeqCst) == hanging;
        async move {
            sleep(seconds(if is_last { 0 } else { 100_000_000 })).await;
            document(COMPLETE)
        }
    });
    for number in 0..=hanging {
        let delivery = one.delivery().webhook_id(format!("delivery {number}"));
        assert_eq!(one.ask(&delivery).await, accepted());
    }
    // Until it was posted in vain.
    sleep(Duration::from_millis(600)).await;
    assert_eq!(script.posts().len(), 1);
    mine.is_down(true);
}

#[tokio::test(start_paused = true)]
async fn neither_runs_nor_documents_wait_for_recovered_runs_that_hang() {
    const HANGING: u32 = 70;
    let script = Script::new([status(503), status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    leave_behind(HANGING, &tenant, &shared, &script).await;
    let building = once(&script).ledger("hooks", shared.handle());
    let two = Receiver::of(&tenant, building, async |_| {
        sleep(seconds(100_000_000)).await;
        document("never")
    });
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(300)).await;
    assert_eq!(two.runs(), HANGING);
    assert_eq!(script.documents(), [COMPLETE, COMPLETE]);
}

#[tokio::test(start_paused = true)]
async fn a_recovered_delivery_that_waits_for_the_ledger_takes_no_place_from_others() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    assert_eq!(one.ask(&one.delivery()).await, accepted());
    mine.is_down(true);
    sleep(seconds(60)).await;
    let way = shared.handle();
    let building = once(&script).ledger("hooks", way.clone()).max_running(1);
    let two = Receiver::of(&tenant, building, async |_| document(COMPLETE));
    // It hears that it may work on the delivery once the ledger is out of reach.
    way.is_slow(seconds(2));
    tokio::spawn(two.once.recover(two.handlers.clone()));
    while way.calls() == 0 {
        sleep(Duration::from_millis(100)).await;
    }
    way.is_down(true);
    sleep(seconds(10)).await;
    let another = two.delivery().webhook_id("another");
    let (answer, text) = two.ask(&another).await;
    assert_eq!(answer, 503);
    assert!(text.contains("ledger_unavailable"), "{text}");
    way.is_down(false);
    way.is_slow(Duration::ZERO);
    sleep(seconds(120)).await;
    assert_eq!((two.runs(), script.documents().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_replica_looks_through_a_backlog_without_haste() {
    const BACKLOG: u32 = 200;
    let script = Script::new([status(503), status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    leave_behind(BACKLOG, &tenant, &shared, &script).await;
    let full = shared.handle();
    let building = once(&script).ledger("hooks", full.clone()).max_running(1);
    let two = Receiver::of(&tenant, building, async |_| {
        sleep(seconds(100_000_000)).await;
        document("never")
    });
    tokio::spawn(two.once.recover(two.handlers.clone()));
    // Not all of the backlog at once,
    let (mut seen, mut most) = (0, 0);
    for _ in 0..120 {
        sleep(seconds(1)).await;
        let calls = full.calls();
        most = most.max(calls - seen);
        seen = calls;
    }
    assert!(most <= 50, "{most} steps in a second");
    // but what can be posted is posted soon.
    assert_eq!(two.runs(), 1);
    assert_eq!(script.documents(), [COMPLETE, COMPLETE]);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_at_its_callback_s_deadline() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let script = Script::new([status(200)]);
    let client = support::callback::builder()
        .post(script.clone())
        .deadline(DAY);
    let once = DeliverOnceLayer::builder()
        .callbacks(client.build().expect("good"))
        .run_limit(3 * DAY);
    let live = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&live);
    let receiver = Receiver::new(once.always_by_callback(), move |_| {
        let alive = Alive::counted(&counted);
        async move {
            let _alive = alive;
            sleep(seconds(100_000_000)).await;
            document("never")
        }
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(86_390)).await;
    assert_eq!(live.load(Ordering::SeqCst), 1);
    sleep(seconds(20)).await;
    assert_eq!(live.load(Ordering::SeqCst), 0);
    // It is not begun again: what it would say can be told to nobody.
    sleep(DAY).await;
    assert_eq!((receiver.runs(), script.posts().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_cannot_post_leaves_promises_to_others() {
    for builder in [DeliverOnceLayer::builder, || {
        let client = support::callback::builder().origin(DOMAIN, "https://elsewhere.example.com");
        let client = client.post(Script::new([status(200)])).build();
        DeliverOnceLayer::builder().callbacks(client.expect("good"))
    }] {
        // What is to be run, and what is to be posted.
        for is_stored in [false, true] {
            let acts = if is_stored { 503 } else { 200 };
            let script = Script::new([status(acts), status(200)]);
            let tenant = FakeTenant::new(DOMAIN);
            let shared = ledger::Shared::default();
            let mine = shared.handle();
            let by_callback = once(&script)
                .always_by_callback()
                .ledger("hooks", mine.clone());
            let work = seconds(if is_stored { 0 } else { 100_000_000 });
            let one = Receiver::of(&tenant, by_callback, move |_| async move {
                sleep(work).await;
                document(COMPLETE)
            });
            let delivery = one.delivery();
            assert_eq!(one.ask(&delivery).await, accepted());
            sleep(Duration::from_millis(600)).await;
            assert_eq!(script.posts().len(), usize::from(is_stored));
            mine.is_down(true);
            // It is alone for a while.
            let two = Receiver::of(
                &tenant,
                builder().ledger("hooks", shared.handle()),
                async |_| document("never"),
            );
            tokio::spawn(two.once.recover(two.handlers.clone()));
            sleep(seconds(1_200)).await;
            assert_eq!(
                (two.runs(), script.posts().len()),
                (0, usize::from(is_stored))
            );
            // And beside one that can.
            let three = Receiver::of(
                &tenant,
                once(&script).ledger("hooks", shared.handle()),
                async |_| document(COMPLETE),
            );
            tokio::spawn(three.once.recover(three.handlers.clone()));
            sleep(seconds(600)).await;
            assert_eq!((two.runs(), three.runs()), (0, u32::from(!is_stored)));
            assert_eq!(script.documents().last().expect("a post"), COMPLETE);
            assert_eq!(two.ask(&delivery).await, accepted());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn draining_waits_until_the_document_is_posted() {
    let script = Script::new([status(503), status(200)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
        sleep(seconds(10)).await;
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    assert!(receiver.once.drain().await.is_complete(), "all was done");
    assert_eq!(script.posts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_crashed_replica_promised_is_run_again_by_another() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |run| {
            assert_eq!(run, 2, "the handler can know");
            document(COMPLETE)
        },
    );
    tokio::spawn(two.once.recover(two.handlers.clone()));
    let delivery = one.delivery();
    assert_eq!(one.ask(&delivery).await, accepted());
    sleep(seconds(300)).await;
    assert_eq!(two.runs(), 0, "its lease is renewed as long as it lives");

    // To all others, a replica that cannot reach the ledger is one that crashed.
    mine.is_down(true);
    sleep(seconds(60)).await;
    assert_eq!((one.runs(), two.runs()), (1, 1));
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(two.ask(&delivery).await, accepted());
}

#[tokio::test(start_paused = true)]
async fn what_a_crashed_replica_had_to_post_is_posted_by_another() {
    let script = Script::new([status(503), status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let mine = shared.handle();
    let crashing = once(&script)
        .always_by_callback()
        .ledger("hooks", mine.clone());
    let one = Receiver::of(&tenant, crashing, async |_| document(COMPLETE));
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document("never"),
    );
    let delivery = one.delivery();
    let response = one.send(&delivery).await.expect("no panic");
    assert_eq!(response.status(), 202);
    drop(response);
    while script.posts().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    mine.is_down(true);
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(60)).await;
    assert_eq!(script.documents(), [COMPLETE, COMPLETE]);
    assert_eq!((one.runs(), two.runs()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn callbacks_that_nobody_takes_do_not_hold_up_the_recovery_of_others() {
    let script = Script::new([status(503)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    for number in 0..100 {
        let url = format!("{}{number}", own_url());
        let delivery = one.delivery().callback_url(Some(&url));
        assert_eq!(one.ask(&delivery).await, accepted());
    }
    mine.is_down(true);
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(600)).await;
    assert_eq!((two.runs(), script.urls()), (100, 100));
    // And they are tried again, each run once.
    let posts = script.posts().len();
    sleep(seconds(3600)).await;
    assert!(script.posts().len() >= posts + 100, "{posts}");
    assert_eq!(two.runs(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_be_gone_for_good_while_its_promise_cannot_be_made() {
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    let receiver = Receiver::new(once(&script).ledger("hooks", ledger.clone()), async |_| {
        sleep(seconds(26)).await;
        Outcome::gone_for_good().into_response()
    });
    let delivery = receiver.delivery();
    let asked = receiver.send(&delivery);
    sleep(seconds(24)).await;
    ledger.is_down(true);
    sleep(seconds(3)).await;
    ledger.is_down(false);
    assert_eq!(asked.await.expect("no panic").status(), 410);
    assert_eq!(receiver.ask(&delivery).await, (410, String::new()));
    assert_eq!((receiver.runs(), script.posts().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_s_own_202_outlives_a_crash() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let mine = shared.handle();
    let crashing = once(&script)
        .always_by_callback()
        .ledger("hooks", mine.clone());
    let one = Receiver::of(&tenant, crashing, async |_| {
        sleep(seconds(1)).await;
        Outcome::accepted().into_response()
    });
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document("never"),
    );
    tokio::spawn(two.once.recover(two.handlers.clone()));
    let delivery = one.delivery();
    assert_eq!(one.ask(&delivery).await, accepted());
    // How the run ended is recorded; that nothing is left to do is not.
    mine.is_slow(seconds(3));
    sleep(seconds(2)).await;
    mine.is_down(true);
    sleep(seconds(120)).await;
    assert_eq!(two.ask(&delivery).await, accepted());
    assert_eq!((one.runs(), two.runs()), (1, 0));
    assert_eq!(script.posts().len(), 0, "it will answer by itself");
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_called_again_where_it_was_called_first() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    tokio::spawn(two.once.recover(two.handlers.clone()));
    // A proxy that strips a prefix looks the same.
    let url = "https://hooks.example.com/c1/webhooks?region=eu";
    let nested = Router::new().nest("/c1", one.app.clone());
    let request = one.delivery().to(url).request();
    assert_eq!(
        nested.oneshot(request).await.expect("infallible").status(),
        202
    );
    sleep(seconds(1)).await;
    mine.is_down(true);
    sleep(seconds(120)).await;
    let uris = |receiver: &Receiver| receiver.uris.lock().expect("no panic").clone();
    assert_eq!(uris(&one), ["/webhooks?region=eu"]);
    assert_eq!(uris(&two), uris(&one));
    assert_eq!(script.documents(), [COMPLETE]);
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_the_ledger_has_lost_is_kept() {
    let script = Script::new([status(503), status(200)]);
    let ledger = ledger::Shared::default();
    ledger.loses_promises();
    let receiver = Receiver::new(once(&script).ledger("hooks", ledger.clone()), async |_| {
        sleep(seconds(60)).await;
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(120)).await;
    assert_eq!(script.documents(), [COMPLETE, COMPLETE]);
    assert_eq!(receiver.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_is_lost_with_its_lease_is_made_again() {
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    ledger.loses_promises();
    let receiver = Receiver::new(once(&script).ledger("hooks", ledger.clone()), async |_| {
        sleep(seconds(100)).await;
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    ledger.is_down(true);
    sleep(seconds(60)).await;
    ledger.is_down(false);
    sleep(seconds(300)).await;
    assert_eq!((receiver.runs(), script.documents().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_the_ledger_has_forgotten_is_finished() {
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    let by_callback = once(&script)
        .always_by_callback()
        .ledger("hooks", ledger.clone());
    let receiver = Receiver::new(by_callback, async |run| {
        sleep(seconds(60)).await;
        assert!(run < 3);
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    sleep(seconds(1)).await;
    ledger.forget();
    sleep(seconds(120)).await;
    // It was cut off, and could not know that nobody else had it.
    assert_eq!(receiver.runs(), 2);
    assert_eq!(script.documents(), [COMPLETE]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_forgotten_just_before_its_run_ends_is_answered() {
    for is_stored in [false, true] {
        // Forgotten before the answer is recorded, or between two attempts to post it.
        let script = Script::new([status(if is_stored { 503 } else { 200 }), status(200)]);
        let ledger = ledger::Shared::default();
        let by_callback = once(&script)
            .always_by_callback()
            .ledger("hooks", ledger.clone());
        let receiver = Receiver::new(by_callback, async |_| {
            sleep(seconds(5)).await;
            document(COMPLETE)
        });
        let delivery = receiver.delivery();
        assert_eq!(receiver.ask(&delivery).await, accepted());
        if is_stored {
            while script.posts().is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
        }
        ledger.forget();
        sleep(seconds(120)).await;
        // The work is done: it is not done again.
        assert_eq!(receiver.runs(), 1, "{is_stored}");
        assert_eq!(script.documents().last().expect("a post"), COMPLETE);
        assert_eq!(script.posts().len(), 1 + usize::from(is_stored));
        assert_eq!(receiver.ask(&delivery).await, accepted());
        assert_eq!(receiver.runs(), 1, "{is_stored}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_is_lost_while_its_lease_lasts_is_made_again() {
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    ledger.loses_promises();
    let receiver = Receiver::new(once(&script).ledger("hooks", ledger.clone()), async |_| {
        sleep(seconds(100)).await;
        document(COMPLETE)
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    // The lease is given up while the store still has it in force.
    sleep(seconds(4)).await;
    ledger.is_down(true);
    sleep(seconds(33)).await;
    ledger.is_down(false);
    sleep(seconds(300)).await;
    assert_eq!((receiver.runs(), script.documents().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_run_for_a_callback_that_is_over() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let day = seconds(24 * 60 * 60);
    let building = || {
        let client = support::callback::builder().deadline(day);
        let client = client.post(script.clone()).build().expect("good");
        DeliverOnceLayer::builder().callbacks(client)
    };
    let (one, mine) = endless(&tenant, &shared, building());
    let two = Receiver::of(
        &tenant,
        building().ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    let delivery = one.delivery();
    assert_eq!(one.ask(&delivery).await, accepted());
    mine.is_down(true);
    sleep(day).await;
    tokio::spawn(two.once.recover(two.handlers.clone()));
    sleep(seconds(60)).await;
    assert_eq!((two.runs(), script.posts().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_its_process_down_is_called_fifty_times_at_most() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    assert_eq!(one.ask(&one.delivery()).await, accepted());
    mine.is_down(true);
    sleep(seconds(60)).await;
    // Each run is begun by another process, and ends with it.
    let mut begun = 1;
    let mut key = None;
    while begun < 50 {
        let layer = Name::of("hooks");
        // Whoever takes it and does not begin has called nobody.
        for _ in 0..3 {
            let taken = shared.take(layer, Owner::random(), Duration::ZERO).await;
            assert!(taken.expect("a reply").is_some(), "due");
        }
        let taken = shared.take(layer, Owner::random(), seconds(45)).await;
        let lease = taken.expect("a reply").expect("due").lease;
        let lease = shared.begin(lease, seconds(45)).await.expect("a reply");
        let lease = lease.expect("held");
        begun = lease.run();
        key = Some(lease.key());
        sleep(seconds(46)).await;
    }
    let last = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    tokio::spawn(last.once.recover(last.handlers.clone()));
    sleep(seconds(60)).await;
    let standing = shared.find(key.expect("it was taken")).await;
    let standing = standing.expect("a reply");
    assert!(matches!(standing, Some(Standing::Dead(_))), "{standing:?}");
    assert_eq!((last.runs(), script.posts().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_only_a_newer_version_can_read_is_left_to_it_until_its_deadline() {
    let ledger = ledger::Shared::default();
    let key = DeliveryKey::from_bytes([7; 32]).scoped(Name::of("hooks"), Name::NONE);
    let claimed = ledger.claim(key, Owner::random(), seconds(45)).await;
    let Ok(Claimed::Started(lease)) = claimed else {
        panic!("{claimed:?}");
    };
    let newer =
        json!({"version": 2, "run": 1, "uri": "/", "tenant": "t", "claims": {}, "body": ""});
    let held = ledger.promise(lease, newer.to_string().into()).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script).ledger("hooks", ledger.clone()), async |_| {
        document("never")
    });
    tokio::spawn(receiver.once.recover(receiver.handlers.clone()));
    let day = seconds(24 * 60 * 60);
    sleep(7 * day).await;
    let standing = ledger.find(key).await.expect("a reply");
    assert_eq!(standing, Some(Standing::Promised));
    // It has been looked at every five minutes, and is whole.
    assert!(receiver.once.drain().await.is_complete());
    sleep(seconds(301)).await;
    let taken = ledger.resume(key, Owner::random(), seconds(45)).await;
    let taken = taken.expect("a reply").expect("due");
    assert_eq!((taken.lease.run(), taken.work), (1, Work::Run));
    assert_eq!(taken.delivery, newer.to_string());
    sleep(2 * day).await;
    assert_eq!(ledger.find(key).await.expect("a reply"), None);
    assert_eq!(receiver.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_up_while_the_receiver_stops() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    let stopping = shared.handle();
    stopping.is_slow(seconds(3));
    let two = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", stopping.clone()),
        async |_| document("never"),
    );
    assert_eq!(one.ask(&one.delivery()).await, accepted());
    mine.is_down(true);
    sleep(seconds(60)).await;
    let recovered = tokio::spawn(two.once.recover(two.handlers.clone()));
    while stopping.calls() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    // It waits for what is asked for.
    let start = Instant::now();
    assert!(two.once.drain().await.is_complete());
    assert!(start.elapsed() > seconds(2));
    recovered.await.expect("no panic");
    assert_eq!(two.runs(), 0);
    // What was taken meanwhile is free for others.
    let three = Receiver::of(
        &tenant,
        once(&script).ledger("hooks", shared.handle()),
        async |_| document(COMPLETE),
    );
    tokio::spawn(three.once.recover(three.handlers.clone()));
    sleep(seconds(10)).await;
    assert_eq!(
        (three.runs(), script.documents()),
        (1, vec![COMPLETE.into()])
    );
}

#[test]
fn answering_by_callback_needs_a_client() {
    let error = DeliverOnceLayer::builder().always_by_callback().build();
    let error = error.expect_err("no client").to_string();
    assert!(error.contains("needs a callback client"), "{error}");
}

struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn counted(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_when_nothing_is_left_of_the_handler() {
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    let live = ledger.live();
    let building = once(&script).ledger("hooks", ledger.clone());
    let receiver = Receiver::new(building, move |_| {
        let alive = Alive::counted(&live);
        async move {
            let _alive = alive;
            sleep(seconds(100_000_000)).await;
            document("never")
        }
    });
    let asked = receiver.send(&receiver.delivery());
    sleep(seconds(1)).await;
    assert_eq!(ledger.live().load(Ordering::SeqCst), 1);
    assert!(!receiver.once.drain().await.is_complete(), "it is cut off");
    drop(asked);
    assert_eq!(ledger.live().load(Ordering::SeqCst), 0);
    assert_eq!(ledger.live_at_release(), 0);
}

#[tokio::test(start_paused = true)]
async fn draining_waits_for_recovered_runs() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let (one, mine) = endless(&tenant, &shared, once(&script));
    assert_eq!(one.ask(&one.delivery()).await, accepted());
    mine.is_down(true);
    let building = once(&script).ledger("hooks", shared.handle());
    let two = Receiver::of(&tenant, building, async |_| {
        sleep(seconds(10)).await;
        document(COMPLETE)
    });
    tokio::spawn(two.once.recover(two.handlers.clone()));
    while two.runs() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    let start = Instant::now();
    assert!(two.once.drain().await.is_complete());
    assert!(start.elapsed() > seconds(9), "{:?}", start.elapsed());
    assert_eq!(script.documents(), [COMPLETE]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_another_replica_is_told_when_this_one_stops() {
    let script = Script::new([status(200)]);
    let tenant = FakeTenant::new(DOMAIN);
    let shared = ledger::Shared::default();
    let slow = once(&script).ledger("hooks", shared.handle());
    let one = Receiver::of(&tenant, slow, async |_| {
        sleep(seconds(20)).await;
        document(COMPLETE)
    });
    let building = once(&script).ledger("hooks", shared.handle());
    let two = Receiver::of(&tenant, building, async |_| document("never"));
    let delivery = one.delivery();
    let _first = one.send(&delivery);
    sleep(seconds(1)).await;
    let duplicate = two.send(&delivery);
    sleep(seconds(1)).await;
    let start = Instant::now();
    assert!(two.once.drain().await.is_complete());
    assert_eq!(duplicate.await.expect("no panic").status(), 503);
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_promised_run_that_failed_is_not_free_for_others_at_once() {
    let script = Script::new([status(200)]);
    let shared = ledger::Shared::default();
    let building = once(&script)
        .always_by_callback()
        .ledger("hooks", shared.handle());
    let receiver = Receiver::new(building, async |_| {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    });
    assert_eq!(receiver.ask(&receiver.delivery()).await, accepted());
    let failed = Instant::now();
    while failed.elapsed() < Duration::from_millis(2_900) {
        let taken = shared
            .take(Name::of("hooks"), Owner::random(), seconds(45))
            .await;
        assert_eq!(taken.expect("a reply"), None, "{:?}", failed.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(receiver.runs(), 1);
}

/// The names of the spans that have been closed.
#[derive(Clone, Default)]
struct Closed(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Closed {
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let name = context.span(&id).expect("a span").name();
        self.0.lock().expect("no panic").push(name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_s_span_ends_with_its_answer_and_not_with_the_callback() {
    let closed = Closed::default();
    let subscriber = tracing_subscriber::registry().with(closed.clone());
    let _capturing = support::log::capture(subscriber);
    let script = Script::new([status(200)]);
    let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
        sleep(seconds(100_000)).await;
        document(COMPLETE)
    });
    let delivery = receiver.delivery();
    // In this task, in which the span is.
    let asked = receiver.app.clone().oneshot(delivery.request());
    let answered = asked.instrument(tracing::info_span!("request")).await;
    assert_eq!(answered.expect("infallible").status(), 202);
    sleep(seconds(1)).await;
    assert!(closed.0.lock().expect("no panic").contains(&"request"));
    assert_eq!((receiver.runs(), script.posts().len()), (1, 0));
}

/// Counts the warnings that name `recover`.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = String::new();
        event.record(
            &mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                let _ = write!(text, "{value:?}");
            },
        );
        if *event.metadata().level() == tracing::Level::WARN && text.contains("recover") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_promise_warns_if_nothing_would_resume_it() {
    for recovers in [false, true] {
        let warnings = Warnings::default();
        let _guard = support::log::capture(tracing_subscriber::registry().with(warnings.clone()));
        let script = Script::new([status(200)]);
        let receiver = Receiver::new(once(&script).always_by_callback(), async |_| {
            document(COMPLETE)
        });
        if recovers {
            tokio::spawn(receiver.once.recover(receiver.handlers.clone()));
            sleep(seconds(1)).await;
        }
        for number in 0..3 {
            let delivery = receiver.delivery().webhook_id(format!("delivery {number}"));
            assert_eq!(receiver.ask(&delivery).await, accepted());
        }
        assert_eq!(warnings.0.load(Ordering::SeqCst), usize::from(!recovers));
    }
}

/// As in its own transaction.
#[tokio::test(start_paused = true)]
async fn an_answer_that_the_handler_recorded_after_the_202_is_posted() {
    let tenant = FakeTenant::new(DOMAIN);
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    let (runs, ways) = (Arc::new(AtomicU32::new(0)), ledger.clone());
    let counted = Arc::clone(&runs);
    let handler = move |delivery: DeliveryHandle, _: Webhook| {
        let (ledger, runs) = (ways.clone(), Arc::clone(&counted));
        async move {
            sleep(seconds(30)).await;
            let answer = RecordedAnswer::new(200, COMPLETE);
            let finished = ledger.finish(delivery.lease(), answer.clone()).await;
            let finished = finished.expect("a reply");
            assert!(matches!(finished, Finished::Stored(_)), "{finished:?}");
            delivery.recorded(answer, finished);
            runs.fetch_add(1, Ordering::SeqCst);
            Outcome::failed()
        }
    };
    let client = support::callback::builder().post(script.clone());
    let once = DeliverOnceLayer::builder()
        .callbacks(client.build().expect("a good configuration"))
        .ledger("hooks", ledger.clone())
        .build()
        .expect("a good configuration");
    let verify = builder(&tenant).replay_policy(ReplayPolicy::Mark);
    let mut app = Router::new()
        .route("/webhooks", post(handler))
        .layer(once)
        .layer(verify.build().expect("a good configuration"));
    let delivery = tenant.delivery(PROVISION).issued_at(now());
    let delivery = delivery.callback_url(Some(&own_url()));
    assert_eq!(delivery.call(&mut app).await.status(), 202);
    sleep(seconds(60)).await;
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(delivery.call(&mut app).await.status(), 202);
    sleep(seconds(600)).await;
    assert_eq!(script.documents().len(), 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

/// The handler commits just when its 202 is due, and does not know yet that it did.
#[tokio::test(start_paused = true)]
async fn an_answer_recorded_before_the_promise_is_told_in_time() {
    let tenant = FakeTenant::new(DOMAIN);
    let script = Script::new([status(200)]);
    let ledger = ledger::Shared::default();
    let way = ledger.clone();
    let handler = move |delivery: DeliveryHandle, _: Webhook| {
        let ledger = way.clone();
        async move {
            sleep(Duration::from_millis(24_900)).await;
            let answer = RecordedAnswer::new(200, COMPLETE);
            let finished = ledger.finish(delivery.lease(), answer).await;
            assert_eq!(finished.expect("a reply"), Finished::Answered);
            sleep(seconds(60)).await;
            Outcome::failed()
        }
    };
    let once = once(&script).ledger("hooks", ledger.clone());
    let verify = builder(&tenant).replay_policy(ReplayPolicy::Mark);
    let mut app = Router::new()
        .route("/webhooks", post(handler))
        .layer(once.build().expect("a good configuration"))
        .layer(verify.build().expect("a good configuration"));
    let delivery = tenant.delivery(PROVISION).issued_at(now());
    let delivery = delivery.callback_url(Some(&own_url()));
    let asked = Instant::now();
    let answer = delivery.call(&mut app).await;
    let told = (answer.status(), &answer.body()[..]);
    assert_eq!(told, (StatusCode::OK, COMPLETE.as_bytes()));
    assert!(asked.elapsed() < seconds(28), "{:?}", asked.elapsed());
    sleep(seconds(600)).await;
    assert_eq!(script.documents().len(), 0);
}
