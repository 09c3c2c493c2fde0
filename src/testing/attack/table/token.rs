//! Malformed tokens, and tokens in the wrong place.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use super::super::shot::{Attack, Shot, refused};
use crate::testing::signer::encode;

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "token_missing",
        "there is no Authorization header",
        |forge| forge.genuine().without_http_header("authorization").into(),
    ),
    refused(
        "token_empty",
        "Authorization has the scheme alone",
        |forge| forge.genuine().token("").into(),
    ),
    refused("token_of_dots", "the token is 4,000 dots", |forge| {
        forge.genuine().token(".".repeat(4000)).into()
    }),
    refused("token_huge", "the token has 64 KiB", |forge| {
        let token = forge.genuine().claim("pad", "x".repeat(48 * 1024).into());
        token.into()
    }),
    refused(
        "token_of_four_parts",
        "the token has a fourth part",
        |forge| {
            forge
                .parts(|header, claims, signature| format!("{header}.{claims}.{signature}."))
                .into()
        },
    ),
    refused(
        "token_of_five_parts",
        "the token has the parts of a JWE",
        |forge| {
            forge
                .parts(|header, claims, signature| format!("{header}..{claims}.{signature}.x"))
                .into()
        },
    ),
    refused(
        "token_twice",
        "one Authorization has two tokens, separated by a comma",
        |forge| Shot::from(forge.genuine()).authorization(|value| format!("{value}, {value}")),
    ),
    refused(
        "two_tokens_genuine_first",
        "a second Authorization has a forged token",
        |forge| {
            let forged = format!("bearer {}", forge.forged().token_string());
            Shot::from(forge.genuine()).and_header("authorization", &forged)
        },
    ),
    refused(
        "two_tokens_forged_first",
        "the first of two Authorizations has a forged token",
        |forge| {
            let genuine = format!("bearer {}", forge.genuine().token_string());
            Shot::from(forge.forged()).and_header("authorization", &genuine)
        },
    ),
    refused(
        "two_schemes",
        "a second Authorization has a password",
        |forge| {
            Shot::from(forge.genuine()).and_header("authorization", "Basic dXNlcjpwYXNzd29yZA==")
        },
    ),
    refused("scheme_basic", "the scheme is Basic", |forge| {
        Shot::from(forge.genuine()).authorization(|value| value.replacen("bearer", "Basic", 1))
    }),
    refused("scheme_dpop", "the scheme is DPoP", |forge| {
        Shot::from(forge.genuine()).authorization(|value| value.replacen("bearer", "DPoP", 1))
    }),
    refused(
        "scheme_missing",
        "Authorization has the token without a scheme",
        |forge| Shot::from(forge.genuine()).authorization(|value| value.replacen("bearer ", "", 1)),
    ),
    refused("scheme_twice", "the scheme is there twice", |forge| {
        Shot::from(forge.genuine()).authorization(|value| format!("bearer {value}"))
    }),
    refused(
        "token_in_the_query",
        "the token is in the query (RFC 6750 §2.3)",
        |forge| {
            let delivery = forge.genuine();
            let query = format!("access_token={}", delivery.token_string());
            Shot::from(delivery.without_http_header("authorization")).query(&query)
        },
    ),
    refused(
        "token_in_another_header",
        "the token is in X-Authorization, Proxy-Authorization and Cookie",
        |forge| {
            let delivery = forge.genuine();
            let value = format!("bearer {}", delivery.token_string());
            let delivery = ["x-authorization", "proxy-authorization", "cookie"]
                .into_iter()
                .fold(delivery, |delivery, name| {
                    delivery.http_header(name, value.as_str())
                });
            delivery.without_http_header("authorization").into()
        },
    ),
    refused("token_quoted", "the token is in quotes", |forge| {
        forge
            .parts(|header, claims, signature| format!("\"{header}.{claims}.{signature}\""))
            .into()
    }),
    refused(
        "token_not_ascii",
        "the token has a byte that is not ASCII",
        |forge| {
            let mut value = b"bearer ".to_vec();
            let delivery = forge.genuine();
            value.extend(delivery.token_string().bytes());
            value.push(0xe9);
            delivery.http_header("authorization", value).into()
        },
    ),
    refused(
        "padding_on_header",
        "the header's base64 is padded, and signed so",
        |forge| {
            forge
                .encoded(|header, claims| format!("{header}=.{claims}"))
                .into()
        },
    ),
    refused(
        "padding_on_claims",
        "the claims' base64 is padded, and signed so",
        |forge| {
            forge
                .encoded(|header, claims| format!("{header}.{claims}="))
                .into()
        },
    ),
    refused(
        "padding_on_signature",
        "the signature's base64 is padded",
        |forge| {
            forge
                .parts(|header, claims, signature| format!("{header}.{claims}.{signature}=="))
                .into()
        },
    ),
    refused(
        "line_break_encoded",
        "the claims' base64 has an encoded line break, and is signed so",
        |forge| {
            forge
                .encoded(|header, claims| format!("{header}.{claims}%0A"))
                .into()
        },
    ),
    refused(
        "base64_of_the_other_alphabet",
        "the header is in standard base64, and signed so",
        |forge| {
            let mut header = forge.genuine().header_params();
            header.insert("odd".into(), "???>>>~~~".into());
            let header =
                BASE64_STANDARD_NO_PAD.encode(serde_json::Value::Object(header).to_string());
            forge
                .encoded(|_, claims| format!("{header}.{claims}"))
                .into()
        },
    ),
    refused(
        "base64_not_canonical",
        "the claims' base64 has stray bits at its end, and is signed so",
        |forge| {
            forge
                .encoded(|header, _| {
                    // So long that its last character has bits to spare.
                    let mut claims =
                        serde_json::Value::Object(forge.genuine().claims()).to_string();
                    while claims.len() % 3 != 1 {
                        claims.push(' ');
                    }
                    let mut claims = encode(claims);
                    // What was 0 in the lowest bit, is 1 in the next character.
                    let last = claims.pop().map(|last| char::from(last as u8 + 1));
                    claims.extend(last);
                    format!("{header}.{claims}")
                })
                .into()
        },
    ),
    refused(
        "claims_not_utf8",
        "the claims are not UTF-8, and signed so",
        |forge| {
            forge
                .encoded(|header, _| format!("{header}.{}", encode(b"{\"iss\":\"\xff\"}")))
                .into()
        },
    ),
    refused(
        "claims_not_json",
        "the claims are not JSON, and signed so",
        |forge| {
            forge
                .texts(|_, claims| *claims = claims.replace('"', "'"))
                .into()
        },
    ),
    refused(
        "claims_of_an_array",
        "the claims are an array of objects, and signed so",
        |forge| {
            forge
                .texts(|_, claims| *claims = format!("[{claims}]"))
                .into()
        },
    ),
    refused(
        "claims_empty",
        "the claims are an empty object, and signed so",
        |forge| forge.texts(|_, claims| *claims = "{}".into()).into(),
    ),
    refused(
        "claims_with_iss_twice",
        "the claims have iss twice, a stranger's first (RFC 7519 §4)",
        |forge| {
            forge
                .texts(|_, claims| claims.insert_str(1, r#""iss":"stranger.conductor.one","#))
                .into()
        },
    ),
    refused(
        "claims_with_htu_twice",
        "the claims have htu twice, another URL first",
        |forge| {
            forge
                .texts(|_, claims| claims.insert_str(1, r#""htu":"https://other.example/","#))
                .into()
        },
    ),
];
