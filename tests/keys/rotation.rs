//! A key that the receiver does not know yet: the tenant's newest keys are
//! looked at once, and what they say stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{DOMAIN, TEST_EVENT, clock, now, send};
use tower_conductorone::keys::{Algorithm, KeySet, KeySource, KeysUnavailable};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{BoxFuture, Tenant, VerifyWebhookLayer};

/// Hands out its first keys, and the newer ones, if it can have them, to whoever
/// is not content.
#[derive(Clone, Debug)]
struct Keys {
    first: Arc<KeySet>,
    newer: Option<Arc<KeySet>>,
    renewals: Arc<AtomicUsize>,
}

impl KeySource for Keys {
    fn current(&self) -> Option<Arc<KeySet>> {
        Some(Arc::clone(&self.first))
    }

    fn renew<'a>(
        &'a self,
        seen: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        assert!(seen.is_some_and(|seen| Arc::ptr_eq(seen, &self.first)));
        self.renewals.fetch_add(1, Ordering::SeqCst);
        let newer = self.newer.clone();
        Box::pin(async move {
            newer.ok_or_else(|| KeysUnavailable::new("out of reach", Duration::from_secs(7)))
        })
    }
}

fn keys(tenant: &FakeTenant) -> Arc<KeySet> {
    Arc::new(KeySet::from_json(tenant.jwks().as_bytes()).expect("the tenant's own keys"))
}

/// A receiver with these keys, and how often newer ones were asked for.
fn receiver(
    first: &Arc<KeySet>,
    newer: Option<&Arc<KeySet>>,
) -> (VerifyWebhookLayer, Arc<AtomicUsize>) {
    let keys = Keys {
        first: Arc::clone(first),
        newer: newer.cloned(),
        renewals: Arc::default(),
    };
    let renewals = Arc::clone(&keys.renewals);
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(keys))
        .clock(clock())
        .build();
    (layer.expect("a good configuration"), renewals)
}

#[tokio::test]
async fn a_token_of_a_new_key_takes_one_look_at_the_newest_keys() {
    let tenant = FakeTenant::new(DOMAIN);
    let first = keys(&tenant);
    let old = tenant.signing_key();
    let new = tenant.rotate(Algorithm::EdDsa);
    let newer = keys(&tenant);
    let unpublished = tenant.rotate(Algorithm::EdDsa);
    let other = FakeTenant::new(DOMAIN);
    for (signer, kid, newer, status, code, renewed) in [
        (&tenant, &old, Some(&newer), 200, "accepted", 0),
        (&tenant, &new, Some(&newer), 200, "accepted", 1),
        (&tenant, &unpublished, Some(&newer), 401, "unknown_key", 1),
        (
            &other,
            &other.signing_key(),
            Some(&newer),
            401,
            "unknown_key",
            1,
        ),
        // There are no newer ones.
        (&tenant, &new, Some(&first), 401, "unknown_key", 1),
        (&tenant, &new, None, 503, "keys_unavailable", 1),
        (&tenant, &old, None, 200, "accepted", 0),
    ] {
        let (layer, renewals) = receiver(&first, newer);
        let delivery = signer
            .delivery(TEST_EVENT)
            .issued_at(now())
            .signing_key(kid);
        let outcome = send(&layer, delivery.request()).await;
        assert_eq!((outcome.status.as_u16(), outcome.code()), (status, code));
        assert_eq!(renewals.load(Ordering::SeqCst), renewed, "{code}");
        if code == "unknown_key" {
            assert!(outcome.reason().contains("has no key that verifies"));
        }
    }
}

#[tokio::test]
async fn a_bad_signature_of_a_known_key_is_no_reason_to_look_for_others() {
    let tenant = FakeTenant::new(DOMAIN);
    let first = keys(&tenant);
    let (layer, renewals) = receiver(&first, None);
    let other = FakeTenant::new(DOMAIN);
    let forged = other
        .delivery(TEST_EVENT)
        .issued_at(now())
        .header_param("kid", tenant.signing_key().into());
    let outcome = send(&layer, forged.request()).await;
    outcome.expect_token("invalid_signature", "a forged token");
    assert!(outcome.reason().contains("signature does not verify"));
    assert_eq!(renewals.load(Ordering::SeqCst), 0);
}
