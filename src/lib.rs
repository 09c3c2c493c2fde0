//! Tower middleware that makes any Rust HTTP service a receiver of
//! [ConductorOne](https://www.conductorone.com) webhooks.
//!
//! [`VerifyWebhookLayer`] authenticates each request: the token in its
//! `Authorization` header against the tenant's public keys, and the method, URL
//! and body of the request against the token. What is not a proven webhook is
//! answered by the layer; what is reaches the inner service with the same body,
//! and with a [`Webhook`] in its extensions.
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
//! [`DeliverOnceLayer`], inside of it, has each delivery's work done once, although
//! ConductorOne asks again after 30 s, and finishes slow work through the callback
//! URL: see [`deliver_once`].
//!
//! ConductorOne sends the events of all types to one URL: an [`EventRouter`] calls a
//! handler of its own for each. Or a handler takes the [`Webhook`] itself; see the
//! module [`event`] for its payload and the replies to it.
//!
//! # What is checked
//!
//! In this order, cheap before dear; nothing of the body is read before the
//! token has passed, and nothing is remembered before all else has:
//!
//! 1. The method is POST, the content type `application/json`, without a content
//!    coding.
//! 2. There is one bearer token of limited size, in strict JWS compact form (RFC
//!    7515), signed with RS256, ES256 or EdDSA.
//! 3. Its `iss` is one of the configured tenants.
//! 4. Its signature verifies with one of that tenant's keys; no other tenant's keys
//!    are tried.
//! 5. `c1typ`, `aud`, `iat`, `nbf`, `exp`, `htm` and `htu` fit this receiver, this
//!    moment and this request (RFC 7519, RFC 9449 §4.3), whose path has no dot
//!    segments.
//! 6. The body, read with a limit on size and time, has the SHA-256 that the token
//!    names (`htb_s256`), and `Content-Digest`, if present, agrees.
//! 7. The body is an envelope of version `v1`, and no `Webhook-*` header contradicts
//!    it.
//! 8. The token was not used before (`jti`).
//!
//! Every way to fail is a [`RejectionKind`], documented with its cause and
//! remedy, and logged through [`tracing`](https://docs.rs/tracing) with what was
//! expected and what came.
//!
//! # Deployment
//!
//! - **The public URL** is configured, never guessed from `Host` or
//!   `X-Forwarded-*`, which come from whoever sends them. If a proxy strips a
//!   prefix from the path, it belongs to the public URL. With the feature
//!   `axum`, nested routers need no such care; without it, what an outer router
//!   strips counts as such a prefix, too.
//! - **Limits** (of concurrency, of rate) inside of [`VerifyWebhookLayer`] count
//!   proven webhooks alone; outside of it, whatever anybody sends.
//! - **The query string is not signed**: the token names the URL without it. Decide
//!   nothing by it.
//! - **Several tenants.** Each of them can have any of your paths called. Decide by
//!   [`Webhook::tenant`], never by the path.
//! - **Routes.** Only what the layer wraps is verified: with axum, the routes that
//!   were added before `Router::layer`. One that is added after it is open to
//!   everybody, unless its handler asks for the [`Webhook`] or [`Typed`], which
//!   fails closed: 500 for whatever comes.
//! - **Retries.** ConductorOne takes 2xx for delivered and 410 for gone for
//!   good, and tries anything else again, up to 50 times. A rejection is never
//!   one of the two. Trouble of our own that will pass (keys or replay store
//!   out of reach) is 503 with `Retry-After`, and lives from those retries.
//! - **Replicas** that share the traffic should share a
//!   [`ReplayStore`](replay::ReplayStore) and a [`Ledger`](ledger::Ledger): the
//!   default ones are in memory.
//! - **Runtime.** Time limits and fetching need tokio, with its time driver
//!   enabled.
//! - **Functions that freeze** between requests, such as AWS Lambda, stop what goes
//!   on after the answer: see [`deliver_once`].
//!
//! # Features
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `reqwest` | yes | fetches the tenants' keys, and posts answers to callback URLs, over HTTPS |
//! | `axum` | no | for axum 0.8: [`Webhook`], [`Typed`] and [`DeliveryRun`] as extractors; nested routers' original URI |
//! | `jsonwebtoken` | no | for jsonwebtoken 11: a [`KeySet`](keys::KeySet#impl-TryFrom%3C%26JwkSet%3E-for-KeySet) from a `JwkSet` that the application holds already |
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
mod future;
mod header;
#[cfg(feature = "reqwest")]
mod http_client;
mod json;
pub mod keys;
pub mod ledger;
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
mod verify_webhook;

#[cfg(feature = "axum")]
mod axum;

#[cfg(feature = "jsonwebtoken")]
mod jsonwebtoken;

#[cfg(feature = "axum")]
pub use self::axum::TypedRejection;
pub use self::callback::CallbackUrl;
pub use self::clock::{Clock, SystemClock};
pub use self::config_error::ConfigError;
pub use self::deliver_once::{DeliverOnce, DeliverOnceLayer, DeliveryRun};
pub use self::event_router::EventRouter;
pub use self::future::BoxFuture;
pub use self::rejection::{Rejection, RejectionKind};
pub use self::tenant::Tenant;
pub use self::typed::Typed;
pub use self::verify::{Claims, ReplayPolicy, Webhook};
pub use self::verify_webhook::{
    Health, ResponseBody, ResponseFuture, TenantHealth, TenantKeysError, VerifyWebhook,
    VerifyWebhookBuilder, VerifyWebhookLayer,
};

/// The examples of the README are compiled with the tests.
#[cfg(all(doctest, feature = "axum", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;
