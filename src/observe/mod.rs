//! What operators see of each request that arrives: a line of the log, a span, metrics.
//!
//! # The log
//!
//! Each request is one line when it is answered, under the target
//! `tower_conductorone::attempt`:
//!
//! ```text
//! INFO tower_conductorone::attempt: webhook answered c1.how="ran" c1.duration=12.4ms
//!   http.response.status_code=200 c1.tenant="example.conductor.one" c1.webhook.id="2fCj…"
//!   c1.event="c1.webhooks.v1.PayloadProvisionStep" c1.delivery=5ae0… c1.run=1
//! ```
//!
//! | field | what it is |
//! | --- | --- |
//! | `c1.tenant` | the tenant's domain |
//! | `c1.webhook.id` | `webhookId` of the envelope |
//! | `c1.event` | the event's full name |
//! | `c1.delivery` | the delivery's key in the ledger, with `DeliverOnceLayer` |
//! | `c1.run` | the number of the handler's run that gave the answer, with `DeliverOnceLayer` |
//! | `c1.how` | how it was answered: see below |
//! | `c1.duration` | from the arrival of its headers to its answer |
//! | `c1.jti` | the token's id, if a signed request was refused, or abandoned during its verification |
//! | `c1.cause`, `c1.remedy` | what was expected and what came; what to do about it |
//! | `http.response.status_code` | the answer's status |
//! | `url.path` | as `c1.jti`: the request's path, or that of `htu` once it has matched |
//! | `error.type` | a rejection's [code](crate::Rejection::code), or the status of a failed handler's answer; `service_error` or `panic` if the connection was closed without an answer |
//! | `c1.callback.attempt` | the number of the attempt to post an answer, in the span and the lines of callbacks |
//! | `c1.count`, `c1.by_code` | in the line that counts unsigned refusals: how many, and by their codes |
//!
//! | `c1.how` | meaning |
//! | --- | --- |
//! | `ran` | the handler ran for this request |
//! | `joined` | a duplicate got the answer of a run that it found at work |
//! | `replayed` | the ledger had the answer already |
//! | `promised` | 202, in the handler's stead: the answer goes to the callback URL |
//! | `refused` | a layer or an extractor refused it: `error.type` is the code |
//! | `abandoned` | the caller hung up, or a layer outside gave up, before there was an answer; with `DeliverOnceLayer`, the run continues |
//!
//! The level is `INFO`; `WARN` for a request that a tenant signed and that was refused or
//! abandoned or whose run has failed, and for a refusal that is this receiver's own trouble.
//! A request that was abandoned before its signature was verified has no line.
//!
//! What anybody can provoke without a tenant's signature has the target
//! `tower_conductorone::unsigned`, and is limited: a layer writes five lines in a second,
//! then one that counts the others by their codes. A filter such as
//! `tower_conductorone=info,tower_conductorone::unsigned=off` leaves them out.
//!
//! A request that [`verify`](crate::VerifyWebhookLayer::verify) lets through is answered
//! elsewhere: it has a line only if `DeliverOnceLayer` answers it.
//!
//! # Spans
//!
//! | span | what it encloses | parent |
//! | --- | --- | --- |
//! | `webhook` | a request, from its verification to its answer | the current one, such as that of tower-http's `TraceLayer` |
//! | `webhook.run` | one run of the handler, with `DeliverOnceLayer` | none; the first run follows from the request's span |
//! | `webhook.callback` | one attempt to post an answer to a callback URL | the current one, if any |
//!
//! A run may end days after its request, so its span is no child of the request's, which
//! would otherwise stay open as long: it follows from it, which tracing-opentelemetry
//! exports as a link. With [`span_context`](crate::DeliverOnceBuilder::span_context) they
//! are one trace instead, as the example `opentelemetry-example` shows. All of them have
//! the target `tower_conductorone`, the level `INFO`, and the fields above that are known;
//! so the handler's own lines, which are written in one of them, tell which webhook they
//! are of.
//!
//! # Metrics
//!
//! With the feature `metrics`, these are reported to the recorder of the
//! [`metrics`](https://docs.rs/metrics) facade that the application has installed, without
//! any further setting:
//!
//! | metric | type | labels | what it is |
//! | --- | --- | --- | --- |
//! | `c1_webhook_attempts_total` | counter | `event`, `how`, `status`, `tenant` | requests |
//! | `c1_webhook_attempt_duration_seconds` | histogram | `how` | from the arrival of a request's headers to its answer |
//! | `c1_webhook_rejections_total` | counter | `code`, `tenant` | requests that a layer or an extractor refused, or whose run failed |
//! | `c1_webhook_clock_difference_seconds` | gauge | `tenant` | this machine's clock minus the `iat` of the tenant's latest token, so with the time that the request took to arrive; negative if the clock is behind |
//! | `c1_webhook_requests_in_flight` | gauge | none | requests that are not answered yet |
//! | `c1_webhook_requests_waiting` | gauge | none | requests that wait for the answer of a run that another request has begun, or another replica |
//! | `c1_webhook_runs_total` | counter | `event`, `outcome`, `tenant` | runs of handlers that have ended: `answered`, `failed`, `cut_off` |
//! | `c1_webhook_repeated_runs_total` | counter | `event`, `tenant` | those above the first of their delivery |
//! | `c1_webhook_repeated_run_number` | histogram | `event`, `tenant` | the number of such a run for its delivery, from 2 up |
//! | `c1_webhook_run_duration_seconds` | histogram | `event` | the time of a run |
//! | `c1_webhook_runs_in_flight` | gauge | none | handlers that are running |
//! | `c1_webhook_callback_attempts_total` | counter | `event`, `result`, `tenant` | attempts of `DeliverOnceLayer` to post an answer: `delivered`, `retried`, `failed` |
//! | `c1_webhook_callback_duration_seconds` | histogram | `result` | the time of such an attempt |
//! | `c1_webhook_store_steps_total` | counter | `result`, `step`, `store` | steps of the `ledger` and the `replay_store`: `replied`, `failed`, `dropped` (not awaited any longer) |
//! | `c1_webhook_store_duration_seconds` | histogram | `step`, `store` | the time of a step |
//! | `c1_webhook_store_records` | gauge | `store` | what a store with a limit has, such as those in memory: of the tenant whose share is the fullest |
//! | `c1_webhook_store_capacity` | gauge | `store` | the most that it has room for. The ledger in memory then replaces what has ended long ago; what finds no room is answered 503 |
//! | `c1_webhook_promises_open` | gauge | `layer` | deliveries that were answered 202, and are neither called back nor dead: up to 10,000 |
//! | `c1_webhook_oldest_promise_timestamp_seconds` | gauge | `layer` | when the oldest of them was answered 202; 0 if there is none |
//! | `c1_webhook_dead_deliveries` | gauge | `layer` | deliveries that were answered 202, and then given up: up to 10,000 |
//! | `c1_webhook_key_fetches_total` | counter | `result`, `tenant` | fetches of a tenant's keys: `changed` (or the first), `unchanged`, `failed` |
//! | `c1_webhook_key_fetch_duration_seconds` | histogram | `result` | the time of such a fetch |
//! | `c1_webhook_keys` | gauge | `algorithm`, `tenant` | usable keys: `RS256`, `ES256`, `EdDSA`; all 0 if there is no set in use |
//! | `c1_webhook_keys_fetched_timestamp_seconds` | gauge | `tenant` | when the last successful fetch ended |
//! | `c1_webhook_keys_stale_timestamp_seconds` | gauge | `tenant` | when the lifetime of these keys ends ([5 minutes](crate::keys::JwksCacheBuilder::fresh_for), if the server does not say). They are fetched before, so a time in the past is one of failing fetches |
//! | `c1_webhook_keys_expire_timestamp_seconds` | gauge | `tenant` | when these keys are not used any more, unless a fetch succeeds before: [1 hour](crate::keys::JwksCacheBuilder::keep_on_failure) after the last one. Then all webhooks are answered 503 |
//!
//! The labels have few values: `tenant` is one of those configured, or empty if no tenant
//! has signed the request; `event` is the name of a known event without
//! `c1.webhooks.v1.Payload`, `other` for another one, or empty; `status` is empty if there
//! was no answer; `code` is one of [`RejectionKind`](crate::RejectionKind)'s. Timestamps are
//! in seconds since 1970.
//!
//! Promised and dead deliveries are in the ledger, which many processes may share: each of
//! them that [recovers](crate::DeliverOnceLayer::recover) reports the same numbers every 15
//! seconds, so take their maximum, not their sum. `layer` is the name that
//! [`ledger`](crate::DeliverOnceBuilder::ledger) gives the layer, by default empty.
//!
//! A timestamp of keys is missing until the first fetch, and for keys that never
//! change. The metrics of keys are of a [`JwksCache`](crate::keys::JwksCache); a
//! [`KeySource`](crate::keys::KeySource) of your own reports them if it implements
//! [`observe`](crate::keys::KeySource::observe). Install the recorder before you build the
//! layers: what is known by then is reported then.
//!
//! Alert rules for Prometheus and a dashboard for Grafana are in `examples/observability`
//! of the repository.
//!
//! For metrics of your own, set an [`Observer`] in the builders.
//!
//! # Troubleshooting
//!
//! **ConductorOne says that a delivery failed, and I see 200.** Look for the webhook's lines
//! by `c1.webhook.id`. A 200 that took longer than 30 s (`c1.duration`) came too late; a
//! line with `c1.how="abandoned"` is one whose caller did not wait: with
//! [callbacks](crate::DeliverOnceBuilder::callbacks) the layer answers 202 in time. If there
//! is no line at all, the request did not get here, and a proxy in between has answered; or
//! the caller gave up while the tenant's keys were fetched, of which other lines tell.
//!
//! **The same task was done twice.** Compare the `c1.delivery` of both lines. If they are the
//! same, `c1.run` is greater than 1: the first run failed, or its process ended before it
//! could record the answer, and the lines before say why. If they differ, ConductorOne sent
//! two deliveries, whose payloads differ.
//!
//! **Everything is 401 since Tuesday.** `error.type` names the check and `c1.remedy` what to
//! do: `wrong_audience` or `wrong_url` after a change of domain or proxy, `token_expired` if
//! this machine's clock has gone astray, `unknown_key` if the tenant's keys cannot be
//! fetched any more (the lines of the JWKS say why, and
//! `c1_webhook_key_fetches_total{result="failed"}` since when). Without a tenant's signature, the lines
//! are under `tower_conductorone::unsigned`.
//!
//! **202, and then nothing.** After `c1.how="promised"`, follow `c1.webhook.id` through the
//! spans `webhook.run` and `webhook.callback`. "callback is retried" and "callback failed
//! permanently" say what ConductorOne answered. A delivery "is given up" after its last run
//! or its callback's deadline, with the reason, and can be
//! [revived](crate::ledger::Ledger::revive): `c1_webhook_dead_deliveries` counts these, and
//! `c1_webhook_oldest_promise_timestamp_seconds` says how long the others have waited. If the process that promised it has ended, its
//! work is resumed only where [`recover`](crate::DeliverOnceLayer::recover) runs: the log
//! warns of a promise without it.
//!
//! **503 again and again.** `c1.cause` tells which store or which keys could not be reached,
//! and `c1.remedy` where to look. ConductorOne makes up to 50 attempts. A tenant
//! whose `c1_webhook_keys` are all 0 has no keys in use. A store in memory is full if its
//! `c1_webhook_store_records` have reached its `c1_webhook_store_capacity`.

mod attempt;
mod backlog;
mod burst;
mod callback;
mod keys;
#[cfg(feature = "metrics")]
mod metric;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
mod request;
mod run;
mod span;
mod store;

pub(crate) use self::attempt::Handling;
pub use self::attempt::{Attempt, How};
pub use self::backlog::LayerBacklog;
pub(crate) use self::burst::Burst;
pub use self::callback::{CallbackAttempt, CallbackResult};
pub use self::keys::{KeyFetch, TenantKeys};
pub use self::observer::Observer;
pub(crate) use self::observer::Observers;
pub(crate) use self::request::InFlight;
pub use self::request::Wait;
pub use self::run::{RunEnd, RunOutcome, RunStart};
pub(crate) use self::span::{Subject, request_span, run_span};
pub use self::store::{StoreFill, StoreKind, StoreResult, StoreStep};
