//! One attempt to deliver.

use std::error::Error;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use tower_service::Service;

use crate::event::{Reply, ReplyError};
use crate::testing::gzip;

/// How long ConductorOne waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An attempt to deliver, and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt {
    pub(super) started: Duration,
    pub(super) took: Duration,
    pub(super) result: AttemptResult,
}

impl DeliveryAttempt {
    /// When it was made, counted from the first attempt.
    #[must_use]
    pub fn started(&self) -> Duration {
        self.started
    }

    /// How long the answer took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The result.
    #[must_use]
    pub fn result(&self) -> &AttemptResult {
        &self.result
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.result {
            AttemptResult::Document(status, _) | AttemptResult::Status(status) => Some(status),
            AttemptResult::TimedOut | AttemptResult::ConnectionError(_) => None,
        }
    }
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptResult {
    /// A 2xx other than 202, and the document, if it answers the event.
    Document(StatusCode, Result<Reply, ReplyError>),
    /// Any other status. The body is ignored.
    Status(StatusCode),
    /// No answer within 30 s: the receiver's future was dropped.
    TimedOut,
    /// The receiver or the body of its answer failed with this message.
    ConnectionError(String),
}

/// Sends the request, and waits for the complete answer for as long as ConductorOne
/// does.
pub(super) async fn attempt<S, B>(
    receiver: S,
    request: Request<Full<Bytes>>,
    event: &str,
) -> AttemptResult
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match timeout(TIMEOUT, send(receiver, request, event)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => AttemptResult::ConnectionError(error.to_string()),
        Err(_) => AttemptResult::TimedOut,
    }
}

async fn send<S, B>(
    mut receiver: S,
    request: Request<Full<Bytes>>,
    event: &str,
) -> Result<AttemptResult, Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| receiver.poll_ready(cx))
        .await
        .map_err(Into::into)?;
    let (mut parts, body) = receiver
        .call(request)
        .await
        .map_err(Into::into)?
        .into_parts();
    if !parts.status.is_success() || parts.status == StatusCode::ACCEPTED {
        return Ok(AttemptResult::Status(parts.status));
    }
    let document = body.collect().await.map_err(Into::into)?.to_bytes();
    let document = gzip::unpack(&mut parts.headers, document)?;
    let reply = Reply::from_json(event, document);
    Ok(AttemptResult::Document(parts.status, reply))
}
