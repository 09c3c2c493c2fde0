//! Types for the events' payloads, and for the replies to them.
//!
//! [`Webhook::payload`](crate::Webhook::payload) reads a [`Payload`]. Each variant's
//! type gives access to the event's data, such as the task and its objects, and takes
//! the replies of that event alone:
//!
//! ```
//! use tower_conductorone::Webhook;
//! use tower_conductorone::event::task::TaskKind;
//! use tower_conductorone::event::{
//!     Acknowledgement, ApprovalReply, Comment, Outcome, Payload, PayloadError,
//!     ProvisionReply, WorkflowReply,
//! };
//!
//! fn answer(webhook: &Webhook) -> Result<Outcome, PayloadError> {
//!     Ok(match webhook.payload()? {
//!         Payload::ProvisionStep(step) => {
//!             let view = step.task_view();
//!             let app = view.app().map_or("an app", |app| &app.display_name);
//!             let user = view.identity_user().map_or("somebody", |user| &user.display_name);
//!             match view.kind() {
//!                 TaskKind::Grant(_) => println!("give {user} access to {app}"),
//!                 TaskKind::Revoke(_) => println!("take access to {app} from {user}"),
//!                 _ => return Ok(step.answer(ProvisionReply::errored(Comment::none()))),
//!             }
//!             step.answer(ProvisionReply::complete(Comment::truncated("done")))
//!         }
//!         Payload::PolicyApprovalStep(step) => {
//!             step.answer(ApprovalReply::deny(Comment::none()))
//!         }
//!         Payload::PolicyPostAction(action) => action.answer(Acknowledgement::new()),
//!         Payload::WorkflowStep(step) => step.answer(WorkflowReply::empty()),
//!         Payload::FindingDispatch(dispatch) => dispatch.answer(Acknowledgement::new()),
//!         Payload::Test(test) => test.answer(Acknowledgement::new()),
//!         Payload::Unknown(event) => event.acknowledge(),
//!         _ => Outcome::retry_later(std::time::Duration::from_secs(3600)),
//!     })
//! }
//! # let _ = answer;
//! ```
//!
//! # Additions by ConductorOne
//!
//! ConductorOne's messages grow, and additions are not errors. Unknown fields are
//! ignored. Unknown enum values, object types and events become an `Unknown` variant
//! that holds them. [`Webhook::payload_json`](crate::Webhook::payload_json) is the raw
//! JSON. An unknown object beside an unset oneof is read as its newest member, which is
//! likely but not certain: treat `Unset` and `Unknown` as "not known", not as "nothing".
//! The structs and enums are `#[non_exhaustive]`.
//!
//! A field that is absent or `null` has its default: an empty string, list or
//! id, 0, `false`, `None`. (proto3 JSON does not distinguish the two.) A known field may
//! occur once, as `displayName` or `display_name`: a payload that has both, or one of
//! them twice, is an error.

pub mod action;
mod any;
pub mod app;
pub mod approval;
mod containers;
mod document;
mod error;
mod expanded;
pub mod finding;
pub mod form;
mod ids;
pub mod instance;
mod names;
mod number;
mod outcome;
mod payload;
mod place;
mod pointer;
#[cfg(test)]
mod pointer_tests;
pub mod policy;
pub mod provision;
mod reading;
mod reply;
pub mod review;
mod scalar;
pub mod task;
mod unknown;
pub mod user;
mod wire;

pub use self::any::AnyMessage;
pub(crate) use self::any::last_part;
pub use self::error::PayloadError;
pub use self::expanded::{ExpandedTask, Object};
pub use self::ids::{AppId, AppUserId, DeliveryId, EntitlementId, TaskId, UserId, WebhookConfigId};
pub(crate) use self::outcome::GoneForGood;
pub use self::outcome::Outcome;
#[cfg(any(feature = "metrics", feature = "testing"))]
pub(crate) use self::payload::EVENT_NAMES;
pub use self::payload::{
    Event, FindingDispatch, Payload, PolicyApprovalStep, PolicyPostAction, ProvisionStep, Test,
    UnknownEvent, WorkflowStep,
};
pub(crate) use self::reply::MAX_DOCUMENT;
pub use self::reply::{
    Acknowledgement, ApprovalReply, Comment, PolicyStepInput, ProvisionReply, Reply, ReplyError,
    ReplyKind, WorkflowReply,
};
pub use self::scalar::{ScalarError, SignedDuration, Timestamp};
pub use self::unknown::{Json, UnknownMember, UnknownValue};
