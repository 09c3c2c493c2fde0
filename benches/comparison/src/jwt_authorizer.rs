//! The layer of jwt-authorizer, around an axum 0.7 handler that does the rest. It
//! verifies with jsonwebtoken 9 on ring.

use axum_07::extract::Request;
use axum_07::handler::HandlerWithoutStateExt;
use http::StatusCode;
use jwt_authorizer::{IntoLayer, JwtAuthorizer, JwtClaims, Validation};
use tower::Layer;
use tower_conductorone::testing::FakeTenant;

use crate::job::{self, AUDIENCE, Claims, DOMAIN, Form, LEEWAY};
use crate::receiver::Receiver;

pub(crate) async fn receiver<F: Form>(tenant: &FakeTenant) -> impl Receiver + 'static {
    let validation = Validation::new()
        .iss(&[DOMAIN])
        .aud(&[AUDIENCE])
        .nbf(true)
        .leeway(LEEWAY);
    let authorizer = JwtAuthorizer::<Claims>::from_jwks_text(&tenant.jwks())
        .validation(validation)
        .build()
        .await
        .expect("a good configuration");
    authorizer.into_layer().layer(handler::<F>.into_service())
}

async fn handler<F: Form>(JwtClaims(claims): JwtClaims<Claims>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    job::finish::<F, _>(&claims, &parts.method, &parts.uri, body).await
}
