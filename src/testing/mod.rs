//! Tests a receiver against a fake ConductorOne: a tenant that signs deliveries,
//! serves its keys and injects faults, and clocks that tests control.
//!
//! ```
//! use tower_conductorone::testing::FakeTenant;
//!
//! let tenant = FakeTenant::new("example.conductor.one");
//! let request = tenant
//!     .delivery("c1.webhooks.v1.PayloadTest")
//!     .to("https://hooks.example.com/webhooks?source=c1")
//!     .request();
//!
//! assert_eq!(request.method(), "POST");
//! assert_eq!(request.uri(), "/webhooks?source=c1");
//! assert_eq!(request.headers()["webhook-event"], "c1.webhooks.v1.PayloadTest");
//! assert!(request.headers()["authorization"].to_str()?.starts_with("bearer ey"));
//! # Ok::<(), http::header::ToStrError>(())
//! ```
//!
//! Each method of a [`Delivery`] changes one thing and leaves the rest as
//! ConductorOne sends it, so a test states only what is wrong with its request:
//!
//! ```
//! use serde_json::json;
//! use tower_conductorone::testing::FakeTenant;
//!
//! let tenant = FakeTenant::new("example.conductor.one");
//! let delivery = tenant.delivery("c1.webhooks.v1.PayloadTest");
//! let for_another_receiver = delivery.clone().claim("aud", json!("other.example.com"));
//! let changed_on_the_way = delivery.clone().tampered_body(r#"{"version":"v1"}"#);
//! # let _ = (for_another_receiver.request(), changed_on_the_way.request());
//! ```
//!
//! Send the request anywhere, or let [`Delivery::call`] call a service in process
//! and return its [`TestResponse`].
//!
//! To call a handler without a request, make its arguments from a delivery: the
//! [`Webhook`](Delivery::unverified_webhook), or the [`Typed`](crate::Typed) event.
//!
//! ```
//! use tower_conductorone::event::{Comment, Event, Outcome, ProvisionReply, ProvisionStep};
//! use tower_conductorone::testing::FakeTenant;
//! use tower_conductorone::{DeliveryRun, Typed};
//!
//! async fn provision(step: Typed<ProvisionStep>, run: DeliveryRun) -> Outcome {
//!     let comment = if run.number() > 1 { "was done before" } else { "done" };
//!     step.answer(ProvisionReply::complete(Comment::truncated(comment)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let tenant = FakeTenant::new("example.conductor.one");
//! let step = tenant.delivery(ProvisionStep::NAME).unverified_typed();
//! let outcome = provision(step, DeliveryRun::for_test(2)).await;
//! assert_eq!(outcome.status(), 200);
//! # }
//! ```
//!
//! An [`AttackPack`] fires forged, malformed and hostile requests at any service or
//! server, and reports which of them it handled wrongly.
//!
//! The receiver gets the tenant's keys in one of three ways:
//! [`FakeTenant::serve`] publishes them on a loopback port,
//! [`FakeTenant::fetch`] provides them in process (also while tokio's clock is
//! paused), and [`FakeTenant::jwks`] is their text. The first two can inject a
//! [`Fault`].
//!
//! A [`Simulator`] delivers as ConductorOne does, with its retries, callbacks and
//! time-outs, in virtual time.
//!
//! This is code for tests: it panics on wrong arguments, such as an unknown key id
//! or an invalid URL. It generates new keys in every process, unless it is given
//! one, and never reveals the private keys.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::must_use_candidate,
    reason = "test code: a wrong argument stops the test where it is"
)]

pub mod attack;
mod clock;
pub mod conformance;
mod delivery;
mod endpoint;
pub mod explain;
mod fault;
mod fetch;
mod fixture;
mod gzip;
mod id;
mod payload;
mod response;
mod server;
mod signer;
pub mod simulator;
mod tenant;
mod unverified;
mod virtual_clock;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::attack::AttackPack;
pub use self::clock::ManualClock;
pub use self::delivery::Delivery;
pub use self::explain::Explainer;
pub use self::fault::{Fault, Validator};
pub use self::fetch::FakeFetch;
pub use self::fixture::Fixture;
pub use self::payload::EVENTS;
pub use self::response::TestResponse;
pub use self::server::JwksServer;
pub use self::simulator::Simulator;
pub use self::tenant::FakeTenant;
pub use self::virtual_clock::VirtualClock;

/// Locks, even after a panic of another test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
