//! Genuine requests in every form that the standards allow.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::shot::{Attack, Shot, accepted};

pub(super) const ATTACKS: &[Attack] = &[
    accepted("genuine", "what ConductorOne sends", |forge| {
        forge.genuine().into()
    }),
    accepted(
        "genuine_scheme_in_capitals",
        "the Authorization scheme is BEARER (RFC 9110 §11.1)",
        |forge| {
            let delivery = forge.genuine();
            let value = format!("BEARER {}", delivery.token_string());
            delivery.http_header("authorization", value).into()
        },
    ),
    accepted(
        "genuine_without_kid",
        "the token names no key (RFC 7515 §4.1.4)",
        |forge| forge.genuine().without_header_param("kid").into(),
    ),
    accepted(
        "genuine_without_typ",
        "the token's header has no typ (RFC 7515 §4.1.9)",
        |forge| forge.genuine().without_header_param("typ").into(),
    ),
    accepted(
        "genuine_typ_in_full",
        "the token's typ is application/jwt (RFC 7515 §4.1.9)",
        |forge| {
            forge
                .genuine()
                .header_param("typ", json!("application/jwt"))
                .into()
        },
    ),
    accepted(
        "genuine_with_unknown_members",
        "header and claims have unknown members (RFC 7519 §4, RFC 7515 §4)",
        |forge| {
            forge
                .genuine()
                .header_param("later", json!({"a": [1]}))
                .claim("later", json!([null]))
                .into()
        },
    ),
    accepted(
        "genuine_audience_in_an_array",
        "aud is an array of one (RFC 7519 §4.1.3)",
        |forge| {
            let audience = forge.genuine().claims()["aud"].clone();
            forge.genuine().claim("aud", json!([audience])).into()
        },
    ),
    accepted(
        "genuine_fraction_of_a_second",
        "iat has a fraction (RFC 7519 §2)",
        |forge| {
            let iat = forge.genuine().claims()["iat"].to_string();
            let fraction = format!("{iat}.25");
            forge
                .texts(|_, claims| *claims = claims.replacen(&iat, &fraction, 1))
                .into()
        },
    ),
    accepted(
        "genuine_htu_not_normalised",
        "htu has scheme and host in capitals (RFC 9449 §4.3, RFC 3986 §6.2.2.1)",
        |forge| {
            forge
                .htu(|scheme, authority, path| {
                    format!("{scheme}://{authority}").to_ascii_uppercase() + path
                })
                .into()
        },
    ),
    accepted(
        "genuine_without_content_digest",
        "there is no Content-Digest, which is not signed and which older senders omit",
        |forge| forge.genuine().without_http_header("content-digest").into(),
    ),
    accepted(
        "genuine_content_digest_of_rfc_9530",
        "Content-Digest has the form of RFC 9530 §2, with colons",
        |forge| {
            let delivery = forge.genuine();
            let digest = BASE64_STANDARD.encode(Sha256::digest(delivery.body_bytes()));
            delivery
                .http_header("content-digest", format!("sha-256=:{digest}:"))
                .into()
        },
    ),
    accepted(
        "genuine_content_type_with_charset",
        "the content type has a parameter (RFC 9110 §8.3.1)",
        |forge| {
            forge
                .genuine()
                .http_header("content-type", "Application/JSON; charset=utf-8")
                .into()
        },
    ),
    accepted(
        "genuine_with_query",
        "the request has a query, which htu omits",
        |forge| Shot::from(forge.genuine()).query("source=c1&next=/other"),
    ),
    accepted(
        "genuine_behind_a_proxy",
        "X-Forwarded-* and Forwarded, which anyone can send, name another host",
        |forge| {
            forge
                .genuine()
                .http_header("x-forwarded-host", "attacker.example")
                .http_header("x-forwarded-proto", "http")
                .http_header("forwarded", "host=attacker.example;proto=http")
                .into()
        },
    ),
    accepted(
        "genuine_body_written_otherwise",
        "the envelope has white space, another order, null and an unknown member",
        |forge| {
            let delivery = forge.genuine().callback_url(None);
            let envelope = delivery.envelope();
            let [id, event, payload] =
                ["webhookId", "event", "payload"].map(|name| &envelope[name]);
            let body = format!(
                "\r\n{{ \"payload\" : {payload},\"later\":[{{}}],\t\"event\":{event}, \
                 \"callbackUrl\":null,\"webhookId\":{id},\n\"version\":\"v1\"}} \n"
            );
            delivery.body(body).into()
        },
    ),
    accepted(
        "genuine_clock_ahead",
        "the tenant's clock is 20 s ahead of the receiver's",
        |forge| {
            let ahead = forge.now + std::time::Duration::from_secs(20);
            forge.genuine().issued_at(ahead).into()
        },
    ),
    accepted(
        "genuine_retry",
        "the same webhook with a new token, as ConductorOne retries it",
        |forge| {
            let first = forge.genuine();
            let again = first.clone().claim("jti", json!("a new one"));
            Shot::from(again).after(first.into())
        },
    ),
];

pub(super) const AFTERWARDS: &[Attack] = &[accepted(
    "genuine_after_all_attacks",
    "what ConductorOne sends, after all attacks",
    |forge| forge.genuine().into(),
)];
