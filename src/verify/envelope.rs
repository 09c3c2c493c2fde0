//! The envelope around every webhook's payload.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The format that this crate reads.
pub(super) const VERSION: &str = "v1";

/// The longest `webhookId` and `event`, in bytes: they go into keys and logs.
const MAX_NAME: usize = 256;

/// The envelope's members. The payload stays as it came: whatever is odd in it
/// does not keep the webhook from being authentic.
pub(super) struct Envelope {
    pub(super) webhook_id: String,
    pub(super) event: String,
    pub(super) callback_url: Option<String>,
    /// JSON text, valid UTF-8; `null` if the member was absent.
    pub(super) payload: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("the body is not UTF-8")]
    NotUtf8,
    // Line and column only: the parser's own text may quote values.
    #[error("the body is no webhook envelope: see line {line} column {column}")]
    Json { line: usize, column: usize },
    #[error("the envelope's {0:?} is missing or empty")]
    Missing(&'static str),
    #[error("the envelope's {0:?} is longer than {MAX_NAME} bytes")]
    TooLong(&'static str),
    #[error("the envelope's version is not {VERSION:?}")]
    Version,
    #[error("the header {name} contradicts the body's {member:?}")]
    Header {
        name: &'static str,
        member: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    webhook_id: Option<String>,
    event: Option<String>,
    callback_url: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

impl Envelope {
    pub(super) fn parse(body: &Bytes, headers: &HeaderMap) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(body).map_err(|_| EnvelopeError::NotUtf8)?;
        // A struct may be written as an array, too, in serde's eyes.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(EnvelopeError::Json { line: 1, column: 1 });
        }
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| EnvelopeError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        // proto3 JSON: null and absent are the default, the empty string.
        match wire.version.as_deref() {
            None | Some("") => return Err(EnvelopeError::Missing("version")),
            Some(VERSION) => {}
            Some(_) => return Err(EnvelopeError::Version),
        }
        let required = |name, value: Option<String>| {
            let value = value.unwrap_or_default();
            match value.len() {
                0 => Err(EnvelopeError::Missing(name)),
                1..=MAX_NAME => Ok(value),
                _ => Err(EnvelopeError::TooLong(name)),
            }
        };
        let envelope = Self {
            webhook_id: required("webhookId", wire.webhook_id)?,
            event: required("event", wire.event)?,
            callback_url: wire.callback_url.filter(|url| !url.is_empty()),
            payload: match wire.payload {
                Some(payload) => body.slice_ref(payload.get().as_bytes()),
                None => Bytes::from_static(b"null"),
            },
        };
        envelope.check_headers(headers)?;
        Ok(envelope)
    }

    /// The headers are not signed: they may be missing, but not say something
    /// else than the body, since somebody may have routed by them.
    fn check_headers(&self, headers: &HeaderMap) -> Result<(), EnvelopeError> {
        let pairs = [
            ("webhook-version", "version", VERSION),
            ("webhook-id", "webhookId", &self.webhook_id),
            ("webhook-event", "event", &self.event),
            (
                "webhook-callback-url",
                "callbackUrl",
                self.callback_url.as_deref().unwrap_or_default(),
            ),
        ];
        for (name, member, expected) in pairs {
            if headers
                .get_all(name)
                .iter()
                .any(|value| value.as_bytes() != expected.as_bytes())
            {
                return Err(EnvelopeError::Header { name, member });
            }
        }
        Ok(())
    }
}
