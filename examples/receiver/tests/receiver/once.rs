//! That it does each delivery's work once, and how it answers: real connections, real
//! callbacks.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use support::DOMAIN;
use support::wire::{Client, Protocol, Wire, http1_bytes, within};
use tokio::net::TcpListener;
use tower::service_fn;
use tower_conductorone::testing::simulator::{
    CallbackServer, DeliveryReport, End, Simulator, Switches,
};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, JwksServer};

use crate::process::{Receiver, command, serve};

const PROVISION: &str = EVENTS[1];
const HTTP1: Protocol = Protocol::Http1;

/// A tenant that serves its keys, and takes callbacks only after the 202.
struct World {
    tenant: FakeTenant,
    jwks: JwksServer,
    simulator: Simulator,
    callbacks: CallbackServer,
    /// Where documents of other deliveries are taken.
    taker: String,
}

impl World {
    async fn new() -> Self {
        let tenant = FakeTenant::new(DOMAIN);
        let mut switches = Switches::default();
        switches.refuse_early_callbacks = true;
        let pauses = Duration::from_millis(100)..=Duration::from_millis(300);
        let simulator = Simulator::new(&tenant).switches(switches).pauses(pauses);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let taker = format!("http://{}", listener.local_addr().expect("bound"));
        let take = Router::new().fallback(async || StatusCode::OK);
        tokio::spawn(axum::serve(listener, take).into_future());
        Self {
            taker,
            jwks: serve(&tenant).await,
            callbacks: simulator.callbacks().serve().await.expect("a port"),
            simulator,
            tenant,
        }
    }

    /// A receiver whose callbacks may lead to this tenant.
    async fn receiver(&self, flags: &str) -> Receiver {
        let origin = self.callbacks.origin();
        let origins = [
            "--callback-origin",
            &origin,
            "--callback-origin",
            &self.taker,
        ];
        let own = ["--log-json"].into_iter().chain(origins);
        let flags: Vec<_> = own.chain(flags.split_whitespace()).collect();
        Receiver::ready(&self.jwks, &flags).await
    }

    /// A delivery that is not the simulator's, and whose callback URL may be used.
    fn delivery(&self) -> Delivery {
        let url = format!("{}/callback", self.taker);
        self.tenant.delivery(PROVISION).callback_url(Some(&url))
    }

    /// Delivers as ConductorOne does, until that has come to an end.
    async fn deliver(&self, receiver: &Receiver, delivery: &Delivery) -> DeliveryReport {
        let address = receiver.address;
        let over_the_wire = service_fn(move |request| send_to(address, request));
        let delivered = self.simulator.deliver(over_the_wire, delivery.clone());
        within("the end of a delivery", delivered).await
    }
}

async fn send_to(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    Client::connect(HTTP1, address).await.begin(request).await
}

/// The lines that it prints from now on until it has stopped.
async fn lines_left(receiver: Receiver) -> usize {
    receiver.stop().await.len()
}

#[tokio::test]
async fn duplicates_share_one_run_and_then_get_its_answer_again() {
    let world = World::new().await;
    let receiver = world.receiver("--work-ms 700").await;
    let delivery = world.tenant.delivery(PROVISION);
    let [first, second, third] = [HTTP1, Protocol::Http2, HTTP1].map(|protocol| {
        let (receiver, attempt) = (&receiver, delivery.retried());
        async move { receiver.send(protocol, &attempt).await }
    });
    let (first, second, third) = tokio::join!(first, second, third);
    let document = first.body.clone();
    assert!(first.json()["complete"].is_object(), "{first:?}");
    for answer in [first, second, third] {
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &document));
    }

    for protocol in [HTTP1, Protocol::Http2] {
        let asked = Instant::now();
        let again = receiver.send(protocol, &delivery.retried()).await;
        assert_eq!((again.status.as_u16(), &again.body), (200, &document));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert!(asked.elapsed() < Duration::from_millis(700), "it ran again");
    }
    // A token is good for one attempt all the same.
    let replayed = delivery.retried();
    assert_eq!(receiver.send(HTTP1, &replayed).await.status, 200);
    assert_eq!(receiver.send(HTTP1, &replayed).await.status, 401);
    assert_eq!(lines_left(receiver).await, 1);
}

#[tokio::test]
async fn the_work_survives_a_client_that_hangs_up() {
    let world = World::new().await;
    let mut receiver = world.receiver("--work-ms 500").await;
    let delivery = world.tenant.delivery(PROVISION);
    let mut wire = Wire::connect(receiver.address).await;
    wire.write(http1_bytes(delivery.request()).await).await;
    let line = receiver.line().await;
    assert_eq!(line["handled"], delivery.envelope()["webhookId"]);
    drop(wire);

    let answer = receiver.send(HTTP1, &delivery.retried()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["idempotent-replayed"], "true");
    assert_eq!(lines_left(receiver).await, 0);
}

#[tokio::test]
async fn the_first_runs_fail_if_they_are_told_to() {
    let world = World::new().await;
    let receiver = world.receiver("--fail-first 2").await;
    let delivery = world.tenant.delivery(PROVISION);
    for status in [500, 500, 200, 200] {
        let answer = receiver.send(HTTP1, &delivery.retried()).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    assert_eq!(lines_left(receiver).await, 3, "one for each run");
}

#[tokio::test]
async fn the_document_comes_by_callback_after_a_202_at_once_or_at_the_deadline() {
    let world = World::new().await;
    let sync = world.receiver("").await;
    for (flags, earliest, latest) in [
        ("--respond async", 0, 1000),
        ("--respond async --work-ms 1500", 0, 1000),
        ("--answer-within-ms 300 --work-ms 1500", 300, 1400),
    ] {
        let receiver = world.receiver(flags).await;
        for event in EVENTS.iter().copied() {
            let delivery = world.tenant.delivery(event);
            let expected = sync.send(HTTP1, &delivery).await.body;
            let report = world.deliver(&receiver, &delivery).await;
            assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
            let document = report.document().expect("a document").as_bytes();
            assert_eq!(document, &expected, "{flags} {event}");
            let [attempt] = report.attempts() else {
                panic!("{flags}: {report:?}");
            };
            assert_eq!(attempt.status(), Some(StatusCode::ACCEPTED));
            let took = attempt.took().as_millis();
            assert!((earliest..latest).contains(&took), "{flags}: {report:?}");
            // None was refused, which one before the 202 would have been.
            assert_eq!(report.callbacks().len(), 1, "{flags}: {report:?}");
        }
        // One that comes again is not done again.
        let delivery = world.delivery();
        for _ in 0..2 {
            let answer = receiver.send(HTTP1, &delivery.retried()).await;
            assert_eq!(answer.status, 202, "{flags}");
        }
        assert_eq!(lines_left(receiver).await, EVENTS.len() + 1, "{flags}");
    }
    sync.stop().await;
}

#[tokio::test]
async fn a_handler_that_is_fast_enough_is_answered_directly() {
    let world = World::new().await;
    let receiver = world
        .receiver("--answer-within-ms 5000 --work-ms 200")
        .await;
    let report = world
        .deliver(&receiver, &world.tenant.delivery(PROVISION))
        .await;
    assert_eq!(report.end(), &End::Delivered, "{report:?}");
    assert_eq!(report.callbacks(), []);
    receiver.stop().await;
}

#[tokio::test]
async fn work_that_failed_after_a_202_is_done_again() {
    let world = World::new().await;
    let receiver = world.receiver("--respond async --fail-first 1").await;
    let report = world
        .deliver(&receiver, &world.tenant.delivery(PROVISION))
        .await;
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert_eq!(report.attempts().len(), 1, "{report:?}");
    assert_eq!(lines_left(receiver).await, 2);
}

#[tokio::test]
async fn a_callback_that_leads_elsewhere_is_never_connected_to() {
    let elsewhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let elsewhere = elsewhere.expect("a port");
    let port = elsewhere.local_addr().expect("an address").port();
    let own = format!("https://{DOMAIN}/api/v1/webhooks/callback/s3cret");
    let callbacks = [
        (None, "no callback URL"),
        (Some(format!("http://127.0.0.1:{port}/s3cret")), "origins"),
        (Some(format!("https://127.0.0.1:{port}/s3cret")), "origins"),
        (Some(format!("http://localhost:{port}/s3cret")), "origins"),
        // Named origins stand in place of the tenant's own.
        (Some(own), "origins"),
        (Some("nonsense s3cret".to_owned()), "characters"),
    ];
    let world = World::new().await;
    let mut at_once = world.receiver("--respond async").await;
    let late = world.receiver("--answer-within-ms 100 --work-ms 600").await;
    for (index, (url, why)) in callbacks.iter().enumerate() {
        let delivery = world.tenant.delivery(PROVISION);
        let delivery = delivery.callback_url(url.as_deref());
        let answer = at_once.send(HTTP1, &delivery).await;
        assert_eq!(answer.status, 400, "{url:?}: {answer:?}");
        let log = at_once.wait_for_logs("webhook refused", index + 1).await;
        let refused = log.lines().rfind(|line| line.contains("webhook refused"));
        let refused = refused.expect("a line");
        assert!(refused.contains(why), "{url:?}: {refused}");

        let asked = Instant::now();
        let answer = late.send(HTTP1, &delivery).await;
        assert_eq!(answer.status, 200, "{url:?}: {answer:?}");
        assert!(asked.elapsed() >= Duration::from_millis(600), "{url:?}");
    }
    for receiver in [&at_once, &late] {
        assert!(!receiver.log().contains("s3cret"), "{}", receiver.log());
    }
    assert_eq!(lines_left(at_once).await, 0);
    assert_eq!(lines_left(late).await, callbacks.len());
    tokio::select! {
        biased;
        connected = elsewhere.accept() => panic!("{connected:?}"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn a_slow_handler_without_a_callback_is_asked_again_after_28_seconds() {
    let world = World::new().await;
    let receiver = world
        .receiver("--answer-within-ms 100 --work-ms 30000")
        .await;
    let delivery = world.tenant.delivery(PROVISION).callback_url(None);
    let asked = Instant::now();
    let answer = receiver.send(HTTP1, &delivery).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    let waited = asked.elapsed().as_millis();
    assert!((28_000..30_000).contains(&waited), "{waited} ms");
    let answer = receiver.send(HTTP1, &delivery.retried()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(lines_left(receiver).await, 1);
}

async fn what_was_accepted_is_finished(signal: &str) {
    let world = World::new().await;
    // It fails at first, and is done again some seconds later.
    let mut receiver = world
        .receiver("--respond async --work-ms 1000 --fail-first 1")
        .await;
    let delivery = world.tenant.delivery(PROVISION);
    let stop = async {
        let mut log = receiver.log.clone();
        let answered = log.wait_for(|log| log.contains("status=202"));
        within("a 202", answered).await.expect("a log");
        receiver.signal(signal);
    };
    let (report, ()) = tokio::join!(world.deliver(&receiver, &delivery), stop);
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert!(receiver.log().contains("stopping"), "{}", receiver.log());
    let since = Instant::now();
    assert_eq!(receiver.exit().await.code(), Some(0), "{}", receiver.log());
    let since = since.elapsed();
    assert!(since < Duration::from_secs(15), "{since:?}");
    assert_eq!(receiver.line().await, receiver.line().await);
}

#[tokio::test]
async fn what_was_accepted_is_finished_before_a_graceful_stop_ends() {
    tokio::join!(
        what_was_accepted_is_finished("TERM"),
        what_was_accepted_is_finished("INT"),
    );
}

#[tokio::test]
async fn work_whose_client_has_gone_is_finished_before_a_graceful_stop_ends() {
    let world = World::new().await;
    let mut receiver = world.receiver("--work-ms 2000").await;
    let mut wire = Wire::connect(receiver.address).await;
    let request = world.tenant.delivery(PROVISION).request();
    wire.write(http1_bytes(request).await).await;
    let begun = Instant::now();
    receiver.line().await;
    drop(wire);
    receiver.signal("TERM");
    assert_eq!(receiver.exit().await.code(), Some(0));
    let after = begun.elapsed().as_millis();
    assert!((1_500..15_000).contains(&after), "{after} ms");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let world = World::new().await;
    let mut receiver = world.receiver("--respond async --work-ms 600000").await;
    assert_eq!(receiver.send(HTTP1, &world.delivery()).await.status, 202);
    receiver.signal("TERM");
    receiver.wait_for_log("finishing accepted work").await;
    receiver.signal("TERM");
    assert_eq!(receiver.exit().await.code(), Some(1));
    receiver.wait_for_log("second signal").await;
}

#[tokio::test]
async fn a_callback_that_is_refused_does_not_keep_it_from_stopping() {
    let world = World::new().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("bound"));
    let (refusals, mut refused) = tokio::sync::watch::channel(0);
    let refuse = Router::new().fallback(async move || {
        refusals.send_modify(|count| *count += 1);
        StatusCode::SERVICE_UNAVAILABLE
    });
    tokio::spawn(axum::serve(listener, refuse).into_future());

    let flags = format!("--respond async --drain-ms 1000 --callback-origin {origin}");
    let mut receiver = world.receiver(&flags).await;
    let url = format!("{origin}/callback");
    let delivery = world.tenant.delivery(PROVISION).callback_url(Some(&url));
    assert_eq!(receiver.send(HTTP1, &delivery).await.status, 202);
    let refused = refused.changed();
    within("a refused callback", refused)
        .await
        .expect("a server");
    receiver.signal("TERM");
    receiver.wait_for_log("finishing accepted work").await;
    let stopping = Instant::now();
    assert_eq!(receiver.exit().await.code(), Some(1), "{}", receiver.log());
    let waited = stopping.elapsed().as_millis();
    assert!((800..15_000).contains(&waited), "{waited} ms");
    receiver.wait_for_log("not finished within 1000 ms").await;
}

#[tokio::test]
async fn each_flag_can_come_from_the_environment_and_each_tenant_has_its_origin() {
    let (one, two) = (World::new().await, FakeTenant::new("two.example"));
    let two_jwks = serve(&two).await;
    let simulator = Simulator::new(&two);
    let two_callbacks = simulator.callbacks().serve().await.expect("a port");
    let tenant = |domain: &str, one: &str, two: &str| format!("{domain}={one},two.example={two}");
    let jwks = tenant(DOMAIN, &one.jwks.url(), &two_jwks.url());
    let origins = tenant(DOMAIN, &one.callbacks.origin(), &two_callbacks.origin());
    let mut command = command();
    command
        .env("C1_LISTEN", "127.0.0.1:0")
        .env("C1_PUBLIC_URL", "https://hooks.example.com")
        .env("C1_TENANT", format!("{DOMAIN},two.example"))
        .env("C1_JWKS_URL", jwks)
        .env("C1_CALLBACK_ORIGIN", origins)
        .env("C1_RESPOND", "async")
        .env("C1_WORK_MS", "500")
        .env("C1_FAIL_FIRST", "1")
        .env("C1_ANSWER_WITHIN_MS", "20000")
        .env("C1_LEASE_MS", "10000")
        .env("C1_LOG_JSON", "true");
    let mut receiver = Receiver::run(command).await;
    receiver.wait_for_log("keys of every tenant").await;

    let address = receiver.address;
    let over_the_wire = service_fn(move |request| send_to(address, request));
    let to_two = simulator.deliver(over_the_wire, two.delivery(PROVISION));
    let to_one = one.tenant.delivery(PROVISION);
    let (to_one, to_two) = tokio::join!(one.deliver(&receiver, &to_one), to_two);
    let mut failed_first = 0;
    for report in [to_one, to_two] {
        assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
        assert!(report.took() >= Duration::from_millis(500), "{report:?}");
        failed_first += u32::from(report.took() >= Duration::from_secs(3));
    }
    assert_eq!(failed_first, 1);
    // One tenant's origin is not another's.
    let crossed = format!("{}/callback", two_callbacks.origin());
    let crossed = one.tenant.delivery(PROVISION).callback_url(Some(&crossed));
    assert_eq!(receiver.send(HTTP1, &crossed).await.status, 400);
    assert_eq!(lines_left(receiver).await, 3);
}
