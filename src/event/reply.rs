//! The response documents: a type for the replies that an event takes, so that no
//! event is answered with the document of another.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::approval::ApprovalKind;
use super::ids::UserId;
use super::policy::{PolicyStep, PolicyStepKind};
use crate::json::UniqueMembers;

/// The longest comment, in characters.
const MAX_COMMENT: usize = 1024;

/// The most users to whom a step may be reassigned.
pub(super) const MAX_USERS: usize = 32;

/// The longest document, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 250_000;

/// A reply that ConductorOne would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The comment is longer than 1,024 characters.
    #[error("the comment has {0} characters, at most {MAX_COMMENT} are allowed")]
    CommentTooLong(usize),
    /// A step is reassigned to no user, or to more than 32.
    #[error("the step is reassigned to {0} users, from 1 to {MAX_USERS} are allowed")]
    Users(usize),
    /// A policy is replaced by no steps.
    #[error("the policy is replaced by no steps, at least one is needed")]
    NoPolicySteps,
    /// A policy step has no type, or one that this version of the crate does not know.
    #[error("policy step {0} is unset, or of a type that this version does not know")]
    PolicyStep(usize),
    /// A step is reassigned to a user without an id.
    #[error("user {0} has an empty id")]
    EmptyUser(usize),
    /// The context is not a JSON object, or cannot be serialized.
    #[error("the context is not a JSON object")]
    Context,
    /// The document is longer than 250,000 bytes.
    #[error("the document has {0} bytes, at most {MAX_DOCUMENT} are allowed")]
    TooLarge(usize),
    /// A document from elsewhere is not a JSON object in UTF-8, or has two members of
    /// one name.
    #[error("the document is not a JSON object with unique names")]
    NotAnObject,
    /// The version of a document from elsewhere is not `v1`.
    #[error("the document's version is not \"v1\"")]
    Version,
    /// A document from elsewhere has none of the event's outcomes, or several.
    #[error("the document has {0} of the event's outcomes, exactly one is needed")]
    Outcomes(usize),
    /// This member of a document from elsewhere has the wrong type, or two members of
    /// one name.
    #[error("the document's {0:?} has the wrong type")]
    Member(&'static str),
}

/// A comment for the task's history: at most 1,024 characters.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Comment(String);

impl Comment {
    /// No comment.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A comment with this text.
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

    /// A comment with this text. If the text is too long, it is cut to 1,023
    /// characters and an ellipsis.
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

    /// An object with the comment as its member, or without members.
    fn document(self) -> Map<String, Value> {
        let mut members = Map::new();
        if !self.0.is_empty() {
            members.insert("comment".to_owned(), self.0.into());
        }
        members
    }
}

/// Shows the length, not the text, which may not be for logs.
impl fmt::Debug for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comment({} bytes)", self.0.len())
    }
}

/// A response document: JSON of at most 250,000 bytes that answers an event.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    json: Bytes,
    kind: ReplyKind,
}

/// What a [`Reply`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyKind {
    /// The event is acknowledged, without more.
    Acknowledged,
    /// The provisioning step is complete.
    Complete,
    /// The provisioning step failed.
    Errored,
    /// The approval step is approved.
    Approve,
    /// The approval step is denied.
    Deny,
    /// The approval step is reassigned to other users.
    Reassign,
    /// The rest of the policy is replaced.
    ReplacePolicy,
    /// The automation's later steps get a context.
    Context,
    /// The document [from elsewhere](Reply::from_json) answers an event that this
    /// version of the crate does not know.
    Unknown,
}

impl ReplyKind {
    /// The member of the document that holds what the reply says.
    pub(super) fn member(self) -> Option<&'static str> {
        Some(match self {
            Self::Acknowledged | Self::Unknown => return None,
            Self::Complete => "complete",
            Self::Errored => "errored",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Reassign => "reassign",
            Self::ReplacePolicy => "replacePolicy",
            Self::Context => "context",
        })
    }
}

impl Reply {
    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.json
    }

    /// What the reply says.
    #[must_use]
    pub fn kind(&self) -> ReplyKind {
        self.kind
    }

    /// The comment, which is empty if there is none.
    #[must_use]
    pub fn comment(&self) -> Comment {
        let comment = || -> Option<String> {
            let document = UniqueMembers::parse(&self.json).ok()?;
            let member = document.get::<UniqueMembers<'_>>(self.kind.member()?)?;
            member.ok()?.get::<Option<String>>("comment")?.ok()?
        };
        Comment(comment().unwrap_or_default())
    }

    /// Reads the document into a type of yours, such as
    /// [`serde_json::Value`].
    ///
    /// # Errors
    /// If the document is not such a `T`, or nested deeper than 128 levels.
    pub fn deserialize<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }

    fn acknowledged() -> Self {
        Self::unchecked(ReplyKind::Acknowledged, r#"{"version":"v1"}"#.into())
    }

    /// The document with this object as the member of its kind.
    fn with(kind: ReplyKind, member: Map<String, Value>) -> Self {
        let mut document = Map::new();
        document.insert("version".to_owned(), "v1".into());
        if let Some(name) = kind.member() {
            document.insert(name.to_owned(), member.into());
        }
        Self::unchecked(kind, Value::Object(document).to_string().into())
    }

    pub(super) fn unchecked(kind: ReplyKind, json: Bytes) -> Self {
        Self { json, kind }
    }

    pub(super) fn of_kind(self, kind: ReplyKind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn checked(self) -> Result<Self, ReplyError> {
        if self.json.len() > MAX_DOCUMENT {
            return Err(ReplyError::TooLarge(self.json.len()));
        }
        Ok(self)
    }
}

/// Shows the kind and the length, not the document.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({:?}, {} bytes)", self.kind, self.json.len())
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

        impl AsRef<Reply> for $reply {
            fn as_ref(&self) -> &Reply {
                &self.0
            }
        }
    )+};
}

replies! {
    /// Acknowledges a test, a policy's post action or a finding.
    Acknowledgement;
    /// Answers a provisioning step.
    ProvisionReply;
    /// Answers an approval step.
    ApprovalReply;
    /// Answers an automation's webhook step.
    WorkflowReply;
}

impl Acknowledgement {
    /// The acknowledgement.
    pub fn new() -> Self {
        Self(Reply::acknowledged())
    }
}

impl Default for Acknowledgement {
    fn default() -> Self {
        Self::new()
    }
}

impl ProvisionReply {
    /// The access was granted or revoked as the task asks.
    pub fn complete(comment: Comment) -> Self {
        Self(Reply::with(ReplyKind::Complete, comment.document()))
    }

    /// Provisioning failed. The decision is final: ConductorOne does not retry.
    pub fn errored(comment: Comment) -> Self {
        Self(Reply::with(ReplyKind::Errored, comment.document()))
    }
}

impl ApprovalReply {
    /// The step is approved.
    pub fn approve(comment: Comment) -> Self {
        Self(Reply::with(ReplyKind::Approve, comment.document()))
    }

    /// The step is denied.
    pub fn deny(comment: Comment) -> Self {
        Self(Reply::with(ReplyKind::Deny, comment.document()))
    }

    /// The step is reassigned to other users.
    ///
    /// # Errors
    /// If there is no user, there are more than 32, or one has an empty id.
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
        Reply::with(ReplyKind::Reassign, members)
            .checked()
            .map(Self)
    }

    /// The rest of the policy is replaced by these steps.
    ///
    /// # Errors
    /// If there are no steps, a step has no type or an unknown one, or the document
    /// is too long.
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
        Reply::with(ReplyKind::ReplacePolicy, members)
            .checked()
            .map(Self)
    }
}

impl WorkflowReply {
    /// A context for the automation's later steps: a JSON object.
    ///
    /// # Errors
    /// If `context` does not serialize to an object, or the document is too long.
    pub fn context(context: &impl Serialize) -> Result<Self, ReplyError> {
        // As text: it may be nested to any depth, and have numbers of any length.
        let context = to_raw_value(context).map_err(|_| ReplyError::Context)?;
        if !context.get().starts_with('{') {
            return Err(ReplyError::Context);
        }
        let document = format!(r#"{{"version":"v1","context":{context}}}"#);
        Reply::unchecked(ReplyKind::Context, document.into())
            .checked()
            .map(Self)
    }

    /// An empty context for the automation's later steps.
    pub fn empty() -> Self {
        Self(Reply::with(ReplyKind::Context, Map::new()))
    }
}

/// A policy step to send to ConductorOne: a [`PolicyStep`] without the fields that
/// only ConductorOne may set (whether a step is assigned, and to whom).
///
/// Members that this version of the crate does not know are dropped.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PolicyStepInput(PolicyStep);

impl PolicyStepInput {
    /// Whether this version of the crate knows the step's type, and the types in it:
    /// who approves, what is waited for, which action is taken.
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
