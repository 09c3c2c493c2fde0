//! Signed claims for another receiver, another time, or another kind of token.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::forge::Forge;
use super::super::shot::{Attack, Shot, refused};

macro_rules! every_claim {
    ($($claim:literal)+) => {
        [$(
            refused(
                concat!($claim, "_missing"),
                concat!("the token has no ", $claim),
                |forge| forge.genuine().without_claim($claim).into(),
            ),
            refused(
                concat!($claim, "_null"),
                concat!($claim, " is null"),
                |forge| forge.genuine().claim($claim, Value::Null).into(),
            ),
            refused(
                concat!($claim, "_of_wrong_type"),
                concat!($claim, " is an object"),
                |forge| forge.genuine().claim($claim, json!({"$ne": ""})).into(),
            ),
        )+]
    };
}

pub(super) const EVERY: &[Attack] =
    &every_claim!["iss" "aud" "c1typ" "htm" "htu" "htb_s256" "iat" "nbf" "exp" "jti"];

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "iss_of_another_tenant",
        "iss is another tenant's domain",
        |forge| {
            forge
                .genuine()
                .claim("iss", json!(forge.stranger.domain()))
                .into()
        },
    ),
    refused(
        "iss_with_suffix",
        "iss is the tenant's domain followed by another domain",
        |forge| {
            let iss = format!("{}.attacker.example", forge.tenant.domain());
            forge.forged().claim("iss", json!(iss)).into()
        },
    ),
    refused(
        "iss_with_path",
        "iss is another host with the tenant's domain as its path",
        |forge| {
            let iss = format!("attacker.example/{}", forge.tenant.domain());
            forge.forged().claim("iss", json!(iss)).into()
        },
    ),
    refused(
        "iss_of_a_loopback_host",
        "iss is a loopback host",
        |forge| forge.forged().claim("iss", json!("127.0.0.1:22")).into(),
    ),
    refused(
        "iss_in_an_array",
        "iss is an array with the tenant's domain",
        |forge| {
            forge
                .genuine()
                .claim("iss", json!([forge.tenant.domain()]))
                .into()
        },
    ),
    refused(
        "aud_of_another_receiver",
        "aud is another receiver's host",
        |forge| {
            forge
                .genuine()
                .claim("aud", json!("other.example.com"))
                .into()
        },
    ),
    refused(
        "aud_with_suffix",
        "aud is the receiver's host followed by another domain",
        |forge| audience(forge, |host| format!("{host}.attacker.example")),
    ),
    refused(
        "aud_with_prefix",
        "aud ends with the receiver's host",
        |forge| audience(forge, |host| format!("attacker-{host}")),
    ),
    refused("aud_of_a_wildcard", "aud is *", |forge| {
        audience(forge, |_| "*".into())
    }),
    refused("aud_empty", "aud is empty", |forge| {
        audience(forge, |_| String::new())
    }),
    refused(
        "aud_of_several",
        "aud names another receiver, too",
        |forge| {
            let audience = forge.genuine().claims()["aud"].clone();
            forge
                .genuine()
                .claim("aud", json!([audience, "other.example.com"]))
                .into()
        },
    ),
    refused(
        "c1typ_of_another_token",
        "c1typ is that of another kind of token",
        |forge| forge.genuine().claim("c1typ", json!("at")).into(),
    ),
    refused("c1typ_in_capitals", "c1typ is WH", |forge| {
        forge.genuine().claim("c1typ", json!("WH")).into()
    }),
    refused("expired", "the token expired eight minutes ago", |forge| {
        forge
            .genuine()
            .issued_at(forge.now - Duration::from_secs(600))
            .into()
    }),
    refused(
        "expired_long_ago",
        "the token expired a year ago",
        |forge| {
            forge
                .genuine()
                .issued_at(forge.now - Duration::from_secs(365 * 86_400))
                .into()
        },
    ),
    refused(
        "not_yet_valid",
        "the token's iat is ten minutes in the future",
        |forge| {
            forge
                .genuine()
                .issued_at(forge.now + Duration::from_secs(600))
                .into()
        },
    ),
    refused("exp_far_away", "the token lives for ten years", |forge| {
        times(forge, json!(forge.seconds() + 315_360_000))
    }),
    refused("exp_without_end", "exp is the largest number", |forge| {
        times(forge, json!(f64::MAX))
    }),
    refused("exp_as_text", "exp is a text", |forge| {
        times(forge, json!((forge.seconds() + 120).to_string()))
    }),
    refused("exp_negative", "exp is before 1970", |forge| {
        times(forge, json!(-1))
    }),
    refused("exp_too_large", "exp is 1e999", |forge| {
        let exp = forge.genuine().claims()["exp"].to_string();
        forge
            .texts(|_, claims| *claims = claims.replacen(&exp, "1e999", 1))
            .into()
    }),
    refused(
        "exp_in_milliseconds",
        "exp is in milliseconds, so far in the future",
        |forge| times(forge, json!((forge.seconds() + 120) * 1000)),
    ),
    refused("htm_of_another_method", "htm is GET", |forge| {
        forge.genuine().claim("htm", json!("GET")).into()
    }),
    refused(
        "htm_in_lower_case",
        "htm is post: methods are case-sensitive (RFC 9110 §9.1)",
        |forge| forge.genuine().claim("htm", json!("post")).into(),
    ),
    refused("jti_empty", "jti is empty", |forge| {
        forge.genuine().claim("jti", json!("")).into()
    }),
    refused("jti_huge", "jti has 3,000 characters", |forge| {
        forge.genuine().claim("jti", json!("j".repeat(3000))).into()
    }),
    refused(
        "htb_s256_of_another_body",
        "htb_s256 is that of another delivery",
        |forge| {
            let other = forge.genuine().claims()["htb_s256"].clone();
            forge.genuine().claim("htb_s256", other).into()
        },
    ),
    refused(
        "htb_s256_of_no_body",
        "htb_s256 is that of an empty body",
        |forge| {
            let empty = json!("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
            forge.genuine().claim("htb_s256", empty).into()
        },
    ),
    refused("htb_s256_empty", "htb_s256 is empty", |forge| {
        forge.genuine().claim("htb_s256", json!("")).into()
    }),
    refused(
        "htb_s256_cut_short",
        "htb_s256 is the beginning of the right hash",
        |forge| {
            let delivery = forge.genuine();
            let digest = &delivery.claims()["htb_s256"];
            let beginning: String = digest
                .as_str()
                .into_iter()
                .flat_map(str::chars)
                .take(20)
                .collect();
            delivery.claim("htb_s256", json!(beginning)).into()
        },
    ),
];

fn audience(forge: &Forge, change: impl FnOnce(&str) -> String) -> Shot {
    let delivery = forge.genuine();
    let audience = change(delivery.claims()["aud"].as_str().unwrap_or_default());
    delivery.claim("aud", json!(audience)).into()
}

fn times(forge: &Forge, exp: Value) -> Shot {
    forge.genuine().claim("exp", exp).into()
}
