//! Webhooks on AWS Lambda: one function verifies them and queues their work, another one
//! works and answers by callback. `lambda-receiver` is behind a Function URL or an API
//! Gateway, `lambda-worker` takes an SQS queue. `cargo lambda build --release` makes both;
//! `cargo test --package lambda-example` runs them, with Lambda played by the test.
//!
//! # Freezing
//!
//! A function runs only while an invocation is open. With its response Lambda freezes the
//! process; it thaws with the next request, minutes later or never. What was to go on after
//! the response stands still: a detached run, the renewal of its lease, the callback after a
//! 202, `recover`, the refresh of keys ahead of time, metrics that are exported now and then.
//! `DeliverOnceLayer` would answer 202 in a slow handler's place, and so promise what this
//! process may never do. So here
//!
//! - the layer has no callback client and never promises. Decide quickly and answer, as
//!   `decide` in the receiver does;
//! - or queue the work, and then answer 202, as its `queue` does. The worker's invocation is
//!   open until the work is done and the callback is posted;
//! - nothing recovers: what was cut off, the queue delivers again;
//! - answers, used tokens and the state of the work are in a Redis that all instances share.
//!   (A Postgres would do as well.) In memory, each instance would have its own.
//!
//! # The public URL
//!
//! `public_url` is the scheme and host that ConductorOne calls: `https://ID.lambda-url…` of a
//! Function URL (with the auth type `NONE`: the token is the authentication), or that of the
//! API. `lambda_http` puts the stage into the request's path if it is missing there, as it is
//! in events of REST APIs: `/prod/webhooks` is what ConductorOne calls, and what is verified.
//! A custom domain has no stage in its URL: set `AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH`, and
//! `lambda_http` leaves the path alone. There is no router: a token is for one URL, so a
//! request to another path is refused.
//!
//! # Limits
//!
//! An API Gateway waits 29 s or 30 s, so the receiver's time limit is 29 s. The queue's
//! visibility timeout is at least the worker's time limit, and its retention at least the
//! callback's deadline (8 days; SQS has 4 by default). Take `ReportBatchItemFailures` for the
//! worker, and a dead-letter queue. The messages hold callback URLs, which are secrets:
//! encrypt the queues. With a delay of some seconds, the 202 is with ConductorOne before the
//! worker's answer; without, SQS delivers an answer that came too early again.
//!
//! With `SnapStart`, the keys in a snapshot are as old as the snapshot: have a
//! `SnapStartResource` call `refresh_now` of the layer in its `after_restore`.

use std::env;

use reqwest::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tower_conductorone::callback::{Callback, CallbackClient};
use tower_conductorone::ledger::DeliveryKey;
use tower_conductorone::redis::RedisConnection;
use tower_conductorone::{ConfigError, Tenant};

/// What everything here returns if it cannot go on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

const TENANT: &str = "example.conductor.one";

/// What the worker needs of a webhook, and no more: a message's size is limited.
#[derive(Serialize, Deserialize)]
#[allow(missing_debug_implementations, reason = "it has a secret")]
pub struct Job {
    /// The same for all attempts of a delivery.
    pub delivery: DeliveryKey,
    /// The app to provision.
    pub app: String,
    /// **A secret**: it lets its holder answer in this service's place.
    pub callback: Callback,
}

/// Stands for the SQS queue: posts a message to a URL.
#[derive(Clone, Debug)]
pub struct Queue {
    client: reqwest::Client,
    url: String,
}

impl Queue {
    /// The queue of the setting `QUEUE_URL`.
    ///
    /// # Errors
    /// The setting is missing.
    pub fn open() -> Result<Self, BoxError> {
        Ok(Self {
            client: reqwest::Client::new(),
            url: required("QUEUE_URL")?,
        })
    }

    /// Returns when the queue has it. With `aws-sdk-sqs`, this is
    /// `client.send_message().queue_url(&self.url).message_body(message).send().await`.
    ///
    /// # Errors
    /// It is unknown whether the queue has it.
    pub async fn put(&self, job: &Job) -> Result<(), BoxError> {
        let message = serde_json::to_string(job)?;
        let json = (CONTENT_TYPE, "application/json");
        let post = self.client.post(&self.url).header(json.0, json.1);
        post.body(message).send().await?.error_for_status()?;
        Ok(())
    }
}

/// The tenant whose webhooks these are.
pub fn tenant() -> Tenant {
    match env::var("C1_JWKS_URL") {
        Ok(fake) => Tenant::new(TENANT).jwks_url(fake),
        Err(_) => Tenant::new(TENANT),
    }
}

/// Posts to the tenant's callback URLs.
///
/// # Errors
/// A setting is wrong.
pub fn callbacks() -> Result<CallbackClient, ConfigError> {
    let mut callbacks = CallbackClient::builder();
    if let Ok(fake) = env::var("C1_CALLBACK_ORIGIN") {
        callbacks = callbacks.origin(TENANT, fake);
    }
    // The fake tenant has no certificate.
    callbacks.dangerous_allow_http_on_loopback().build()
}

/// The Redis that all instances share.
///
/// # Errors
/// The setting `REDIS_URL` is missing or wrong.
pub fn redis() -> Result<RedisConnection, BoxError> {
    Ok(RedisConnection::to_server(required("REDIS_URL")?)?)
}

/// A setting without a default.
///
/// # Errors
/// It is missing.
pub fn required(name: &str) -> Result<String, BoxError> {
    env::var(name).map_err(|_| format!("set {name}").into())
}

/// Lambda's log adds the time.
pub fn log() {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .init();
}
