//! Checks that the claims of a signed token match the request.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::json;

use super::signature::SignedClaims;
use super::target::{PublicUrl, TargetError};
use super::times::{Times, TimesError};
use super::unverified_claims::UnverifiedClaims;
use crate::excerpt::for_log;

/// The value of `c1typ`: a webhook's token.
const TOKEN_TYPE: &str = "wh";

/// The validated claims of a webhook's token.
///
/// The tenant signed them, and they match the request's method, URL, body and
/// time of receipt.
#[derive(Clone)]
pub struct Claims {
    issuer: Arc<str>,
    audience: String,
    times: Times,
    token_id: String,
    target: String,
    body_digest: [u8; 32],
    /// When they were validated; `None` if another process did that.
    validated_at: Option<SystemTime>,
}

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
    #[error(transparent)]
    Times(#[from] TimesError),
    #[error("htm is {came:?}, the request's method is {expected}")]
    Method { came: String, expected: Method },
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// Signed claims that do not match the request.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) error: MismatchError,
    /// What would have let a request for another URL pass.
    pub(super) remedy: Option<String>,
}

impl SignedClaims<'_> {
    /// Checks the signed claims against the request and the current time.
    pub(super) fn validate(
        self,
        policy: &ClaimPolicy,
        method: &Method,
        path: &str,
        now: SystemTime,
    ) -> Result<Claims, Mismatch> {
        let (tenant, claims) = self.into_parts();
        match claims.check(policy, method, path, now) {
            Ok(()) => Ok(Claims::new(tenant, claims, Some(now))),
            Err(error) => {
                let is_of_url = matches!(
                    error,
                    MismatchError::Audience { .. } | MismatchError::Target(_)
                );
                let remedy = is_of_url.then(|| claims.remedy(policy, path)).flatten();
                Err(Mismatch { error, remedy })
            }
        }
    }
}

/// The individual checks.
impl UnverifiedClaims<'_> {
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
        if self.token_type == TOKEN_TYPE {
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

    pub(super) fn check_times(
        &self,
        policy: &ClaimPolicy,
        now: SystemTime,
    ) -> Result<(), MismatchError> {
        Ok(self.times.check(now, policy.leeway, policy.max_lifetime)?)
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

    /// What would let a request to this path pass.
    fn remedy(&self, policy: &ClaimPolicy, path: &str) -> Option<String> {
        let fits = self.fitting_public_url(path).map(|url| {
            let target = for_log(&self.target);
            format!(
                "if {target:?} is the webhook's URL in ConductorOne, set the public URL to {url}"
            )
        });
        let is_below = self.target.starts_with(&policy.public_url.to_string());
        let nested = (is_below && !cfg!(feature = "axum")).then(|| {
            "if a nested axum router has stripped the path, switch on the feature axum".to_owned()
        });
        match (fits, nested) {
            (Some(fits), Some(nested)) => Some(format!("{fits}; or, {nested}")),
            (fits, nested) => fits.or(nested),
        }
    }

    /// The public URL with which a request to this path would match the token, in normal
    /// form, which is printable ASCII.
    pub(crate) fn fitting_public_url(&self, path: &str) -> Option<String> {
        let htu = self.target.split(['?', '#']).next()?;
        let origin = htu.strip_suffix(path).or((path == "/").then_some(htu))?;
        let url = PublicUrl::parse(origin, true).ok()?;
        let fits = url.is_audience(&self.audience) && url.check_target(htu, path).is_ok();
        fits.then(|| for_log(&url.to_string()))
    }
}

impl Claims {
    fn new(
        tenant: Arc<str>,
        claims: UnverifiedClaims<'_>,
        validated_at: Option<SystemTime>,
    ) -> Self {
        Self {
            // They are equal: the tenant was found by `iss`.
            issuer: tenant,
            audience: claims.audience.into_owned(),
            times: claims.times,
            token_id: claims.token_id.into_owned(),
            target: claims.target.into_owned(),
            body_digest: claims.body_digest,
            validated_at,
        }
    }

    /// Restores claims that were validated before a trusted store kept them.
    pub(super) fn assume_validated(claims: UnverifiedClaims<'_>) -> Self {
        Self::new((*claims.issuer).into(), claims, None)
    }

    /// Returns the claims in the form that [`UnverifiedClaims::parse`] accepts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({
            "iss": &*self.issuer,
            "aud": self.audience,
            "c1typ": TOKEN_TYPE,
            "iat": self.times.issued_at,
            "nbf": self.times.not_before,
            "exp": self.times.expires_at,
            "jti": self.token_id,
            "htm": Method::POST.as_str(),
            "htu": self.target,
            "htb_s256": BASE64_STANDARD.encode(self.body_digest),
        })
    }

    /// Checks the times again, since reading the body takes time.
    pub(super) fn check_times(
        &self,
        policy: &ClaimPolicy,
        now: SystemTime,
    ) -> Result<(), MismatchError> {
        Ok(self.times.check(now, policy.leeway, policy.max_lifetime)?)
    }

    pub(super) fn tenant(&self) -> &Arc<str> {
        &self.issuer
    }

    pub(super) fn body_digest(&self) -> &[u8; 32] {
        &self.body_digest
    }

    /// `iss`: the tenant's domain.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `aud`: the host of the webhook's URL.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// `iat`: when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.times.issued_at()
    }

    /// `nbf`: when the token becomes valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.times.not_before()
    }

    /// `exp`: when the token expires.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.times.expires_at()
    }

    /// `jti`: the token's unique id, 1 to 256 bytes.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// `htu`: the URL of the request, as written in the token.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// How long after `iat` they were validated, in seconds.
    pub(super) fn clock_difference(&self) -> Option<f64> {
        let issued_at = self.issued_at();
        self.validated_at
            .map(|at| match at.duration_since(issued_at) {
                Ok(after) => after.as_secs_f64(),
                Err(before) => -before.duration().as_secs_f64(),
            })
    }

    /// The path in `htu`.
    pub(super) fn path(&self) -> Option<&str> {
        let (_, rest) = self.target.split_once("://")?;
        rest.get(rest.find('/')?..)?.split(['?', '#']).next()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.issuer)
            .field("aud", &self.audience)
            .field("iat", &self.times.issued_at)
            .field("exp", &self.times.expires_at)
            .field("jti", &self.token_id)
            .field("htu", &self.target)
            .finish_non_exhaustive()
    }
}
