//! The claims of ConductorOne's token, and whether they fit this request.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;

use super::binding::{self, PublicUrl, TargetError};
use crate::excerpt::for_log;
use crate::json::UniqueMembers;

/// The longest `jti` that is accepted.
const MAX_TOKEN_ID: usize = 256;

/// The validated claims of the token that came with a webhook.
///
/// They were signed by the tenant, and fit the request: its method, URL, body
/// and time.
#[derive(Clone)]
pub struct Claims {
    issuer: String,
    audience: String,
    token_type: String,
    issued_at: f64,
    not_before: f64,
    expires_at: f64,
    token_id: String,
    method: String,
    target: String,
    body_digest: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the claim {0:?} is missing")]
    Missing(&'static str),
    #[error("the claim {0:?} has a wrong type or form")]
    Invalid(&'static str),
}

/// What a receiver demands of the claims.
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
    #[error("{claim} lies {ahead:?} ahead: is this machine's clock right?")]
    NotYetValid {
        claim: &'static str,
        ahead: Duration,
    },
    #[error("the token lives longer than {limit:?}")]
    Lifetime { limit: Duration },
    #[error("htm is {came:?}, the request's method is {expected}")]
    Method { came: String, expected: Method },
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Claims {
    /// Reads the claims strictly: each is required, each of its one type. (A
    /// wrong type is never taken for an absent claim.)
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
            body_digest: binding::read_digest(&text(claims, "htb_s256")?)
                .ok_or(ClaimError::Invalid("htb_s256"))?,
        };
        if this.token_id.is_empty() || this.token_id.len() > MAX_TOKEN_ID {
            return Err(ClaimError::Invalid("jti"));
        }
        Ok(this)
    }

    /// The claims as [`read`](Self::read) takes them.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use base64::Engine;
        use base64::prelude::BASE64_STANDARD;

        serde_json::json!({
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

    /// Whether the claims are for a request like this, sent about now.
    pub(super) fn check(
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

    /// RFC 7519 §4.1.4-4.1.6. The arithmetic is that of floating point, which
    /// saturates; whole seconds are exact in it up to the year 285 million.
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
        // `nbf` says when the token's time begins, with allowance for a receiver
        // whose clock is slow. Only far in the future `iat` counts, lest it hide
        // how long the token lives.
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

    pub(crate) fn body_digest(&self) -> &[u8; 32] {
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
        time(self.issued_at)
    }

    /// `nbf`: when the token's time begins.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        time(self.not_before)
    }

    /// `exp`: when the token's time ends.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        time(self.expires_at)
    }

    /// `jti`: the token's unique id, 1 to 256 bytes.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// `htu`: the URL that was called, as the token has it.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.issuer)
            .field("aud", &self.audience)
            .field("iat", &self.issued_at)
            .field("exp", &self.expires_at)
            .field("jti", &self.token_id)
            .field("htu", &self.target)
            .finish_non_exhaustive()
    }
}

fn text(claims: &UniqueMembers<'_>, name: &'static str) -> Result<String, ClaimError> {
    claims
        .get(name)
        .ok_or(ClaimError::Missing(name))?
        .map_err(|_| ClaimError::Invalid(name))
}

/// A string, or an array of one (RFC 7519 §4.1.3).
fn audience(claims: &UniqueMembers<'_>) -> Result<String, ClaimError> {
    match text(claims, "aud") {
        Err(ClaimError::Invalid(name)) => match claims.get::<[String; 1]>(name) {
            Some(Ok([audience])) => Ok(audience),
            _ => Err(ClaimError::Invalid(name)),
        },
        string_or_missing => string_or_missing,
    }
}

/// A NumericDate (RFC 7519 §2): an integer or a decimal, in seconds. JSON has
/// no infinity, and the parser refuses what would round to it.
fn numeric_date(claims: &UniqueMembers<'_>, name: &'static str) -> Result<f64, ClaimError> {
    claims
        .get::<f64>(name)
        .ok_or(ClaimError::Missing(name))?
        .ok()
        .filter(|seconds| seconds.is_finite())
        .ok_or(ClaimError::Invalid(name))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Within the years that every platform's `SystemTime` holds, with room for a
/// leeway: a time beyond them becomes the last one, never one that has passed
/// (for a token without an end would then be forgotten at once by the guard
/// against replays).
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
