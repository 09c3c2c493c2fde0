//! [`Webhook`] as an axum extractor.

use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::rejection::Rejection;
use crate::verify::Webhook;

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

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}
