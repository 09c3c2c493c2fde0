//! Keys from the types of `jsonwebtoken`.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};

use crate::keys::{KeySet, KeySetError};

/// Takes the keys of a JWKS that the application holds already.
///
/// Each key is checked by itself, as in [`KeySet::from_json`]. Two things that a
/// `JwkSet` does not keep cannot be checked: the private members of a key that
/// should not have been published, and the name of an `alg` that `jsonwebtoken`
/// does not know. A key with such an `alg` is skipped, unless it is an Ed25519
/// key, which RFC 9864 has say `Ed25519`.
///
/// The example is a [`KeySource`](crate::keys::KeySource) over the JWKS that the
/// application's own client fetches:
///
/// ```
/// use std::sync::Arc;
///
/// use jsonwebtoken::jwk::JwkSet;
/// use tokio::sync::watch;
/// use tower_conductorone::Tenant;
/// use tower_conductorone::keys::{KeySet, KeySetError, KeySource};
///
/// #[derive(Clone, Debug, Default)]
/// struct FetchedKeys(watch::Sender<Option<Arc<KeySet>>>);
///
/// impl FetchedKeys {
///     /// Called after each fetch. If it fails, the earlier keys stay in force.
///     fn update(&self, jwks: &JwkSet) -> Result<(), KeySetError> {
///         let keys = KeySet::try_from(jwks)?;
///         self.0.send_replace(Some(Arc::new(keys)));
///         Ok(())
///     }
/// }
///
/// impl KeySource for FetchedKeys {
///     fn current(&self) -> Option<Arc<KeySet>> {
///         self.0.borrow().clone()
///     }
/// }
///
/// let keys = FetchedKeys::default();
/// let tenant = Tenant::new("example.conductor.one").key_source(keys.clone());
///
/// # let jwks: JwkSet = serde_json::from_str(r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
/// #     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// keys.update(&jwks)?;
/// assert!(keys.health().usable);
/// # let _ = tenant;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// This source never fetches: until the client does, a token signed with a new
/// key is refused, and ConductorOne retries. Implement
/// [`renew`](crate::keys::KeySource::renew) to have the client fetch at once.
impl TryFrom<&JwkSet> for KeySet {
    type Error = KeySetError;

    /// # Errors
    /// [`KeySetError`] if the set has more than 64 keys, or none that can be used.
    fn try_from(set: &JwkSet) -> Result<Self, KeySetError> {
        let keys = set.keys.iter().map(as_published).collect();
        // Strings, lists and maps with string keys always serialize.
        let document = serde_json::to_vec(&JwkSet { keys }).unwrap_or_default();
        Self::from_json(&document)
    }
}

/// The key without an `alg` that only `jsonwebtoken` does not know.
fn as_published(jwk: &Jwk) -> Jwk {
    let mut jwk = jwk.clone();
    if let AlgorithmParameters::OctetKeyPair(key) = &jwk.algorithm
        && key.curve == EllipticCurve::Ed25519
        && jwk.common.key_algorithm == Some(KeyAlgorithm::UNKNOWN_ALGORITHM)
    {
        jwk.common.key_algorithm = None;
    }
    jwk
}
