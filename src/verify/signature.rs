//! Verifies the token's signature with the tenant's keys.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::token::UntrustedToken;
use super::unverified_claims::UnverifiedClaims;
use crate::excerpt::for_log;
use crate::keys::{Algorithm, KeySet, KeySource, KeysUnavailable, VerifyError};

/// The configured tenants, by domain.
pub(crate) type Tenants = HashMap<Arc<str>, Arc<dyn KeySource>>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("iss is {0:?}, which is not a configured tenant")]
    UnknownTenant(String),
    #[error("{} (tenant {tenant}, kid {key_id:?}, alg {algorithm})", explain(*.reason))]
    Refused {
        tenant: Arc<str>,
        key_id: Option<String>,
        algorithm: Algorithm,
        reason: VerifyError,
    },
    #[error("the keys of tenant {tenant} are unavailable")]
    Unavailable {
        tenant: Arc<str>,
        source: KeysUnavailable,
    },
    #[error("no known key verifies the token, and newer keys of tenant {tenant} are unavailable")]
    NewestUnavailable {
        tenant: Arc<str>,
        source: KeysUnavailable,
    },
}

/// Claims that a configured tenant signed, for any purpose. Only [`verify`] creates
/// them.
pub(super) struct SignedClaims<'t> {
    tenant: Arc<str>,
    claims: UnverifiedClaims<'t>,
}

impl<'t> SignedClaims<'t> {
    pub(super) fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    pub(super) fn token_id(&self) -> Cow<'t, str> {
        self.claims.token_id.clone()
    }

    pub(super) fn into_parts(self) -> (Arc<str>, UnverifiedClaims<'t>) {
        (self.tenant, self.claims)
    }
}

/// Verifies the signature with the keys of the configured tenant that `iss` names.
pub(super) async fn verify<'t>(
    token: UntrustedToken<'t>,
    tenants: &Tenants,
) -> Result<SignedClaims<'t>, SignatureError> {
    let issuer = &*token.claims.issuer;
    let (tenant, source) = tenants
        .get_key_value(issuer)
        .ok_or_else(|| SignatureError::UnknownTenant(for_log(issuer)))?;
    let keys = match source.current() {
        Some(keys) => keys,
        None => (source.renew(None).await).map_err(|source| SignatureError::Unavailable {
            tenant: Arc::clone(tenant),
            source,
        })?,
    };
    let mut verified = verify_with(&keys, &token);
    if verified == Err(VerifyError::UnknownKey) {
        // The tenant may have a new key: renew the keys once.
        let newer = source.renew(Some(&keys)).await;
        let newer = newer.map_err(|source| SignatureError::NewestUnavailable {
            tenant: Arc::clone(tenant),
            source,
        })?;
        if !newer.same_as(&keys) {
            verified = verify_with(&newer, &token);
        }
    }
    match verified {
        Ok(()) => Ok(SignedClaims {
            tenant: Arc::clone(tenant),
            claims: token.claims,
        }),
        Err(reason) => Err(SignatureError::Refused {
            tenant: Arc::clone(tenant),
            key_id: token.key_id.as_deref().map(for_log),
            algorithm: token.algorithm,
            reason,
        }),
    }
}

fn verify_with(keys: &KeySet, token: &UntrustedToken<'_>) -> Result<(), VerifyError> {
    keys.verify(
        token.key_id.as_deref(),
        token.algorithm,
        token.signing_input,
        token.signature,
    )
}

fn explain(reason: VerifyError) -> &'static str {
    match reason {
        VerifyError::UnknownKey => "the tenant has no key that verifies the token",
        VerifyError::AlgorithmMismatch => "the key is for another algorithm",
        VerifyError::BadSignature => "the signature does not verify",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::future::BoxFuture;
    use crate::keys::TRIED;
    use crate::testing::FakeTenant;
    use crate::verify::token::CompactJws;

    /// Returns a set and, on renewal, a newer one.
    #[derive(Debug)]
    struct Keys {
        current: Arc<KeySet>,
        newer: Arc<KeySet>,
    }

    impl KeySource for Keys {
        fn current(&self) -> Option<Arc<KeySet>> {
            Some(Arc::clone(&self.current))
        }

        fn renew<'a>(
            &'a self,
            _: Option<&'a Arc<KeySet>>,
        ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
            Box::pin(async { Ok(Arc::clone(&self.newer)) })
        }
    }

    fn keys(tenant: &FakeTenant) -> Arc<KeySet> {
        Arc::new(KeySet::from_json(tenant.jwks().as_bytes()).expect("the tenant's own keys"))
    }

    #[tokio::test]
    async fn a_forgery_without_kid_costs_three_keys_and_three_more_if_the_set_has_changed() {
        let tenant = FakeTenant::with_algorithm("example.conductor.one", Algorithm::EdDsa);
        for _ in 0..9 {
            tenant.add_key(Algorithm::EdDsa);
        }
        let (current, same) = (keys(&tenant), keys(&tenant));
        assert!(!Arc::ptr_eq(&current, &same));
        tenant.add_key(Algorithm::EdDsa);
        let changed = keys(&tenant);
        let forger = FakeTenant::with_algorithm("example.conductor.one", Algorithm::EdDsa);
        let token = forger
            .delivery("c1.webhooks.v1.PayloadTest")
            .without_header_param("kid")
            .token_string();
        for (newer, tried) in [(same, 3), (changed, 6)] {
            let current = Arc::clone(&current);
            let source: Arc<dyn KeySource> = Arc::new(Keys { current, newer });
            let tenants = Tenants::from([(tenant.domain().into(), source)]);
            TRIED.set(0);
            let jws = CompactJws::decode(token.as_bytes()).expect("good form");
            let token = UntrustedToken::parse(&jws).expect("good form");
            let refused = verify(token, &tenants).await.err().expect("forged");
            assert!(
                matches!(
                    refused,
                    SignatureError::Refused {
                        reason: VerifyError::UnknownKey,
                        ..
                    }
                ),
                "{refused}"
            );
            assert_eq!(TRIED.get(), tried);
        }
    }
}
