//! Three receivers share one Redis, and one of them is killed in the middle of its work:
//! another one finishes it, and each delivery is answered once.
//!
//! It starts a Redis, three times itself, and a fake tenant. It needs `redis-server`:
//!
//! ```text
//! cargo run --package replicas
//! ```
//!
//! What a service needs for this is below; `story.rs` is the rest.

mod story;

use std::env;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::redis::{RedisConnection, RedisLedger, RedisReplayStore};
use tower_conductorone::{DeliverOnceLayer, DeliveryRun, Tenant, Typed, VerifyWebhookLayer};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const TENANT: &str = "example.conductor.one";
const PUBLIC_URL: &str = "https://hooks.example.com";

async fn provision(step: Typed<ProvisionStep>, run: DeliveryRun) -> Outcome {
    let (replica, number) = (setting("REPLICA"), run.number());
    eprintln!("    replica {replica} begins run {number}"); // in a later run: look what is done
    sleep(Duration::from_secs(seconds("WORK_SECONDS"))).await;
    let comment = format!("by replica {replica} in run {number}");
    step.answer(ProvisionReply::complete(Comment::truncated(comment)))
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn seconds(name: &str) -> u64 {
    setting(name).parse().unwrap_or_default()
}

async fn receiver() -> Result<(), BoxError> {
    let redis = RedisConnection::to_server(setting("REDIS_URL"))?;
    let verify = VerifyWebhookLayer::builder()
        .public_url(PUBLIC_URL)
        .tenant(Tenant::new(TENANT).jwks_url(setting("C1_JWKS_URL")))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        // No token passes twice, whichever replica gets it.
        .replay_store(RedisReplayStore::new(redis.clone()))
        .build()?;
    let callbacks = CallbackClient::builder()
        .origin(TENANT, setting("C1_CALLBACK_ORIGIN"))
        .dangerous_allow_http_on_loopback()
        .build()?;
    let once = DeliverOnceLayer::builder()
        // One run of each delivery at a time, and one answer.
        .ledger("hooks", RedisLedger::new(redis))
        // So soon after a crash another replica takes over, and so soon comes a 202. The
        // defaults are 45 s and 25 s.
        .lease(Duration::from_secs(5))
        .answer_within(Duration::from_secs(seconds("ANSWER_WITHIN_SECONDS")))
        .callbacks(callbacks)
        .build()?;
    let handlers = Router::new().route("/webhooks", post(provision));
    tokio::spawn(once.recover(handlers.clone())); // takes over what a crashed replica promised
    let app = handlers.layer(once).layer(verify);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    match env::args().nth(1).as_deref() {
        Some("receiver") => receiver().await,
        _ => story::tell().await,
    }
}
