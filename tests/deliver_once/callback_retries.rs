//! What becomes of each answer, and when the next attempt is made: in virtual
//! time, without sockets.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use support::callback::{Act, PROVISION, Script, builder, callback, own_url, reply, status};
use support::{DOMAIN, now};
use tower::{Layer, service_fn};
use tower_conductorone::callback::{
    AttemptOutcome, Callback, CallbackClient, CallbackError, Delivered, Post, PostError, Progress,
};
use tower_conductorone::event::{
    ApprovalReply, Comment, ProvisionReply, ProvisionStep, ReplyError,
};
use tower_conductorone::testing::simulator::{CallbackEndpoint, End, Simulator};
use tower_conductorone::testing::{FakeTenant, VirtualClock};
use tower_conductorone::{BoxFuture, Webhook};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn client(script: &Script) -> CallbackClient {
    builder().post(script.clone()).build().expect("good")
}

async fn send(script: &Script) -> Result<Delivered, CallbackError> {
    client(script).send(&callback(&own_url()), &reply()).await
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn retry_after(value: &str) -> Act {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    Act::Answer(503, vec![date, ("retry-after", value.to_owned())])
}

#[tokio::test(start_paused = true)]
async fn each_status_is_done_or_final_or_tried_again() {
    let callback = no_longer_early();
    for code in 200..600 {
        let script = Script::new([status(code)]);
        let mut progress = Progress::default();
        let outcome = client(&script)
            .attempt(&callback, &reply(), &mut progress)
            .await;
        let again = matches!(outcome, Ok(AttemptOutcome::Retry { .. }));
        match code {
            200..=299 => assert_eq!(
                outcome,
                Ok(AttemptOutcome::Delivered(Delivered::Accepted)),
                "{code}"
            ),
            400 => assert_eq!(outcome, Err(CallbackError::UsedOrExpired)),
            300..=399 | 401 | 403 | 404 | 408 | 425 | 429 | 500..=599 => {
                assert!(again, "{code}: {outcome:?}");
            }
            _ => match outcome {
                Err(CallbackError::Refused { status, .. }) => assert_eq!(status, code),
                other => panic!("{code}: {other:?}"),
            },
        }
        assert_eq!(progress.attempts, 1);
        // A gateway, or a server that failed, may have let it through.
        let uncertain = (500..=599).contains(&code) && code != 503;
        assert_eq!(progress.uncertain, uncertain, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_400_is_told_apart_by_what_came_before() {
    let callback = no_longer_early();
    let used = Err(CallbackError::UsedOrExpired);
    let probably = Ok(Delivered::ProbablyAccepted);
    let table = [
        (vec![status(400)], used.clone()),
        (vec![Act::Unsent, status(400)], used.clone()),
        (vec![status(503), status(400)], used.clone()),
        (vec![status(429), status(302), status(400)], used),
        (vec![Act::Broken, status(400)], probably.clone()),
        (vec![Act::Hang, status(400)], probably.clone()),
        (vec![status(502), status(400)], probably.clone()),
        (
            vec![Act::Broken, Act::Unsent, status(503), status(400)],
            probably,
        ),
        (vec![Act::Broken, status(200)], Ok(Delivered::Accepted)),
    ];
    for (acts, expected) in table {
        let script = Script::new(acts.clone());
        let sent = client(&script).send(&callback, &reply()).await;
        assert_eq!(sent, expected, "{acts:?}");
        assert_eq!(script.posts().len(), acts.len(), "{acts:?}");
    }
    // Another refusal says nothing of an earlier acceptance.
    let refused = send(&Script::new([Act::Broken, status(422)])).await;
    match refused {
        Err(CallbackError::Refused { status, .. }) => assert_eq!(status, 422),
        other => panic!("{other:?}"),
    }
}

/// A callback that ConductorOne can no longer refuse since it waits for a 202.
fn no_longer_early() -> Callback {
    callback_fired_ago(EARLY)
}

/// For how long after its firing a callback may come too early.
const EARLY: Duration = Duration::from_secs(45 * 60);

#[tokio::test(start_paused = true)]
async fn a_400_may_come_of_an_unheard_202_as_long_as_conductorone_tries() {
    for (acts, expected) in [
        (vec![status(400)], Err(CallbackError::UsedOrExpired)),
        (
            vec![Act::Broken, status(400)],
            Ok(Delivered::ProbablyAccepted),
        ),
    ] {
        let script = Script::new(acts.clone());
        assert_eq!(send(&script).await, expected, "{acts:?}");
        let posts = script.posts();
        let last = posts.last().expect("some");
        assert!((EARLY..EARLY + seconds(60)).contains(last), "{last:?}");
        // Whenever the 202 is heard, the document follows within a minute.
        for pair in posts.windows(2) {
            assert!(pair[1] <= pair[0] + seconds(60), "{posts:?}");
        }
        assert!(posts[3] <= seconds(20), "soon at first: {posts:?}");
        assert!(posts.len() < 100, "{}", posts.len());

        // A client that is made anew for each attempt knows it, too.
        let mut progress = Progress::default();
        let outcome = client(&Script::new([status(400)]))
            .attempt(&callback_fired_ago(seconds(600)), &reply(), &mut progress)
            .await;
        assert!(
            matches!(outcome, Ok(AttemptOutcome::Retry { .. })),
            "{outcome:?}"
        );
        assert!(!progress.uncertain);
    }
    let heard = Script::new([status(400), status(400), status(200)]);
    assert_eq!(send(&heard).await, Ok(Delivered::Accepted));
}

/// A callback of a webhook that was fired so long before the clock's start.
fn callback_fired_ago(age: Duration) -> Callback {
    let mut stored = serde_json::to_value(callback(&own_url())).expect("JSON");
    let fired_at = stored["firedAt"].as_u64().expect("seconds") - age.as_secs();
    stored["firedAt"] = fired_at.into();
    serde_json::from_value(stored).expect("a callback")
}

#[tokio::test(start_paused = true)]
async fn what_a_firewall_or_a_deployment_refuses_is_tried_until_the_deadline() {
    for code in [401, 403, 404] {
        let mut acts = vec![status(code); 100];
        acts.push(status(200));
        let script = Script::new(acts);
        assert_eq!(send(&script).await, Ok(Delivered::Accepted), "{code}");
        let last = script.posts().pop().expect("some");
        assert!(last > seconds(11 * 60 * 60), "{code}: {last:?}");

        let outcome = send(&Script::new([status(code)])).await;
        match outcome {
            Err(CallbackError::DeadlinePassed { uncertain, .. }) => assert!(!uncertain),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_three_attempts_are_over_within_40_s() {
    for act in [
        Act::Hang,
        Act::Broken,
        Act::Unsent,
        status(503),
        retry_after("3"),
    ] {
        for _ in 0..100 {
            let script = Script::new([act.clone(), act.clone(), act.clone(), status(200)]);
            assert_eq!(send(&script).await, Ok(Delivered::Accepted));
            let posts = script.posts();
            assert!(posts[2] + seconds(10) <= seconds(40), "{act:?}: {posts:?}");
            assert!(posts[1] >= seconds(1), "{act:?}: {posts:?}");
            assert!(posts[2] >= posts[1] + seconds(2), "{act:?}: {posts:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_until_just_before_the_deadline() {
    for (set, deadline) in [
        (None, 8 * DAY),
        (Some(DAY), DAY),
        (Some(30 * DAY), 30 * DAY),
    ] {
        for act in [Act::Hang, Act::Unsent, retry_after("100000000")] {
            let script = Script::new([act.clone()]);
            let client = builder().post(script.clone());
            let client = match set {
                Some(deadline) => client.deadline(deadline),
                None => client,
            };
            let client = client.build().expect("good");
            let outcome = client.send(&callback(&own_url()), &reply()).await;
            match outcome {
                Err(CallbackError::DeadlinePassed { uncertain, .. }) => {
                    assert_eq!(uncertain, matches!(act, Act::Hang));
                }
                other => panic!("{act:?}: {other:?}"),
            }
            let posts = script.posts();
            let last = *posts.last().expect("some");
            // By chance, one ended so late that there was no time for another.
            let ended = last + seconds(10);
            assert!(ended <= deadline, "{act:?}: {ended:?}");
            assert!(ended + seconds(10) > deadline, "{act:?}: {ended:?}");
            // Not too few, and not too many.
            let mean = deadline / u32::try_from(posts.len()).expect("few");
            let expected = match act {
                Act::Answer(..) => seconds(3_300)..seconds(4_500),
                _ => seconds(450)..seconds(900),
            };
            assert!(expected.contains(&mean), "{act:?}: {mean:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callbacks_that_fail_together_do_not_come_back_together() {
    for act in [status(503), retry_after("60")] {
        let mut second: Vec<_> = Vec::new();
        for _ in 0..20 {
            let script = Script::new([act.clone(), status(200)]);
            assert_eq!(send(&script).await, Ok(Delivered::Accepted));
            second.push(script.posts()[1]);
        }
        second.sort_unstable();
        assert!(
            second[19] > second[0] + Duration::from_millis(200),
            "{second:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_gets_the_time_that_it_asks_for_up_to_an_hour() {
    for (value, least) in [
        ("120", 120),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 1),
        ("0", 1),
        ("soon", 1),
        ("999999999999999999999999", 3_600),
    ] {
        let script = Script::new([retry_after(value), status(200)]);
        assert_eq!(send(&script).await, Ok(Delivered::Accepted));
        let pause = script.posts()[1];
        let range = seconds(least)..seconds(least) + Duration::from_millis(1_100);
        assert!(range.contains(&pause), "{value}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_once_the_deadline_has_passed() {
    let script = Script::new([status(200)]);
    let client = client(&script);
    tokio::time::advance(8 * DAY).await;
    for known in [false, true] {
        let mut progress = Progress::default();
        progress.uncertain = known;
        let outcome = client
            .attempt(&callback(&own_url()), &reply(), &mut progress)
            .await;
        match outcome {
            Err(CallbackError::DeadlinePassed { uncertain, .. }) => assert_eq!(uncertain, known),
            other => panic!("{other:?}"),
        }
    }
    assert!(script.posts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_in_another_process() {
    let callback = serde_json::to_string(&no_longer_early()).expect("JSON");
    let mut kept = "{}".to_owned();
    let mut pauses = Vec::new();
    for act in [Act::Hang, status(503), Act::Unsent, status(400)] {
        // All that is left of the attempt before is text.
        let mut progress: Progress = serde_json::from_str(&kept).expect("its own JSON");
        let callback = serde_json::from_str(&callback).expect("its own JSON");
        let client = client(&Script::new([act]));
        match client.attempt(&callback, &reply(), &mut progress).await {
            Ok(AttemptOutcome::Retry { after, .. }) => pauses.push(after),
            outcome => assert_eq!(
                outcome,
                Ok(AttemptOutcome::Delivered(Delivered::ProbablyAccepted))
            ),
        }
        kept = serde_json::to_string(&progress).expect("JSON");
    }
    let [first, second, third] = pauses[..] else {
        panic!("{pauses:?}")
    };
    assert!((seconds(1)..=seconds(2)).contains(&first));
    assert!((seconds(2)..=seconds(4)).contains(&second));
    assert!((seconds(4)..=seconds(8)).contains(&third));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_broken_off_has_no_known_outcome() {
    let script = Script::new([Act::Hang, status(400)]);
    let (client, callback, reply) = (client(&script), no_longer_early(), reply());
    let mut progress = Progress::default();
    let attempt = client.attempt(&callback, &reply, &mut progress);
    tokio::time::timeout(seconds(1), attempt)
        .await
        .expect_err("broken off");
    assert_eq!((progress.attempts, progress.uncertain), (1, true));
    let outcome = client.attempt(&callback, &reply, &mut progress).await;
    assert_eq!(
        outcome,
        Ok(AttemptOutcome::Delivered(Delivered::ProbablyAccepted))
    );
}

#[tokio::test(start_paused = true)]
async fn a_document_for_another_event_is_not_posted() {
    let script = Script::new([status(200)]);
    let reply = ApprovalReply::approve(Comment::none()).into();
    let outcome = client(&script).send(&callback(&own_url()), &reply).await;
    assert_eq!(
        outcome,
        Err(CallbackError::Document(ReplyError::Outcomes(0)))
    );
    assert!(script.posts().is_empty());
}

#[test]
fn settings_out_of_their_range_are_refused() {
    let ms = Duration::from_millis(1);
    let second = seconds(1);
    for (good, deadline, timeout) in [
        (true, DAY, second),
        (true, 30 * DAY, 30 * second),
        (false, seconds(24 * 60 * 60 - 1), second),
        (false, 30 * DAY + ms, second),
        (false, DAY, 999 * ms),
        (false, DAY, 30 * second + ms),
    ] {
        let client = CallbackClient::builder()
            .post(Script::new([status(200)]))
            .deadline(deadline)
            .attempt_timeout(timeout)
            .build();
        assert_eq!(client.is_ok(), good, "{deadline:?} {timeout:?}");
    }
}

/// A simulated tenant's endpoint behind a line that breaks after the document
/// has arrived, `breaks` times.
#[derive(Clone, Debug)]
struct Line {
    endpoint: CallbackEndpoint,
    breaks: Arc<AtomicU32>,
}

impl Post for Line {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        Box::pin(async {
            let answer = Post::post(&self.endpoint, request).await;
            let left = self.breaks.load(SeqCst);
            self.breaks.store(left.saturating_sub(1), SeqCst);
            if left == 0 {
                return answer;
            }
            Err(PostError::unknown("connection reset"))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_takes_days_is_answered_through_the_simulated_tenant() {
    for (breaks, expected) in [(0, Delivered::Accepted), (1, Delivered::ProbablyAccepted)] {
        let tenant = FakeTenant::new(DOMAIN);
        let clock = VirtualClock::starting_at(now());
        let simulator = Simulator::new(&tenant).clock(clock);
        let breaks = Arc::new(AtomicU32::new(breaks));
        let endpoint = simulator.callbacks();
        let client = CallbackClient::builder()
            .post(Line { endpoint, breaks })
            .clock(clock)
            .build()
            .expect("good");
        let (done, outcome) = tokio::sync::oneshot::channel();
        let done = Arc::new(Mutex::new(Some(done)));
        let handler = service_fn(move |request: Request<Full<Bytes>>| {
            let webhook = request.extensions().get::<Webhook>().expect("verified");
            let callback = webhook.callback().expect("a URL");
            let (client, done) = (client.clone(), done.lock().expect("no panic").take());
            tokio::spawn(async move {
                tokio::time::sleep(7 * DAY).await;
                let callback = callback.typed::<ProvisionStep>().expect("its event");
                let reply = ProvisionReply::complete(Comment::none());
                let outcome = client.answer(&callback, reply).await;
                done.expect("one attempt").send(outcome).expect("awaited");
            });
            let mut accepted = Response::new(Full::<Bytes>::default());
            *accepted.status_mut() = StatusCode::ACCEPTED;
            std::future::ready(Ok::<_, Infallible>(accepted))
        });
        let receiver = support::builder(&tenant).clock(clock).build();
        let receiver = receiver.expect("good").layer(handler);
        let report = simulator
            .deliver(receiver, tenant.delivery(PROVISION))
            .await;
        assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
        assert_eq!(outcome.await.expect("sent"), Ok(expected));
    }
}

#[cfg(not(feature = "reqwest"))]
#[test]
fn without_a_client_a_post_has_to_be_given() {
    let builder = CallbackClient::builder();
    let error = builder.clone().build().expect_err("no client").to_string();
    assert!(
        error.contains("`post`") && error.contains("`reqwest`"),
        "{error}"
    );
    builder
        .post(Script::new([status(200)]))
        .build()
        .expect("good");
}

#[tokio::test]
async fn clients_share_a_post_behind_an_arc() {
    let script = Script::new([status(200)]);
    let post: Arc<dyn Post> = Arc::new(script.clone());
    let own = builder().post(Arc::clone(&post));
    let other = own.clone().attempt_timeout(Duration::from_secs(1));
    for client in [own, other] {
        let client = client.build().expect("good");
        let sent = client.send(&callback(&own_url()), &reply()).await;
        assert_eq!(sent, Ok(Delivered::Accepted));
    }
    assert_eq!(script.posts().len(), 2);
}
