//! Checks that the claims of a signed token match the request.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;

use super::signature::SignedClaims;
use super::target::{PublicUrl, TargetError};
use super::unverified_claims::{UnverifiedClaims, seconds};
use crate::excerpt::for_log;

/// The validated claims of a webhook's token.
///
/// The tenant signed them, and they match the request's method, URL, body and
/// time of receipt.
#[derive(Clone)]
pub struct Claims(UnverifiedClaims);

/// The settings that claims are checked against.
pub(crate) struct ClaimPolicy {
    pub(crate) public_url: PublicUrl,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MismatchError {
    #[error("c1typ is {0:?}, expected \"wh\"")]
    TokenType(String),
    #[error(
        "aud is {came:?}, this receiver's public URL has the host {expected:?}: is the public URL right?"
    )]
    Audience { came: String, expected: String },
    #[error("the token expired {0:?} ago, leeway not counted: is this machine's clock right?")]
    Expired(Duration),
    #[error("{claim} is {ahead:?} in the future: is this machine's clock right?")]
    NotYetValid {
        claim: &'static str,
        ahead: Duration,
    },
    #[error("the token's lifetime exceeds {limit:?}")]
    Lifetime { limit: Duration },
    #[error("htm is {came:?}, the request's method is {expected}")]
    Method { came: String, expected: Method },
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl SignedClaims {
    /// Checks the signed claims against the request and the current time.
    pub(super) fn validate(
        self,
        policy: &ClaimPolicy,
        method: &Method,
        path: &str,
        now: SystemTime,
    ) -> Result<(Arc<str>, Claims), MismatchError> {
        let (tenant, claims) = self.into_parts();
        claims.check(policy, method, path, now)?;
        Ok((tenant, Claims(claims)))
    }
}

/// The individual checks.
impl UnverifiedClaims {
    /// Checks all claims against the request and the current time.
    fn check(
        &self,
        policy: &ClaimPolicy,
        method: &Method,
        path: &str,
        now: SystemTime,
    ) -> Result<(), MismatchError> {
        self.check_token_type()?;
        self.check_audience(policy)?;
        self.check_times(policy, now)?;
        self.check_method(method)?;
        self.check_target(policy, path)
    }

    pub(super) fn check_token_type(&self) -> Result<(), MismatchError> {
        if self.token_type == "wh" {
            Ok(())
        } else {
            Err(MismatchError::TokenType(for_log(&self.token_type)))
        }
    }

    pub(super) fn check_audience(&self, policy: &ClaimPolicy) -> Result<(), MismatchError> {
        if policy.public_url.is_audience(&self.audience) {
            Ok(())
        } else {
            Err(MismatchError::Audience {
                came: for_log(&self.audience),
                expected: policy.public_url.host().to_owned(),
            })
        }
    }

    /// RFC 7519 §4.1.4-4.1.6. Floating-point arithmetic saturates, and represents
    /// whole seconds exactly up to the year 285 million.
    pub(super) fn check_times(
        &self,
        policy: &ClaimPolicy,
        now: SystemTime,
    ) -> Result<(), MismatchError> {
        let now = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        let leeway = policy.leeway.as_secs_f64();
        if self.expires_at - self.issued_at > policy.max_lifetime.as_secs_f64() {
            return Err(MismatchError::Lifetime {
                limit: policy.max_lifetime,
            });
        }
        if now >= self.expires_at + leeway {
            return Err(MismatchError::Expired(seconds(now - self.expires_at)));
        }
        // `nbf` starts the token's validity and allows for a receiver whose clock is
        // slow. `iat` is refused only far in the future, where it would make a long
        // lifetime look short.
        let longest = policy.max_lifetime.as_secs_f64();
        for (claim, time, ahead) in [
            ("nbf", self.not_before, leeway),
            ("iat", self.issued_at, leeway + longest),
        ] {
            if now + ahead < time {
                return Err(MismatchError::NotYetValid {
                    claim,
                    ahead: seconds(time - now),
                });
            }
        }
        Ok(())
    }

    pub(super) fn check_method(&self, method: &Method) -> Result<(), MismatchError> {
        if self.method == method.as_str() {
            Ok(())
        } else {
            Err(MismatchError::Method {
                came: for_log(&self.method),
                expected: method.clone(),
            })
        }
    }

    pub(super) fn check_target(
        &self,
        policy: &ClaimPolicy,
        path: &str,
    ) -> Result<(), MismatchError> {
        Ok(policy.public_url.check_target(&self.target, path)?)
    }
}

impl Claims {
    /// Restores claims that were validated before a trusted store kept them.
    pub(super) fn assume_validated(claims: UnverifiedClaims) -> Self {
        Self(claims)
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        self.0.to_json()
    }

    /// Checks the times again, since reading the body takes time.
    pub(super) fn check_times(
        &self,
        policy: &ClaimPolicy,
        now: SystemTime,
    ) -> Result<(), MismatchError> {
        self.0.check_times(policy, now)
    }

    pub(super) fn body_digest(&self) -> &[u8; 32] {
        self.0.body_digest()
    }

    /// `iss`: the tenant's domain.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// `aud`: the host of the webhook's URL.
    #[must_use]
    pub fn audience(&self) -> &str {
        self.0.audience()
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.0.issued_at()
    }

    /// `nbf`: when the token becomes valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.0.not_before()
    }

    /// `exp`: when the token expires.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.expires_at()
    }

    /// `jti`: the token's unique id, 1 to 256 bytes.
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.0.token_id()
    }

    /// `htu`: the URL of the request, as written in the token.
    #[must_use]
    pub fn target(&self) -> &str {
        self.0.target()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.0.issuer)
            .field("aud", &self.0.audience)
            .field("iat", &self.0.issued_at)
            .field("exp", &self.0.expires_at)
            .field("jti", &self.0.token_id)
            .field("htu", &self.0.target)
            .finish_non_exhaustive()
    }
}
