//! Input: a JWKS document; where it is JSON, it also becomes a key of the
//! tenant's own set.
//!
//! Whatever the document: each key in it is either used or named as skipped, no
//! key is used that holds a secret, is too weak or for something else, no secret
//! is shown, and no odd key keeps the good one beside it from working.
#![no_main]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use tower_conductorone::keys::{Algorithm, KeySet};
use tower_conductorone_fuzz::{Members, builder, delivery, jwk, send_to};

const SECRETS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

#[derive(Deserialize)]
struct Document {
    keys: Vec<Box<RawValue>>,
}

fuzz_target!(|data: &[u8]| {
    let document = serde_json::from_slice::<Document>(data).ok();
    let shown = match KeySet::from_json(data) {
        Ok(set) => {
            let entries = document.as_ref().expect("a JWK set").keys.as_slice();
            check(&set, entries);
            format!("{set}{set:?}")
        }
        Err(error) => format!("{error}{error:?}"),
    };
    if let Some(document) = &document {
        check_secrets(document, &shown);
    }
    if let Ok(entry) = serde_json::from_slice::<&RawValue>(data) {
        let set = format!(r#"{{"keys":[{entry},{}]}}"#, jwk());
        let receiver = builder(&set).expect("one good key is enough");
        let receiver = receiver.build().expect("a good configuration");
        let outcome = send_to(&receiver, delivery().request());
        assert!(outcome.is_accepted(), "{}", outcome.code);
    }
});

fn check(set: &KeySet, entries: &[Box<RawValue>]) {
    assert!((1..=64).contains(&set.len()) && !set.is_empty());
    assert_eq!(set.len() + set.skipped().len(), entries.len());
    assert_eq!(set.keys().count(), set.len());
    // In the order of the document, each key is one that may be used.
    let mut usable = entries.iter().filter_map(|entry| usable(entry));
    for key in set.keys() {
        let found = usable.any(|(kid, algorithm)| kid == key.kid && algorithm == key.algorithm);
        assert!(found, "{key:?} must not be used");
    }
}

/// The `kid` and algorithm of a public signature key that is strong enough, as
/// RFC 7517 and RFC 7518 describe it.
fn usable(entry: &RawValue) -> Option<(Option<String>, Algorithm)> {
    let jwk: Members = serde_json::from_str(entry.get()).ok()?;
    let text = |name| -> Option<String> { serde_json::from_str(jwk.get(name)?.get()).ok() };
    let number = |name| BASE64.decode(text(name)?).ok();
    let is_coordinate = |name| number(name).is_some_and(|bytes| bytes.len() == 32);
    if SECRETS.iter().any(|name| jwk.contains_key(*name)) {
        return None;
    }
    if jwk.contains_key("use") && text("use")? != "sig" {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        let operations: Vec<String> = serde_json::from_str(operations.get()).ok()?;
        operations.iter().find(|name| *name == "verify")?;
    }
    let algorithm = match (text("kty")?.as_str(), text("crv").as_deref()) {
        ("RSA", _) => {
            let bits = number("n")?.iter().skip_while(|byte| **byte == 0).count() * 8;
            (2048..=4096).contains(&bits).then_some(Algorithm::Rs256)?
        }
        ("EC", Some("P-256")) if is_coordinate("x") && is_coordinate("y") => Algorithm::Es256,
        ("OKP", Some("Ed25519")) if is_coordinate("x") => Algorithm::EdDsa,
        _ => return None,
    };
    if jwk.contains_key("alg") && Algorithm::from_header_name(&text("alg")?)? != algorithm {
        return None;
    }
    if jwk.contains_key("kid") && !(1..=256).contains(&text("kid")?.len()) {
        return None;
    }
    Some((text("kid"), algorithm))
}

/// What a key keeps secret is not shown, unless the name of a key, which is, has
/// it.
fn check_secrets(document: &Document, shown: &str) {
    let keys: Vec<Members> = document
        .keys
        .iter()
        .filter_map(|entry| serde_json::from_str(entry.get()).ok())
        .collect();
    let texts = |name: &'static str| {
        keys.iter()
            .filter_map(move |key| serde_json::from_str::<String>(key.get(name)?.get()).ok())
    };
    let names: Vec<String> = texts("kid").collect();
    for secret in SECRETS.into_iter().flat_map(texts) {
        let long = secret.len() >= 16 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let shown = shown.contains(&secret) && !names.iter().any(|name| name.contains(&secret));
        assert!(!long || !shown, "{secret}");
    }
}
