//! Checks that a document from elsewhere answers an event.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::any::last_part;
use super::payload::{
    Event, FindingDispatch, PolicyApprovalStep, PolicyPostAction, ProvisionStep, Test, WorkflowStep,
};
use super::reply::{Comment, MAX_USERS, Reply, ReplyError, ReplyKind};
use crate::json::{Text, UniqueMembers};

impl Reply {
    /// Checks a document from elsewhere (a file, a queue, another program) that
    /// answers an event, such as `c1.webhooks.v1.PayloadProvisionStep`.
    ///
    /// The document must be a JSON object of at most 250,000 bytes with the version
    /// `v1`, exactly one of the event's outcomes, and within the limits of the types in
    /// this module (the comment's length, the number of users, …). A member that is
    /// `null` counts as absent, as in all proto3 JSON. Unknown members are allowed, and
    /// all members in the answer to an event that this version of the crate does not
    /// know. The contents of policy steps and of a context are not checked. The reply
    /// keeps the bytes unchanged.
    ///
    /// ```
    /// use tower_conductorone::event::{Reply, ReplyError};
    ///
    /// let event = "c1.webhooks.v1.PayloadProvisionStep";
    /// let reply = Reply::from_json(event, r#"{"version":"v1","complete":{}}"#)?;
    /// let error = Reply::from_json(event, r#"{"version":"v1","approve":{}}"#).unwrap_err();
    /// assert_eq!(error, ReplyError::Outcomes(0));
    /// # let _ = reply;
    /// # Ok::<(), ReplyError>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplyError`] if the document does not answer the event. The error does not
    /// quote the document.
    pub fn from_json(event: &str, json: impl Into<Bytes>) -> Result<Self, ReplyError> {
        let reply = Self::unchecked(ReplyKind::Unknown, json.into()).checked()?;
        let kind = check(event, reply.as_bytes())?;
        Ok(reply.of_kind(kind))
    }
}

/// Reads each byte a fixed number of times, and only the levels that have a meaning
/// to ConductorOne: deeper ones are skipped without recursion.
fn check(event: &str, json: &[u8]) -> Result<ReplyKind, ReplyError> {
    let document = UniqueMembers::parse(json).map_err(|_| ReplyError::NotAnObject)?;
    let version: Option<Text<'_>> = member(&document, "version")?;
    if version.is_none_or(|Text(version)| version != "v1") {
        return Err(ReplyError::Version);
    }
    Ok(match last_part(event) {
        ProvisionStep::NAME => one_of(&document, &[ReplyKind::Complete, ReplyKind::Errored])?.0,
        PolicyApprovalStep::NAME => {
            let outcomes = [
                ReplyKind::Approve,
                ReplyKind::Deny,
                ReplyKind::Reassign,
                ReplyKind::ReplacePolicy,
            ];
            let (kind, outcome) = one_of(&document, &outcomes)?;
            match kind {
                ReplyKind::Reassign => check_users(&outcome)?,
                ReplyKind::ReplacePolicy => check_steps(&outcome)?,
                _ => {}
            }
            kind
        }
        WorkflowStep::NAME => {
            member::<UniqueMembers<'_>>(&document, "context")?.ok_or(ReplyError::Context)?;
            ReplyKind::Context
        }
        Test::NAME | PolicyPostAction::NAME | FindingDispatch::NAME => ReplyKind::Acknowledged,
        _ => ReplyKind::Unknown,
    })
}

/// The one of these outcomes that is set, and its members. Checks its comment.
fn one_of<'a>(
    document: &UniqueMembers<'a>,
    outcomes: &[ReplyKind],
) -> Result<(ReplyKind, UniqueMembers<'a>), ReplyError> {
    let mut found = Vec::new();
    for kind in outcomes {
        let Some(name) = kind.member() else { continue };
        if let Some(outcome) = member::<UniqueMembers<'a>>(document, name)? {
            found.push((*kind, outcome));
        }
    }
    let count = found.len();
    let (Some(outcome), 1) = (found.pop(), count) else {
        return Err(ReplyError::Outcomes(count));
    };
    if let Some(comment) = member::<String>(&outcome.1, "comment")? {
        Comment::new(comment)?;
    }
    Ok(outcome)
}

fn check_users(reassign: &UniqueMembers<'_>) -> Result<(), ReplyError> {
    let users: Vec<String> = member(reassign, "newStepUserIds")?.unwrap_or_default();
    if !(1..=MAX_USERS).contains(&users.len()) {
        return Err(ReplyError::Users(users.len()));
    }
    match users.iter().position(String::is_empty) {
        Some(index) => Err(ReplyError::EmptyUser(index)),
        None => Ok(()),
    }
}

fn check_steps(replace_policy: &UniqueMembers<'_>) -> Result<(), ReplyError> {
    let steps: Vec<&RawValue> = member(replace_policy, "policySteps")?.unwrap_or_default();
    if steps.is_empty() {
        return Err(ReplyError::NoPolicySteps);
    }
    match steps.iter().position(|step| !step.get().starts_with('{')) {
        Some(index) => Err(ReplyError::PolicyStep(index)),
        None => Ok(()),
    }
}

/// The member with this name, unless it is absent or `null`.
fn member<'a, T: Deserialize<'a>>(
    object: &UniqueMembers<'a>,
    name: &'static str,
) -> Result<Option<T>, ReplyError> {
    match object.get::<Option<T>>(name) {
        None => Ok(None),
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => Err(ReplyError::Member(name)),
    }
}
