//! The payload of each event.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::any::{self, last_part, type_name};
use super::error::{PayloadError, read};
use super::expanded::ExpandedTask;
use super::finding::Finding;
use super::outcome::Outcome;
use super::reading::Reading;
use super::reply::{Acknowledgement, ApprovalReply, ProvisionReply, Reply, WorkflowReply};
use super::unknown::Json;
use super::wire::{Nullable, message};

/// What an event is about. Cheap to clone.
///
/// The variants' own types know which replies fit: see [`Event::answer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// An administrator sends a test.
    Test(Arc<Test>),
    /// A provisioning step of a task is left to the receiver.
    ProvisionStep(Arc<ProvisionStep>),
    /// An approval step of a task's policy is left to the receiver.
    PolicyApprovalStep(Arc<PolicyApprovalStep>),
    /// A policy has come to its end.
    PolicyPostAction(Arc<PolicyPostAction>),
    /// An automation runs its webhook step.
    WorkflowStep(Arc<WorkflowStep>),
    /// A finding is sent to the receiver, by a rule that an administrator made.
    FindingDispatch(Arc<FindingDispatch>),
    /// An event that this version of the crate does not know.
    Unknown(UnknownEvent),
}

/// An event of a known type, and the reply that goes with it.
///
/// Implemented by the types in [`Payload`], and not meant to be implemented
/// elsewhere.
pub trait Event: sealed::Read + Send + Sync + 'static {
    /// The event's name, as it is in the envelope.
    const NAME: &'static str;

    /// What the event can be answered with.
    type Reply: Into<Reply>;

    /// Answers the event.
    fn answer(&self, reply: Self::Reply) -> Outcome {
        Outcome::reply(reply.into())
    }
}

mod sealed {
    use std::sync::Arc;

    use super::{Payload, PayloadError};

    pub trait Read: Sized {
        fn read(payload: &str) -> Result<Self, PayloadError>;
        fn of(payload: &Payload) -> Option<&Arc<Self>>;
    }
}

macro_rules! task_events {
    ($($(#[$doc:meta])+ $event:ident, $name:literal, $reply:ident;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug)]
        pub struct $event(ExpandedTask);

        impl $event {
            /// The task, and what its pointers lead to.
            #[must_use]
            pub fn task_view(&self) -> &ExpandedTask {
                &self.0
            }
        }

        impl Event for $event {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }

        impl sealed::Read for $event {
            fn read(payload: &str) -> Result<Self, PayloadError> {
                ExpandedTask::read(Self::NAME, payload).map(Self)
            }

            fn of(payload: &Payload) -> Option<&Arc<Self>> {
                match payload {
                    Payload::$event(event) => Some(event),
                    _ => None,
                }
            }
        }
    )+};
}

task_events! {
    /// A provisioning step is left to the receiver: it grants or revokes the
    /// access, and says whether that worked.
    ProvisionStep, "c1.webhooks.v1.PayloadProvisionStep", ProvisionReply;
    /// An approval step is left to the receiver: it approves or denies, hands
    /// the step to others, or replaces the rest of the policy.
    PolicyApprovalStep, "c1.webhooks.v1.PayloadPolicyApprovalStep", ApprovalReply;
    /// A policy has come to its end; there is nothing to decide any more.
    PolicyPostAction, "c1.webhooks.v1.PayloadPolicyPostAction", Acknowledgement;
}

message! {
    /// A test that an administrator sends. It says nothing.
    Test {}
}

message! {
    /// An automation runs its webhook step.
    WorkflowStep {
        /// The automation.
        workflow_id "workflowId": String,
        /// The run of the automation.
        workflow_execution_id "workflowExecutionId": i64,
        /// The step of that run.
        workflow_execution_step_id "workflowExecutionStepId": String,
        /// What the automation's earlier steps hand on: a free-form object.
        context "context": Option<Json>,
    }
}

message! {
    /// A finding is sent to the receiver, by a rule that an administrator made.
    ///
    /// It is not for logs: see [`finding`](super::finding).
    FindingDispatch shows(dispatch_id, finding_id, rule_id, finding) {
        /// The record of this dispatch, which no other one has: it tells dispatches apart.
        dispatch_id "dispatchId": String,
        /// The finding's id.
        finding_id "findingId": String,
        /// The rule by which it is sent.
        rule_id "ruleId": String,
        /// The finding.
        finding "finding": Option<Box<Finding>>,
        /// The text of the rule's own template, filled in; empty if it has none.
        payload_template "payloadTemplate": String,
    }
}

macro_rules! plain_events {
    ($($event:ident, $name:literal, $reply:ident, $of:pat => $found:expr;)+) => {$(
        impl Event for $event {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }

        impl sealed::Read for $event {
            fn read(payload: &str) -> Result<Self, PayloadError> {
                check_type(Self::NAME, payload)?;
                let reading = Reading::of(payload);
                Ok(read(Nullable::new(&reading), payload, &reading)?.unwrap_or_default())
            }

            fn of(payload: &Payload) -> Option<&Arc<Self>> {
                match payload {
                    $of => Some($found),
                    _ => None,
                }
            }
        }
    )+};
}

plain_events! {
    Test, "c1.webhooks.v1.PayloadTest", Acknowledgement, Payload::Test(event) => event;
    WorkflowStep, "c1.webhooks.v1.PayloadWorkflowStep", WorkflowReply,
        Payload::WorkflowStep(event) => event;
    FindingDispatch, "c1.webhooks.v1.PayloadFindingDispatch", Acknowledgement,
        Payload::FindingDispatch(event) => event;
}

/// An event that this version of the crate does not know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnknownEvent {
    /// Its name.
    pub event: String,
    /// Its payload, as it came.
    pub json: Json,
}

impl UnknownEvent {
    /// Takes note of the event, and says no more.
    pub fn acknowledge(&self) -> Outcome {
        Outcome::reply(Acknowledgement::new().into())
    }
}

impl Payload {
    /// Reads the payload of the event of that name from its JSON text, such as
    /// one that was stored when it came. It says nothing of who made it.
    ///
    /// What is kept takes at most 20 times the memory of the text and 64 KiB, and
    /// as a rule two or three times the text.
    ///
    /// # Errors
    /// [`PayloadError`] if the payload is not of the event's type, or would take
    /// more memory. What is new to this version of the crate is never an error.
    pub fn from_json(event: &str, payload: &[u8]) -> Result<Self, PayloadError> {
        use sealed::Read;

        let payload = std::str::from_utf8(payload)
            .map_err(|error| PayloadError::new("payload", error.to_string()))?;
        Ok(match last_part(event) {
            Test::NAME => Self::Test(Arc::new(Test::read(payload)?)),
            ProvisionStep::NAME => Self::ProvisionStep(Arc::new(Read::read(payload)?)),
            PolicyApprovalStep::NAME => Self::PolicyApprovalStep(Arc::new(Read::read(payload)?)),
            PolicyPostAction::NAME => Self::PolicyPostAction(Arc::new(Read::read(payload)?)),
            WorkflowStep::NAME => Self::WorkflowStep(Arc::new(Read::read(payload)?)),
            FindingDispatch::NAME => Self::FindingDispatch(Arc::new(Read::read(payload)?)),
            name => {
                check_type(name, payload)?;
                let raw = serde_json::from_str::<Box<RawValue>>(payload);
                Self::Unknown(UnknownEvent {
                    event: event.to_owned(),
                    json: raw
                        .map_err(|error| PayloadError::new("payload", error.to_string()))?
                        .into(),
                })
            }
        })
    }

    /// The event of that type, if the payload is one.
    #[must_use]
    pub fn as_event<E: Event>(&self) -> Option<&Arc<E>> {
        E::of(self)
    }
}

/// Looks for the payload's type, which has to be that of the event.
fn check_type(event: &str, payload: &str) -> Result<(), PayloadError> {
    let came =
        type_name(payload).map_err(|error| PayloadError::new("payload", error.to_string()))?;
    any::check_type(event, came.as_deref())
        .map_err(|error| PayloadError::new("payload.@type", error))
}
