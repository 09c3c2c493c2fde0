//! Grants access by a row in the service's own table, exactly once: the row and the
//! answer to ConductorOne are committed in one transaction.
//!
//! ```text
//! cargo run --package ledger-sql
//! ```
//!
//! sends deliveries of a fake tenant to this service, lets it crash in the middle, and
//! shows what happens then. It needs no set-up: the database is a SQLite file. With
//! `DATABASE_URL=postgres://…` it is that Postgres.
//!
//! ```text
//! PUBLIC_URL=https://hooks.example.com TENANT=example.conductor.one \
//!     cargo run --package ledger-sql -- serve
//! ```
//!
//! is the service alone. This file and `store.rs` are what a receiver needs; `story.rs`
//! is the show.

mod store;
mod story;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::{DeliverOnceLayer, DeliveryHandle, Tenant, Typed, VerifyWebhookLayer};

use crate::store::{Access, Store};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match env::args().nth(1).as_deref() {
        None => story::tell().await,
        Some("serve") => serve().await,
        Some(_) => Err("usage: ledger-sql [serve]".into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Grants the access in this delivery's transaction.
async fn provision(
    State(store): State<Store>,
    delivery: DeliveryHandle,
    step: Typed<ProvisionStep>,
) -> Outcome {
    let Some(access) = Access::of(&step) else {
        let comment = Comment::truncated("it does not say what access to whom");
        return step.answer(ProvisionReply::errored(comment));
    };
    let outcome = step.answer(ProvisionReply::complete(Comment::none()));
    let granted = store.grant(&access, &delivery, outcome).await;
    granted.unwrap_or_else(|error| {
        eprintln!("access was not granted: {error}");
        Outcome::retry_later(Duration::from_secs(3))
    })
}

async fn serve() -> Result<(), BoxError> {
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let store = Store::open(&setting("DATABASE_URL", "sqlite://ledger-sql.db")).await?;

    let public_url = setting("PUBLIC_URL", "https://hooks.example.com");
    let mut tenant = Tenant::new(setting("TENANT", "example.conductor.one"));
    let mut verify = VerifyWebhookLayer::builder().public_url(public_url);
    if let Ok(url) = env::var("JWKS_URL") {
        tenant = tenant.jwks_url(url);
        verify = verify.dangerous_allow_http_on_loopback(); // for the story's fake tenant
    }
    let verify = store.keeps_tokens(verify.tenant(tenant)).build()?;

    // How long the others wait before they take over from a process that crashed.
    let lease = Duration::from_secs(setting("LEASE_SECONDS", "45").parse()?);
    let once = DeliverOnceLayer::builder()
        .callbacks(CallbackClient::builder().build()?) // for a handler slower than 25 s
        .lease(lease);
    let once = store.keeps_deliveries(once).build()?;

    let handlers = Router::new()
        .route("/webhooks", post(provision))
        .with_state(store);
    tokio::spawn(once.recover(handlers.clone())); // what a crashed process was to call back
    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:3000")).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, handlers.layer(once.clone()).layer(verify))
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    if !once.drain().await.is_complete() {
        eprintln!("some work was cut off, and is repeated");
    }
    Ok(())
}
