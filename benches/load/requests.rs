//! Requests as bytes, signed now.

use std::iter::repeat_with;

use serde_json::json;
use support::wire;
use support::{DOMAIN, TEST_EVENT};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, FakeTenant};

/// Deliveries with bodies of this size, each with a token of its own.
pub(crate) fn accepted(tenant: &FakeTenant, size: usize) -> impl Iterator<Item = Vec<u8>> {
    repeat_with(move || bytes(&delivery(tenant, size)))
}

/// As good as can be, but for the signature: it costs most of what is refused unread.
pub(crate) fn forged(tenant: &FakeTenant, size: usize) -> Vec<u8> {
    let forger = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    bytes(&delivery(&forger, size).header_param("kid", json!(tenant.signing_key())))
}

fn delivery(tenant: &FakeTenant, size: usize) -> Delivery {
    let delivery = tenant.delivery(TEST_EVENT);
    let mut payload = delivery.envelope()["payload"].take();
    payload["filler"] = "".into();
    let delivery = delivery.payload(payload.clone());
    payload["filler"] = "a".repeat(size - delivery.body_bytes().len()).into();
    delivery.payload(payload)
}

fn bytes(delivery: &Delivery) -> Vec<u8> {
    let request = delivery.request();
    let target = request.uri().to_string();
    let length = format!("content-length: {}\r\n", wire::body_length(&request));
    let mut bytes = wire::head(&request, &target, &length).into_bytes();
    bytes.extend_from_slice(&delivery.body_bytes());
    bytes
}
