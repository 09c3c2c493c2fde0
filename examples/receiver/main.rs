//! A receiver for real tenants.
//!
//! ```text
//! cargo run --example receiver -- --public-url https://hooks.example.com \
//!     --tenant example.conductor.one
//! ```
//!
//! `POST /webhooks` takes the webhooks, `GET /healthz` answers once it is up,
//! `GET /readyz` once the keys of every tenant are loaded. TLS is left to the
//! proxy in front of it. It grants whatever it is asked: a place to start from,
//! not to stop at.
//!
//! Told to stop (SIGTERM or SIGINT), it answers what is in flight and finishes
//! what it has accepted, callbacks included, however long that takes. Told a
//! second time, it stops at once: with Redis, another receiver takes up what is
//! left; without, it is lost.

mod args;
mod handler;
mod serve;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, any, get};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_conductorone::VerifyWebhookLayer;
use tower_http::trace::TraceLayer;
use tracing::info;
use tracing_subscriber::EnvFilter;

use self::args::Args;
use self::handler::Work;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .init();
    let outcome = Runtime::new().map_err(BoxError::from).and_then(|runtime| {
        let outcome = runtime.block_on(run(args));
        // A look-up of a name that hangs does not keep it from stopping.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), BoxError> {
    let redis = args.redis()?;
    let verify = args.verify_layer(redis.as_ref())?;
    let once = args.once_layer(redis.as_ref())?;
    let stops = serve::stops()?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;

    // The keys are loaded in the background: the receiver starts without them.
    let keys = verify.clone();
    tokio::spawn(async move {
        keys.ready().await;
        info!("the keys of every tenant are loaded");
    });

    let work: MethodRouter = any(handler::handle).with_state(Arc::new(Work::new(&args)));
    if redis.is_some() {
        // What receivers that have crashed leave behind there.
        tokio::spawn(once.recover(work.clone()));
    }
    // Only what is verified gets to be done, and only once.
    let work_once: MethodRouter = work.layer(once.clone());
    let webhooks = work_once.layer(verify.clone());
    info!(address = %listener.local_addr()?, "listening");
    let until_done = async {
        serve::serve(listener, app(webhooks, verify), stops.clone()).await;
        info!("stopping: finishing what was accepted");
        once.drain().await;
    };
    let mut stops_at_once = stops.clone();
    tokio::select! {
        () = until_done => info!("stopped"),
        _ = stops_at_once.wait_for(|times| *times > 1) => {
            return Err("told to stop twice: stopped without finishing what was accepted".into());
        }
    }
    Ok(())
}

fn app(webhooks: MethodRouter, verify: VerifyWebhookLayer) -> Router {
    let readyz = move || async move {
        if verify.health().is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Router::new()
        // For any method: what is not POST gets its 405 from the layer, too.
        .route("/webhooks", webhooks)
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(readyz))
        .layer(TraceLayer::new_for_http())
}
