//! Decides whether ConductorOne can use a handler's response.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::body::DocumentBody;
use super::cause::Cause;
use crate::error_chain::error_chain;
use crate::event::{GoneForGood, MAX_DOCUMENT, Reply, ReplyError};
use crate::excerpt::one_line;
use crate::future::within;
use crate::ledger::{Finished, RecordedAnswer};
use crate::rejection::{Rejection, RejectionKind};
use crate::verify::Webhook;

/// The result of a run.
#[derive(Clone)]
pub(super) enum Verdict {
    /// A final answer: a document, a 202 or an explicit 410.
    Answered(RecordedAnswer),
    /// A final answer that the handler has recorded itself, and the ledger's reply.
    Recorded(RecordedAnswer, Finished),
    /// The run failed and should be repeated.
    Failed(Failure),
}

#[derive(Clone)]
pub(super) enum Failure {
    /// The handler, or a layer inside, responded with an error status.
    Response(Box<FailureResponse>),
    /// There is no usable response.
    Rejected(Rejection),
}

/// The parts of an error response that are returned.
#[derive(Clone)]
pub(super) struct FailureResponse {
    status: StatusCode,
    /// The rejection in the response's extensions, from an extractor or a layer inside.
    rejection: Option<Rejection>,
    retry_after: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

/// Why ConductorOne cannot use a response.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("status {0} carries no document and is not 202")]
    Status(StatusCode),
    #[error("410 would end the delivery: return Outcome::gone_for_good() if that is intended")]
    Gone,
    #[error("202 requires a callback, and the webhook has no usable callback URL")]
    Accepted,
    #[error("its body exceeds {MAX_DOCUMENT} bytes, broke off, or took longer than {DOCUMENT:?}")]
    Body,
    #[error("its body has the Content-Encoding {0:?}: compress outside DeliverOnceLayer")]
    Encoded(HeaderValue),
    #[error("its document does not match the event")]
    Document(#[source] ReplyError),
}

/// The longest time to read a document from the handler's response.
const DOCUMENT: Duration = Duration::from_secs(30);

/// The longest time to read the body of an error response, which is dropped after that.
const REASON: Duration = Duration::from_secs(5);

impl Verdict {
    /// Reads the response to its end and decides whether it can be used.
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
                return Self::Failed(Failure::Response(Box::new(FailureResponse {
                    status,
                    rejection: parts.extensions.get::<Rejection>().cloned(),
                    retry_after: parts.headers.get(RETRY_AFTER).cloned(),
                    content_type: parts.headers.get(CONTENT_TYPE).cloned(),
                    body: read(body, REASON).await.unwrap_or_default(),
                })));
            }
            status => Err(Unusable::Status(status)),
        };
        match usable {
            Ok(document) => Self::Answered(RecordedAnswer::new(parts.status.as_u16(), document)),
            Err(unusable) => Self::unusable(webhook, unusable),
        }
    }

    /// A failure if the answer is 202 and no callback can follow.
    pub(super) fn with_callback(
        self,
        webhook: &Webhook,
        may_be_called_back: impl FnOnce() -> bool,
    ) -> Self {
        let is_accepted =
            matches!(&self, Self::Answered(answer) if answer.status() == StatusCode::ACCEPTED);
        if is_accepted && !may_be_called_back() {
            return Self::unusable(webhook, Unusable::Accepted);
        }
        self
    }

    fn unusable(webhook: &Webhook, unusable: Unusable) -> Self {
        tracing::error!(
            c1.tenant = webhook.tenant(),
            c1.webhook.id = &*webhook.id_for_log(),
            c1.event = &*webhook.event_for_log(),
            cause = unusable
                .source()
                .map(|cause| one_line(&error_chain(cause)).into_owned()),
            "the handler's answer cannot be used: {unusable}"
        );
        let rejection = Rejection::because(RejectionKind::UnusableResponse, unusable);
        Self::Failed(Failure::Rejected(rejection))
    }

    /// A failure without a response.
    pub(super) fn failed(cause: Cause) -> Self {
        Self::Failed(Failure::Rejected(cause.rejection()))
    }
}

impl Failure {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Response(response) => response.status,
            Self::Rejected(rejection) => rejection.status(),
        }
    }

    /// Whether the request apparently did not reach the handler, because a layer or a
    /// router inside answered it.
    pub(super) fn never_handled(&self) -> bool {
        let Self::Response(response) = self else {
            return false;
        };
        // Others may be the handler's own, such as those of `DeliveryHandle::check`.
        let is_misplaced = matches!(
            response.rejection.as_ref().map(Rejection::kind),
            Some(
                RejectionKind::InstalledTwice
                    | RejectionKind::MissingWebhook
                    | RejectionKind::MissingDeliveryRun
                    | RejectionKind::UnusableRejectionResponse
            )
        );
        is_misplaced
            || matches!(
                response.status,
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
    let body = within(limit, body).await?;
    body.ok().map(http_body_util::Collected::to_bytes)
}
