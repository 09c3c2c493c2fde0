//! The payload of each event.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::any::{self, last_part, leading_type_name, type_name};
use super::error::{PayloadError, read};
use super::expanded::ExpandedTask;
use super::finding::Finding;
use super::outcome::Outcome;
use super::place::Read;
use super::reading::Reading;
use super::reply::{Acknowledgement, ApprovalReply, ProvisionReply, Reply, WorkflowReply};
use super::task::Task;
use super::unknown::Json;
use super::wire::message;

/// The payload of an event. Cheap to clone.
///
/// Each variant's type has a method `answer` that takes the replies of its event,
/// and no others; an [`UnknownEvent`] can only be
/// [acknowledged](UnknownEvent::acknowledge).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Payload {
    /// An administrator sent a test.
    Test(Arc<Test>),
    /// The receiver is to do a provisioning step of a task.
    ProvisionStep(Arc<ProvisionStep>),
    /// The receiver is to decide an approval step of a task's policy.
    PolicyApprovalStep(Arc<PolicyApprovalStep>),
    /// A policy has ended.
    PolicyPostAction(Arc<PolicyPostAction>),
    /// An automation runs its step "run webhook".
    WorkflowStep(Arc<WorkflowStep>),
    /// A finding matched a routing rule that sends it to the receiver.
    FindingDispatch(Arc<FindingDispatch>),
    /// An event that this version of the crate does not know.
    Unknown(UnknownEvent),
}

/// An event of a known type, for code that is generic over events.
///
/// The types in [`Payload`] implement it. It is sealed. Each of them also has
/// [`answer`](Self::answer) as a method of its own, for which the trait need not be
/// imported.
pub trait Event: sealed::Read + Send + Sync + 'static {
    /// The event's name in the envelope, such as `c1.webhooks.v1.PayloadTest`.
    const NAME: &'static str;

    /// The reply that the event takes.
    type Reply: Into<Reply>;

    /// Answers the event.
    fn answer(&self, reply: Self::Reply) -> Outcome {
        Outcome::replied(reply.into())
    }
}

/// `answer` without an import of [`Event`].
macro_rules! answers {
    ($event:ident, $reply:ident) => {
        impl $event {
            /// Answers the event.
            pub fn answer(&self, reply: $reply) -> Outcome {
                Event::answer(self, reply)
            }
        }
    };
}

mod sealed {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{Payload, PayloadError};

    pub trait Read: Sized {
        /// `text` is that of `payload`, for an event that keeps it.
        fn read(text: &str, payload: &Bytes) -> Result<Self, PayloadError>;
        fn of(payload: &Payload) -> Option<&Arc<Self>>;
    }
}

macro_rules! task_events {
    ($($(#[$doc:meta])+ $event:ident, $name:literal, $reply:ident;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug)]
        pub struct $event(ExpandedTask);

        impl $event {
            /// The task and the objects that belong to it.
            #[must_use]
            pub fn task_view(&self) -> &ExpandedTask {
                &self.0
            }
        }

        answers!($event, $reply);

        impl Event for $event {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }

        impl sealed::Read for $event {
            fn read(text: &str, payload: &Bytes) -> Result<Self, PayloadError> {
                ExpandedTask::read(Self::NAME, text, payload.clone()).map(Self)
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
    /// A provisioning step: the receiver grants or revokes the access, and replies
    /// whether that worked.
    ProvisionStep, "c1.webhooks.v1.PayloadProvisionStep", ProvisionReply;
    /// An approval step: the receiver approves, denies, reassigns the step to other
    /// users, or replaces the rest of the policy.
    PolicyApprovalStep, "c1.webhooks.v1.PayloadPolicyApprovalStep", ApprovalReply;
    /// A policy has ended. There is nothing left to decide.
    PolicyPostAction, "c1.webhooks.v1.PayloadPolicyPostAction", Acknowledgement;
}

message! {
    /// A test that an administrator sent. It has no fields.
    Test {}
}

message! {
    /// An automation runs its step "run webhook".
    WorkflowStep {
        /// The automation's id.
        workflow_id "workflowId": String,
        /// The id of this run of the automation.
        workflow_execution_id "workflowExecutionId": i64,
        /// The id of the step in this run.
        workflow_execution_step_id "workflowExecutionStepId": String,
        /// Data from the automation's earlier steps: a free-form object.
        context "context": Option<Json>,
    }
}

message! {
    /// A finding that matched a routing rule of an administrator.
    ///
    /// Keep it out of logs: see [`finding`](super::finding).
    FindingDispatch shows(dispatch_id, finding_id, rule_id, finding) {
        /// The id of this dispatch. It is unique, and the same for each attempt.
        dispatch_id "dispatchId": String,
        /// The finding's id.
        finding_id "findingId": String,
        /// The routing rule's id.
        rule_id "ruleId": String,
        /// The finding.
        finding "finding": Option<Box<Finding>>,
        /// The rendered template of the rule; empty if it has no template.
        payload_template "payloadTemplate": String,
    }
}

/// The names of the known events.
#[cfg(any(feature = "metrics", feature = "testing"))]
pub(crate) const EVENT_NAMES: [&str; 6] = [
    Test::NAME,
    ProvisionStep::NAME,
    PolicyApprovalStep::NAME,
    PolicyPostAction::NAME,
    WorkflowStep::NAME,
    FindingDispatch::NAME,
];

macro_rules! plain_events {
    ($($event:ident, $name:literal, $reply:ident, $of:pat => $found:expr;)+) => {$(
        impl Event for $event {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }

        answers!($event, $reply);

        impl sealed::Read for $event {
            fn read(text: &str, _: &Bytes) -> Result<Self, PayloadError> {
                // Reading the payload refuses a second `@type`.
                if leading_type_name(text) != Some(Self::NAME) {
                    check_type(Self::NAME, text)?;
                }
                let reading = Reading::of(text);
                let mut event = Self::default();
                read(Read(&mut event, &reading), text, &reading)?;
                Ok(event)
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
    /// The event's name.
    pub event: String,
    /// The payload, unchanged.
    pub json: Json,
}

impl UnknownEvent {
    /// Acknowledges the event.
    pub fn acknowledge(&self) -> Outcome {
        Outcome::replied(Acknowledgement::new().into())
    }
}

impl Payload {
    /// Reads an event's payload from its JSON text, for example from a store. It
    /// does not prove who sent the payload.
    ///
    /// The payload takes at most 20 times the memory of its text plus 64 KiB;
    /// usually two or three times its text.
    ///
    /// # Errors
    /// [`PayloadError`] if the payload does not match its event type, or would take
    /// more memory. Fields, values and types that this version of the crate does not
    /// know are not errors.
    pub fn from_json(event: &str, payload: &[u8]) -> Result<Self, PayloadError> {
        Self::read(event, &Bytes::copy_from_slice(payload))
    }

    /// [`from_json`](Self::from_json), without a copy of the text.
    pub(crate) fn read(event: &str, payload: &Bytes) -> Result<Self, PayloadError> {
        use sealed::Read;

        let text = std::str::from_utf8(payload)
            .map_err(|error| PayloadError::new("payload", error.to_string()))?;
        Ok(match last_part(event) {
            Test::NAME => Self::Test(Arc::new(Test::read(text, payload)?)),
            ProvisionStep::NAME => Self::ProvisionStep(Arc::new(Read::read(text, payload)?)),
            PolicyApprovalStep::NAME => {
                Self::PolicyApprovalStep(Arc::new(Read::read(text, payload)?))
            }
            PolicyPostAction::NAME => Self::PolicyPostAction(Arc::new(Read::read(text, payload)?)),
            WorkflowStep::NAME => Self::WorkflowStep(Arc::new(Read::read(text, payload)?)),
            FindingDispatch::NAME => Self::FindingDispatch(Arc::new(Read::read(text, payload)?)),
            name => {
                check_type(name, text)?;
                let raw = serde_json::from_str::<Box<RawValue>>(text);
                Self::Unknown(UnknownEvent {
                    event: event.to_owned(),
                    json: raw
                        .map_err(|error| PayloadError::new("payload", error.to_string()))?
                        .into(),
                })
            }
        })
    }

    /// The task and the objects that belong to it, which the task events have in
    /// common: [`ProvisionStep`], [`PolicyApprovalStep`] and [`PolicyPostAction`].
    #[must_use]
    pub fn task_view(&self) -> Option<&ExpandedTask> {
        match self {
            Self::ProvisionStep(step) => Some(step.task_view()),
            Self::PolicyApprovalStep(step) => Some(step.task_view()),
            Self::PolicyPostAction(action) => Some(action.task_view()),
            _ => None,
        }
    }

    /// The task of a task event: `task_view()?.task()`.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.task_view()?.task()
    }

    /// The event, if it is of type `E`.
    #[must_use]
    pub fn as_event<E: Event>(&self) -> Option<&Arc<E>> {
        E::of(self)
    }
}

/// Checks that `@type`, if present, is the event's type.
fn check_type(event: &str, payload: &str) -> Result<(), PayloadError> {
    let came =
        type_name(payload).map_err(|error| PayloadError::new("payload", error.to_string()))?;
    any::check_type(event, came.as_deref())
}
