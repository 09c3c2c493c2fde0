//! The documents with which events are answered: a type for each event, so that
//! none can be answered with another's.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::approval::ApprovalKind;
use super::ids::UserId;
use super::policy::{PolicyStep, PolicyStepKind};

/// The longest comment, in characters.
const MAX_COMMENT: usize = 1024;

/// The most users to whom a step may be handed.
pub(super) const MAX_USERS: usize = 32;

/// The longest document, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 250_000;

/// A reply that ConductorOne would not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The comment is longer than 1,024 characters.
    #[error("the comment has {0} characters, at most {MAX_COMMENT} are allowed")]
    CommentTooLong(usize),
    /// A step is handed to no user, or to more than 32.
    #[error("the step is handed to {0} users, from 1 to {MAX_USERS} are allowed")]
    Users(usize),
    /// A policy is replaced by nothing.
    #[error("the policy is replaced by no steps, at least one is needed")]
    NoPolicySteps,
    /// A policy step says not what is to be done.
    #[error("policy step {0} is unset, or of a type that this version does not know")]
    PolicyStep(usize),
    /// A step is handed to a user without an id.
    #[error("user {0} has an empty id")]
    EmptyUser(usize),
    /// The context is no JSON object, or cannot be written as JSON.
    #[error("the context is not a JSON object")]
    Context,
    /// The document is longer than 250,000 bytes.
    #[error("the document has {0} bytes, at most {MAX_DOCUMENT} are allowed")]
    TooLarge(usize),
    /// A document from elsewhere is no JSON object in UTF-8, or one of its names
    /// stands twice.
    #[error("the document is not a JSON object in which each name stands once")]
    NotAnObject,
    /// The version of a document from elsewhere is not `v1`.
    #[error("the document's version is not \"v1\"")]
    Version,
    /// A document from elsewhere has none of its event's outcomes, or several.
    #[error("the document has {0} of the event's outcomes, exactly one is needed")]
    Outcomes(usize),
    /// This member of a document from elsewhere holds something of another type,
    /// or one of its names stands twice.
    #[error("the document's {0:?} is not of its type")]
    Member(&'static str),
}

/// A comment of at most 1,024 characters, for the task's history.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Comment(String);

impl Comment {
    /// No comment.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A comment of that text.
    ///
    /// # Errors
    /// If it has more than 1,024 characters.
    pub fn new(text: impl Into<String>) -> Result<Self, ReplyError> {
        let text = text.into();
        match text.chars().count() {
            ..=MAX_COMMENT => Ok(Self(text)),
            count => Err(ReplyError::CommentTooLong(count)),
        }
    }

    /// A comment of that text, or of its first 1,023 characters and an
    /// ellipsis.
    #[must_use]
    pub fn truncated(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.chars().nth(MAX_COMMENT).is_some() {
            let cut = text
                .char_indices()
                .nth(MAX_COMMENT - 1)
                .map_or(0, |(index, _)| index);
            text.truncate(cut);
            text.push('…');
        }
        Self(text)
    }

    /// The comment's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A member for a comment, unless there is none.
    fn document(self) -> Map<String, Value> {
        let mut members = Map::new();
        if !self.0.is_empty() {
            members.insert("comment".to_owned(), self.0.into());
        }
        members
    }
}

/// Comments may say what is not for the log.
impl fmt::Debug for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comment({} bytes)", self.0.len())
    }
}

/// A document that answers an event: JSON of at most 250,000 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply(Bytes);

impl Reply {
    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    pub(super) fn unchecked(json: Bytes) -> Self {
        Self(json)
    }

    fn new(members: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let mut document = Map::new();
        document.insert("version".to_owned(), "v1".into());
        document.extend(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        Self(Value::Object(document).to_string().into())
    }

    pub(super) fn checked(self) -> Result<Self, ReplyError> {
        if self.0.len() > MAX_DOCUMENT {
            return Err(ReplyError::TooLarge(self.0.len()));
        }
        Ok(self)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.0.len())
    }
}

macro_rules! replies {
    ($($(#[$doc:meta])+ $reply:ident;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[must_use = "a reply does nothing until an event is answered with it"]
        pub struct $reply(Reply);

        impl From<$reply> for Reply {
            fn from(reply: $reply) -> Self {
                reply.0
            }
        }
    )+};
}

replies! {
    /// Answers a test or a policy's post action: there is nothing to say.
    Acknowledgement;
    /// Answers a provisioning step.
    ProvisionReply;
    /// Answers an approval step.
    ApprovalReply;
    /// Answers an automation's webhook step.
    WorkflowReply;
}

impl Acknowledgement {
    /// The one answer.
    pub fn new() -> Self {
        Self(Reply::new([]))
    }
}

impl Default for Acknowledgement {
    fn default() -> Self {
        Self::new()
    }
}

impl ProvisionReply {
    /// The access was granted or revoked, as the task says.
    pub fn complete(comment: Comment) -> Self {
        Self(Reply::new([("complete", comment.document().into())]))
    }

    /// That failed; ConductorOne falls back to manual provisioning.
    pub fn errored(comment: Comment) -> Self {
        Self(Reply::new([("errored", comment.document().into())]))
    }
}

impl ApprovalReply {
    /// The step is approved.
    pub fn approve(comment: Comment) -> Self {
        Self(Reply::new([("approve", comment.document().into())]))
    }

    /// The step is denied.
    pub fn deny(comment: Comment) -> Self {
        Self(Reply::new([("deny", comment.document().into())]))
    }

    /// The step is handed to other users.
    ///
    /// # Errors
    /// Unless there are 1 to 32 users, each with an id.
    pub fn reassign(
        users: impl IntoIterator<Item = UserId>,
        comment: Comment,
    ) -> Result<Self, ReplyError> {
        let users: Vec<UserId> = users.into_iter().collect();
        if !(1..=MAX_USERS).contains(&users.len()) {
            return Err(ReplyError::Users(users.len()));
        }
        if let Some(index) = users.iter().position(UserId::is_empty) {
            return Err(ReplyError::EmptyUser(index));
        }
        let mut members = comment.document();
        members.insert("newStepUserIds".to_owned(), json!(users));
        Reply::new([("reassign", members.into())])
            .checked()
            .map(Self)
    }

    /// The rest of the policy is replaced by other steps.
    ///
    /// # Errors
    /// If there are no steps, one of them does not say what is to be done, or
    /// the document becomes too long.
    pub fn replace_policy(
        steps: impl IntoIterator<Item = PolicyStepInput>,
        comment: Comment,
    ) -> Result<Self, ReplyError> {
        let steps: Vec<PolicyStepInput> = steps.into_iter().collect();
        if steps.is_empty() {
            return Err(ReplyError::NoPolicySteps);
        }
        if let Some(index) = steps.iter().position(|step| !step.is_known()) {
            return Err(ReplyError::PolicyStep(index));
        }
        let mut members = comment.document();
        members.insert("policySteps".to_owned(), json!(steps));
        Reply::new([("replacePolicy", members.into())])
            .checked()
            .map(Self)
    }
}

impl WorkflowReply {
    /// What the automation's later steps get: a JSON object.
    ///
    /// # Errors
    /// If `context` is written as anything else than an object, or the document
    /// becomes too long.
    pub fn context(context: &impl Serialize) -> Result<Self, ReplyError> {
        // As text: however deep it is, and with numbers of any length.
        let context = to_raw_value(context).map_err(|_| ReplyError::Context)?;
        if !context.get().starts_with('{') {
            return Err(ReplyError::Context);
        }
        let document = format!(r#"{{"version":"v1","context":{context}}}"#);
        Reply(document.into()).checked().map(Self)
    }

    /// Nothing for the automation's later steps.
    pub fn empty() -> Self {
        Self(Reply::new([("context", Map::new().into())]))
    }
}

/// A policy step to be sent to ConductorOne: made from a [`PolicyStep`], less
/// what only ConductorOne may set (who a step is assigned to, and whether it
/// is).
///
/// Members that this version of the crate does not know are not sent back: a
/// step of ConductorOne's that has such members loses them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PolicyStepInput(PolicyStep);

impl PolicyStepInput {
    /// Whether all that the step is about is known: who approves, what is waited
    /// for, which action is taken.
    fn is_known(&self) -> bool {
        match &self.0.step {
            PolicyStepKind::Unset | PolicyStepKind::Unknown(_) => false,
            PolicyStepKind::Approval(approval) => {
                approval.kind.is_known()
                    && approval
                        .escalation
                        .as_ref()
                        .is_none_or(|then| then.escalation_policy.is_known())
            }
            PolicyStepKind::Wait(wait) => wait.until.is_known(),
            PolicyStepKind::Action(action) => action.target.is_known(),
            PolicyStepKind::Provision(provision) => provision
                .provision_policy
                .as_ref()
                .is_none_or(|policy| policy.kind.is_known()),
            _ => true,
        }
    }
}

impl From<PolicyStep> for PolicyStepInput {
    fn from(mut step: PolicyStep) -> Self {
        match &mut step.step {
            PolicyStepKind::Approval(approval) => {
                approval.assigned = false;
                match &mut approval.kind {
                    ApprovalKind::Manager(manager) => manager.assigned_user_ids.clear(),
                    ApprovalKind::SelfApproval(own) => own.assigned_user_ids.clear(),
                    ApprovalKind::Expression(expression) => expression.assigned_user_ids.clear(),
                    _ => {}
                }
            }
            PolicyStepKind::Provision(provision) => provision.assigned = false,
            _ => {}
        }
        Self(step)
    }
}

impl From<PolicyStepKind> for PolicyStepInput {
    fn from(step: PolicyStepKind) -> Self {
        PolicyStep { step }.into()
    }
}
