//! What a handler has made of an event, and the HTTP answer that says so.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::reply::Reply;
use crate::header::write_retry_after;

/// In the extensions of a response whose 410 a handler has asked for: any other
/// 410, from a router or a proxy, is not meant for ConductorOne.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoneForGood;

/// What a handler has made of an event.
///
/// A reply can only be made from the event itself, with
/// [`Event::answer`](super::Event::answer), so that none is answered with
/// another's document:
///
/// ```compile_fail,E0308
/// # use tower_conductorone::event::{ApprovalReply, Comment, Event, Outcome, ProvisionStep};
/// fn provision(step: &ProvisionStep) -> Outcome {
///     step.answer(ApprovalReply::approve(Comment::none())) // not an answer to that
/// }
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
}

impl Outcome {
    pub(super) fn reply(reply: Reply) -> Self {
        Self(Kind::Reply(reply))
    }

    /// 202: the receiver has taken the event over, and will post the reply to
    /// the callback URL. Only for events that come with one.
    pub fn accepted() -> Self {
        Self(Kind::Accepted)
    }

    /// 503 with `Retry-After`: the receiver cannot tell yet. ConductorOne tries
    /// again, 3 to 15 s later whatever `after` says, up to 50 times.
    pub fn retry_later(after: Duration) -> Self {
        Self(Kind::RetryLater(after))
    }

    /// 410: the receiver is gone for good. ConductorOne gives the delivery up,
    /// and whatever it was about fails.
    pub fn gone_for_good() -> Self {
        Self(Kind::Gone)
    }

    /// The HTTP answer.
    #[must_use]
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        match &self.0 {
            Kind::Reply(reply) => {
                *response.body_mut() = Full::new(reply.as_bytes().clone());
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
            }
            Kind::Accepted => *response.status_mut() = StatusCode::ACCEPTED,
            Kind::RetryLater(after) => {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, write_retry_after(*after));
            }
            Kind::Gone => {
                *response.status_mut() = StatusCode::GONE;
                response.extensions_mut().insert(GoneForGood);
            }
        }
        response
    }
}
