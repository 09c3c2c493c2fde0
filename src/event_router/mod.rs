//! Calls a handler of its own for each event.
//!
//! ConductorOne sends the events of all types to one URL, and a router of paths cannot
//! tell them apart. An [`EventRouter`] can: it is a `tower::Service` made of one typed
//! handler for each event that a receiver takes, and a fallback for all others.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::Router;
//! use tower_conductorone::event::{
//!     ApprovalReply, Comment, Outcome, PolicyApprovalStep, ProvisionReply, ProvisionStep,
//! };
//! use tower_conductorone::{DeliverOnceLayer, EventRouter, Typed, VerifyWebhookLayer, Webhook};
//!
//! async fn provision(step: Typed<ProvisionStep>) -> ProvisionReply {
//!     println!("provision in {:?}", step.task_view().app().map(|app| &app.display_name));
//!     ProvisionReply::complete(Comment::none())
//! }
//!
//! async fn decide(step: Typed<PolicyApprovalStep>) -> Result<Outcome, std::io::Error> {
//!     Ok(step.answer(ApprovalReply::deny(Comment::none())))
//! }
//!
//! async fn other(webhook: Webhook) -> Outcome {
//!     eprintln!("no handler for {:?}", webhook.event());
//!     Outcome::retry_later(Duration::from_secs(60))
//! }
//!
//! # fn app(verify: VerifyWebhookLayer, once: DeliverOnceLayer) -> Result<Router, Box<dyn std::error::Error>> {
//! let webhooks = EventRouter::builder()
//!     .on(provision)
//!     .on(decide)
//!     .fallback(other)
//!     .build()?;
//! println!("handles {:?}", webhooks.events());
//!
//! let app = Router::new()
//!     .route_service("/webhooks", webhooks)
//!     .layer(once)
//!     .layer(verify);
//! # Ok(app)
//! # }
//! # let _ = app;
//! ```
//!
//! With the feature `axum` a router is a handler as well: `post(webhooks)`.
//!
//! # Handlers
//!
//! A handler is an async function or closure from a [`Typed`](crate::Typed) event, or
//! from that and the [`DeliveryRun`](crate::DeliveryRun) or the
//! [`DeliveryHandle`](crate::DeliveryHandle), to its answer: the event's own reply, an
//! [`Outcome`](crate::event::Outcome), or a `Result` with one of them ([`IntoOutcome`]).
//! So it can be called in a unit test. The fallback takes the [`Webhook`](crate::Webhook)
//! instead.
//!
//! Closures bring what handlers have in common:
//!
//! ```
//! use std::sync::Arc;
//! # use std::time::Duration;
//! # use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
//! # use tower_conductorone::{ConfigError, DeliveryRun, EventRouter, Typed, Webhook};
//!
//! struct Directory;
//!
//! impl Directory {
//!     async fn provision(&self, step: Typed<ProvisionStep>, run: DeliveryRun) -> ProvisionReply {
//!         # let _ = step;
//!         if run.number() > 1 { /* an earlier run may have done it: look first */ }
//!         ProvisionReply::complete(Comment::none())
//!     }
//! }
//!
//! # fn webhooks() -> Result<EventRouter, ConfigError> {
//! let directory = Arc::new(Directory);
//! EventRouter::builder()
//!     .on(move |step: Typed<ProvisionStep>, run: DeliveryRun| {
//!         let directory = Arc::clone(&directory);
//!         async move { directory.provision(step, run).await }
//!     })
//!     .fallback(async |_: Webhook| Outcome::retry_later(Duration::from_secs(60)))
//!     .build()
//! # }
//! # let _ = webhooks;
//! ```
//!
//! A handler whose work is in a database takes the `DeliveryHandle`, with which the
//! companion `tower-conductorone-sqlx` commits the work and the answer together:
//!
//! ```
//! # use std::time::Duration;
//! # use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
//! # use tower_conductorone::{ConfigError, DeliveryHandle, EventRouter, Typed, Webhook};
//! async fn provision(step: Typed<ProvisionStep>, delivery: DeliveryHandle) -> Outcome {
//!     // let mut transaction = pool.begin().await?;
//!     let outcome = step.answer(ProvisionReply::complete(Comment::none()));
//!     // ledger.commit(transaction, &delivery, outcome).await
//!     # let _ = delivery;
//!     # outcome
//! }
//!
//! # fn webhooks() -> Result<EventRouter, ConfigError> {
//! EventRouter::builder()
//!     .on(provision)
//! #     .fallback(async |_: Webhook| Outcome::retry_later(Duration::from_secs(60)))
//! #     .build()
//! # }
//! # let _ = webhooks;
//! ```
//!
//! # Without axum
//!
//! A router is the innermost service, whatever the layers around it and the server are:
//!
//! ```
//! use hyper::server::conn::http1;
//! use hyper_util::rt::TokioIo;
//! use hyper_util::service::TowerToHyperService;
//! use tokio::net::TcpListener;
//! use tower::ServiceBuilder;
//! # use tower_conductorone::{DeliverOnceLayer, EventRouter, VerifyWebhookLayer};
//!
//! # async fn serve(
//! #     verify: VerifyWebhookLayer,
//! #     once: DeliverOnceLayer,
//! #     webhooks: EventRouter,
//! # ) -> std::io::Result<()> {
//! tokio::spawn(once.recover(webhooks.clone())); // what crashed replicas left
//! let service = ServiceBuilder::new()
//!     .layer(verify)
//!     .layer(once)
//!     .service(webhooks);
//! let listener = TcpListener::bind("127.0.0.1:3000").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     let service = TowerToHyperService::new(service.clone());
//!     let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
//!     tokio::spawn(connection);
//! }
//! # }
//! # let _ = serve;
//! ```
//!
//! # Answers
//!
//! | answer | when |
//! | --- | --- |
//! | the handler's | it returns an answer |
//! | 500 | it returns an error, which is logged |
//! | 200 | a test, if there is no handler for [`Test`](crate::event::Test): it is acknowledged |
//! | 422 | the payload does not match its event type: no handler is called |
//! | 500 | there is no verified webhook in the request's extensions: [`VerifyWebhookLayer`](crate::VerifyWebhookLayer) is missing; or a handler takes a [`DeliveryRun`](crate::DeliveryRun) or [`DeliveryHandle`](crate::DeliveryHandle) and [`DeliverOnceLayer`](crate::DeliverOnceLayer) is missing |
//!
//! A handler's panic is not caught here: [`DeliverOnceLayer`](crate::DeliverOnceLayer)
//! catches it.

mod builder;
mod future;
mod handler;
mod route;
mod service;

pub use self::builder::EventRouterBuilder;
pub use self::future::ResponseFuture;
pub use self::handler::{EventHandler, IntoOutcome};
pub use self::route::Fallback;
pub use self::service::EventRouter;
