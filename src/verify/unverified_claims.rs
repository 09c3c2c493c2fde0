//! The claims of a token before its verification.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::digest;
use super::times::Times;
use crate::json::{JsonError, MaybeText, Members, parse_members, read_once};

/// The longest `jti`, in bytes.
const MAX_TOKEN_ID: usize = 256;

/// The claims of a token, unverified.
/// [`SignedClaims::validate`](super::signature::SignedClaims::validate) checks them
/// and turns them into [`Claims`](super::Claims).
#[derive(Clone)]
pub(crate) struct UnverifiedClaims<'t> {
    pub(super) issuer: Cow<'t, str>,
    pub(super) audience: Cow<'t, str>,
    pub(super) token_type: Cow<'t, str>,
    pub(super) times: Times,
    pub(super) token_id: Cow<'t, str>,
    pub(super) method: Cow<'t, str>,
    pub(super) target: Cow<'t, str>,
    pub(super) body_digest: [u8; 32],
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the claims cannot be parsed")]
    Json(#[from] JsonError),
    #[error("the claim {0:?} is missing")]
    Missing(&'static str),
    #[error("the claim {0:?} has a wrong type or form")]
    Invalid(&'static str),
}

/// The claims as received, of any type.
#[derive(Default)]
struct Wire<'t> {
    iss: Option<MaybeText<'t>>,
    aud: Option<MaybeText<'t>>,
    c1typ: Option<MaybeText<'t>>,
    iat: Option<&'t RawValue>,
    nbf: Option<&'t RawValue>,
    exp: Option<&'t RawValue>,
    jti: Option<MaybeText<'t>>,
    htm: Option<MaybeText<'t>>,
    htu: Option<MaybeText<'t>>,
    htb_s256: Option<MaybeText<'t>>,
}

impl<'t> Members<'t> for Wire<'t> {
    fn read<A: MapAccess<'t>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "iss" => read_once(&mut self.iss, map),
            "aud" => read_once(&mut self.aud, map),
            "c1typ" => read_once(&mut self.c1typ, map),
            "iat" => read_once(&mut self.iat, map),
            "nbf" => read_once(&mut self.nbf, map),
            "exp" => read_once(&mut self.exp, map),
            "jti" => read_once(&mut self.jti, map),
            "htm" => read_once(&mut self.htm, map),
            "htu" => read_once(&mut self.htu, map),
            "htb_s256" => read_once(&mut self.htb_s256, map),
            _ => Ok(false),
        }
    }
}

impl<'t> UnverifiedClaims<'t> {
    /// Parses the claims strictly: each is required and has one type. A wrong type
    /// never counts as an absent claim.
    pub(super) fn parse(json: &'t [u8]) -> Result<Self, ClaimError> {
        let wire: Wire<'_> = parse_members(json)?;
        let this = Self {
            issuer: text("iss", wire.iss)?,
            audience: audience("aud", wire.aud)?,
            token_type: text("c1typ", wire.c1typ)?,
            times: Times {
                issued_at: numeric_date("iat", wire.iat)?,
                not_before: numeric_date("nbf", wire.nbf)?,
                expires_at: numeric_date("exp", wire.exp)?,
            },
            token_id: text("jti", wire.jti)?,
            method: text("htm", wire.htm)?,
            target: text("htu", wire.htu)?,
            body_digest: digest::read(&text("htb_s256", wire.htb_s256)?)
                .ok_or(ClaimError::Invalid("htb_s256"))?,
        };
        if this.token_id.is_empty() || this.token_id.len() > MAX_TOKEN_ID {
            return Err(ClaimError::Invalid("jti"));
        }
        Ok(this)
    }
}

/// For the testing kit, which explains tokens that may be forged.
#[cfg(feature = "testing")]
impl UnverifiedClaims<'_> {
    pub(super) fn into_owned(self) -> UnverifiedClaims<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        UnverifiedClaims {
            issuer: owned(self.issuer),
            audience: owned(self.audience),
            token_type: owned(self.token_type),
            times: self.times,
            token_id: owned(self.token_id),
            method: owned(self.method),
            target: owned(self.target),
            body_digest: self.body_digest,
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn token_id(&self) -> &str {
        &self.token_id
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    pub(crate) fn body_digest(&self) -> &[u8; 32] {
        &self.body_digest
    }
}

fn text<'t>(name: &'static str, value: Option<MaybeText<'t>>) -> Result<Cow<'t, str>, ClaimError> {
    match value {
        Some(MaybeText::Text(text)) => Ok(text),
        Some(_) => Err(ClaimError::Invalid(name)),
        None => Err(ClaimError::Missing(name)),
    }
}

/// Reads a string, or an array of one string (RFC 7519 §4.1.3).
fn audience<'t>(
    name: &'static str,
    value: Option<MaybeText<'t>>,
) -> Result<Cow<'t, str>, ClaimError> {
    match value {
        Some(MaybeText::Single(audience)) => Ok(audience),
        other => text(name, other),
    }
}

/// Reads a NumericDate (RFC 7519 §2): an integer or a decimal, in seconds. JSON has
/// no infinity, and the parser refuses numbers that would round to it.
fn numeric_date(name: &'static str, value: Option<&RawValue>) -> Result<f64, ClaimError> {
    let value = value.ok_or(ClaimError::Missing(name))?;
    serde_json::from_str(value.get())
        .ok()
        .filter(|seconds: &f64| seconds.is_finite())
        .ok_or(ClaimError::Invalid(name))
}
