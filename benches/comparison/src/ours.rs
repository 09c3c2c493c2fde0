//! The crate itself. Its replay guard is off, as the alternatives have none.

use std::convert::Infallible;
use std::hint::black_box;

use axum::handler::HandlerWithoutStateExt;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use serde_json::Value;
use tower::{Layer, service_fn};
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};

use crate::job::PUBLIC_URL;
use crate::receiver::Receiver;

fn layer(tenant: &FakeTenant) -> VerifyWebhookLayer {
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("the tenant's own keys");
    VerifyWebhookLayer::builder()
        .public_url(PUBLIC_URL)
        .tenant(Tenant::new(tenant.domain()).static_keys(keys))
        .dangerous_disable_replay_guard()
        .build()
        .expect("a good configuration")
}

/// The layer alone, around the least service.
pub(crate) fn alone(tenant: &FakeTenant) -> impl Receiver + 'static {
    layer(tenant).layer(service_fn(async |request: Request<Full<Bytes>>| {
        black_box(request.extensions().get::<Webhook>());
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }))
}

/// Around an axum handler that leaves the payload as it is.
pub(crate) fn raw(tenant: &FakeTenant) -> impl Receiver + 'static {
    async fn handler(webhook: Webhook) -> StatusCode {
        black_box(webhook.payload_json());
        StatusCode::OK
    }
    layer(tenant).layer(handler.into_service())
}

/// Around an axum handler that has the payload typed.
pub(crate) fn typed(tenant: &FakeTenant) -> impl Receiver + 'static {
    async fn handler(webhook: Webhook) -> StatusCode {
        match black_box(webhook.payload()) {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }
    layer(tenant).layer(handler.into_service())
}

/// Around an axum handler that parses the payload.
pub(crate) fn value(tenant: &FakeTenant) -> impl Receiver + 'static {
    async fn handler(webhook: Webhook) -> StatusCode {
        match black_box(webhook.deserialize_payload::<Value>()) {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }
    layer(tenant).layer(handler.into_service())
}
