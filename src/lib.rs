//! Tower middleware that makes any Rust HTTP service a receiver of
//! [ConductorOne](https://www.conductorone.com) webhooks.
//!
//! [`VerifyWebhookLayer`] authenticates each request: it verifies the token in the
//! `Authorization` header with the tenant's public keys, and compares the request's
//! method, URL and body with the token. It rejects every request that is not a verified
//! webhook. A verified one reaches the inner service with the same body, and with a
//! [`Webhook`] in its extensions.
//!
#![doc = include_str!("guide/way.svg")]
//!
#![cfg_attr(feature = "reqwest", doc = "```")]
// Without a client to fetch the keys with, it cannot be built.
#![cfg_attr(not(feature = "reqwest"), doc = "```no_run")]
//! use axum::{Router, routing::post};
//! use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
//! use tower_conductorone::{Typed, VerifyWebhookLayer};
//!
//! async fn provision(step: Typed<ProvisionStep>) -> Outcome {
//!     println!("provision in {:?}", step.task_view().app().map(|app| &app.display_name));
//!     step.answer(ProvisionReply::complete(Comment::none()))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let verify = VerifyWebhookLayer::builder()
//!     .public_url("https://hooks.example.com") // what ConductorOne calls
//!     .tenant("example.conductor.one")
//!     .build()?;
//! let app: Router = Router::new().route("/webhooks", post(provision)).layer(verify);
//! # Ok(())
//! # }
//! ```
//!
//! [`DeliverOnceLayer`], inside of it, runs the handler once for each delivery, however
//! often ConductorOne retries, and posts slow answers to the callback URL: see
//! [`deliver_once`].
//!
//! ConductorOne sends the events of all types to one URL: an [`EventRouter`] calls a
//! separate handler for each. Or a handler takes the [`Webhook`] itself; see the
//! module [`event`] for its payload and the replies to it.
//!
//! # What is checked
//!
//! The layer checks in this order, cheap checks first. It reads no body before the token
//! is verified, and stores nothing before all other checks have passed.
//!
#![doc = include_str!("verify_webhook/checks.md")]
//!
//! Each check that fails is a [`RejectionKind`], which documents its cause and
//! remedy; [`guide::rejections`] has all of them. The log ([`tracing`](https://docs.rs/tracing)) has one [line](observe) for
//! each request, which says what was expected and what was received. See [`verify_webhook`] for an example of a request that is
//! accepted and one that is rejected.
//!
//! # Deployment
//!
//! The [guides](guide) explain the [public URL](guide::public_url) behind proxies,
//! [retries](guide::answers), work that is done [once](guide::once), [stores](guide::stores),
//! [tenants](guide::tenants), [who is who](guide::people) on a task, [what is
//! signed](guide::threats), and how to [test](guide::test) a handler. The command `c1`
//! (package `tower-conductorone-cli`) sends events to a receiver that runs locally.
//!
//! - **The public URL** is configured. The layer does not take it from `Host` or
//!   `X-Forwarded-*`, which the sender chooses. If a proxy strips a prefix from the
//!   path, add the prefix to the public URL. With the feature `axum`, the layer
//!   knows the original path below nested routers; without it, add what an outer
//!   router strips, too.
//! - **Limits** (of concurrency, of rate) inside of [`VerifyWebhookLayer`] count
//!   verified webhooks alone; outside of it, they count every request.
//! - **The query string is not signed**: the token names the URL without it. Do not base
//!   decisions on it.
//! - **Several tenants.** Each of them can call every path. Decide by
//!   [`Webhook::tenant`], never by the path.
//! - **Routes.** The layer verifies only the routes that it wraps: with axum, those
//!   that were added before `Router::layer`. A route that is added later is open to
//!   everybody, unless its handler takes the [`Webhook`] or [`Typed`], which answers
//!   500 to every request there.
//! - **Retries.** ConductorOne takes 2xx for delivered and 410 for permanently gone,
//!   and retries on every other status, up to 50 attempts in all. A rejection is never 2xx or
//!   410. While keys, the replay store or the ledger cannot be reached, the answer is
//!   503 with `Retry-After`, and ConductorOne's retries deliver the webhook later.
//! - **Replicas** that share the traffic should share a
//!   [`ReplayStore`](replay::ReplayStore) and a [`Ledger`](ledger::Ledger): the
//!   default ones are in memory.
//! - **Runtime.** Time limits, fetching and [`DeliverOnceLayer`], which spawns tasks, need
//!   tokio, with its time driver enabled.
//! - **Readiness.** `verify.health().is_ready()` is for a readiness probe; the example
//!   `receiver` serves it at `/readyz`.
//! - **Functions that freeze** between requests, such as AWS Lambda, stop the work that
//!   goes on after the answer: see [`deliver_once`].
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `reqwest` | yes | fetches the tenants' keys, and posts answers to callback URLs, over HTTPS |
//! | `axum` | no | for axum 0.8: [`Webhook`], [`Typed`], [`DeliveryRun`] and [`DeliveryHandle`] as extractors, [`EventRouter`] as a handler; nested routers' original URI |
//! | `jsonwebtoken` | no | for jsonwebtoken 11: a [`KeySet`](keys::KeySet#impl-TryFrom%3C%26JwkSet%3E-for-KeySet) from a `JwkSet` that the application holds already |
//! | `metrics` | no | reports to the recorder of the [`metrics`](https://docs.rs/metrics) facade: see [`observe`](observe#metrics) |
//! | `redis` | no | a ledger and a replay store in [Redis](redis) or Valkey, shared by all replicas |
//! | `redis-tls` | no | Redis over TLS (`rediss://`), with rustls |
//! | `testing` | no | a fake tenant, a simulator of deliveries, an attack pack, explanations, and more: [`testing`] |
//!
//! Without default features the keys are [static](Tenant::static_keys), from a
//! [file](Tenant::jwks_file), from a [source](keys::KeySource) of yours, or
//! fetched through a [client](VerifyWebhookBuilder::fetch) of yours.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The library never panics on what comes from outside; its tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod callback;
mod clock;
mod config_error;
pub mod deliver_once;
mod domain;
mod error_chain;
pub mod event;
pub mod event_router;
mod excerpt;
mod fill;
mod future;
#[cfg(doc)]
pub mod guide;
mod header;
#[cfg(feature = "reqwest")]
mod http_client;
mod json;
pub mod keys;
pub mod ledger;
pub mod observe;
mod random;
mod readable;
#[cfg(feature = "redis")]
pub mod redis;
mod rejection;
pub mod replay;
mod tenant;
#[cfg(feature = "testing")]
pub mod testing;
mod typed;
mod url;
mod verify;
pub mod verify_webhook;

#[cfg(feature = "axum")]
mod axum;

#[cfg(feature = "jsonwebtoken")]
mod jsonwebtoken;

#[cfg(feature = "axum")]
pub use self::axum::TypedRejection;
pub use self::callback::CallbackUrl;
pub use self::clock::{Clock, SystemClock};
pub use self::config_error::ConfigError;
pub use self::deliver_once::{
    DeliverOnce, DeliverOnceBuilder, DeliverOnceLayer, DeliveryHandle, DeliveryRun,
};
pub use self::event_router::EventRouter;
pub use self::future::BoxFuture;
pub use self::rejection::{Rejection, RejectionKind};
pub use self::tenant::Tenant;
pub use self::typed::Typed;
pub use self::verify::{Claims, ReplayPolicy, Webhook};
pub use self::verify_webhook::{VerifyWebhook, VerifyWebhookBuilder, VerifyWebhookLayer};

/// The examples of the README are compiled with the tests.
#[cfg(all(doctest, feature = "axum", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Likewise those for agents that write code.
#[cfg(all(doctest, feature = "axum", feature = "testing"))]
#[doc = include_str!("../llms.txt")]
struct Llms;
