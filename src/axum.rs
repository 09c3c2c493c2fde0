//! Extractors and responses for axum.

use std::convert::Infallible;

use axum::handler::Handler;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts, Request};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Extensions, Uri};
use tower_service::Service;

use crate::deliver_once::{DeliveryHandle, DeliveryRun};
use crate::event::{Acknowledgement, Event, Outcome, Payload, PayloadError};
use crate::event_router::EventRouter;
use crate::future::BoxFuture;
use crate::rejection::{Rejection, RejectionKind};
use crate::typed::Typed;
use crate::verify::Webhook;

/// The request's original URI, of which nested routers may have stripped a part.
pub(crate) fn original_uri(extensions: &Extensions) -> Option<&Uri> {
    let original = extensions.get::<axum::extract::OriginalUri>();
    original.map(|axum::extract::OriginalUri(uri)| uri)
}

impl<S: Sync> FromRequestParts<S> for Webhook {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let webhook = parts.extensions.get::<Self>().cloned();
        webhook.ok_or_else(Rejection::missing_webhook)
    }
}

/// `None` if [`VerifyWebhookLayer`](crate::VerifyWebhookLayer) is not installed, which is
/// logged as an error: a handler that continues with `None` is open to everyone. Use
/// `Option<Webhook>` only in a handler that also serves a route without the layer, and do
/// not answer `None` as you would a webhook.
impl<S: Sync> OptionalFromRequestParts<S> for Webhook {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let webhook = parts.extensions.get::<Self>().cloned();
        if webhook.is_none() {
            // Logs it.
            let _ = Rejection::missing_webhook();
        }
        Ok(webhook)
    }
}

impl<S: Sync> FromRequestParts<S> for DeliveryRun {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let run = parts.extensions.get::<Self>().copied();
        run.ok_or_else(Rejection::missing_delivery_run)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for DeliveryRun {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().copied())
    }
}

impl<S: Sync> FromRequestParts<S> for DeliveryHandle {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let handle = parts.extensions.get::<Self>().cloned();
        handle.ok_or_else(Rejection::missing_delivery_run)
    }
}

/// Why there is no [`Typed`] event.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedRejection {
    /// The webhook is an administrator's test, which is acknowledged with 200.
    #[error("the webhook is a test and is acknowledged")]
    #[non_exhaustive]
    Test(Outcome),
    /// The request has no webhook
    /// ([`MissingWebhook`](crate::RejectionKind::MissingWebhook)), the webhook has another event
    /// ([`UnexpectedEvent`](crate::RejectionKind::UnexpectedEvent)), or its payload does
    /// not match the event's type
    /// ([`UnreadablePayload`](crate::RejectionKind::UnreadablePayload)).
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl IntoResponse for TypedRejection {
    fn into_response(self) -> Response {
        match self {
            Self::Test(acknowledged) => acknowledged.into_response(),
            Self::Rejected(rejection) => rejection.into_response(),
        }
    }
}

impl<S: Sync, E: Event> FromRequestParts<S> for Typed<E> {
    type Rejection = TypedRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, TypedRejection> {
        let webhook = <Webhook as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let typed = Self::from_webhook(&webhook);
        if let Some(typed) = typed.map_err(|error| webhook.unreadable_payload(error))? {
            return Ok(typed);
        }
        Err(match webhook.payload() {
            Ok(Payload::Test(test)) => TypedRejection::Test(test.answer(Acknowledgement::new())),
            _ => webhook.unexpected_event(E::NAME).into(),
        })
    }
}

/// `post(router)`, where `post_service` is not handy.
impl<S: Send + Sync + 'static> Handler<(), S> for EventRouter {
    type Future = BoxFuture<'static, Response>;

    fn call(mut self, request: Request, _: S) -> Self::Future {
        let response = Service::call(&mut self, request);
        Box::pin(async move { response.await.into_response() })
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
        Rejection::because(RejectionKind::UnreadablePayload, self).into_response()
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}
