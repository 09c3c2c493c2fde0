//! A webhook on its way through a store: for work that another process, or a
//! later one, takes up.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::InvalidUri;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::claims::Claims;
use super::envelope::{Envelope, EnvelopeError};
use super::unverified_claims::{ClaimError, UnverifiedClaims};
use super::webhook::{Proven, Webhook};
use crate::json::{JsonError, UniqueMembers};

/// The form in which this version stores webhooks. It reads no other.
const VERSION: u32 = 1;

/// What every version begins with.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// What a webhook is made of. It holds the callback URL, which is a secret; of
/// the token it has the claims, not the signature.
#[derive(Deserialize)]
struct Stored<'a> {
    /// In which run its work was promised.
    run: u32,
    /// Where it was handed on to: not always where it was sent to.
    uri: String,
    tenant: String,
    #[serde(borrow)]
    claims: &'a RawValue,
    body: String,
}

/// A webhook that has been stored, with what was stored beside it.
pub(crate) struct Remembered {
    pub(crate) webhook: Webhook,
    /// Where it was handed on to.
    pub(crate) uri: Uri,
    /// In which run its work was promised.
    pub(crate) run: u32,
}

/// What came out of a store is no webhook that was put into it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("version {0} of stored webhooks is not known here: a newer receiver can read it")]
    Version(u32),
    // Not the parser's own text, which may quote the body.
    #[error("not a stored webhook: see line {line} column {column}")]
    Json { line: usize, column: usize },
    #[error("the URI is not what it was: {0}")]
    Uri(#[from] InvalidUri),
    #[error("the claims are not what they were: {0}")]
    Claims(#[from] JsonError),
    #[error("the claims are not what they were: {0}")]
    Claim(#[from] ClaimError),
    #[error("the envelope is not what it was: {0}")]
    Envelope(#[from] EnvelopeError),
}

impl Webhook {
    /// For a store that this receiver trusts: whoever can write to it can make
    /// webhooks of his own.
    pub(crate) fn to_stored(&self, uri: &Uri, run: u32) -> Bytes {
        let claims = self.claims();
        let stored = json!({
            "version": VERSION,
            "run": run,
            "uri": uri.to_string(),
            "tenant": self.tenant(),
            "claims": claims.to_json(),
            // An envelope is UTF-8.
            "body": String::from_utf8_lossy(self.body()),
        });
        stored.to_string().into()
    }

    pub(crate) fn from_stored(stored: &[u8]) -> Result<Remembered, StoredError> {
        let Versioned { version } = read(stored)?;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        let stored: Stored<'_> = read(stored)?;
        let uri = stored.uri.parse()?;
        let claims = stored.claims.get().as_bytes();
        let webhook = Self::assume_verified(stored.tenant, claims, stored.body)?;
        let run = stored.run;
        Ok(Remembered { webhook, uri, run })
    }

    /// A webhook of these parts, without a token that proves them: for those that
    /// a trusted store gives back, and for unit tests.
    pub(crate) fn assume_verified(
        tenant: impl Into<Arc<str>>,
        claims: &[u8],
        body: impl Into<Bytes>,
    ) -> Result<Self, StoredError> {
        let claims = UnverifiedClaims::read(&UniqueMembers::parse(claims)?)?;
        let body = body.into();
        let envelope = Envelope::parse(&body, &HeaderMap::new())?;
        Ok(Self::from(Proven {
            tenant: tenant.into(),
            claims: Claims::assume_validated(claims),
            body,
            envelope,
            replay: false,
        }))
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, StoredError> {
    serde_json::from_slice(json).map_err(|error| StoredError::Json {
        line: error.line(),
        column: error.column(),
    })
}
