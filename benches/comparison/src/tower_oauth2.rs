//! The layer of tower-oauth2-resource-server, around an axum handler that does the
//! rest. It verifies with jsonwebtoken 11 on aws-lc-rs.

use std::sync::Arc;

use axum::Extension;
use axum::extract::Request;
use axum::handler::HandlerWithoutStateExt;
use http::{StatusCode, header};
use tower::Layer;
use tower_conductorone::testing::FakeTenant;
use tower_oauth2_resource_server::error::AuthError;
use tower_oauth2_resource_server::jwt_resolver::BearerTokenResolver;
use tower_oauth2_resource_server::jwt_unverified::UnverifiedJwt;
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

use crate::job::{self, AUDIENCE, Claims, DOMAIN, Form};
use crate::receiver::Receiver;

/// Finds the token whatever the scheme's case: the crate's own resolver finds none
/// after ConductorOne's `bearer`.
struct Resolver;

impl BearerTokenResolver for Resolver {
    fn resolve(&self, request: &http::Request<()>) -> Result<UnverifiedJwt, AuthError> {
        let value = request.headers().get(header::AUTHORIZATION);
        let value = value.ok_or(AuthError::MissingAuthorizationHeader)?;
        let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
        match parts {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(UnverifiedJwt::new(token))
            }
            _ => Err(AuthError::InvalidAuthorizationHeader),
        }
    }
}

pub(crate) async fn receiver<F: Form>(tenant: &FakeTenant) -> impl Receiver + 'static {
    let audiences = vec![AUDIENCE.to_owned()];
    let configuration = TenantConfiguration::static_builder(tenant.jwks())
        .claims_validation(ClaimsValidationSpec::recommended(DOMAIN, &audiences))
        .build()
        .expect("a good configuration");
    let server = OAuth2ResourceServer::<Claims>::builder()
        .add_tenant(configuration)
        .bearer_token_resolver(Arc::new(Resolver))
        .build()
        .await
        .expect("a good configuration");
    server.into_layer().layer(handler::<F>.into_service())
}

async fn handler<F: Form>(Extension(claims): Extension<Claims>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    job::finish::<F, _>(&claims, &parts.method, &parts.uri, body).await
}
