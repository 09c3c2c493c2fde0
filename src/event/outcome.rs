//! A handler's answer to an event, and the HTTP response for it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::reply::Reply;
use crate::header::write_retry_after;

/// Marks, in a response's extensions, a 410 that a handler asked for. Any other
/// 410 comes from a router or a proxy and is not for ConductorOne.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoneForGood;

/// A handler's answer to an event.
///
/// Only the event's own method `answer` makes one with a reply, so that no event is
/// answered with the document of another:
///
/// ```compile_fail,E0308
/// # use tower_conductorone::event::{ApprovalReply, Comment, Outcome, ProvisionStep};
/// fn provision(step: &ProvisionStep) -> Outcome {
///     step.answer(ApprovalReply::approve(Comment::none())) // of another event
/// }
/// ```
///
/// A test can inspect it:
///
/// ```
/// use tower_conductorone::event::{Outcome, ReplyKind, WorkflowReply, WorkflowStep};
///
/// fn run(step: &WorkflowStep) -> Outcome {
///     step.answer(WorkflowReply::empty())
/// }
///
/// let outcome = run(&WorkflowStep::default());
/// assert_eq!(outcome.status(), 200);
/// assert_eq!(outcome.reply().map(|reply| reply.kind()), Some(ReplyKind::Context));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an outcome does nothing until it is answered"]
pub struct Outcome(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Reply(Reply),
    Accepted,
    RetryLater(Duration),
    Gone,
    Failed,
}

impl Outcome {
    pub(crate) fn replied(reply: Reply) -> Self {
        Self(Kind::Reply(reply))
    }

    /// 202: the receiver accepts the event and posts the reply to the callback URL
    /// later. Only for events that have a callback URL.
    pub fn accepted() -> Self {
        Self(Kind::Accepted)
    }

    /// 503 with `Retry-After`: the receiver has no answer yet. ConductorOne makes up to
    /// 50 attempts, 3 to 15 s apart; whether it observes `Retry-After` is not documented.
    pub fn retry_later(after: Duration) -> Self {
        Self(Kind::RetryLater(after))
    }

    /// 500: the receiver has failed. ConductorOne tries again as after
    /// [`retry_later`](Self::retry_later).
    pub fn failed() -> Self {
        Self(Kind::Failed)
    }

    /// 410: the receiver is gone permanently. ConductorOne does not try again, and the
    /// delivery's step fails.
    pub fn gone_for_good() -> Self {
        Self(Kind::Gone)
    }

    /// The status of the HTTP response: 200, 202, 410, 500 or 503.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Kind::Reply(_) => StatusCode::OK,
            Kind::Accepted => StatusCode::ACCEPTED,
            Kind::RetryLater(_) => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Gone => StatusCode::GONE,
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The reply; `None` unless the event's `answer` made this outcome.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        match &self.0 {
            Kind::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// The time to wait before the next attempt; `None` unless
    /// [`retry_later`](Self::retry_later) made this outcome.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0 {
            Kind::RetryLater(after) => Some(after),
            _ => None,
        }
    }

    /// The HTTP response.
    #[must_use]
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = self.status();
        match &self.0 {
            Kind::Reply(reply) => {
                *response.body_mut() = Full::new(reply.as_bytes().clone());
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
            }
            Kind::Accepted | Kind::Failed => {}
            Kind::RetryLater(after) => {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, write_retry_after(*after));
            }
            Kind::Gone => {
                response.extensions_mut().insert(GoneForGood);
            }
        }
        response
    }
}
