//! Key sets from the types of `jsonwebtoken`.

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};
use support::{DOMAIN, TEST_EVENT, clock, now, send};
use tokio::sync::watch;
use tower_conductorone::keys::{Algorithm, KeySet, KeySetError, KeySource, SkipReason};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{Tenant, VerifyWebhookLayer};

fn jwk_set(keys: &[Value]) -> JwkSet {
    serde_json::from_value(json!({ "keys": keys })).expect("a set for jsonwebtoken")
}

fn ed25519(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid,
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn receiver(tenant: Tenant) -> VerifyWebhookLayer {
    let builder = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(tenant)
        .clock(clock());
    builder.build().expect("good")
}

#[tokio::test]
async fn a_token_of_each_kind_of_key_passes() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tenant = FakeTenant::new(DOMAIN);
        tenant.rotate(algorithm);
        let jwks: JwkSet = serde_json::from_str(&tenant.jwks()).expect("the tenant's own");
        let keys = KeySet::try_from(&jwks).expect("usable");
        let document = KeySet::from_json(tenant.jwks().as_bytes()).expect("usable");
        assert_eq!(format!("{keys:?}"), format!("{document:?}"));
        let layer = receiver(Tenant::new(DOMAIN).static_keys(keys));
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token("accepted", algorithm);
        let stranger = FakeTenant::new(DOMAIN);
        stranger.rotate(algorithm);
        let forged = stranger.delivery(TEST_EVENT).issued_at(now());
        assert_ne!(send(&layer, forged.request()).await.code(), "accepted");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_skipped_and_named() {
    use SkipReason as R;

    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let bad = [
        (json!({"kty": "oct", "k": "c2VjcmV0"}), R::Secret),
        (
            json!({"kty": "EC", "crv": "P-384", "x": x, "y": x}),
            R::Curve,
        ),
        (
            json!({"kty": "EC", "crv": "secp256k1", "x": x, "y": x}),
            R::Curve,
        ),
        (
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}),
            R::NotOnCurve,
        ),
        (json!({"kty": "OKP", "crv": "X25519", "x": x}), R::Curve),
        (
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            R::RsaModulusSize(17),
        ),
        (
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"}),
            R::KeyType,
        ),
        (json!({"crv": "Ed25519"}), R::Missing("kty")),
        (with(ed25519(""), "use", "enc"), R::Use),
        (with(ed25519(""), "key_ops", json!(["sign"])), R::KeyOps),
        (
            with(ed25519(""), "alg", "RS256"),
            R::Algorithm(Algorithm::EdDsa),
        ),
        // Whatever that is, it is not RS256.
        (
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS1"}),
            R::Algorithm(Algorithm::Rs256),
        ),
    ];
    let (mut keys, mut expected) = (vec![ed25519("good")], Vec::new());
    for (i, (jwk, reason)) in bad.into_iter().enumerate() {
        let kid = format!("bad-{i}");
        keys.push(with(jwk, "kid", kid.clone()));
        expected.push((Some(kid), reason));
    }
    let set = KeySet::try_from(&jwk_set(&keys)).expect("one is good");
    let good: Vec<_> = set.keys().map(|key| key.kid).collect();
    assert_eq!(good, [Some("good".to_owned())]);
    let skipped = set.skipped().iter();
    let skipped: Vec<_> = skipped.map(|key| (key.kid.clone(), key.reason)).collect();
    assert_eq!(skipped, expected);

    let error = KeySet::try_from(&jwk_set(&keys[1..])).expect_err("none is good");
    assert!(matches!(error, KeySetError::NoUsableKey(_)));
    assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
    let error = KeySet::try_from(&jwk_set(&vec![ed25519("k"); 65])).expect_err("too many");
    assert!(matches!(error, KeySetError::TooManyKeys(65)));
}

/// `jsonwebtoken` knows the older name of the algorithm alone.
#[test]
fn an_ed25519_key_may_be_called_by_either_name() {
    for alg in ["EdDSA", "Ed25519"] {
        let set = KeySet::try_from(&jwk_set(&[with(ed25519("k"), "alg", alg)]));
        let set = set.expect("usable");
        let keys: Vec<_> = set.keys().map(|key| key.algorithm).collect();
        assert_eq!(keys, [Algorithm::EdDsa], "{alg}");
    }
}

/// The keys that an application has fetched last.
#[derive(Clone, Debug, Default)]
struct FetchedKeys(watch::Sender<Option<Arc<KeySet>>>);

impl FetchedKeys {
    fn update(&self, jwks: &str) {
        let jwks: JwkSet = serde_json::from_str(jwks).expect("a set for jsonwebtoken");
        let keys = KeySet::try_from(&jwks).expect("usable");
        self.0.send_replace(Some(Arc::new(keys)));
    }
}

impl KeySource for FetchedKeys {
    fn current(&self) -> Option<Arc<KeySet>> {
        self.0.borrow().clone()
    }
}

#[tokio::test]
async fn keys_that_an_application_holds_follow_its_own_fetches() {
    let (tenant, keys) = (FakeTenant::new(DOMAIN), FetchedKeys::default());
    let layer = receiver(Tenant::new(DOMAIN).key_source(keys.clone()));
    let code = || async {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        send(&layer, delivery.request()).await.code()
    };
    assert_eq!(code().await, "keys_unavailable");
    keys.update(&tenant.jwks());
    assert_eq!(code().await, "accepted");
    let old = tenant.signing_key();
    tenant.rotate(Algorithm::Es256);
    tenant.remove_key(&old);
    assert_eq!(code().await, "unknown_key");
    keys.update(&tenant.jwks());
    assert_eq!(code().await, "accepted");
}
