//! Reports to the `metrics` facade.

use std::sync::{Arc, Once};
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};

use super::attempt::Attempt;
use super::backlog::LayerBacklog;
use super::callback::CallbackAttempt;
use super::keys::{KeyFetch, TenantKeys};
use super::observer::Observer;
use super::request::Wait;
use super::run::{RunEnd, RunStart};
use super::store::{StoreFill, StoreStep};
use crate::event::EVENT_NAMES;
use crate::keys::Algorithm;

const ATTEMPTS: &str = "c1_webhook_attempts_total";
const ATTEMPT_DURATION: &str = "c1_webhook_attempt_duration_seconds";
const REJECTIONS: &str = "c1_webhook_rejections_total";
const CLOCK_DIFFERENCE: &str = "c1_webhook_clock_difference_seconds";
const REQUESTS_IN_FLIGHT: &str = "c1_webhook_requests_in_flight";
const REQUESTS_WAITING: &str = "c1_webhook_requests_waiting";
const RUNS: &str = "c1_webhook_runs_total";
const REPEATED_RUNS: &str = "c1_webhook_repeated_runs_total";
const REPEATED_RUN_NUMBER: &str = "c1_webhook_repeated_run_number";
const RUN_DURATION: &str = "c1_webhook_run_duration_seconds";
const RUNS_IN_FLIGHT: &str = "c1_webhook_runs_in_flight";
const CALLBACK_ATTEMPTS: &str = "c1_webhook_callback_attempts_total";
const CALLBACK_DURATION: &str = "c1_webhook_callback_duration_seconds";
const STORE_STEPS: &str = "c1_webhook_store_steps_total";
const STORE_DURATION: &str = "c1_webhook_store_duration_seconds";
const STORE_RECORDS: &str = "c1_webhook_store_records";
const STORE_CAPACITY: &str = "c1_webhook_store_capacity";
const PROMISES_OPEN: &str = "c1_webhook_promises_open";
const OLDEST_PROMISE: &str = "c1_webhook_oldest_promise_timestamp_seconds";
const DEAD_DELIVERIES: &str = "c1_webhook_dead_deliveries";
const KEY_FETCHES: &str = "c1_webhook_key_fetches_total";
const KEY_FETCH_DURATION: &str = "c1_webhook_key_fetch_duration_seconds";
const KEYS: &str = "c1_webhook_keys";
const KEYS_FETCHED: &str = "c1_webhook_keys_fetched_timestamp_seconds";
const KEYS_STALE: &str = "c1_webhook_keys_stale_timestamp_seconds";
const KEYS_EXPIRE: &str = "c1_webhook_keys_expire_timestamp_seconds";

/// The observer of the feature `metrics`.
#[derive(Debug)]
pub(super) struct Metrics;

impl Observer for Metrics {
    fn attempt(&self, attempt: &Attempt<'_>) {
        describe();
        let tenant = || attempt.tenant.map_or(SharedString::const_str(""), shared);
        let how = attempt.how.as_str();
        let status = attempt
            .status
            .map_or(SharedString::const_str(""), |status| {
                SharedString::from_owned(status.as_str().to_owned())
            });
        counter!(
            ATTEMPTS,
            "tenant" => tenant(),
            "event" => attempt.event.map_or("", label),
            "how" => how,
            "status" => status
        )
        .increment(1);
        histogram!(ATTEMPT_DURATION, "how" => how).record(attempt.duration);
        if let Some(rejection) = attempt.rejection {
            counter!(REJECTIONS, "tenant" => tenant(), "code" => rejection.code()).increment(1);
        }
        if let Some(difference) = attempt.clock_difference {
            gauge!(CLOCK_DIFFERENCE, "tenant" => tenant()).set(difference);
        }
    }

    fn request_started(&self) {
        describe();
        gauge!(REQUESTS_IN_FLIGHT).increment(1);
    }

    fn request_ended(&self) {
        gauge!(REQUESTS_IN_FLIGHT).decrement(1);
    }

    fn wait_started(&self, _: &Wait<'_>) {
        describe();
        gauge!(REQUESTS_WAITING).increment(1);
    }

    fn wait_ended(&self, _: &Wait<'_>) {
        gauge!(REQUESTS_WAITING).decrement(1);
    }

    fn run_started(&self, _: &RunStart<'_>) {
        describe();
        gauge!(RUNS_IN_FLIGHT).increment(1);
    }

    fn run_ended(&self, end: &RunEnd<'_>) {
        let (tenant, event) = (|| shared(end.run.tenant), label(end.run.event));
        gauge!(RUNS_IN_FLIGHT).decrement(1);
        let outcome = end.outcome.as_str();
        counter!(RUNS, "tenant" => tenant(), "event" => event, "outcome" => outcome).increment(1);
        if end.run.number > 1 {
            counter!(REPEATED_RUNS, "tenant" => tenant(), "event" => event).increment(1);
            histogram!(REPEATED_RUN_NUMBER, "tenant" => tenant(), "event" => event)
                .record(end.run.number);
        }
        histogram!(RUN_DURATION, "event" => event).record(end.duration);
    }

    fn callback(&self, attempt: &CallbackAttempt<'_>) {
        describe();
        let result = attempt.result.as_str();
        counter!(
            CALLBACK_ATTEMPTS,
            "tenant" => attempt.tenant().to_owned(),
            "event" => label(attempt.event()),
            "result" => result
        )
        .increment(1);
        histogram!(CALLBACK_DURATION, "result" => result).record(attempt.duration);
    }

    fn store(&self, step: &StoreStep) {
        describe();
        let (store, result) = (step.store.as_str(), step.result.as_str());
        counter!(STORE_STEPS, "store" => store, "step" => step.step, "result" => result)
            .increment(1);
        histogram!(STORE_DURATION, "store" => store, "step" => step.step).record(step.duration);
    }

    fn store_fill(&self, fill: &StoreFill) {
        let count = |count: usize| number(count.try_into().unwrap_or(u64::MAX));
        let (store, fill) = (fill.store().as_str(), fill.fill());
        gauge!(STORE_RECORDS, "store" => store).set(count(fill.records()));
        gauge!(STORE_CAPACITY, "store" => store).set(count(fill.capacity()));
    }

    fn backlog(&self, backlog: &LayerBacklog<'_>) {
        describe();
        let layer = || backlog.layer.to_owned();
        let backlog = backlog.backlog;
        let promised_at = |age| SystemTime::now().checked_sub(age);
        let oldest = backlog
            .oldest()
            .and_then(promised_at)
            .map_or(0.0, timestamp);
        gauge!(PROMISES_OPEN, "layer" => layer()).set(number(backlog.promised()));
        gauge!(OLDEST_PROMISE, "layer" => layer()).set(oldest);
        gauge!(DEAD_DELIVERIES, "layer" => layer()).set(number(backlog.dead()));
    }

    fn key_fetch(&self, fetch: &KeyFetch<'_>) {
        describe();
        let result = fetch.result.as_str();
        counter!(KEY_FETCHES, "tenant" => shared(fetch.tenant), "result" => result).increment(1);
        histogram!(KEY_FETCH_DURATION, "result" => result).record(fetch.duration);
    }

    /// Describes nothing: the recorder may be installed after a layer is built.
    fn tenant_keys(&self, keys: &TenantKeys<'_>) {
        let tenant = || shared(keys.tenant);
        for algorithm in Algorithm::ALL {
            let usable = (keys.health().keys.iter()).filter(|key| key.algorithm == algorithm);
            let usable = number(usable.count().try_into().unwrap_or(u64::MAX));
            gauge!(KEYS, "tenant" => tenant(), "algorithm" => algorithm.as_str()).set(usable);
        }
        for (name, at) in [
            (KEYS_FETCHED, keys.fetched_at()),
            (KEYS_STALE, keys.stale_at()),
            (KEYS_EXPIRE, keys.expire_at()),
        ] {
            if let Some(at) = at {
                gauge!(name, "tenant" => tenant()).set(timestamp(at));
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

fn shared(tenant: &Arc<str>) -> SharedString {
    SharedString::from_shared(Arc::clone(tenant))
}

/// Describes the metrics to the recorder, once: it must have been installed before.
fn describe() {
    static ONCE: Once = Once::new();

    ONCE.call_once(|| {
        describe_counter!(ATTEMPTS, "Requests.");
        let text = "From the arrival of a request's headers to its answer.";
        describe_histogram!(ATTEMPT_DURATION, Unit::Seconds, text);
        let text = "Requests that a layer or an extractor refused, or whose run failed.";
        describe_counter!(REJECTIONS, text);
        let text = "How far this machine's clock was ahead of the tenant's, with the time that \
                    the latest request took to arrive.";
        describe_gauge!(CLOCK_DIFFERENCE, Unit::Seconds, text);
        describe_gauge!(REQUESTS_IN_FLIGHT, "Requests that are not answered yet.");
        let text = "Requests that wait for the answer of a run that another request has \
                    begun, or another replica.";
        describe_gauge!(REQUESTS_WAITING, text);
        describe_counter!(RUNS, "Runs of handlers that have ended.");
        describe_counter!(REPEATED_RUNS, "Runs above the first of their delivery.");
        let text = "The number of such a run for its delivery.";
        describe_histogram!(REPEATED_RUN_NUMBER, text);
        describe_histogram!(RUN_DURATION, Unit::Seconds, "The time of a run.");
        describe_gauge!(RUNS_IN_FLIGHT, "Handlers that are running.");
        describe_counter!(CALLBACK_ATTEMPTS, "Attempts to post an answer.");
        let text = "The time of an attempt to post an answer.";
        describe_histogram!(CALLBACK_DURATION, Unit::Seconds, text);
        describe_counter!(STORE_STEPS, "Steps of the ledger and the replay store.");
        describe_histogram!(STORE_DURATION, Unit::Seconds, "The time of such a step.");
        let text = "What a store with a limit has: of the tenant whose share is the fullest.";
        describe_gauge!(STORE_RECORDS, text);
        describe_gauge!(STORE_CAPACITY, "The most that it has room for.");
        let text = "Deliveries that were answered 202, and are neither called back nor dead.";
        describe_gauge!(PROMISES_OPEN, text);
        let text = "When the oldest of them was answered 202; 0 if there is none.";
        describe_gauge!(OLDEST_PROMISE, Unit::Seconds, text);
        let text = "Deliveries that were answered 202, and then given up.";
        describe_gauge!(DEAD_DELIVERIES, text);
        describe_counter!(KEY_FETCHES, "Fetches of a tenant's keys.");
        describe_histogram!(
            KEY_FETCH_DURATION,
            Unit::Seconds,
            "The time of such a fetch."
        );
        describe_gauge!(KEYS, "A tenant's usable keys.");
        let text = "When the last successful fetch of a tenant's keys ended.";
        describe_gauge!(KEYS_FETCHED, Unit::Seconds, text);
        let text = "When the lifetime of a tenant's keys ends. They are fetched before.";
        describe_gauge!(KEYS_STALE, Unit::Seconds, text);
        let text = "When a tenant's keys are not used any more, unless a fetch succeeds before.";
        describe_gauge!(KEYS_EXPIRE, Unit::Seconds, text);
    });
}
