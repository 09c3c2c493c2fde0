//! Lets only proven ConductorOne webhooks through to the inner service.
//!
//! A request passes if all of these hold. They are checked in this order, and the
//! first that fails is the [`Rejection`](crate::Rejection) that the caller gets:
//!
#![doc = include_str!("checks.md")]
//!
//! The inner service gets the request with the same body, in one piece, and with a
//! [`Webhook`](crate::Webhook) in its extensions.
//!
//! # Before you deploy
//!
//! Set [`public_url`](VerifyWebhookBuilder::public_url) to the URL that ConductorOne
//! calls, not to the one that this service listens on: a token is bound to it, and
//! behind a proxy the two differ. If every webhook is rejected with `wrong_url` or
//! `wrong_audience`, it is this setting.
//!
//! # Example
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_conductorone::keys::KeySet;
//! use tower_conductorone::testing::FakeTenant;
//! use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};
//!
//! async fn handle(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     let webhook = request.extensions().get::<Webhook>().expect("the layer is outside");
//!     println!("{} sent {}", webhook.tenant(), webhook.event());
//!     Ok(Response::new(Full::from(r#"{"version":"v1"}"#)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A tenant of the testing kit, in place of ConductorOne.
//! let tenant = FakeTenant::new("example.conductor.one");
//! let keys = KeySet::from_json(tenant.jwks().as_bytes())?;
//! let layer = VerifyWebhookLayer::builder()
//!     .public_url("https://hooks.example.com")
//!     .tenant(Tenant::new("example.conductor.one").static_keys(keys))
//!     .build()?;
//! let service = layer.layer(service_fn(handle));
//!
//! let genuine = tenant.delivery("c1.webhooks.v1.PayloadTest");
//! let response = service.clone().oneshot(genuine.request()).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//!
//! // The same request again: its token was used before.
//! let response = service.clone().oneshot(genuine.request()).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//!
//! let stranger = FakeTenant::new("stranger.conductor.one");
//! let forged = stranger.delivery("c1.webhooks.v1.PayloadTest").request();
//! let response = service.oneshot(forged).await?;
//! assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//! # Ok(())
//! # }
//! ```
//!
//! # A service with another body
//!
//! The inner service gets a `Request<Full<Bytes>>`, whatever body the server has. axum's
//! routers and [`EventRouter`](crate::EventRouter) take any body. A service that takes its
//! own, such as tonic's, axum's, or an `UnsyncBoxBody` of http-body-util, needs one line.
//! Without it the compiler says that it expected `Full<Bytes>`, or only that the trait
//! bounds of `VerifyWebhook<…>` were not satisfied:
//!
//! ```
//! # use std::convert::Infallible;
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use hyper::body::Incoming;
//! use tonic::body::Body;
//! use tower::{ServiceBuilder, ServiceExt};
//! # use tower_conductorone::VerifyWebhookLayer;
//!
//! async fn handle(request: Request<Body>) -> Result<Response<Body>, Infallible> {
//!     # let _ = request;
//!     Ok(Response::new(Body::empty()))
//! }
//!
//! # async fn receive(verify: VerifyWebhookLayer, request: Request<Incoming>) {
//! let service = ServiceBuilder::new()
//!     .layer(verify) // and DeliverOnceLayer
//!     .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
//!     .service_fn(handle);
//! # let Ok(_) = service.oneshot(request).await;
//! # }
//! # let _ = receive;
//! ```
//!
//! The response's body may be any that the server takes: see [`ResponseBody`].

mod body;
mod builder;
mod future;
mod layer;
mod service;
mod shared;
mod tenant_keys_error;

pub use self::body::ResponseBody;
pub use self::builder::VerifyWebhookBuilder;
pub use self::future::ResponseFuture;
pub use self::layer::{Health, TenantHealth, VerifyWebhookLayer};
pub use self::service::VerifyWebhook;
pub use self::tenant_keys_error::TenantKeysError;
