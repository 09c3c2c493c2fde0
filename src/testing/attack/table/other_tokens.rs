//! Genuine tokens of the tenant that are not a webhook's. Their signatures verify: one
//! JWKS has the keys for all tokens that ConductorOne signs for a tenant.

use serde_json::{Value, json};

use super::super::forge::Forge;
use super::super::shot::{Attack, Shot, refused};

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "id_jag_token",
        "a token for an agent's access to another service (ID-JAG)",
        |forge| {
            let now = forge.seconds();
            other(
                forge,
                "oauth-id-jag+jwt",
                &json!({
                    "iss": url(forge),
                    "sub": "2fCjAgent0rUserId0000000000",
                    "aud": "https://authorization.example.com/",
                    "client_id": "agent",
                    "jti": "2fCjIdJag0000000000000000000",
                    "resource": "https://api.example.com/",
                    "scope": "tickets.read",
                    "iat": now,
                    "exp": now + 300,
                }),
            )
        },
    ),
    refused(
        "id_jag_token_for_this_receiver",
        "an agent's token (ID-JAG) whose aud is the receiver's URL",
        |forge| {
            let now = forge.seconds();
            other(
                forge,
                "oauth-id-jag+jwt",
                &json!({
                    "iss": url(forge),
                    "sub": "2fCjAgent0rUserId0000000000",
                    "aud": forge.target(),
                    "client_id": "agent",
                    "jti": "2fCjIdJag0000000000000000001",
                    "iat": now,
                    "exp": now + 300,
                }),
            )
        },
    ),
    refused(
        "openid_token",
        "an ID token of a login (OpenID Connect)",
        |forge| {
            let now = forge.seconds();
            other(
                forge,
                "JWT",
                &json!({
                    "iss": url(forge),
                    "sub": "2fCjAgent0rUserId0000000000",
                    "aud": "2fCjC1ientId0000000000000000",
                    "nonce": "n-0S6_WzA2Mj",
                    "auth_time": now - 10,
                    "iat": now,
                    "exp": now + 3600,
                    "email": "ada@example.com",
                }),
            )
        },
    ),
    refused(
        "openid_token_for_this_receiver",
        "an ID token (OpenID Connect) whose aud is the receiver's host",
        |forge| {
            let now = forge.seconds();
            other(
                forge,
                "JWT",
                &json!({
                    "iss": url(forge),
                    "sub": "2fCjAgent0rUserId0000000000",
                    "aud": forge.genuine().claims()["aud"],
                    "jti": "2fCj0penId00000000000000000",
                    "iat": now,
                    "nbf": now,
                    "exp": now + 300,
                }),
            )
        },
    ),
    refused(
        "iss_of_a_url",
        "iss is the tenant's URL, as in all of its other tokens",
        |forge| forge.genuine().claim("iss", json!(url(forge))).into(),
    ),
    refused(
        "typ_id_jag",
        "typ names another kind of token: oauth-id-jag+jwt",
        |forge| {
            let typ = json!("oauth-id-jag+jwt");
            forge.genuine().header_param("typ", typ).into()
        },
    ),
];

/// The tenant as the issuer of its other tokens.
fn url(forge: &Forge) -> String {
    format!("https://{}", forge.tenant.domain())
}

/// Another token in the place of a webhook's, signed with the same key.
fn other(forge: &Forge, typ: &str, claims: &Value) -> Shot {
    let delivery = forge.genuine().header_param("typ", json!(typ));
    let header = Value::Object(delivery.header_params()).to_string();
    let token = forge.tenant.sign(header, claims.to_string());
    delivery.token(token).into()
}
