//! An axum handler as one writes it by hand, with jsonwebtoken 12 on aws-lc-rs.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::handler::Handler;
use http::{HeaderMap, StatusCode, header};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use tower_conductorone::testing::FakeTenant;

use crate::job::{self, AUDIENCE, Claims, DOMAIN, Form, LEEWAY};
use crate::receiver::Receiver;

type Keys = Arc<HashMap<String, (DecodingKey, Validation)>>;

pub(crate) fn receiver<F: Form>(tenant: &FakeTenant) -> impl Receiver + 'static {
    handler::<F>.with_state(keys(tenant))
}

fn keys(tenant: &FakeTenant) -> Keys {
    let set: JwkSet = serde_json::from_str(&tenant.jwks()).expect("a key set");
    let keys = set.keys.iter().map(|jwk| {
        let algorithm = jwk.common.key_algorithm.expect("an algorithm");
        let algorithm = Algorithm::try_from(algorithm).expect("one for signatures");
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[DOMAIN]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let key = DecodingKey::from_jwk(jwk).expect("a public key");
        (jwk.common.key_id.clone().expect("an id"), (key, validation))
    });
    Arc::new(keys.collect())
}

fn claims(keys: &Keys, headers: &HeaderMap) -> Option<Claims> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let kid = decode_header(token).ok()?.kid?;
    let (key, validation) = keys.get(&kid)?;
    Some(decode(token, key, validation).ok()?.claims)
}

async fn handler<F: Form>(State(keys): State<Keys>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    match claims(&keys, &parts.headers) {
        Some(claims) => job::finish::<F, _>(&claims, &parts.method, &parts.uri, body).await,
        None => StatusCode::UNAUTHORIZED,
    }
}
