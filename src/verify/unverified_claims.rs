//! The claims of a token before its verification.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::digest;
use crate::json::UniqueMembers;

/// The longest `jti`, in bytes.
const MAX_TOKEN_ID: usize = 256;

/// The claims of a token, unverified.
/// [`SignedClaims::validate`](super::signature::SignedClaims::validate) checks them
/// and turns them into [`Claims`](super::Claims).
#[derive(Clone)]
pub(crate) struct UnverifiedClaims {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) token_type: String,
    pub(super) issued_at: f64,
    pub(super) not_before: f64,
    pub(super) expires_at: f64,
    pub(super) token_id: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body_digest: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the claim {0:?} is missing")]
    Missing(&'static str),
    #[error("the claim {0:?} has a wrong type or form")]
    Invalid(&'static str),
}

impl UnverifiedClaims {
    /// Reads the claims strictly: each is required and has one type. A wrong type
    /// never counts as an absent claim.
    pub(super) fn read(claims: &UniqueMembers<'_>) -> Result<Self, ClaimError> {
        let this = Self {
            issuer: text(claims, "iss")?,
            audience: audience(claims)?,
            token_type: text(claims, "c1typ")?,
            issued_at: numeric_date(claims, "iat")?,
            not_before: numeric_date(claims, "nbf")?,
            expires_at: numeric_date(claims, "exp")?,
            token_id: text(claims, "jti")?,
            method: text(claims, "htm")?,
            target: text(claims, "htu")?,
            body_digest: digest::read(&text(claims, "htb_s256")?)
                .ok_or(ClaimError::Invalid("htb_s256"))?,
        };
        if this.token_id.is_empty() || this.token_id.len() > MAX_TOKEN_ID {
            return Err(ClaimError::Invalid("jti"));
        }
        Ok(this)
    }

    /// Returns the claims in the form that [`read`](Self::read) accepts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "c1typ": self.token_type,
            "iat": self.issued_at,
            "nbf": self.not_before,
            "exp": self.expires_at,
            "jti": self.token_id,
            "htm": self.method,
            "htu": self.target,
            "htb_s256": BASE64_STANDARD.encode(self.body_digest),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    pub(crate) fn token_id(&self) -> &str {
        &self.token_id
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn issued_at(&self) -> SystemTime {
        time(self.issued_at)
    }

    pub(crate) fn not_before(&self) -> SystemTime {
        time(self.not_before)
    }

    pub(crate) fn expires_at(&self) -> SystemTime {
        time(self.expires_at)
    }

    pub(crate) fn body_digest(&self) -> &[u8; 32] {
        &self.body_digest
    }
}

fn text(claims: &UniqueMembers<'_>, name: &'static str) -> Result<String, ClaimError> {
    claims
        .get(name)
        .ok_or(ClaimError::Missing(name))?
        .map_err(|_| ClaimError::Invalid(name))
}

/// Reads a string, or an array of one string (RFC 7519 §4.1.3).
fn audience(claims: &UniqueMembers<'_>) -> Result<String, ClaimError> {
    match text(claims, "aud") {
        Err(ClaimError::Invalid(name)) => match claims.get::<[String; 1]>(name) {
            Some(Ok([audience])) => Ok(audience),
            _ => Err(ClaimError::Invalid(name)),
        },
        string_or_missing => string_or_missing,
    }
}

/// Reads a NumericDate (RFC 7519 §2): an integer or a decimal, in seconds. JSON has
/// no infinity, and the parser refuses numbers that would round to it.
fn numeric_date(claims: &UniqueMembers<'_>, name: &'static str) -> Result<f64, ClaimError> {
    claims
        .get::<f64>(name)
        .ok_or(ClaimError::Missing(name))?
        .ok()
        .filter(|seconds| seconds.is_finite())
        .ok_or(ClaimError::Invalid(name))
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Converts to a `SystemTime` that every platform can represent, with room for a
/// leeway. A later time becomes the latest one, never a past one: the replay guard
/// would forget such a token at once.
fn time(since_epoch: f64) -> SystemTime {
    /// The end of the year 9999.
    const LAST: f64 = 253_402_300_799.0;

    let distance = seconds(since_epoch.abs().min(LAST));
    if since_epoch >= 0.0 {
        UNIX_EPOCH.checked_add(distance)
    } else {
        UNIX_EPOCH.checked_sub(distance)
    }
    .unwrap_or(UNIX_EPOCH)
}
