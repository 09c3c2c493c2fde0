//! Posts answers to callback URLs, up to days after the webhook.
//!
//! A handler that needs longer than ConductorOne's 30 seconds keeps a [`Callback`],
//! answers 202 ([`Outcome::accepted`](crate::event::Outcome::accepted)), and posts
//! the document when it is ready. The callback can be stored, and used in another
//! process:
//!
//! ```
//! use tower_conductorone::Webhook;
//! use tower_conductorone::callback::{Callback, CallbackClient, CallbackError, Delivered};
//! use tower_conductorone::event::{Comment, ProvisionReply, ProvisionStep};
//!
//! // In the handler:
//! fn keep(webhook: &Webhook) -> Option<String> {
//!     serde_json::to_string(&webhook.callback()?).ok() // a secret: store it as one
//! }
//!
//! // When the work is done:
//! async fn finish(client: &CallbackClient, stored: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     let callback: Callback = serde_json::from_str(stored)?;
//!     let callback = callback.typed::<ProvisionStep>().ok_or("another event")?;
//!     match client.answer(&callback, ProvisionReply::complete(Comment::none())).await {
//!         Ok(Delivered::Accepted) => println!("done"),
//!         Ok(_) => println!("probably done"),
//!         Err(CallbackError::UsedOrExpired) => println!("answered already, or too late"),
//!         Err(error) => return Err(error.into()),
//!     }
//!     Ok(())
//! }
//! # let _ = (keep, finish);
//! ```
//!
//! A reply to another event does not compile:
//!
//! ```compile_fail,E0308
//! use tower_conductorone::callback::{CallbackClient, TypedCallback};
//! use tower_conductorone::event::{ApprovalReply, Comment, ProvisionStep};
//!
//! async fn finish(client: &CallbackClient, callback: &TypedCallback<ProvisionStep>) {
//!     let reply = ApprovalReply::approve(Comment::none());
//!     client.answer(callback, reply).await; // not a reply to this event
//! }
//! ```
//!
//! # How answers are read
//!
//! ConductorOne accepts one document for each URL. [`CallbackClient::send`] posts
//! until the outcome is known:
//!
//! | answer | outcome |
//! | --- | --- |
//! | 2xx | [`Delivered::Accepted`] |
//! | 400 within 45 min of the [firing](Callback::fired_at) | retried within a minute: ConductorOne may not have received the 202 yet |
//! | 400 later | [`CallbackError::UsedOrExpired`]; after an attempt whose outcome is unknown, [`Delivered::ProbablyAccepted`] |
//! | 401, 403, 404 | retried: a firewall or a deployment may have answered |
//! | 408, 425, 429, 5xx, 3xx | retried; redirects are never followed |
//! | none: no connection, connection lost, time-out | retried |
//! | any other 4xx | [`CallbackError::Refused`] |
//!
//! Retries follow after 1 to 2 s, then 2 to 4 s, and so on up to 15 minutes, or
//! later if `Retry-After` says so (up to an hour), until the
//! [deadline](CallbackClientBuilder::deadline). Without `Retry-After`, the first
//! three attempts end within 36 s. A receiver that must survive a restart makes
//! [single attempts](CallbackClient::attempt) and stores the [`Progress`].
//!
//! # Where documents are posted
//!
//! To the tenant's own domain, over https on port 443, and nowhere else, unless
//! [other origins](CallbackClientBuilder::origin) are configured for the tenant.
//! The URL is checked before a connection is opened; [`check`](CallbackClient::check)
//! makes this check alone.

mod attempt;
mod backoff;
mod builder;
mod client;
mod error;
mod handle;
#[cfg(feature = "reqwest")]
mod https;
mod origins;
mod post;
mod typed;
mod url;

pub use self::attempt::{AttemptOutcome, Delivered, Progress};
pub use self::builder::CallbackClientBuilder;
pub use self::client::CallbackClient;
pub(crate) use self::client::attempt_span;
pub use self::error::CallbackError;
pub use self::handle::Callback;
#[cfg(feature = "reqwest")]
pub use self::https::HttpsPost;
pub use self::post::{Post, PostError};
pub use self::typed::TypedCallback;
pub use self::url::CallbackUrl;
