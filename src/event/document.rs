//! Whether a document from elsewhere answers an event.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::{Event, PolicyApprovalStep, ProvisionStep, WorkflowStep};
use super::reply::{Comment, MAX_USERS, Reply, ReplyError};
use crate::json::UniqueMembers;

impl Reply {
    /// A document from elsewhere (a file, a queue, another program) that answers
    /// the event of that name, such as
    /// `c1.webhooks.v1.PayloadProvisionStep`.
    ///
    /// Its bytes stay as they are. They have to be what ConductorOne's
    /// documentation asks for: a JSON object of version `v1` and at most 250,000
    /// bytes with exactly one of the event's outcomes, and what the types of this
    /// module hold replies to (the comment's length, the number of users, …). As
    /// everywhere in proto3's JSON, a member that is `null` counts as absent. A
    /// member that nobody knows is no error, nor is any further member in the
    /// answer to an event that this version of the crate does not know. What is
    /// inside of policy steps and of a context is not looked at.
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
    /// [`ReplyError`] says what is wrong with the document, and quotes nothing of
    /// it.
    pub fn from_json(event: &str, json: impl Into<Bytes>) -> Result<Self, ReplyError> {
        let reply = Self::unchecked(json.into()).checked()?;
        check(event, reply.as_bytes())?;
        Ok(reply)
    }
}

/// Looks at each byte a fixed number of times, and only at the levels that
/// ConductorOne gives a meaning: what is below is skipped without recursion.
fn check(event: &str, json: &[u8]) -> Result<(), ReplyError> {
    let document = UniqueMembers::parse(json).map_err(|_| ReplyError::NotAnObject)?;
    if member::<Cow<'_, str>>(&document, "version")?.as_deref() != Some("v1") {
        return Err(ReplyError::Version);
    }
    match event.rsplit('/').next().unwrap_or_default() {
        ProvisionStep::NAME => {
            one_of(&document, &["complete", "errored"])?;
        }
        PolicyApprovalStep::NAME => {
            let outcomes = ["approve", "deny", "reassign", "replacePolicy"];
            match one_of(&document, &outcomes)? {
                ("reassign", outcome) => check_users(&outcome)?,
                ("replacePolicy", outcome) => check_steps(&outcome)?,
                _ => {}
            }
        }
        WorkflowStep::NAME => {
            member::<UniqueMembers<'_>>(&document, "context")?.ok_or(ReplyError::Context)?;
        }
        // A test, a post action and a finding are acknowledged; of an event that
        // nobody knows here, nobody knows more.
        _ => {}
    }
    Ok(())
}

/// The one outcome among these that is there, and its members; they include a
/// comment that is short enough.
fn one_of<'a>(
    document: &UniqueMembers<'a>,
    outcomes: &[&'static str],
) -> Result<(&'static str, UniqueMembers<'a>), ReplyError> {
    let mut found = Vec::new();
    for name in outcomes {
        if let Some(outcome) = member::<UniqueMembers<'a>>(document, name)? {
            found.push((*name, outcome));
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

/// The member of that name; `null` stands for none.
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
