//! The simulator delivers as ConductorOne does.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use support::scripted::Answer::{After, BreakOff, Fail, Now, Refuse};
use support::scripted::{Scripted, Seen};
use support::{DOMAIN, TEST_EVENT, now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tower::{ServiceExt, service_fn};
use tower_conductorone::event::ReplyError;
use tower_conductorone::testing::simulator::{
    AttemptResult, CallbackEndpoint, CallbackRefusal, DeliveryAttempt, DeliveryReport, End,
    Failure, Simulator, Switches,
};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, VirtualClock};

const ACKNOWLEDGED: &str = r#"{"version":"v1"}"#;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tenant() -> FakeTenant {
    FakeTenant::new(DOMAIN)
}

fn simulator(tenant: &FakeTenant) -> Simulator {
    Simulator::new(tenant).clock(VirtualClock::starting_at(now()))
}

/// Delivers a test to a receiver with that script.
async fn deliver(
    receiver: &Scripted,
    change: impl FnOnce(Simulator) -> Simulator,
) -> (DeliveryReport, Simulator) {
    let tenant = tenant();
    let simulator = change(simulator(&tenant));
    let report = simulator
        .deliver(receiver.clone(), tenant.delivery(TEST_EVENT))
        .await;
    (report, simulator)
}

fn switched(change: impl FnOnce(&mut Switches)) -> Switches {
    let mut switches = Switches::default();
    change(&mut switches);
    switches
}

#[tokio::test(start_paused = true)]
async fn a_2xx_with_a_document_that_answers_the_event_is_delivered() {
    let tenant = tenant();
    for (event, document) in [
        (EVENTS[0], ACKNOWLEDGED),
        (EVENTS[1], r#"{"version":"v1","complete":{}}"#),
        (EVENTS[2], r#"{"version":"v1","deny":{"comment":"no"}}"#),
        (EVENTS[3], ACKNOWLEDGED),
        (EVENTS[4], r#"{"version":"v1","context":{"x":1}}"#),
        ("c1.webhooks.v1.PayloadLater", r#"{"version":"v1","x":1}"#),
    ] {
        for status in [200, 201, 299] {
            let receiver = Scripted::new([After(secs(29), status, document)]);
            let report = simulator(&tenant)
                .deliver(receiver.clone(), tenant.delivery(event))
                .await;
            assert_eq!(report.end(), &End::Delivered, "{event}: {report:?}");
            assert!(report.is_success());
            let taken = report.document().expect("a document").as_bytes();
            assert_eq!(taken, document.as_bytes());
            assert_eq!(report.attempts().len(), 1);
            let attempt = &report.attempts()[0];
            assert_eq!(attempt.status().map(|status| status.as_u16()), Some(status));
            assert_eq!((attempt.started(), attempt.took()), (secs(0), secs(29)));
            assert_eq!(report.took(), secs(29));
            assert!(report.callbacks().is_empty());
            assert_eq!(receiver.seen().len(), 1);
            assert_eq!(receiver.dropped(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_is_not_2xx_or_410_is_retried_after_3_to_15_seconds() {
    let statuses = [100, 301, 304, 400, 401, 404, 409, 429, 500, 503];
    let script = statuses
        .map(|status| Now(status, "x"))
        .into_iter()
        .chain([Fail, Refuse, BreakOff, After(secs(31), 200, ACKNOWLEDGED)])
        .chain([Now(200, ACKNOWLEDGED)]);
    let receiver = Scripted::new(script);
    let (report, _) = deliver(&receiver, |it| it).await;
    assert_eq!(report.end(), &End::Delivered, "{report:?}");
    let attempts = report.attempts();
    let answers: Vec<_> = attempts.iter().map(|it| it.result().clone()).collect();
    for (answer, status) in answers.iter().zip(statuses) {
        assert_eq!(
            answer,
            &AttemptResult::Status(status.try_into().expect("a status"))
        );
    }
    let connection = |text: &str| AttemptResult::ConnectionError(text.to_owned());
    assert_eq!(
        answers[10..14],
        [
            connection("connection reset"),
            connection("connection refused"),
            connection("connection reset"),
            AttemptResult::TimedOut,
        ]
    );
    assert_eq!(attempts.len(), 15);
    for pair in attempts.windows(2) {
        let ended = pair[0].started() + pair[0].took();
        let next = ended + secs(3)..=ended + secs(15);
        assert!(next.contains(&pair[1].started()), "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_times_out_after_30_seconds_and_the_receiver_is_dropped_then() {
    let receiver = Scripted::new([After(secs(3600), 200, ACKNOWLEDGED), Now(200, ACKNOWLEDGED)]);
    let (report, _) = deliver(&receiver, |it| it.pauses(secs(3)..=secs(3))).await;
    assert_eq!(report.attempts()[0].result(), &AttemptResult::TimedOut);
    assert_eq!(report.attempts()[0].took(), secs(30));
    assert_eq!(report.attempts()[0].status(), None);
    assert_eq!(report.attempts()[1].started(), secs(33));
    assert_eq!(receiver.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn fifty_attempts_are_made_at_most() {
    let real = std::time::Instant::now();
    let receiver = Scripted::new([After(DAY, 200, ACKNOWLEDGED)]);
    let (report, _) = deliver(&receiver, |it| it.pauses(secs(15)..=secs(15))).await;
    assert_eq!(report.end(), &End::Failed(Failure::Attempts));
    assert!(!report.is_success() && report.document().is_none());
    assert_eq!(report.attempts().len(), 50);
    assert_eq!(receiver.seen().len(), 50);
    assert_eq!(report.took(), 50 * secs(30) + 49 * secs(15));
    assert!(real.elapsed() < secs(1), "{:?}", real.elapsed());

    // The last one counts.
    let script = (0..49)
        .map(|_| Now(503, ""))
        .chain([Now(200, ACKNOWLEDGED)]);
    let (report, _) = deliver(&Scripted::new(script), |it| it).await;
    assert_eq!(report.end(), &End::Delivered);
    assert_eq!(report.attempts().len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_is_not_tried_again() {
    let receiver = Scripted::new([Now(500, ""), Now(410, ""), Now(200, ACKNOWLEDGED)]);
    let (report, _) = deliver(&receiver, |it| it).await;
    assert_eq!(report.end(), &End::Failed(Failure::Gone));
    assert_eq!(report.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_callback_time_out() {
    let hours = |hours: u64| secs(hours * 3600);
    let receiver = Scripted::new([Now(503, "")]);
    let (report, _) = deliver(&receiver, |it| {
        it.callback_timeout(DAY).pauses(hours(7)..=hours(7))
    })
    .await;
    assert_eq!(report.end(), &End::Failed(Failure::TimedOut));
    assert_eq!(report.attempts().len(), 4);
    assert_eq!(report.took(), DAY);
}

#[tokio::test(start_paused = true)]
async fn after_a_202_the_callback_is_awaited_until_the_time_out() {
    let real = std::time::Instant::now();
    for (timeout, expected) in [(None, 8), (Some(DAY), 1), (Some(30 * DAY), 30)] {
        let receiver = Scripted::new([Now(202, "whatever this is")]);
        let (report, _) = deliver(&receiver, |it| match timeout {
            Some(timeout) => it.callback_timeout(timeout),
            None => it,
        })
        .await;
        assert_eq!(report.end(), &End::Failed(Failure::TimedOut));
        assert_eq!(report.took(), expected * DAY);
        assert_eq!(report.attempts().len(), 1);
        let accepted = AttemptResult::Status(StatusCode::ACCEPTED);
        assert_eq!(report.attempts()[0].result(), &accepted);
    }
    assert!(real.elapsed() < secs(1), "{:?}", real.elapsed());
}

#[test]
fn a_callback_time_out_is_1_to_30_days() {
    for (timeout, good) in [
        (secs(24 * 60 * 60 - 1), false),
        (DAY, true),
        (30 * DAY, true),
        (30 * DAY + secs(1), false),
    ] {
        let result = std::panic::catch_unwind(|| {
            let _ = Simulator::new(&tenant()).callback_timeout(timeout);
        });
        assert_eq!(result.is_ok(), good, "{timeout:?}");
    }
}

/// A receiver that answers 202, and the callback URLs that it was given.
fn callback_url(seen: &Seen) -> String {
    let body: Value = serde_json::from_slice(&seen.body).expect("JSON");
    let url = body["callbackUrl"].as_str().expect("a URL").to_owned();
    assert_eq!(seen.header("webhook-callback-url"), url);
    url
}

#[tokio::test(start_paused = true)]
async fn a_callback_url_takes_one_document_that_answers_the_event() {
    let tenant = tenant();
    let simulator = simulator(&tenant);
    let callbacks = simulator.callbacks();
    let receiver = Scripted::new([Now(202, "")]);
    let delivery = tenant.delivery("c1.webhooks.v1.PayloadProvisionStep");
    let running = tokio::spawn(simulator.deliver(receiver.clone(), delivery));
    sleep(3 * DAY).await;
    let url = callback_url(&receiver.seen()[0]);
    let prefix = "https://example.conductor.one/api/v1/webhooks/callback/";
    assert!(url.starts_with(prefix), "{url}");

    for bad in [
        "",
        "{}",
        "null",
        ACKNOWLEDGED,
        r#"{"version":"v1","approve":{}}"#,
    ] {
        assert_eq!(callbacks.post(&url, bad), 400, "{bad}");
    }
    let other = format!("{prefix}x");
    let complete = r#"{"version":"v1","complete":{}}"#;
    assert_eq!(callbacks.post(&other, complete), 400);
    let elsewhere = "https://example.conductor.one/x";
    assert_eq!(callbacks.post(elsewhere, complete), 404);
    assert_eq!(callbacks.post("no URL", complete), 404);

    assert_eq!(callbacks.post(&url, complete), 200);
    assert_eq!(callbacks.post(&url, complete), 400);
    let report = running.await.expect("no panic");
    assert_eq!(report.end(), &End::CompletedByCallback);
    assert!(report.is_success());
    assert_eq!(report.took(), 3 * DAY);
    let document = report.document().expect("a document");
    assert_eq!(document.as_bytes(), complete.as_bytes());

    // What comes later still is in the report.
    sleep(secs(1)).await;
    assert_eq!(callbacks.post(&url, complete), 400);
    let posts = report.callbacks();
    let refusals: Vec<_> = posts.iter().map(|post| post.refusal().cloned()).collect();
    let document = |error| Some(CallbackRefusal::Document(error));
    assert_eq!(
        refusals,
        [
            document(ReplyError::NotAnObject),
            document(ReplyError::Version),
            document(ReplyError::NotAnObject),
            document(ReplyError::Outcomes(0)),
            document(ReplyError::Outcomes(0)),
            None,
            Some(CallbackRefusal::Over),
            Some(CallbackRefusal::Over),
        ]
    );
    assert_eq!(
        (posts[5].status(), posts[5].at()),
        (StatusCode::OK, 3 * DAY)
    );
    assert_eq!(posts[7].status(), StatusCode::BAD_REQUEST);
    assert_eq!(posts[7].at(), 3 * DAY + secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_callback_url_that_is_out_of_date_takes_nothing() {
    let receiver = Scripted::new([Now(202, "")]);
    let (report, simulator) = deliver(&receiver, |it| it).await;
    let url = callback_url(&receiver.seen()[0]);
    assert_eq!(simulator.callbacks().post(&url, ACKNOWLEDGED), 400);
    assert_eq!(report.end(), &End::Failed(Failure::TimedOut));

    // Nor is there anything to say after an answer at once.
    let receiver = Scripted::new([Now(200, ACKNOWLEDGED)]);
    let (report, simulator) = deliver(&receiver, |it| it).await;
    let url = callback_url(&receiver.seen()[0]);
    assert_eq!(simulator.callbacks().post(&url, ACKNOWLEDGED), 400);
    let posts = report.callbacks();
    assert_eq!(posts[0].refusal(), Some(&CallbackRefusal::Over));
}

#[tokio::test(start_paused = true)]
async fn an_early_callback_is_taken_or_refused_by_a_switch() {
    for refuse in [false, true] {
        let tenant = tenant();
        let simulator = simulator(&tenant)
            .switches(switched(|it| it.refuse_early_callbacks = refuse))
            .pauses(secs(10)..=secs(10));
        let receiver = Scripted::new([After(secs(40), 202, ""), Now(503, ""), Now(202, "")]);
        let running =
            tokio::spawn(simulator.deliver(receiver.clone(), tenant.delivery(TEST_EVENT)));
        sleep(secs(35)).await;
        let url = callback_url(&receiver.seen()[0]);
        let status = simulator.callbacks().post(&url, ACKNOWLEDGED);
        if refuse {
            assert_eq!(status, 400);
            sleep(secs(60)).await;
            assert_eq!(simulator.callbacks().post(&url, ACKNOWLEDGED), 200);
        } else {
            assert_eq!(status, 200);
        }
        let report = running.await.expect("no panic");
        assert_eq!(report.end(), &End::CompletedByCallback);
        let (attempts, took, posts) = if refuse { (3, 95, 2) } else { (1, 35, 1) };
        assert_eq!(report.attempts().len(), attempts);
        assert_eq!(report.took(), secs(took));
        assert_eq!(report.callbacks().len(), posts);
        let early = report.callbacks()[0].refusal().cloned();
        assert_eq!(early, refuse.then_some(CallbackRefusal::Early));
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_callback_stands_whatever_the_attempt_comes_to() {
    for last in [Now(202, ""), Now(410, ""), Now(200, "no document")] {
        let tenant = tenant();
        let simulator = simulator(&tenant);
        let callbacks = simulator.callbacks();
        let receiver = service_fn(move |request: Request<Full<Bytes>>| {
            let url = request.headers()["webhook-callback-url"].clone();
            let status = callbacks.post(url.to_str().expect("text"), ACKNOWLEDGED);
            assert_eq!(status, 200);
            Scripted::new([last]).oneshot(request)
        });
        let report = simulator
            .deliver(receiver, tenant.delivery(TEST_EVENT))
            .await;
        assert_eq!(report.end(), &End::CompletedByCallback, "{last:?}");
        assert_eq!(report.attempts().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_document_is_final_or_retried_by_a_switch() {
    for retry in [false, true] {
        for bad in ["", "done", "{}", r#"{"version":"v1","version":"v1"}"#] {
            let receiver = Scripted::new([Now(200, bad), Now(200, ACKNOWLEDGED)]);
            let (report, _) = deliver(&receiver, |it| {
                it.switches(switched(|it| it.retry_bad_documents = retry))
            })
            .await;
            let AttemptResult::Document(status, Err(error)) = report.attempts()[0].result() else {
                panic!("{report:?}")
            };
            assert_eq!(status, &StatusCode::OK);
            if retry {
                assert_eq!(report.end(), &End::Delivered);
                assert_eq!(report.attempts().len(), 2);
            } else {
                let end = End::Failed(Failure::Document(error.clone()));
                assert_eq!(report.end(), &end);
                assert_eq!(report.attempts().len(), 1);
            }
        }
    }
}

fn claims(seen: &Seen) -> Value {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    let token = seen
        .header("authorization")
        .split('.')
        .nth(1)
        .expect("claims");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token).expect("base64");
    serde_json::from_slice(&claims).expect("JSON")
}

/// Twenty attempts, nine seconds apart.
async fn attempts(change: impl FnOnce(&mut Switches)) -> Vec<Seen> {
    let script = (0..19)
        .map(|_| Now(503, ""))
        .chain([Now(200, ACKNOWLEDGED)]);
    let receiver = Scripted::new(script);
    let (report, _) = deliver(&receiver, |it| {
        it.switches(switched(change)).pauses(secs(9)..=secs(9))
    })
    .await;
    assert_eq!(report.end(), &End::Delivered);
    receiver.seen()
}

/// How many different values there are.
fn different<T: std::hash::Hash + Eq>(seen: &[Seen], value: impl Fn(&Seen) -> T) -> usize {
    seen.iter().map(value).collect::<HashSet<_>>().len()
}

fn token(seen: &Seen) -> String {
    seen.header("authorization").to_owned()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_the_same_delivery_with_a_new_token() {
    let seen = attempts(|_| ()).await;
    assert_eq!(seen.len(), 20);
    assert_eq!(different(&seen, token), 20);
    assert_eq!(different(&seen, |seen| seen.body.clone()), 1);
    assert_eq!(different(&seen, callback_url), 1);
    for (index, seen) in (0_u64..).zip(&seen) {
        assert_eq!(claims(seen)["iat"], json!(1_713_312_120 + 9 * index));
    }
    let ids = different(&seen, |seen| claims(seen)["jti"].to_string());
    assert_eq!(ids, 20);
}

#[tokio::test(start_paused = true)]
async fn a_token_may_be_reused_until_it_expires() {
    let seen = attempts(|it| {
        it.reuse_tokens = true;
        it.change_bodies = true;
        it.change_callback_urls = true;
    })
    .await;
    // 14 attempts are made in the first two minutes.
    for half in [&seen[..14], &seen[14..]] {
        assert_eq!(different(half, token), 1);
        assert_eq!(different(half, |seen| seen.body.clone()), 1);
    }
    assert_eq!(different(&seen, token), 2);
    assert_eq!(different(&seen, callback_url), 2);
    assert_eq!(claims(&seen[14])["iat"], json!(1_713_312_120 + 14 * 9));
}

#[tokio::test(start_paused = true)]
async fn callback_urls_and_bodies_may_change_from_attempt_to_attempt() {
    let seen = attempts(|it| it.change_callback_urls = true).await;
    assert_eq!(different(&seen, callback_url), 20);

    let seen = attempts(|it| it.change_bodies = true).await;
    assert_eq!(different(&seen, callback_url), 1);
    assert!(different(&seen, |seen| seen.body.clone()) > 15);
    let value = |seen: &Seen| -> Value { serde_json::from_slice(&seen.body).expect("JSON") };
    assert!(seen.iter().all(|it| value(it) == value(&seen[0])));
}

#[tokio::test(start_paused = true)]
async fn callback_urls_of_one_delivery_complete_it_once() {
    let tenant = tenant();
    let simulator = simulator(&tenant).switches(switched(|it| it.change_callback_urls = true));
    let receiver = Scripted::new([Now(503, ""), Now(202, "")]);
    let running = tokio::spawn(simulator.deliver(receiver.clone(), tenant.delivery(TEST_EVENT)));
    sleep(secs(60)).await;
    let urls: Vec<_> = receiver.seen().iter().map(callback_url).collect();
    assert_eq!(simulator.callbacks().post(&urls[0], ACKNOWLEDGED), 200);
    assert_eq!(simulator.callbacks().post(&urls[1], ACKNOWLEDGED), 400);
    assert_eq!(running.await.expect("no panic").callbacks().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_id_is_the_delivery_s_or_the_configured_webhook_s() {
    for share in [false, true] {
        let tenant = tenant();
        let simulator = simulator(&tenant).switches(switched(|it| it.share_webhook_ids = share));
        let receiver = Scripted::new([Now(200, ACKNOWLEDGED)]);
        for _ in 0..5 {
            let delivery = tenant.delivery(TEST_EVENT);
            let _ = simulator.deliver(receiver.clone(), delivery).await;
        }
        let ids = different(&receiver.seen(), |seen| {
            seen.header("webhook-id").to_owned()
        });
        assert_eq!(ids, if share { 1 } else { 5 });
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_delivery_s_knobs_say_stands() {
    let tenant = tenant();
    let delivery = |change: fn(Delivery) -> Delivery| change(tenant.delivery(TEST_EVENT));
    let receiver = Scripted::new([Now(200, ACKNOWLEDGED)]);
    for delivery in [
        delivery(|it| it.claim("aud", json!("other.example.com"))),
        delivery(|it| it.body(r#"{"a":1}"#)),
        delivery(|it| it.tampered_body("x")),
        delivery(|it| it.callback_url(None)),
    ] {
        let every = Switches::all().last().expect("some");
        let simulator = simulator(&tenant).switches(every);
        let report = simulator.deliver(receiver.clone(), delivery).await;
        assert!(report.is_success());
    }
    let seen = receiver.seen();
    assert_eq!(claims(&seen[0])["aud"], "other.example.com");
    assert_eq!(seen[1].body, r#"{"a":1}"#);
    assert_eq!(seen[2].body, "x");
    assert!(!seen[3].head.headers().contains_key("webhook-callback-url"));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_schedule() {
    let starts = async |seed: Option<u64>, skip: usize| {
        let tenant = tenant();
        let mut simulator = simulator(&tenant);
        if let Some(seed) = seed {
            simulator = simulator.seed(seed);
        }
        let receiver = Scripted::new([Now(503, "")]);
        let mut reports = Vec::new();
        for _ in 0..=skip {
            let delivery = tenant.delivery(TEST_EVENT);
            reports.push(simulator.deliver(receiver.clone(), delivery).await);
        }
        let report = reports.pop().expect("one");
        let starts: Vec<_> = report
            .attempts()
            .iter()
            .map(DeliveryAttempt::started)
            .collect();
        (starts, report.seed())
    };
    let (first, seed) = starts(None, 2).await;
    assert_eq!(starts(Some(seed), 0).await, (first.clone(), seed));
    let (other, _) = starts(Some(seed), 1).await;
    assert_ne!(other, first, "deliveries differ");
}

#[tokio::test(start_paused = true)]
async fn thousands_of_deliveries_go_on_at_once() {
    let tenant = tenant();
    let simulator = simulator(&tenant);
    let started = Instant::now();
    let running: Vec<_> = (0..3000)
        .map(|index| {
            let answer = After(secs(index % 60), 200, ACKNOWLEDGED);
            let receiver = Scripted::new([answer, Now(200, ACKNOWLEDGED)]);
            tokio::spawn(simulator.deliver(receiver, tenant.delivery(TEST_EVENT)))
        })
        .collect();
    for running in running {
        assert_eq!(running.await.expect("no panic").end(), &End::Delivered);
    }
    assert!(started.elapsed() <= secs(45), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_secret_is_not_shown() {
    let tenant = tenant();
    let simulator = simulator(&tenant);
    let receiver = Scripted::new([Now(500, "secret"), Now(202, "")]);
    let running = tokio::spawn(simulator.deliver(receiver.clone(), tenant.delivery(EVENTS[1])));
    sleep(secs(20)).await;
    let url = callback_url(&receiver.seen()[0]);
    let document = r#"{"version":"v1","complete":{"comment":"secret"}}"#;
    assert_eq!(simulator.callbacks().post(&url, document), 200);
    let report = running.await.expect("no panic");
    let shown = format!("{report:?} {simulator:?} {:?}", simulator.callbacks());
    let secret = url.rsplit('/').next().expect("a token");
    for secret in [secret, "secret", &token(&receiver.seen()[0])] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_callback_endpoint_is_a_service() {
    let tenant = tenant();
    let simulator = simulator(&tenant);
    let receiver = Scripted::new([Now(202, "")]);
    let running = tokio::spawn(simulator.deliver(receiver.clone(), tenant.delivery(TEST_EVENT)));
    sleep(secs(1)).await;
    let url = callback_url(&receiver.seen()[0]);
    let send = async |method: Method, url: &str, body: String| {
        let request = Request::builder().method(method).uri(url);
        let request = request.body(Full::<Bytes>::from(body)).expect("a request");
        let answer: Result<_, Infallible> = simulator.callbacks().oneshot(request).await;
        answer.expect("infallible").status().as_u16()
    };
    let document = || ACKNOWLEDGED.to_owned();
    assert_eq!(send(Method::GET, &url, document()).await, 405);
    assert_eq!(send(Method::POST, "https://x/y", document()).await, 404);
    assert_eq!(send(Method::POST, &url, " ".repeat(2 << 20)).await, 400);
    assert_eq!(send(Method::POST, &url, document()).await, 200);
    assert_eq!(send(Method::POST, &url, document()).await, 400);
    assert!(running.await.expect("no panic").is_success());
}

async fn post(endpoint: &CallbackEndpoint, url: &str) -> (u16, u16) {
    let (authority, _) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .expect("on loopback");
    let mut stream = TcpStream::connect(authority).await.expect("a server");
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{ACKNOWLEDGED}",
        &url["http://".len() + authority.len()..],
        ACKNOWLEDGED.len(),
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let status = answer["HTTP/1.1 ".len()..][..3].parse().expect("a status");
    (status, endpoint.post(url, ACKNOWLEDGED).as_u16())
}

#[tokio::test]
async fn the_callback_endpoint_is_served_on_loopback() {
    let tenant = tenant();
    let simulator = simulator(&tenant);
    let callbacks = simulator.callbacks();
    let server = callbacks.serve().await.expect("a port");
    let receiver = Scripted::new([Now(202, "")]);
    let running = tokio::spawn(simulator.deliver(receiver.clone(), tenant.delivery(TEST_EVENT)));
    while receiver.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let url = callback_url(&receiver.seen()[0]);
    assert!(url.starts_with(&server.origin()), "{url}");
    assert_eq!(post(&callbacks, &url).await, (200, 400));
    assert_eq!(
        running.await.expect("no panic").end(),
        &End::CompletedByCallback
    );

    let authority = server.origin()["http://".len()..].to_owned();
    drop(server);
    tokio::task::yield_now().await;
    TcpStream::connect(authority)
        .await
        .expect_err("the port is closed");
}
