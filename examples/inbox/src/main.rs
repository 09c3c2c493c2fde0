//! An inbox: answers 202 at once, and works from a durable job queue.
//!
//! ```text
//! cargo run --package inbox -- --database inbox.db \
//!     --public-url https://hooks.example.com --tenant example.conductor.one
//! ```
//!
//! For receivers that have a job queue already, or work for longer than a
//! process lives. The queue is [apalis](https://docs.rs/apalis) on `SQLite` here.
//!
//! 1. `VerifyWebhookLayer` proves the webhook.
//! 2. The handler stores it as a job, in one transaction, under a key that is
//!    unique: `DeliveryKey::of`, the same for every attempt of a delivery.
//!    Only then does it answer 202. A duplicate finds its key taken, and gets
//!    its 202 without a second job.
//! 3. A worker takes the job, in this process or a later one, reads the payload
//!    with `Payload::from_json`, does the work, and stores the reply as a second
//!    job.
//! 4. That job posts the reply to the callback URL. What fails is tried again by
//!    a third job, after a pause, and so on until the callback's deadline.
//!
//! What cannot end with a callback is never promised one: a webhook without a
//! callback URL, or with one that leads elsewhere than to its tenant, is
//! answered 400; one that cannot be read, or stored, 503.
//!
//! # What is stored
//!
//! The engine's table `Jobs`, with a row for each job: `idempotency_key` is the
//! unique key, `job` the JSON of a `Job` (see `job.rs`), `status`, `attempts` and
//! `run_at` are the engine's. **The callback is a secret**, with which anybody
//! can answer in this receiver's place: protect the file, and its backups.
//!
//! A row that is done is what a duplicate runs into, so it has to stay for as
//! long as ConductorOne may try: 45 minutes at the least. After that, delete it:
//! `DELETE FROM Jobs WHERE status = 'Done' AND done_at < unixepoch() - 86400`.
//!
//! # What is guaranteed
//!
//! A delivery that was answered 202 is worked on **at least once**, whenever the
//! process is killed: a job that was begun and not ended is taken up again five
//! seconds after its worker was last seen alive. So the work has to be
//! idempotent. ConductorOne takes one document for each URL; the second one of
//! a job that was repeated is refused, which does no harm.
//!
//! Work that fails is tried again, up to 25 times in about 20 minutes, and then
//! stays in the table as `Failed`; a reply that cannot be delivered stays as
//! `Killed`. Look after both: nobody else will.
//!
//! # More than one machine
//!
//! `apalis-postgres` and `apalis-redis` are the same engine on a server. With
//! Postgres the lines that name `SQLite` change (`store.rs`, and the backend in
//! `worker.rs`), and a receiver with tables of its own writes to them in the
//! transaction that stores the job. Redis has no such transaction, and keeps what
//! it was told only if it is set to (`appendfsync always`).

mod args;
mod job;
mod store;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::any;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::Outcome;
use tower_conductorone::ledger::DeliveryKey;
use tower_conductorone::{VerifyWebhookLayer, Webhook};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::job::{Job, Todo};
use crate::store::Store;
use crate::worker::{GRACE, Worker};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BoxError> {
    let verify = args.verify_layer()?;
    let callbacks = args.callback_client()?;
    let store = Store::open(&args.database)
        .await
        .map_err(|error| format!("--database {}: {error}", args.database.display()))?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    info!(address = %listener.local_addr()?, "listening");

    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        stop_signal().await;
        let _ = stop.send(true);
    });
    let worker = Worker {
        store: store.clone(),
        callbacks: callbacks.clone(),
        work: Duration::from_millis(args.work_ms),
    };
    let worker = tokio::spawn(worker.run(stopping.clone()));
    let app = app(verify, Inbox { store, callbacks });
    let server = axum::serve(listener, app).with_graceful_shutdown(stopped(stopping.clone()));
    // A client that sends half a request, and no more, would keep it running.
    let too_late = async {
        stopped(stopping).await;
        sleep(GRACE).await;
    };
    tokio::select! {
        ended = server.into_future() => ended?,
        () = too_late => warn!("some clients had not hung up"),
    }
    worker.await?;
    info!("stopped");
    Ok(())
}

#[derive(Clone)]
struct Inbox {
    store: Store,
    callbacks: CallbackClient,
}

fn app(verify: VerifyWebhookLayer, inbox: Inbox) -> Router {
    Router::new()
        .route("/webhooks", any(handle).layer(verify))
        .with_state(Arc::new(inbox))
}

async fn handle(
    State(inbox): State<Arc<Inbox>>,
    webhook: Webhook,
) -> Result<Outcome, (StatusCode, &'static str)> {
    let webhook_id = webhook.id();
    let refused = |reason: &dyn std::fmt::Display| {
        warn!(webhook_id, %reason, "refused: it cannot be answered later");
        (StatusCode::BAD_REQUEST, "there is no usable callback URL")
    };
    let callback = webhook
        .callback()
        .ok_or_else(|| refused(&"it has no callback URL"))?;
    inbox
        .callbacks
        .check(&callback)
        .map_err(|error| refused(&error))?;
    // Nobody will ask again after a 202: the worker has to be able to read it.
    if let Err(error) = webhook.payload() {
        // Its path, not its text, which may quote a comment.
        warn!(
            webhook_id,
            path = error.path(),
            "the payload does not match its event's type"
        );
        return Ok(Outcome::retry_later(Duration::from_mins(1)));
    }
    let job = Job {
        key: DeliveryKey::of(&webhook),
        callback,
        todo: Todo::work(webhook.payload_json()),
    };
    match inbox.store.put(&job, Duration::ZERO).await {
        Ok(()) => Ok(Outcome::accepted()),
        Err(error) => {
            error!(webhook_id, %error, "cannot store the job");
            Ok(Outcome::retry_later(Duration::from_secs(5)))
        }
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
