//! Encodes a webhook for a ledger and decodes it, so that another process can resume
//! its work.

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

/// The format in which this version stores webhooks, and the only one it reads.
const VERSION: u32 = 1;

/// The member that every format has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A stored webhook. It holds the callback URL, which is a secret, and the token's
/// claims, but not its signature.
#[derive(Deserialize)]
struct Stored<'a> {
    /// The run in which its work was promised.
    run: u32,
    /// The request's URI at `DeliverOnceLayer`; a router may have changed it.
    uri: String,
    tenant: String,
    #[serde(borrow)]
    claims: &'a RawValue,
    body: String,
}

/// A decoded webhook, with the values that were stored beside it.
pub(crate) struct Remembered {
    pub(crate) webhook: Webhook,
    /// The request's URI at `DeliverOnceLayer`.
    pub(crate) uri: Uri,
    /// The run in which its work was promised.
    pub(crate) run: u32,
}

/// Stored bytes that do not decode to a webhook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("version {0} of stored webhooks is not supported: a newer receiver can read it")]
    Version(u32),
    // Not the parser's own text, which may quote the body.
    #[error("not a stored webhook: see line {line} column {column}")]
    Json { line: usize, column: usize },
    #[error("the stored URI is invalid: {0}")]
    Uri(#[from] InvalidUri),
    #[error("the stored claims are invalid: {0}")]
    Claims(#[from] ClaimError),
    #[error("the stored envelope is invalid: {0}")]
    Envelope(#[from] EnvelopeError),
}

impl Webhook {
    /// Encodes it for a store that this receiver trusts: anyone who can write to the
    /// store can forge webhooks.
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

    /// Creates a webhook without verifying a token: for webhooks from a trusted store,
    /// and for unit tests.
    pub(crate) fn assume_verified(
        tenant: impl Into<Arc<str>>,
        claims: &[u8],
        body: impl Into<Bytes>,
    ) -> Result<Self, StoredError> {
        let claims = UnverifiedClaims::parse(claims)?;
        let body = body.into();
        let envelope = Envelope::parse(&body, &HeaderMap::new())?;
        let proven = Proven {
            tenant: tenant.into(),
            claims: Claims::assume_validated(claims),
            body,
            envelope,
            replay: false,
        };
        Ok(Self::new(proven, None))
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, StoredError> {
    serde_json::from_slice(json).map_err(|error| StoredError::Json {
        line: error.line(),
        column: error.column(),
    })
}
