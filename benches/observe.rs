//! What the log and metrics add to an accepted request.
//!
//! ```text
//! cargo bench --bench observe
//! ```
//!
//! The feature `metrics` is on in all cases. In the first two, no recorder is installed. What
//! `tracing-subscriber` takes to write such a span and such a line is the case "the same by
//! hand".

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusBuilder;
use support::bench::Bench;
use support::{DOMAIN, now};
use tokio::runtime::Builder;
use tower::{Layer, Service, service_fn};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::replay::MemoryReplayStore;
use tower_conductorone::testing::{FakeTenant, Fixture};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, dispatcher, info, info_span, record_all};

fn answer(_: Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::default()))
}

/// The output of a future that does not wait.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Writes lines as `tracing-subscriber` does by default, to nowhere.
fn log(level: LevelFilter) -> Dispatch {
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(level)
        .with_writer(io::sink);
    Dispatch::new(log.finish())
}

/// What the layer gives to the log, without the layer.
fn by_hand() {
    let span = info_span!(
        "webhook",
        c1.tenant = Empty,
        c1.webhook.id = Empty,
        c1.event = Empty,
        c1.delivery = Empty,
        c1.run = Empty,
        c1.how = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    );
    let (id, event) = (
        "3EcO4kxyPmvfYlLlXJ90hIoRMeG",
        "c1.webhooks.v1.PayloadPolicyPostAction",
    );
    record_all!(
        span,
        c1.tenant = DOMAIN,
        c1.webhook.id = id,
        c1.event = event
    );
    span.in_scope(|| ());
    record_all!(span, c1.how = "ran", http.response.status_code = 200_u16);
    info!(
        c1.how = "ran",
        c1.duration = ?Duration::from_nanos(41_600),
        http.response.status_code = 200_u16,
        c1.tenant = DOMAIN,
        c1.webhook.id = id,
        c1.event = event,
        "webhook answered"
    );
}

fn main() {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _context = runtime.enter();
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::Rs256);
    let layer = support::builder(&tenant)
        .replay_store(MemoryReplayStore::new(usize::MAX))
        .build()
        .expect("a good configuration");
    let fixture = Fixture::named("policy_post_action/grant.denied").expect("a fixture");
    let request = || {
        let delivery = tenant.delivery(fixture.event()).payload(fixture.payload());
        delivery.issued_at(now()).request()
    };
    let recorder = PrometheusBuilder::new().build_recorder();
    let service = || layer.layer(service_fn(answer));
    let call = |request, log: &Dispatch| {
        dispatcher::with_default(log, || {
            let answer = at_once(service().call(request));
            assert_eq!(answer.expect("infallible").status(), 200);
        });
    };
    let (none, warn, info) = (
        Dispatch::new(NoSubscriber::new()),
        log(LevelFilter::WARN),
        log(LevelFilter::INFO),
    );
    let mut bench = Bench::new("observe");
    bench
        .group("an accepted request of 1 KB")
        .case_with("no subscriber", request, |request| call(request, &none))
        .case_with("info filtered out", request, |request| call(request, &warn))
        .case_with("info", request, |request| call(request, &info))
        .case_with("the same by hand", request, |request| {
            call(request, &none);
            dispatcher::with_default(&info, by_hand);
        })
        .case_with("recorder", request, |request| {
            metrics::with_local_recorder(&recorder, || call(request, &none));
        })
        .case_with("info, recorder", request, |request| {
            metrics::with_local_recorder(&recorder, || call(request, &info));
        })
        .measure("no subscriber");
    bench.finish();
}
