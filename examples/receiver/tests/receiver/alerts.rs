//! Each alert in real trouble: real receivers, a real Prometheus, the rules that are
//! delivered with a shorter minute.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use axum::Router;
use http::StatusCode;
use serde_json::Value;
use support::redis_server::RedisServer;
use support::wire::{Protocol, attempt, within};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tower::service_fn;
use tower_conductorone::testing::simulator::{CallbackServer, Simulator};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, Fault, JwksServer, VirtualClock};

use crate::databases::Folder;
use crate::observability::{expressions, panels};
use crate::process::{Receiver, serve};
use crate::prometheus::{Prometheus, folder};

const HTTP1: Protocol = Protocol::Http1;
const PROVISION: &str = EVENTS[1];

/// The rules as they are, but a minute takes 500 ms, and an hour 30 s.
fn with_short_minutes(rules: &str) -> String {
    let mut short = String::new();
    for piece in rules.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric()) {
        let word = piece.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let minutes = word
            .strip_suffix('m')
            .and_then(|text| text.parse::<u64>().ok());
        match minutes {
            Some(minutes) => {
                let _ = write!(short, "{}ms", minutes * 500);
                short.push_str(&piece[word.len()..]);
            }
            None => short.push_str(piece),
        }
    }
    short.replace("> 3600", "> 30")
}

/// A tenant, its keys and its callback endpoint.
struct Sender {
    tenant: FakeTenant,
    jwks: JwksServer,
    simulator: Simulator,
    callbacks: CallbackServer,
}

impl Sender {
    async fn new(domain: &str, pauses: RangeInclusive<u64>) -> Self {
        let tenant = FakeTenant::new(domain);
        let range = Duration::from_millis(*pauses.start())..=Duration::from_millis(*pauses.end());
        let simulator = Simulator::new(&tenant).pauses(range);
        Self {
            jwks: serve(&tenant).await,
            callbacks: simulator.callbacks().serve().await.expect("a port"),
            simulator,
            tenant,
        }
    }

    fn flags(&self) -> [String; 6] {
        let domain = self.tenant.domain();
        let of_it = |url: String| format!("{domain}={url}");
        [
            "--tenant".to_owned(),
            domain.to_owned(),
            "--jwks-url".to_owned(),
            of_it(self.jwks.url()),
            "--callback-origin".to_owned(),
            of_it(self.callbacks.origin()),
        ]
    }

    /// Delivers as ConductorOne does, and begins anew.
    fn delivers_again_and_again(
        &self,
        to: SocketAddr,
        delivery: Delivery,
    ) -> impl Future<Output = ()> + use<> {
        let simulator = self.simulator.clone();
        async move {
            loop {
                let over_the_wire =
                    service_fn(move |request| attempt(to, request, Duration::from_secs(30)));
                drop(simulator.deliver(over_the_wire, delivery.clone()).await);
            }
        }
    }
}

/// Where no document is taken.
async fn refuses() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("bound"));
    let refuse = Router::new().fallback(async || StatusCode::UNPROCESSABLE_ENTITY);
    tokio::spawn(axum::serve(listener, refuse).into_future());
    origin
}

async fn receiver(senders: &[&Sender], flags: &str) -> (Receiver, SocketAddr) {
    let own = senders.iter().flat_map(|sender| sender.flags());
    let flags = flags.split_whitespace().map(ToOwned::to_owned);
    let flags: Vec<_> = own.chain(flags).collect();
    let mut all = vec!["--metrics-listen", "127.0.0.1:0", "--log-json"];
    all.extend(flags.iter().map(String::as_str));
    let mut receiver = Receiver::start(&all).await;
    let metrics = receiver.metrics_address().await;
    (receiver, metrics)
}

/// Which alert it is, and of what.
fn identity(labels: &Value) -> (String, String) {
    let text = |name: &str| labels[name].as_str().map(ToOwned::to_owned);
    let of = text("store").or(text("tenant")).or(text("layer"));
    (text("alertname").expect("a name"), of.expect("something"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(
    clippy::too_many_lines,
    reason = "one trouble after the other would take minutes"
)]
async fn each_alert_fires_in_its_trouble_alone_and_each_panel_shows_something() {
    // The pauses between attempts are shorter than ConductorOne's, as the minutes are.
    let sender = |domain| Sender::new(domain, 50..=100);
    let (calm, refused) = (
        sender("calm.example").await,
        sender("refused.example").await,
    );
    let unknown = sender("unknown.example").await;
    let mut skewed = sender("skewed.example").await;
    let behind = VirtualClock::starting_at(SystemTime::now()).behind(Duration::from_secs(25));
    skewed.simulator = skewed.simulator.clock(behind);
    let failing = sender("failing.example").await;
    let uncalled = sender("uncalled.example").await;
    let (stale, keyless) = (
        sender("stale.example").await,
        sender("keyless.example").await,
    );
    let cut_off = Sender::new("cut-off.example", 500..=600).await;
    let stuck = sender("stuck.example").await;
    let mut redis = RedisServer::start(&[]);

    stale.jwks.cache_control(Some("max-age=30"));
    keyless.jwks.set_fault(Some(Fault::Down));
    let (well, well_metrics) = receiver(&[&calm, &refused, &unknown, &skewed], "").await;
    let (fails, fails_metrics) = receiver(&[&failing], "--fail-first 1000000").await;
    let refusing = refuses().await;
    let flags = format!("--respond async --callback-origin uncalled.example={refusing}");
    let (promises, promises_metrics) = receiver(&[&uncalled], &flags).await;
    let database = Folder::new();
    let url = database.url();
    let flags = format!("--respond async --work-ms 600000 --database-url {url}");
    let (hangs, hangs_metrics) = receiver(&[&stuck], &flags).await;
    let (old, old_metrics) = receiver(&[&stale, &keyless], "").await;
    let flags = format!(
        "--redis-url {} --lease-ms 5000 --work-ms 600000",
        redis.url()
    );
    let (mut storeless, storeless_metrics) = receiver(&[&cut_off], &flags).await;
    let metrics = [
        well_metrics,
        fails_metrics,
        promises_metrics,
        hangs_metrics,
        old_metrics,
        storeless_metrics,
    ];
    let rules = std::fs::read_to_string(folder().join("alerts.yml")).expect("rules");
    let prometheus = Prometheus::start("alerts", &metrics, &with_short_minutes(&rules)).await;

    // The keys have been fetched once, then no more.
    let loaded = async {
        while old
            .send(HTTP1, &stale.tenant.delivery(PROVISION))
            .await
            .status
            != 200
        {
            tokio::task::yield_now().await;
        }
    };
    within("keys", loaded).await;
    stale.jwks.set_fault(Some(Fault::Down));

    let mut traffic = JoinSet::new();
    let (simulator, tenant, to) = (calm.simulator.clone(), calm.tenant.clone(), well.address);
    traffic.spawn(async move {
        let mut pace = interval(Duration::from_millis(100));
        for event in EVENTS.iter().cycle() {
            pace.tick().await;
            let over_the_wire =
                service_fn(move |request| attempt(to, request, Duration::from_secs(30)));
            let delivery = tenant.delivery(*event);
            drop(simulator.deliver(over_the_wire, delivery).await);
        }
    });
    let elsewhere = refused.tenant.delivery(PROVISION);
    let elsewhere = elsewhere.to("https://other.example.com/webhooks");
    traffic.spawn(refused.delivers_again_and_again(well.address, elsewhere));
    let delivery = skewed.tenant.delivery(PROVISION);
    traffic.spawn(skewed.delivers_again_and_again(well.address, delivery));
    let delivery = failing.tenant.delivery(PROVISION);
    traffic.spawn(failing.delivers_again_and_again(fails.address, delivery));
    let tomorrow = unknown.tenant.delivery("c1.webhooks.v1.PayloadOfTomorrow");
    assert_eq!(well.send(HTTP1, &tomorrow).await.status, 200);

    let delivery = stuck.tenant.delivery(PROVISION);
    let url = format!("{}/callback", stuck.callbacks.origin());
    let delivery = delivery.callback_url(Some(&url));
    assert_eq!(hangs.send(HTTP1, &delivery).await.status, 202);

    // One document that is taken, and one that is not.
    let over_the_wire = {
        let to = promises.address;
        service_fn(move |request| attempt(to, request, Duration::from_secs(30)))
    };
    let taken = uncalled.tenant.delivery(PROVISION);
    let taken = uncalled.simulator.deliver(over_the_wire, taken);
    let taken = within("a callback", taken).await;
    assert!(taken.is_success(), "{taken:?}");
    let url = format!("{refusing}/callback");
    let not_taken = uncalled.tenant.delivery(PROVISION).callback_url(Some(&url));
    assert_eq!(promises.send(HTTP1, &not_taken).await.status, 202);

    // The store ends while a handler runs, and another request waits for its answer.
    let delivery = cut_off.tenant.delivery(PROVISION);
    let address = storeless.address;
    traffic.spawn(cut_off.delivers_again_and_again(address, delivery.clone()));
    storeless.line().await;
    traffic.spawn(cut_off.delivers_again_and_again(address, delivery));
    let waits = async {
        let mut pace = interval(Duration::from_millis(100));
        while prometheus
            .query("c1_webhook_requests_waiting > 0")
            .await
            .is_empty()
        {
            pace.tick().await;
        }
    };
    within("a duplicate", waits).await;
    redis.kill();
    let delivery = cut_off.tenant.delivery(PROVISION);
    traffic.spawn(cut_off.delivers_again_and_again(address, delivery));

    let expected: BTreeSet<_> = [
        ("C1WebhookRetriesAbove20", "failing.example"),
        ("C1WebhookAttemptsFail", "failing.example"),
        ("C1WebhookAttemptsFail", "refused.example"),
        ("C1WebhookCallbackFailed", "uncalled.example"),
        ("C1WebhookPromiseTooOld", "receiver"),
        ("C1WebhookClockOff", "skewed.example"),
        ("C1WebhookKeysStale", "stale.example"),
        ("C1WebhookNoKeys", "keyless.example"),
        ("C1WebhookUnknownEvent", "unknown.example"),
        ("C1WebhookStoreFails", "ledger"),
        ("C1WebhookStoreFails", "replay_store"),
    ]
    .map(|(alert, of)| (alert.to_owned(), of.to_owned()))
    .into();
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for name in names {
        assert!(expected.iter().any(|(alert, _)| alert == name), "{name}");
    }
    let mut seen = BTreeSet::new();
    let all = async {
        let mut pace = interval(Duration::from_millis(100));
        while !expected.is_subset(&seen) {
            pace.tick().await;
            seen.extend(prometheus.firing().await.iter().map(identity));
        }
    };
    let waited = timeout(Duration::from_secs(150), all).await;
    let missing: Vec<_> = expected.difference(&seen).collect();
    assert!(waited.is_ok(), "{missing:?} never fired");
    // Its store has been away for so long that this may be true by now.
    seen.remove(&("C1WebhookAttemptsFail".into(), "cut-off.example".into()));
    assert_eq!(seen, expected, "others fire, too");

    for panel in panels() {
        for expression in expressions(&panel) {
            let shown = prometheus.query(&expression).await;
            assert!(!shown.is_empty(), "{}: {expression}", panel["title"]);
        }
    }
}
