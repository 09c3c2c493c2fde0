//! Neither the log, at any level, nor spans nor metrics show a secret of what arrives:
//! token, callback URL, payload, comment.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use serde_json::{Value, json};
use support::callback::{
    Act, COMMENT, PROVISION, SECRET, Script, builder as callbacks, own_url, status,
};
use support::log::{self, Log};
use support::{DOMAIN, builder, clock, now};
use tokio::time::sleep;
use tower::{Layer as _, Service as _, ServiceExt, service_fn};
use tower_conductorone::event::Payload;
use tower_conductorone::testing::{AttackPack, Delivery, FakeTenant, Fixture};
use tower_conductorone::{DeliverOnceLayer, DeliveryRun, Webhook};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// All that is logged, spans when they begin and end, and what metrics are called.
struct Seen {
    log: Log,
    metrics: Snapshotter,
}

impl Seen {
    fn everything(&self) -> String {
        let mut everything = self.log.take();
        for (key, unit, description, _) in self.metrics.snapshot().into_vec() {
            let _ = writeln!(everything, "{key:?} {unit:?} {description:?}");
        }
        everything
    }

    /// Asserts that no piece of a secret is to be seen, but all of this.
    #[track_caller]
    fn shows_none(&self, what: &str, secrets: &Pieces, shown: &[&str]) {
        let everything = self.everything();
        for line in everything.lines() {
            let mut windows = line.as_bytes().windows(PIECE);
            let secret = windows.find(|window| secrets.contains(*window));
            let secret = secret.map(String::from_utf8_lossy);
            assert_eq!(secret, None, "{what}: {line}");
        }
        for shown in shown {
            assert!(everything.contains(shown), "{what}: no {shown:?}");
        }
    }
}

/// Does this while all is recorded.
async fn seen<F: Future>(work: impl FnOnce() -> F) -> (Seen, F::Output) {
    let log = Log::default();
    let text = fmt::layer()
        .with_ansi(false)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_writer(log.clone())
        .with_filter(LevelFilter::TRACE);
    let _capturing = log::capture(Registry::default().with(text));
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let done = work().await;
    (Seen { log, metrics }, done)
}

/// The length of a piece of a secret. No harmless text shares so many bytes with a token.
const PIECE: usize = 12;

type Pieces = HashSet<Vec<u8>>;

fn pieces(secret: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    secret.chunks_exact(PIECE).map(<[u8]>::to_vec)
}

/// Those of the token, and of the end of the callback URL.
fn secrets(headers: &HeaderMap) -> impl Iterator<Item = Vec<u8>> {
    let ends = |name, before: u8| {
        let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
        values.filter_map(move |value| value.rsplit(move |byte| *byte == before).next())
    };
    let secrets = ends("authorization", b' ').chain(ends("webhook-callback-url", b'/'));
    let parts = secrets.flat_map(|secret| secret.split(|byte| *byte == b'.'));
    parts.flat_map(pieces)
}

/// Reads the whole webhook, and answers with a comment; fails twice, then is slow.
async fn handle(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let run = request.extensions().get::<DeliveryRun>().expect("a run");
    let webhook = request.extensions().get::<Webhook>().expect("a webhook");
    read(webhook);
    let document = json!({ "version": "v1", "complete": { "comment": COMMENT } });
    let mut response = Response::new(Full::from(document.to_string()));
    match run.number() {
        1 | 2 => *response.status_mut() = StatusCode::BAD_GATEWAY,
        _ => sleep(Duration::from_secs(60)).await,
    }
    Ok(response)
}

/// Follows pointers, too: what is wrong with them is logged only then.
fn read(webhook: &Webhook) {
    let task = match webhook.payload() {
        Ok(Payload::ProvisionStep(step)) => step.task_view().clone(),
        Ok(Payload::PolicyApprovalStep(step)) => step.task_view().clone(),
        Ok(Payload::PolicyPostAction(action)) => action.task_view().clone(),
        _ => return,
    };
    let _ = (task.app(), task.principal_resource());
}

#[tokio::test(start_paused = true)]
async fn no_attack_gets_a_secret_into_log_spans_or_metrics() {
    let tenant = FakeTenant::new(DOMAIN);
    let sent = Arc::new(Mutex::new(Pieces::new()));
    let (seen, report) = seen(async || {
        let client = callbacks().post(Script::new([status(503), status(200)]));
        let once = DeliverOnceLayer::builder().callbacks(client.build().expect("good"));
        let once = once.build().expect("good");
        let verify = builder(&tenant).max_body_bytes(64 * 1024);
        let layer = verify.build().expect("good");
        let receiver = layer.layer(once.layer(service_fn(handle)));
        let mut watched = service_fn(|request: Request<Full<Bytes>>| {
            sent.lock()
                .expect("no panic")
                .extend(secrets(request.headers()));
            receiver.clone().oneshot(request)
        });
        let pack = AttackPack::new(&tenant, "https://hooks.example.com/webhooks");
        let pack = pack.clock(clock()).max_body_bytes(64 * 1024);
        let report = pack.fire(&mut watched).await;
        sleep(Duration::from_secs(3600)).await;
        report
    })
    .await;
    assert!(report.results().len() > 100, "{report}");
    let mut sent = std::mem::take(&mut *sent.lock().expect("no panic"));
    sent.extend(pieces(COMMENT.as_bytes()));
    let shown = [
        "webhook answered",
        "webhook{",
        "c1_webhook_rejections_total",
    ];
    seen.shows_none("the attack pack", &sent, &shown);
}

/// Makes each text of a payload a secret, except types and the pointers to objects, which
/// are shown if they lead nowhere.
fn mark(value: &mut Value) {
    match value {
        Value::String(text) => text.insert_str(0, "s3cret-of-the-payload "),
        Value::Array(values) => values.iter_mut().for_each(mark),
        Value::Object(members) => {
            let is_shown = |name: &str| name == "@type" || name.ends_with("Path");
            let texts = members.iter_mut().filter(|(name, _)| !is_shown(name));
            texts.for_each(|(_, value)| mark(value));
        }
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn no_payload_and_no_answer_is_in_log_spans_or_metrics() {
    let tenant = FakeTenant::new(DOMAIN);
    let secrets = ["s3cret-of-the-payload", SECRET, COMMENT];
    let secrets = secrets
        .map(str::as_bytes)
        .into_iter()
        .flat_map(pieces)
        .collect();
    let shown = [
        "webhook answered",
        "webhook.run{",
        "webhook.callback{",
        "callback is retried",
        "c1_webhook_callback_attempts_total",
    ];
    for fixture in Fixture::ALL {
        // As it is meant to be, with texts for numbers and times, and not readable at all.
        let mut marked = fixture.payload();
        mark(&mut marked);
        let unreadable = json!({ "@type": "x", "taskView": ["s3cret-of-the-payload"] });
        let (seen, ()) = seen(async || {
            for payload in [marked, unreadable] {
                let delivery = tenant.delivery(fixture.event()).payload(payload);
                let delivery = delivery.issued_at(now()).callback_url(Some(&own_url()));
                deliver(&tenant, delivery).await;
            }
        })
        .await;
        // The document is not one for every event.
        let is_posted = fixture.event() == PROVISION;
        let shown = &shown[..if is_posted { shown.len() } else { 1 }];
        seen.shows_none(fixture.name(), &secrets, shown);
    }
}

/// Two runs that fail, one that is promised, a duplicate meanwhile; then a callback that
/// fails in each way.
async fn deliver(tenant: &FakeTenant, delivery: Delivery) {
    let acts = [
        Act::Unsent,
        Act::Broken,
        Act::Answer(503, vec![("retry-after", "7".into())]),
        status(200),
    ];
    let client = callbacks().post(Script::new(acts));
    let once = DeliverOnceLayer::builder().callbacks(client.build().expect("good"));
    let once = once.build().expect("good");
    let verify = builder(tenant).build().expect("good");
    let mut receiver = verify.layer(once.layer(service_fn(handle)));
    for _ in 0..4 {
        let request = delivery.retried().request();
        receiver.call(request).await.expect("infallible");
    }
    sleep(Duration::from_secs(3600)).await;
    assert!(once.drain().await.is_complete());
}
