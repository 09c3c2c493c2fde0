//! A whole axum service: nested routers, two tenants, a handler for each event, recovery
//! after crashes, and tower-http's layers in their order.
//!
//! Try it with a fake tenant, in three terminals (Ctrl-C stops it):
//!
//! ```text
//! c1 serve --listen 127.0.0.1:4000
//! cargo run --package axum-example
//! c1 send provision-step --to http://127.0.0.1:3000/c1/webhooks
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::{
    ApprovalReply, Comment, Outcome, Payload, PolicyApprovalStep, ProvisionReply, ProvisionStep,
};
use tower_conductorone::{
    ConfigError, DeliverOnceLayer, EventRouter, Tenant, Typed, VerifyWebhookLayer, Webhook,
};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tracing::Level;

const PRODUCTION: &str = "example.conductor.one";
const SANDBOX: &str = "sandbox.conductor.one";

async fn provision(step: Typed<ProvisionStep>) -> ProvisionReply {
    // Either tenant can call every path: decide by the tenant that has signed.
    let comment = match step.webhook().tenant() {
        PRODUCTION => "provisioned",
        _ => "the sandbox: nothing was done",
    };
    ProvisionReply::complete(Comment::truncated(comment))
}

async fn decide(_: Typed<PolicyApprovalStep>) -> ApprovalReply {
    ApprovalReply::deny(Comment::truncated("a machine approves nothing"))
}

async fn other(webhook: Webhook) -> Outcome {
    match webhook.payload() {
        // An event that is newer than this service.
        Ok(Payload::Unknown(event)) => event.acknowledge(),
        // Nothing is lost if a handler is deployed before ConductorOne's last attempt.
        _ => Outcome::retry_later(Duration::from_secs(60)),
    }
}

fn app(verify: VerifyWebhookLayer, once: DeliverOnceLayer) -> Result<Router, ConfigError> {
    let events = EventRouter::builder()
        .on(provision)
        .on(decide)
        .fallback(other)
        .build()?;
    let api = Router::new().route_service("/webhooks", events);
    let handlers = Router::new().nest("/c1", api);
    // Runs again what a crashed replica had accepted (with a ledger that they share). Its
    // requests have the full path, so it gets the outer router; and they were verified
    // and claimed already, so it gets that router without the two layers.
    tokio::spawn(once.recover(handlers.clone()));
    let webhooks = handlers.layer(once).layer(verify);

    // `layer` wraps what stands above it, so the last one sees a request first.
    Ok(Router::new()
        .route("/healthz", get(async || StatusCode::OK)) // no webhook, not verified
        .merge(webhooks)
        // Inside the time limit, so that the time for reading counts. Not smaller than
        // `max_body_bytes` of `verify` (2 MiB): it would refuse genuine webhooks.
        .layer(RequestBodyLimitLayer::new(2 * 1024 * 1024))
        // More than the 25 s after which `once` answers 202, less than the 30 s after which
        // ConductorOne hangs up. 503 lets it try again. The run goes on: `once` has
        // detached it from the request.
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_secs(28),
        ))
        // Outside `once`, which keeps one answer for all attempts of a delivery, whatever
        // encoding each of them accepts. It compresses responses: a layer that decompresses
        // requests must not be outside `verify`, since the token has the body's hash.
        .layer(CompressionLayer::new())
        // Sees all answers as they leave, those of the layers above included. The span of
        // `verify` is inside its span.
        .layer(
            TraceLayer::new_for_http().make_span_with(
                DefaultMakeSpan::new()
                    .level(Level::INFO)
                    .include_headers(true),
            ),
        )
        // Runs first, so that the log above shows neither the token nor the URL with which
        // anybody can answer in this service's place.
        .layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            HeaderName::from_static("webhook-callback-url"),
        ])))
}

fn setting(name: &str, local: &str) -> String {
    env::var(name).unwrap_or_else(|_| local.to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let fake = "http://127.0.0.1:4000";
    let keys = |name| setting(name, &format!("{fake}/auth/v1/jwks"));
    let verify = VerifyWebhookLayer::builder()
        .public_url(setting("C1_PUBLIC_URL", "http://127.0.0.1:3000"))
        // Without `jwks_url`, these are real tenants.
        .tenant(Tenant::new(PRODUCTION).jwks_url(keys("C1_JWKS_URL")))
        .tenant(Tenant::new(SANDBOX).jwks_url(keys("C1_SANDBOX_JWKS_URL")))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .build()?;
    let callbacks = CallbackClient::builder()
        .origin(PRODUCTION, setting("C1_CALLBACK_ORIGIN", fake))
        .dangerous_allow_http_on_loopback()
        .build()?;
    let once = DeliverOnceLayer::builder()
        // In memory. For replicas and restarts: .ledger("hooks", RedisLedger::at("redis://…")?)
        .callbacks(callbacks)
        .build()?;
    let app = app(verify, once.clone())?;

    let listener = TcpListener::bind(setting("C1_LISTEN", "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    let drained = once.drain().await; // the work that goes on after a 202
    println!("stopped, {} deliveries were cut off", drained.cut_off());
    Ok(())
}
