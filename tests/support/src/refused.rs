//! Requests that the verifying layer refuses, one for each reason that matters to
//! what a refusal costs.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, FakeTenant};

use crate::{DOMAIN, TEST_EVENT, now};

/// A request that is refused.
#[derive(Debug)]
pub struct Refused {
    pub name: &'static str,
    /// The status of the answer.
    pub status: u16,
    pub request: Request<Full<Bytes>>,
}

/// Requests that [`receiver`](crate::receiver) of this tenant, with an EdDSA key, refuses.
pub fn refused(tenant: &FakeTenant) -> Vec<Refused> {
    let good = || tenant.delivery(TEST_EVENT).issued_at(now());
    let garbage = "garbage/".repeat(50);
    let three_parts = [&*garbage; 3].join(".");
    let forger = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let by_forger = forger.delivery(TEST_EVENT).issued_at(now());
    let bad_signature = by_forger.header_param("kid", json!(tenant.signing_key()));
    let expired = good().issued_at(now() - Duration::from_secs(1_000));
    let too_large = good().http_header("content-length", "3000000");
    let refused = |name, status, delivery: Delivery| Refused {
        name,
        status,
        request: delivery.request(),
    };
    vec![
        refused("no token", 401, good().without_http_header("authorization")),
        refused("garbage", 401, good().token(garbage)),
        refused("three parts of garbage", 401, good().token(three_parts)),
        refused(
            "unknown kid",
            401,
            good().header_param("kid", json!("another")),
        ),
        refused("bad signature", 401, bad_signature),
        refused("expired", 401, expired),
        refused(
            "wrong audience",
            401,
            good().claim("aud", json!("other.example.com")),
        ),
        refused("Content-Length over the limit", 413, too_large),
    ]
}
