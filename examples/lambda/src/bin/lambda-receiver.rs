//! The function that ConductorOne calls: verifies, decides what is quick, and queues what
//! is slow.

use std::time::Duration;

use lambda_example::{BoxError, Job, Queue, callbacks, log, redis, required, tenant};
use tower::Layer;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::{
    ApprovalReply, Comment, Outcome, PolicyApprovalStep, ProvisionReply, ProvisionStep,
};
use tower_conductorone::ledger::DeliveryKey;
use tower_conductorone::redis::{RedisLedger, RedisReplayStore};
use tower_conductorone::{DeliverOnceLayer, EventRouter, Typed, VerifyWebhookLayer, Webhook};

/// Slow work: the queue has it before ConductorOne is answered.
async fn queue(step: Typed<ProvisionStep>, queue: Queue, callbacks: CallbackClient) -> Outcome {
    let callback = step.webhook().callback();
    let usable = callback.filter(|callback| callbacks.check(callback).is_ok());
    let Some(callback) = usable else {
        let comment = Comment::truncated("there is no callback URL to answer at");
        return step.answer(ProvisionReply::errored(comment)); // 202 would be an empty promise
    };
    let app = step.task_view().app();
    let job = Job {
        delivery: DeliveryKey::of(step.webhook()),
        app: app.map(|app| app.display_name.clone()).unwrap_or_default(),
        callback,
    };
    match queue.put(&job).await {
        Ok(()) => Outcome::accepted(),
        Err(error) => {
            tracing::warn!(error, "the queue did not take a job");
            Outcome::retry_later(Duration::from_secs(5))
        }
    }
}

/// Quick work: the answer is the document.
async fn decide(_: Typed<PolicyApprovalStep>) -> ApprovalReply {
    ApprovalReply::deny(Comment::truncated("a machine approves nothing"))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    log();
    let redis = redis()?;
    let verify = VerifyWebhookLayer::builder()
        .public_url(required("C1_PUBLIC_URL")?)
        .tenant(tenant())
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .replay_store(RedisReplayStore::new(redis.clone()))
        .build()?;
    let once = DeliverOnceLayer::builder()
        .ledger("lambda", RedisLedger::new(redis))
        .build()?; // without `callbacks`, it promises nothing
    let (jobs, client) = (Queue::open()?, callbacks()?);
    let events = EventRouter::builder()
        .on(move |step: Typed<ProvisionStep>| queue(step, jobs.clone(), client.clone()))
        .on(decide)
        .fallback(async |_: Webhook| Outcome::retry_later(Duration::from_secs(60)))
        .build()?;
    // A start has more processor time than a request. If the keys do not come, the first
    // webhook asks again.
    if let Err(error) = verify.ready_within(Duration::from_secs(5)).await {
        tracing::warn!(%error, "started without keys");
    }
    // `lambda_http::Body` is an `http_body::Body`: there is nothing to convert. (A handler
    // that takes `lambda_http::Request` goes inside the layers with one line:
    // `.map_request(|request: Request<Full<Bytes>>| request.map(…))`.)
    lambda_http::run(verify.layer(once.layer(events))).await
}
