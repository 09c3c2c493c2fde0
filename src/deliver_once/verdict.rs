//! Whether ConductorOne can use a handler's response.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use super::body::DocumentBody;
use crate::error_chain::error_chain;
use crate::event::{GoneForGood, MAX_DOCUMENT, Reply, ReplyError};
use crate::excerpt::one_line;
use crate::ledger::RecordedAnswer;
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::Webhook;

/// How a run has ended.
#[derive(Clone)]
pub(super) enum Verdict {
    /// With an answer that is final: a document, a 202 or an explicit 410.
    Answered(RecordedAnswer),
    /// It has failed, and is to be tried again.
    Failed(Failure),
}

#[derive(Clone)]
pub(super) enum Failure {
    /// The handler's response says so, or that of a layer inside.
    Response(FailureResponse),
    /// There is no response that can be used.
    Rejected(Rejection),
}

/// What is told of a response that says that the run has failed.
#[derive(Clone)]
pub(super) struct FailureResponse {
    status: StatusCode,
    /// By which an extractor or a layer inside explains its response.
    rejection: Option<Rejection>,
    retry_after: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

/// Why ConductorOne cannot use a response.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("status {0} has no document, and it is not 202")]
    Status(StatusCode),
    #[error("410 would end the delivery for good: say Outcome::gone_for_good() if that is meant")]
    Gone,
    #[error("202 promises a callback, and the webhook has no callback URL that may be used")]
    Accepted,
    #[error("its body is longer than {MAX_DOCUMENT} bytes, broke off, or took over {DOCUMENT:?}")]
    Body,
    #[error("its body has the Content-Encoding {0:?}: compress outside of DeliverOnceLayer")]
    Encoded(HeaderValue),
    #[error("its document is not one for this event")]
    Document(#[source] ReplyError),
}

/// How long a document may take to be read from the handler's response.
const DOCUMENT: Duration = Duration::from_secs(30);

/// How long what a failed run has to say may take: that it has failed counts.
const REASON: Duration = Duration::from_secs(5);

impl Verdict {
    /// Reads the response to its end and judges it.
    pub(super) async fn judge<B>(webhook: &Webhook, response: Response<B>) -> Self
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = response.into_parts();
        let usable = match parts.status {
            StatusCode::ACCEPTED => Ok(Bytes::new()),
            StatusCode::GONE if parts.extensions.get::<GoneForGood>().is_some() => Ok(Bytes::new()),
            StatusCode::GONE => Err(Unusable::Gone),
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => {
                Err(Unusable::Status(parts.status))
            }
            status if status.is_success() => match read(body, DOCUMENT).await {
                Some(body) => Reply::from_json(webhook.event(), body)
                    .map(|reply| reply.as_bytes().clone())
                    .map_err(|error| match parts.headers.get(CONTENT_ENCODING) {
                        Some(coding) => Unusable::Encoded(coding.clone()),
                        None => Unusable::Document(error),
                    }),
                None => Err(Unusable::Body),
            },
            status if status.is_client_error() || status.is_server_error() => {
                return Self::Failed(Failure::Response(FailureResponse {
                    status,
                    rejection: parts.extensions.get::<Rejection>().cloned(),
                    retry_after: parts.headers.get(RETRY_AFTER).cloned(),
                    content_type: parts.headers.get(CONTENT_TYPE).cloned(),
                    body: read(body, REASON).await.unwrap_or_default(),
                }));
            }
            status => Err(Unusable::Status(status)),
        };
        match usable {
            Ok(document) => Self::Answered(RecordedAnswer::new(parts.status.as_u16(), document)),
            Err(unusable) => Self::unusable(webhook, unusable),
        }
    }

    /// Whether it is a 202, which promises a callback.
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self, Self::Answered(answer) if answer.status() == StatusCode::ACCEPTED)
    }

    /// Failed: a 202, and the webhook has no callback URL that may be used.
    pub(super) fn no_callback(webhook: &Webhook) -> Self {
        Self::unusable(webhook, Unusable::Accepted)
    }

    fn unusable(webhook: &Webhook, unusable: Unusable) -> Self {
        tracing::error!(
            tenant = webhook.tenant(),
            webhook_id = webhook.id_for_log(),
            event = webhook.event_for_log(),
            cause = unusable.source().map(|cause| one_line(&error_chain(cause))),
            "the handler's answer cannot be used: {unusable}"
        );
        let rejection = Rejection::because(RejectionKind::UnusableResponse, unusable);
        Self::Failed(Failure::Rejected(rejection))
    }

    /// Failed, with nothing to say but that.
    pub(super) fn rejected(kind: RejectionKind) -> Self {
        Self::Failed(Failure::Rejected(Rejection::new(kind)))
    }
}

impl Failure {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status,
            Self::Rejected(rejection) => rejection.status(),
        }
    }

    /// Whether the request has not reached the handler, as far as can be told: a layer
    /// or a router inside has answered in its stead.
    pub(super) fn never_handled(&self) -> bool {
        let Self::Response(FailureResponse {
            status, rejection, ..
        }) = self
        else {
            return false;
        };
        let by_layer = rejection.as_ref();
        by_layer.is_some_and(|rejection| rejection.status() != StatusCode::UNPROCESSABLE_ENTITY)
            || matches!(
                *status,
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            )
    }
}

impl FailureResponse {
    pub(super) fn into_response(self) -> Response<DocumentBody> {
        let mut response = Response::new(DocumentBody::new(self.body));
        *response.status_mut() = self.status;
        let headers = [
            (RETRY_AFTER, self.retry_after),
            (CONTENT_TYPE, self.content_type),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        if let Some(rejection) = self.rejection {
            response.extensions_mut().insert(rejection);
        }
        response
    }
}

async fn read<B>(body: B, limit: Duration) -> Option<Bytes>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = Limited::new(body, MAX_DOCUMENT).collect();
    let body = timeout(limit, body).await.ok()?;
    body.ok().map(http_body_util::Collected::to_bytes)
}
