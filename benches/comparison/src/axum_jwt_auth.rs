//! The extractor of axum-jwt-auth, in an axum handler that does the rest. It
//! verifies with jsonwebtoken 10 on `RustCrypto`, which it does not let one change.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum_jwt_auth::{Decoder, LocalDecoder};
use http::StatusCode;
use jsonwebtoken_10::jwk::JwkSet;
use jsonwebtoken_10::{Algorithm, DecodingKey, Validation};
use tower_conductorone::testing::FakeTenant;

use crate::job::{self, AUDIENCE, Claims, DOMAIN, Form, LEEWAY};
use crate::receiver::Receiver;

pub(crate) fn receiver<F: Form>(tenant: &FakeTenant) -> impl Receiver + 'static {
    let set: JwkSet = serde_json::from_str(&tenant.jwks()).expect("a key set");
    let jwk = &set.keys[0];
    let algorithm = jwk.common.key_algorithm.expect("an algorithm");
    let algorithm: Algorithm = algorithm.to_string().parse().expect("one for signatures");
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[DOMAIN]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    let decoder = LocalDecoder::builder()
        .keys(vec![DecodingKey::from_jwk(jwk).expect("a public key")])
        .validation(validation)
        .build()
        .expect("a good configuration");
    handler::<F>.with_state(Arc::new(decoder) as Decoder<Claims>)
}

async fn handler<F: Form>(claims: axum_jwt_auth::Claims<Claims>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    job::finish::<F, _>(&claims.claims, &parts.method, &parts.uri, body).await
}
