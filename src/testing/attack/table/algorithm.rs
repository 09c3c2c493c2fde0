//! Tokens with a wrong `alg`, and signatures with a wrong key.

use serde_json::json;

use super::super::shot::{Attack, Shot, refused};
use crate::testing::Delivery;

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "alg_none",
        "alg is none and there is no signature (RFC 7515 appendix A.5)",
        |forge| {
            let delivery = forge.genuine().header_param("alg", json!("none"));
            unsigned(delivery)
        },
    ),
    refused(
        "alg_none_in_other_case",
        "alg is nOnE and there is no signature",
        |forge| unsigned(forge.genuine().header_param("alg", json!("nOnE"))),
    ),
    refused(
        "alg_none_with_signature",
        "alg is none, with the tenant's signature",
        |forge| forge.genuine().header_param("alg", json!("none")).into(),
    ),
    refused(
        "alg_none_without_kid",
        "alg is none, and there is neither a kid nor a signature",
        |forge| {
            let delivery = forge.genuine().header_param("alg", json!("none"));
            unsigned(delivery.without_header_param("kid"))
        },
    ),
    refused("alg_empty", "alg is empty", |forge| {
        forge.genuine().header_param("alg", json!("")).into()
    }),
    refused("alg_missing", "there is no alg", |forge| {
        forge.genuine().without_header_param("alg").into()
    }),
    refused("alg_number", "alg is a number", |forge| {
        forge.genuine().header_param("alg", json!(256)).into()
    }),
    refused("alg_in_lower_case", "alg is in lower case", |forge| {
        let alg = &forge.genuine().header_params()["alg"];
        let alg = alg.as_str().unwrap_or_default().to_ascii_lowercase();
        forge.genuine().header_param("alg", json!(alg)).into()
    }),
    refused(
        "alg_es384",
        "alg is ES384, signed with the tenant's key",
        |forge| forge.genuine().header_param("alg", json!("ES384")).into(),
    ),
    refused(
        "alg_rs512",
        "alg is RS512, signed with the tenant's key",
        |forge| forge.genuine().header_param("alg", json!("RS512")).into(),
    ),
    refused(
        "alg_ps256",
        "alg is PS256, signed with the tenant's key",
        |forge| forge.genuine().header_param("alg", json!("PS256")).into(),
    ),
    refused(
        "alg_of_another_key",
        "alg is a supported one, but not the key's",
        |forge| {
            let alg = match forge.genuine().header_params()["alg"].as_str() {
                Some("RS256") => "ES256",
                _ => "RS256",
            };
            forge.genuine().header_param("alg", json!(alg)).into()
        },
    ),
    refused(
        "hs256_with_public_pem",
        "signed with HS256 and the public key in PEM as the secret (key confusion)",
        |forge| forge.hmac(forge.public_pem().as_bytes()).into(),
    ),
    refused(
        "hs256_with_public_der",
        "signed with HS256 and the public key in DER as the secret",
        |forge| forge.hmac(&forge.public_der()).into(),
    ),
    refused(
        "hs256_with_public_jwk",
        "signed with HS256 and the published JWK as the secret",
        |forge| {
            let jwk = forge.tenant.jwk(&forge.tenant.signing_key());
            forge.hmac(json!(jwk).to_string().as_bytes()).into()
        },
    ),
    refused(
        "hs256_with_empty_secret",
        "signed with HS256 and an empty secret",
        |forge| forge.hmac(b"").into(),
    ),
];

/// Removes the signature of the token.
fn unsigned(delivery: Delivery) -> Shot {
    let token = delivery.token_string();
    let (input, _) = token.rsplit_once('.').unwrap_or_default();
    delivery.token(format!("{input}.")).into()
}
