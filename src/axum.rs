//! Extractors and answers for axum.

use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, StatusCode, Uri};

use crate::deliver_once::DeliveryRun;
use crate::event::{Acknowledgement, Event, Outcome, Payload, PayloadError};
use crate::rejection::Rejection;
use crate::typed::Typed;
use crate::verify::Webhook;

/// The URI that came, where nested routers have stripped a part of it.
pub(crate) fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    let original = extensions.get::<axum::extract::OriginalUri>();
    original.map(|axum::extract::OriginalUri(uri)| uri)
}

/// A handler asked for a [`Webhook`] on a route that
/// [`VerifyWebhookLayer`](crate::VerifyWebhookLayer) does not wrap.
///
/// Answered 500: no webhook, genuine or not, can pass there.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "no verified webhook in the request's extensions: is VerifyWebhookLayer installed on this route?"
)]
#[non_exhaustive]
pub struct MissingWebhook;

impl IntoResponse for MissingWebhook {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Webhook {
    type Rejection = MissingWebhook;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingWebhook> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("{MissingWebhook}");
            MissingWebhook
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Webhook {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// A handler asked for a [`DeliveryRun`] on a route that
/// [`DeliverOnceLayer`](crate::DeliverOnceLayer) does not wrap. Answered 500.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "no delivery's run in the request's extensions: is DeliverOnceLayer installed on this route?"
)]
#[non_exhaustive]
pub struct MissingDeliveryRun;

impl IntoResponse for MissingDeliveryRun {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for DeliveryRun {
    type Rejection = MissingDeliveryRun;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingDeliveryRun> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| {
            tracing::error!("{MissingDeliveryRun}");
            MissingDeliveryRun
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for DeliveryRun {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().copied())
    }
}

/// Why there is no [`Typed`] event.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedRejection {
    /// There is no webhook at all: 500.
    #[error(transparent)]
    MissingWebhook(#[from] MissingWebhook),
    /// It is an administrator's test, which is acknowledged: 200.
    #[error("a test, which is acknowledged")]
    #[non_exhaustive]
    Test(Outcome),
    /// The webhook is of another event: 422. It was configured for a route that
    /// takes no such events.
    #[error("this route takes {expected} only")]
    #[non_exhaustive]
    OtherEvent {
        /// The event that the route takes.
        expected: &'static str,
    },
    /// The payload is not of the event's type: 422. The answer does not quote it.
    #[error("the payload is not of the event's type")]
    Payload(#[from] PayloadError),
}

impl IntoResponse for TypedRejection {
    fn into_response(self) -> Response {
        match self {
            Self::MissingWebhook(missing) => missing.into_response(),
            Self::Test(acknowledged) => acknowledged.into_response(),
            other => (StatusCode::UNPROCESSABLE_ENTITY, other.to_string()).into_response(),
        }
    }
}

impl<S: Sync, E: Event> FromRequestParts<S> for Typed<E> {
    type Rejection = TypedRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, TypedRejection> {
        let webhook = <Webhook as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let typed = Self::from_webhook(&webhook).inspect_err(|error| {
            tracing::warn!(
                webhook_id = webhook.id_for_log(),
                path = error.path(),
                "the payload does not match its event type"
            );
        })?;
        match (typed, webhook.payload()?) {
            (Some(event), _) => Ok(event),
            (None, Payload::Test(test)) => {
                Err(TypedRejection::Test(test.answer(Acknowledgement::new())))
            }
            (None, _) => {
                tracing::warn!(
                    webhook_id = webhook.id_for_log(),
                    event = webhook.event_for_log(),
                    expected = E::NAME,
                    "this route takes other events"
                );
                Err(TypedRejection::OtherEvent { expected: E::NAME })
            }
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}

/// 422, without quoting the payload.
impl IntoResponse for PayloadError {
    fn into_response(self) -> Response {
        TypedRejection::from(self).into_response()
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}
