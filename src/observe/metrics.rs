//! Reports to the `metrics` facade.

use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

use super::attempt::Attempt;
use super::backlog::LayerBacklog;
use super::callback::CallbackAttempt;
use super::keys::{KeyFetch, TenantKeys};
use super::metric::Metric;
use super::observer::Observer;
use super::request::Wait;
use super::run::{RunEnd, RunStart};
use super::store::{StoreFill, StoreStep};
use crate::event::EVENT_NAMES;
use crate::keys::Algorithm;

// The labels are in alphabetical order: a recorder sorts them to compare them.

static ATTEMPTS: Metric<4> = Metric::new(
    "c1_webhook_attempts_total",
    ["event", "how", "status", "tenant"],
);
static ATTEMPT_DURATION: Metric<1> = Metric::new("c1_webhook_attempt_duration_seconds", ["how"]);
static REJECTIONS: Metric<2> = Metric::new("c1_webhook_rejections_total", ["code", "tenant"]);
static CLOCK_DIFFERENCE: Metric<1> = Metric::new("c1_webhook_clock_difference_seconds", ["tenant"]);
static REQUESTS_IN_FLIGHT: Metric<0> = Metric::new("c1_webhook_requests_in_flight", []);
static REQUESTS_WAITING: Metric<0> = Metric::new("c1_webhook_requests_waiting", []);
static RUNS: Metric<3> = Metric::new("c1_webhook_runs_total", ["event", "outcome", "tenant"]);
static REPEATED_RUNS: Metric<2> =
    Metric::new("c1_webhook_repeated_runs_total", ["event", "tenant"]);
static REPEATED_RUN_NUMBER: Metric<2> =
    Metric::new("c1_webhook_repeated_run_number", ["event", "tenant"]);
static RUN_DURATION: Metric<1> = Metric::new("c1_webhook_run_duration_seconds", ["event"]);
static RUNS_IN_FLIGHT: Metric<0> = Metric::new("c1_webhook_runs_in_flight", []);
static CALLBACK_ATTEMPTS: Metric<3> = Metric::new(
    "c1_webhook_callback_attempts_total",
    ["event", "result", "tenant"],
);
static CALLBACK_DURATION: Metric<1> =
    Metric::new("c1_webhook_callback_duration_seconds", ["result"]);
static STORE_STEPS: Metric<3> =
    Metric::new("c1_webhook_store_steps_total", ["result", "step", "store"]);
static STORE_DURATION: Metric<2> =
    Metric::new("c1_webhook_store_duration_seconds", ["step", "store"]);
static STORE_RECORDS: Metric<1> = Metric::new("c1_webhook_store_records", ["store"]);
static STORE_CAPACITY: Metric<1> = Metric::new("c1_webhook_store_capacity", ["store"]);
static PROMISES_OPEN: Metric<1> = Metric::new("c1_webhook_promises_open", ["layer"]);
static OLDEST_PROMISE: Metric<1> =
    Metric::new("c1_webhook_oldest_promise_timestamp_seconds", ["layer"]);
static DEAD_DELIVERIES: Metric<1> = Metric::new("c1_webhook_dead_deliveries", ["layer"]);
static KEY_FETCHES: Metric<2> = Metric::new("c1_webhook_key_fetches_total", ["result", "tenant"]);
static KEY_FETCH_DURATION: Metric<1> =
    Metric::new("c1_webhook_key_fetch_duration_seconds", ["result"]);
static KEYS: Metric<2> = Metric::new("c1_webhook_keys", ["algorithm", "tenant"]);
static KEYS_FETCHED: Metric<1> =
    Metric::new("c1_webhook_keys_fetched_timestamp_seconds", ["tenant"]);
static KEYS_STALE: Metric<1> = Metric::new("c1_webhook_keys_stale_timestamp_seconds", ["tenant"]);
static KEYS_EXPIRE: Metric<1> = Metric::new("c1_webhook_keys_expire_timestamp_seconds", ["tenant"]);

/// The observer of the feature `metrics`.
#[derive(Debug)]
pub(super) struct Metrics;

impl Observer for Metrics {
    fn attempt(&self, attempt: &Attempt<'_>) {
        describe();
        let tenant = attempt.tenant().unwrap_or("");
        let event = attempt.event.map_or("", label);
        let how = attempt.how.as_str();
        let status = attempt.status.as_ref().map_or("", StatusCode::as_str);
        ATTEMPTS.counter([event, how, status, tenant]).increment(1);
        ATTEMPT_DURATION.histogram([how]).record(attempt.duration);
        if let Some(rejection) = attempt.rejection {
            REJECTIONS.counter([rejection.code(), tenant]).increment(1);
        }
        if let Some(difference) = attempt.clock_difference {
            CLOCK_DIFFERENCE.gauge([tenant]).set(difference);
        }
    }

    fn request_started(&self) {
        describe();
        REQUESTS_IN_FLIGHT.gauge([]).increment(1);
    }

    fn request_ended(&self) {
        REQUESTS_IN_FLIGHT.gauge([]).decrement(1);
    }

    fn wait_started(&self, _: &Wait<'_>) {
        describe();
        REQUESTS_WAITING.gauge([]).increment(1);
    }

    fn wait_ended(&self, _: &Wait<'_>) {
        REQUESTS_WAITING.gauge([]).decrement(1);
    }

    fn run_started(&self, _: &RunStart<'_>) {
        describe();
        RUNS_IN_FLIGHT.gauge([]).increment(1);
    }

    fn run_ended(&self, end: &RunEnd<'_>) {
        let (tenant, event) = (end.run.tenant(), label(end.run.event));
        RUNS_IN_FLIGHT.gauge([]).decrement(1);
        RUNS.counter([event, end.outcome.as_str(), tenant])
            .increment(1);
        if end.run.number > 1 {
            REPEATED_RUNS.counter([event, tenant]).increment(1);
            REPEATED_RUN_NUMBER
                .histogram([event, tenant])
                .record(end.run.number);
        }
        RUN_DURATION.histogram([event]).record(end.duration);
    }

    fn callback(&self, attempt: &CallbackAttempt<'_>) {
        describe();
        let (event, result) = (label(attempt.event()), attempt.result.as_str());
        CALLBACK_ATTEMPTS
            .counter([event, result, attempt.tenant()])
            .increment(1);
        CALLBACK_DURATION
            .histogram([result])
            .record(attempt.duration);
    }

    fn store(&self, step: &StoreStep) {
        describe();
        let (store, result) = (step.store.as_str(), step.result.as_str());
        STORE_STEPS.counter([result, step.step, store]).increment(1);
        STORE_DURATION
            .histogram([step.step, store])
            .record(step.duration);
    }

    fn store_fill(&self, fill: &StoreFill) {
        let count = |count: usize| number(count.try_into().unwrap_or(u64::MAX));
        let (store, fill) = (fill.store().as_str(), fill.fill());
        STORE_RECORDS.gauge([store]).set(count(fill.records()));
        STORE_CAPACITY.gauge([store]).set(count(fill.capacity()));
    }

    fn backlog(&self, backlog: &LayerBacklog<'_>) {
        describe();
        let LayerBacklog { layer, backlog } = *backlog;
        let promised_at = |age| SystemTime::now().checked_sub(age);
        let oldest = backlog
            .oldest()
            .and_then(promised_at)
            .map_or(0.0, timestamp);
        PROMISES_OPEN.gauge([layer]).set(number(backlog.promised()));
        OLDEST_PROMISE.gauge([layer]).set(oldest);
        DEAD_DELIVERIES.gauge([layer]).set(number(backlog.dead()));
    }

    fn key_fetch(&self, fetch: &KeyFetch<'_>) {
        describe();
        let result = fetch.result.as_str();
        KEY_FETCHES.counter([result, fetch.tenant()]).increment(1);
        KEY_FETCH_DURATION
            .histogram([result])
            .record(fetch.duration);
    }

    /// Describes nothing: the recorder may be installed after a layer is built.
    fn tenant_keys(&self, keys: &TenantKeys<'_>) {
        let tenant = keys.tenant();
        for algorithm in Algorithm::ALL {
            let usable = (keys.health().keys.iter()).filter(|key| key.algorithm == algorithm);
            let usable = number(usable.count().try_into().unwrap_or(u64::MAX));
            KEYS.gauge([algorithm.as_str(), tenant]).set(usable);
        }
        for (metric, at) in [
            (&KEYS_FETCHED, keys.fetched_at()),
            (&KEYS_STALE, keys.stale_at()),
            (&KEYS_EXPIRE, keys.expire_at()),
        ] {
            if let Some(at) = at {
                metric.gauge([tenant]).set(timestamp(at));
            }
        }
    }
}

/// Exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn number(count: u64) -> f64 {
    count as f64
}

/// In seconds since 1970.
fn timestamp(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// The name of a known event without what all have in common.
fn label(event: &str) -> &'static str {
    let known = EVENT_NAMES.into_iter().find(|known| *known == event);
    known
        .and_then(|known| known.strip_prefix("c1.webhooks.v1.Payload"))
        .unwrap_or("other")
}

/// Describes the metrics to the recorder, once: it must have been installed before.
fn describe() {
    static ONCE: Once = Once::new();

    ONCE.call_once(|| {
        describe_counter!(ATTEMPTS.name, "Requests.");
        let text = "From the arrival of a request's headers to its answer.";
        describe_histogram!(ATTEMPT_DURATION.name, Unit::Seconds, text);
        let text = "Requests that a layer or an extractor refused, or whose run failed.";
        describe_counter!(REJECTIONS.name, text);
        let text = "How far this machine's clock was ahead of the tenant's, with the time that \
                    the latest request took to arrive.";
        describe_gauge!(CLOCK_DIFFERENCE.name, Unit::Seconds, text);
        describe_gauge!(
            REQUESTS_IN_FLIGHT.name,
            "Requests that are not answered yet."
        );
        let text = "Requests that wait for the answer of a run that another request has \
                    begun, or another replica.";
        describe_gauge!(REQUESTS_WAITING.name, text);
        describe_counter!(RUNS.name, "Runs of handlers that have ended.");
        describe_counter!(
            REPEATED_RUNS.name,
            "Runs above the first of their delivery."
        );
        let text = "The number of such a run for its delivery.";
        describe_histogram!(REPEATED_RUN_NUMBER.name, text);
        describe_histogram!(RUN_DURATION.name, Unit::Seconds, "The time of a run.");
        describe_gauge!(RUNS_IN_FLIGHT.name, "Handlers that are running.");
        describe_counter!(CALLBACK_ATTEMPTS.name, "Attempts to post an answer.");
        let text = "The time of an attempt to post an answer.";
        describe_histogram!(CALLBACK_DURATION.name, Unit::Seconds, text);
        describe_counter!(
            STORE_STEPS.name,
            "Steps of the ledger and the replay store."
        );
        describe_histogram!(
            STORE_DURATION.name,
            Unit::Seconds,
            "The time of such a step."
        );
        let text = "What a store with a limit has: of the tenant whose share is the fullest.";
        describe_gauge!(STORE_RECORDS.name, text);
        describe_gauge!(STORE_CAPACITY.name, "The most that it has room for.");
        let text = "Deliveries that were answered 202, and are neither called back nor dead.";
        describe_gauge!(PROMISES_OPEN.name, text);
        let text = "When the oldest of them was answered 202; 0 if there is none.";
        describe_gauge!(OLDEST_PROMISE.name, Unit::Seconds, text);
        let text = "Deliveries that were answered 202, and then given up.";
        describe_gauge!(DEAD_DELIVERIES.name, text);
        describe_counter!(KEY_FETCHES.name, "Fetches of a tenant's keys.");
        describe_histogram!(
            KEY_FETCH_DURATION.name,
            Unit::Seconds,
            "The time of such a fetch."
        );
        describe_gauge!(KEYS.name, "A tenant's usable keys.");
        let text = "When the last successful fetch of a tenant's keys ended.";
        describe_gauge!(KEYS_FETCHED.name, Unit::Seconds, text);
        let text = "When the lifetime of a tenant's keys ends. They are fetched before.";
        describe_gauge!(KEYS_STALE.name, Unit::Seconds, text);
        let text = "When a tenant's keys are not used any more, unless a fetch succeeds before.";
        describe_gauge!(KEYS_EXPIRE.name, Unit::Seconds, text);
    });
}
