//! Metrics for Prometheus, on an address of their own: they are nobody's business but the
//! operators'.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;

/// Seconds of an attempt, a run or a callback: ConductorOne waits for 30, and 202 is
/// answered in the handler's stead after 25.
const DURATIONS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 30.0, 60.0,
];

/// Seconds of a store's step, which takes a network's round trip or less.
const STEP_DURATIONS: [f64; 12] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// Numbers of a delivery's runs: ConductorOne makes up to 50 attempts.
const RUN_NUMBERS: [f64; 8] = [2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0];

/// Installs the recorder of this process: before the layers are built.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let durations = Matcher::Suffix("_duration_seconds".to_owned());
    let steps = Matcher::Full("c1_webhook_store_duration_seconds".to_owned());
    let run_numbers = Matcher::Full("c1_webhook_repeated_run_number".to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(durations, &DURATIONS)?
        .set_buckets_for_metric(steps, &STEP_DURATIONS)?
        .set_buckets_for_metric(run_numbers, &RUN_NUMBERS)?
        .install_recorder()
}

/// Keeps its memory small, although nobody may ask for the metrics.
pub(crate) async fn keep_small(recorder: PrometheusHandle) {
    let mut times = interval(Duration::from_secs(5));
    loop {
        times.tick().await;
        recorder.run_upkeep();
    }
}

/// `GET /metrics`, in Prometheus' text format.
pub(crate) fn app(recorder: PrometheusHandle) -> Router {
    let metrics = async move || {
        let format = "text/plain; version=0.0.4; charset=utf-8";
        ([(CONTENT_TYPE, format)], recorder.render())
    };
    Router::new().route("/metrics", get(metrics))
}
