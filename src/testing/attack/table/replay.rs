//! Accepted requests, sent again.

use serde_json::json;

use super::super::shot::{Attack, Shot, refused};
use super::ec;

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "replay",
        "a genuine request is sent a second time",
        |forge| Shot::from(forge.genuine()).twice(),
    ),
    refused(
        "replay_in_capitals",
        "a genuine request is sent again with the scheme in capitals",
        |forge| {
            Shot::from(forge.genuine())
                .twice()
                .authorization(|value| value.replacen("bearer", "BEARER", 1))
        },
    ),
    refused(
        "replay_with_query",
        "a genuine request is sent again with another query",
        |forge| Shot::from(forge.genuine()).twice().query("again=1"),
    ),
    refused(
        "replay_with_twin_signature",
        "a genuine request is sent again with its second ECDSA signature: order − s",
        |forge| {
            let delivery = forge.genuine();
            let token = delivery.token_string();
            let again = delivery.clone().token(ec::with_twin_signature(&token));
            Shot::from(again).after(delivery.token(token).into())
        },
    ),
    refused(
        "replay_signed_again",
        "a token with the same jti, signed again for another body",
        |forge| {
            let first = forge.genuine();
            let again = first.clone().payload(json!({"other": true}));
            Shot::from(again).after(first.into())
        },
    ),
];
