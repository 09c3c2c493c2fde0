//! The tenant's key, and the signature.

use std::collections::HashMap;
use std::sync::Arc;

use super::token::UntrustedToken;
use crate::excerpt::for_log;
use crate::keys::{Algorithm, KeySet, KeySource, KeysUnavailable, VerifyError};

/// The configured tenants, by domain.
pub(crate) type Tenants = HashMap<Arc<str>, Arc<dyn KeySource>>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("iss is {0:?}, which is no configured tenant")]
    UnknownTenant(String),
    #[error("{} (tenant {tenant}, kid {key_id:?}, alg {algorithm})", explain(*.reason))]
    Refused {
        tenant: Arc<str>,
        key_id: Option<String>,
        algorithm: Algorithm,
        reason: VerifyError,
    },
    #[error("the keys of tenant {tenant} are out of reach")]
    Unavailable {
        tenant: Arc<str>,
        source: KeysUnavailable,
    },
}

/// Verifies the signature with a key of the tenant that the token names, if
/// that is a configured one, and gives its domain.
pub(super) async fn verify(
    token: &UntrustedToken<'_>,
    tenants: &Tenants,
) -> Result<Arc<str>, SignatureError> {
    let issuer = token.claims.issuer();
    let (tenant, source) = tenants
        .get_key_value(issuer)
        .ok_or_else(|| SignatureError::UnknownTenant(for_log(issuer)))?;
    let unavailable = |source| SignatureError::Unavailable {
        tenant: Arc::clone(tenant),
        source,
    };
    let keys = match source.current() {
        Some(keys) => keys,
        None => source.renew(None).await.map_err(unavailable)?,
    };
    let mut verified = verify_with(&keys, token);
    if verified == Err(VerifyError::UnknownKey) {
        // The tenant may have a new key: one look at its newest ones.
        let newer = source.renew(Some(&keys)).await.map_err(unavailable)?;
        if !Arc::ptr_eq(&newer, &keys) {
            verified = verify_with(&newer, token);
        }
    }
    match verified {
        Ok(()) => Ok(Arc::clone(tenant)),
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
        token.signing_input.as_bytes(),
        &token.signature,
    )
}

fn explain(reason: VerifyError) -> &'static str {
    match reason {
        VerifyError::UnknownKey => "the tenant has no key that verifies the token",
        VerifyError::AlgorithmMismatch => "the key is for another algorithm",
        VerifyError::BadSignature => "the signature does not verify",
    }
}
