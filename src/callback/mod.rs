//! Answering later: the callback URL of a webhook, and the client that posts
//! to it.
//!
//! A handler that cannot answer within ConductorOne's 30 seconds keeps a
//! [`Callback`], answers 202 ([`Outcome::accepted`](crate::event::Outcome::accepted)),
//! and sends the document when it is there. The callback can be stored, and used
//! days later in another process:
//!
//! ```
//! use tower_conductorone::Webhook;
//! use tower_conductorone::callback::{Callback, CallbackClient, CallbackError, Delivered};
//! use tower_conductorone::event::{Comment, ProvisionReply, ProvisionStep};
//!
//! // While the webhook is handled:
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
//!         Ok(_) => println!("done, as far as can be known"),
//!         Err(CallbackError::UsedOrExpired) => println!("answered before, or too late"),
//!         Err(error) => return Err(error.into()),
//!     }
//!     Ok(())
//! }
//! # let _ = (keep, finish);
//! ```
//!
//! An answer to another event does not compile:
//!
//! ```compile_fail,E0308
//! use tower_conductorone::callback::{CallbackClient, TypedCallback};
//! use tower_conductorone::event::{ApprovalReply, Comment, ProvisionStep};
//!
//! async fn finish(client: &CallbackClient, callback: &TypedCallback<ProvisionStep>) {
//!     let reply = ApprovalReply::approve(Comment::none());
//!     client.answer(callback, reply).await; // not an answer to that
//! }
//! ```
//!
//! # What becomes of the document
//!
//! ConductorOne takes one document for each URL. [`CallbackClient::send`] posts
//! until it knows what became of it:
//!
//! | what came | what it means |
//! | --- | --- |
//! | 2xx | [`Delivered::Accepted`] |
//! | 400 within 45 min of the [firing](Callback::fired_at) | tried again within a minute: ConductorOne may not have heard the 202 yet |
//! | 400 later | [`CallbackError::UsedOrExpired`]; after an attempt whose outcome is not known, [`Delivered::ProbablyAccepted`] |
//! | 401, 403, 404 | tried again: a firewall or a deployment on the way may have said it |
//! | 408, 425, 429, 5xx, 3xx | tried again; a redirect is never followed |
//! | no answer: no connection, broken off, time-out | tried again |
//! | any other 4xx | [`CallbackError::Refused`] |
//!
//! Attempts follow one another after 1 to 2 s, then 2 to 4 s, and so on up to 15
//! minutes, or later where `Retry-After` asks for it (up to an hour), until the
//! [deadline](CallbackClientBuilder::deadline). The first three are over within
//! 36 s, if no `Retry-After` holds them up. A receiver that has to survive a
//! restart makes [single attempts](CallbackClient::attempt) and keeps the
//! [`Progress`].
//!
//! # Where documents go
//!
//! To the tenant's own domain, over https at port 443, and nowhere else, unless
//! [another origin](CallbackClientBuilder::origin) is configured for the tenant.
//! That is checked before anything is connected to;
//! [`check`](CallbackClient::check) does only that.

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
pub use self::error::CallbackError;
pub use self::handle::Callback;
#[cfg(feature = "reqwest")]
pub use self::https::HttpsPost;
pub use self::post::{Post, PostError};
pub use self::typed::TypedCallback;
pub use self::url::CallbackUrl;
