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

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use clap::Parser;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::block_in_place;
use tokio::time::timeout;
use tower::ServiceExt;
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, Event, Outcome, Payload, ProvisionReply, WorkflowReply,
};
use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};
use tower_http::trace::TraceLayer;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a client may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Receives ConductorOne webhooks, verifies them and grants what they ask for.
///
/// POST /webhooks takes the webhooks. GET /healthz answers 200 once it is up,
/// GET /readyz once the keys of every tenant are loaded, and 503 before. The log
/// goes to stderr.
#[derive(Parser)]
#[command(
    name = "receiver",
    version,
    after_help = "RUST_LOG sets what is logged, such as \"debug\"; it is \"info\" by default."
)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
struct Args {
    /// Where to listen
    ///
    /// Port 0 takes a free one, which the log names.
    #[arg(
        long,
        value_name = "ADDR",
        env = "C1_LISTEN",
        default_value = "127.0.0.1:3000"
    )]
    listen: SocketAddr,

    /// What ConductorOne calls, such as https://hooks.example.com
    ///
    /// An origin, plus the prefix that a proxy strips, if one does.
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    public_url: String,

    /// A tenant whose webhooks are accepted, such as example.conductor.one
    ///
    /// Repeatable; in the environment, tenants are separated by commas.
    #[arg(
        long = "tenant",
        value_name = "DOMAIN",
        env = "C1_TENANT",
        value_delimiter = ',',
        required = true
    )]
    tenants: Vec<String>,

    /// Where a tenant's keys are, if not at https://TENANT/auth/v1/jwks
    ///
    /// Repeatable; in the environment, URLs are separated by commas. TENANT= may
    /// be left out if there is one tenant. An http:// URL is for a loopback host
    /// only.
    #[arg(
        long = "jwks-url",
        value_name = "[TENANT=]URL",
        env = "C1_JWKS_URL",
        value_delimiter = ','
    )]
    jwks_urls: Vec<String>,

    /// The longest body that is accepted
    #[arg(long, value_name = "BYTES", env = "C1_MAX_BODY", default_value_t = 2 * 1024 * 1024)]
    max_body: usize,

    /// Print a JSON line on stdout for every webhook that is handled
    #[arg(long, env = "C1_LOG_JSON")]
    log_json: bool,
}

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
    let verify = verify_layer(&args)?;
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;

    // The keys are loaded in the background: the receiver starts without them.
    let keys = verify.clone();
    tokio::spawn(async move {
        keys.ready().await;
        info!("the keys of every tenant are loaded");
    });

    let (in_flight, in_flight_count) = watch::channel(0_usize);
    let app = app(verify, args.log_json)
        .layer(middleware::from_fn_with_state(
            Arc::new(in_flight),
            count_in_flight,
        ))
        .layer(TraceLayer::new_for_http());
    info!(address = %listener.local_addr()?, "listening");
    serve(listener, app, in_flight_count).await;
    Ok(())
}

fn verify_layer(args: &Args) -> Result<VerifyWebhookLayer, BoxError> {
    let mut tenants: Vec<_> = args
        .tenants
        .iter()
        .map(|domain| (domain, Tenant::new(domain)))
        .collect();
    for text in &args.jwks_urls {
        let (domain, url) = match text.split_once('=') {
            Some((domain, url)) if !domain.contains("://") => (Some(domain), url),
            _ => (None, text.as_str()),
        };
        let tenant = match (domain, tenants.as_mut_slice()) {
            (None, [(_, tenant)]) => Some(tenant),
            (None, _) => {
                return Err(format!(
                    "--jwks-url {text}: there are several tenants, write --jwks-url TENANT={url}"
                )
                .into());
            }
            (Some(domain), tenants) => tenants
                .iter_mut()
                .find(|(tenant, _)| *tenant == domain)
                .map(|(_, tenant)| tenant),
        };
        let tenant = tenant.ok_or_else(|| {
            format!(
                "--jwks-url {text}: no --tenant is {}",
                domain.unwrap_or_default()
            )
        })?;
        *tenant = tenant.clone().jwks_url(url);
    }
    let mut builder = VerifyWebhookLayer::builder()
        .public_url(&args.public_url)
        .max_body_bytes(args.max_body);
    // For a key server beside this process, say; everywhere else http is refused.
    let mut urls = args.jwks_urls.iter().chain([&args.public_url]);
    if urls.any(|url| url.contains("http://")) {
        builder = builder.dangerous_allow_http_on_loopback();
    }
    for (_, tenant) in tenants {
        builder = builder.tenant(tenant);
    }
    Ok(builder.build()?)
}

fn app(verify: VerifyWebhookLayer, log_json: bool) -> Router {
    let health = verify.clone();
    let readyz = move || async move {
        if health.health().is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Router::new()
        // `any`: what is not POST gets its 405 from the layer, too.
        .route("/webhooks", any(handle).layer(verify))
        .with_state(log_json)
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(readyz))
}

async fn handle(State(log_json): State<bool>, webhook: Webhook) -> Outcome {
    let payload = webhook.payload().cloned().or_else(|error| {
        // Its path, not its text, which may quote a comment. This receiver grants
        // what it cannot read, too: take that for an empty payload.
        warn!(
            webhook_id = webhook.id(),
            path = error.path(),
            "the payload is odd"
        );
        Payload::from_json(webhook.event(), b"null")
    });
    let Ok(payload) = payload else {
        return Outcome::retry_later(Duration::from_secs(60));
    };
    if log_json {
        print(&webhook, &payload);
    }
    let comment = Comment::truncated(format!("done by the example receiver, {}", webhook.id()));
    match payload {
        Payload::Test(test) => test.answer(Acknowledgement::new()),
        Payload::ProvisionStep(step) => step.answer(ProvisionReply::complete(comment)),
        Payload::PolicyApprovalStep(step) => step.answer(ApprovalReply::approve(comment)),
        Payload::PolicyPostAction(action) => action.answer(Acknowledgement::new()),
        Payload::WorkflowStep(step) => {
            let context = json!({ "comment": comment.as_str() });
            step.answer(WorkflowReply::context(&context).unwrap_or_else(|_| WorkflowReply::empty()))
        }
        Payload::Unknown(event) => event.acknowledge(),
        // An event of a newer version of the crate, which this handler has to
        // learn first.
        _ => Outcome::retry_later(Duration::from_secs(60)),
    }
}

/// A line of the log on stdout.
#[derive(Serialize)]
struct Line<'a> {
    handled: &'a str,
    event: &'a str,
    tenant: &'a str,
    task_id: Option<&'a str>,
    app: Option<&'a str>,
}

fn print(webhook: &Webhook, payload: &Payload) {
    let view = match payload {
        Payload::ProvisionStep(step) => Some(step.task_view()),
        Payload::PolicyApprovalStep(step) => Some(step.task_view()),
        Payload::PolicyPostAction(action) => Some(action.task_view()),
        _ => None,
    };
    let task = view.and_then(|view| view.task());
    let app = view.and_then(|view| view.app());
    let line = Line {
        handled: webhook.id(),
        event: webhook.event(),
        tenant: webhook.tenant(),
        task_id: task
            .map(|task| task.id.as_str())
            .filter(|id| !id.is_empty()),
        app: app
            .map(|app| app.display_name.as_str())
            .filter(|name| !name.is_empty()),
    };
    let line = serde_json::to_string(&line).unwrap_or_default();
    // Not `println!`, which panics when nobody reads any more; and a reader that
    // is slow must not hold up the server.
    let printed = block_in_place(|| writeln!(std::io::stdout().lock(), "{line}"));
    if let Err(error) = printed {
        warn!(%error, "cannot write to stdout");
    }
}

async fn count_in_flight(
    State(count): State<Arc<watch::Sender<usize>>>,
    request: Request,
    next: Next,
) -> Response {
    count.send_modify(|count| *count += 1);
    // Also when the client hangs up and this future is dropped.
    let _guard = Decrement(count);
    next.run(request).await
}

struct Decrement(Arc<watch::Sender<usize>>);

impl Drop for Decrement {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Serves HTTP/1.1 and HTTP/2 until told to stop; then answers what is in
/// flight.
async fn serve(listener: TcpListener, app: Router, mut in_flight: watch::Receiver<usize>) {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: they come back.
                    warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // The time limit on a head begins once it is known which protocol is
        // spoken, which a client that sends too little never tells.
        let requested = Arc::new(Notify::new());
        let service = {
            let requested = Arc::clone(&requested);
            app.clone().map_request(move |request: Request<Incoming>| {
                requested.notify_one();
                request
            })
        };
        let service = TowerToHyperService::new(service);
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    debug!(%error, "connection failed");
                },
                Err(_) = timeout(HEAD_TIMEOUT, requested.notified()) => {
                    debug!("connection closed, on which no request came");
                }
            }
        });
    }
    drop(listener);
    info!("stopping: answering what is in flight");
    // A client that neither sends nor hangs up does not keep it from stopping:
    // ten seconds after the last answer, with no new request, it stops anyway.
    let all_answered = async {
        loop {
            let _ = in_flight.wait_for(|count| *count == 0).await;
            let pause = Duration::from_secs(10);
            if timeout(pause, in_flight.changed()).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = connections.shutdown() => info!("stopped"),
        () = all_answered => warn!("stopped, though some clients had not hung up"),
    }
}

async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
            Err(error) => {
                warn!(%error, "cannot listen for SIGTERM");
                let _ = tokio::signal::ctrl_c().await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}
