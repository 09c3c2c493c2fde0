//! A receiver for real tenants.
//!
//! ```text
//! cargo run --package receiver -- --public-url https://hooks.example.com \
//!     --tenant example.conductor.one
//! ```
//!
//! `POST /webhooks` receives the webhooks, `GET /healthz` answers 200 as soon as the
//! server runs, `GET /readyz` once the keys of every tenant are loaded. A proxy in
//! front of it terminates TLS. It grants every request: use it as a starting point.
//!
//! With `--metrics-listen`, `GET /metrics` on that address gives its metrics to Prometheus.
//! `examples/observability` has alert rules and a dashboard.
//!
//! On SIGTERM or SIGINT it answers open requests and finishes accepted work,
//! callbacks included, within `--drain-ms`. On a second signal it stops at once.
//! With `--redis-url` or `--database-url`, another receiver finishes the rest, or this one
//! after a restart; otherwise the rest is lost.

mod args;
mod handler;
mod metrics;
mod serve;
mod store;

use std::io::IsTerminal;
use std::iter;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, any, get};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower_conductorone::VerifyWebhookLayer;
use tower_http::trace::TraceLayer;
use tracing::info;
use tracing_subscriber::EnvFilter;

use self::args::Args;
use self::handler::Work;
use self::store::Store;

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
        // Does not wait for a name look-up that hangs.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

async fn run(args: Args) -> Result<(), BoxError> {
    // Before there is anything to count.
    let metrics = match args.metrics_listen {
        Some(address) => Some((listen(address).await?, metrics::install()?)),
        None => None,
    };
    let store = Store::open(&args).await?;
    let verify = args.verify_layer(&store)?;
    let once = args.once_layer(&store)?;
    let stops = serve::stops()?;
    let listener = listen(args.listen).await?;

    // Loads the keys in the background: the receiver starts without them.
    let keys = verify.clone();
    tokio::spawn(async move {
        keys.ready().await;
        info!("the keys of every tenant are loaded");
    });

    let work: MethodRouter = any(handler::handle).with_state(Arc::new(Work::new(&args)));
    if store.outlives_the_process() {
        // Resumes accepted work of receivers that have crashed, or stopped.
        tokio::spawn(once.recover(work.clone()));
    }
    // The outer layer is added last: verify first, then deliver once.
    let work_once: MethodRouter = work.layer(once.clone());
    let webhooks = work_once.layer(verify.clone());
    info!(address = %listener.local_addr()?, "listening");
    // Until the process ends: a stop may take long enough to be watched.
    let (_never_sent, never) = watch::channel(0);
    if let Some((listener, recorder)) = metrics {
        info!(metrics_address = %listener.local_addr()?, "serving metrics");
        tokio::spawn(metrics::keep_small(recorder.clone()));
        tokio::spawn(serve::serve(listener, metrics::app(recorder), never));
    }
    let until_done = async {
        serve::serve(listener, app(webhooks, verify), stops.clone()).await;
        info!("stopping: finishing accepted work");
        once.drain().await
    };
    let mut stops_at_once = stops.clone();
    tokio::select! {
        drained = until_done => if !drained.is_complete() {
            let limit = args.drain_ms;
            return Err(format!("accepted work was not finished within {limit} ms").into());
        },
        _ = stops_at_once.wait_for(|times| *times > 1) => {
            return Err("second signal: stopped without finishing accepted work".into());
        }
    }
    info!("stopped");
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| format!("cannot listen on {address}: {error}"))
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
        // Any method: the layer answers 405 to all but POST.
        .route("/webhooks", webhooks)
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(readyz))
        .layer(TraceLayer::new_for_http())
}
