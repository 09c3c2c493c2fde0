//! Parses the envelope around a webhook's payload.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{Name, Text};

/// The envelope version that this crate reads.
pub(super) const VERSION: &str = "v1";

static WEBHOOK_VERSION: HeaderName = HeaderName::from_static("webhook-version");
static WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
static WEBHOOK_EVENT: HeaderName = HeaderName::from_static("webhook-event");
pub(super) static WEBHOOK_CALLBACK_URL: HeaderName =
    HeaderName::from_static("webhook-callback-url");

/// The longest `webhookId` and `event`, in bytes, since they go into keys and logs.
const MAX_NAME: usize = 256;

/// The envelope's members. The payload is kept as received: a webhook is authentic
/// even if its payload does not match its event.
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
    #[error("the body is not a webhook envelope: see line {line} column {column}")]
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

/// The members as received, under their JSON or proto names. Other members are
/// ignored.
#[derive(Default)]
struct Wire<'a> {
    version: Member<Text<'a>>,
    webhook_id: Member<Text<'a>>,
    event: Member<Text<'a>>,
    callback_url: Member<Text<'a>>,
    payload: Member<&'a RawValue>,
    /// Whether a name may contain characters that JSON requires to be escaped.
    is_in_doubt: bool,
}

impl<'a> Wire<'a> {
    fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let wire: Self = serde_json::from_str(text)?;
        if wire.is_in_doubt {
            serde_json::from_str::<&RawValue>(text)?;
        }
        Ok(wire)
    }
}

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut wire = Wire::default();
                while let Some(name) = map.next_key::<Name<'_>>()? {
                    wire.is_in_doubt |= name.may_be_invalid();
                    match &*name.of_field() {
                        "version" => wire.version.read(&mut map)?,
                        "webhookId" => wire.webhook_id.read(&mut map)?,
                        "event" => wire.event.read(&mut map)?,
                        "callbackUrl" => wire.callback_url.read(&mut map)?,
                        "payload" => wire.payload.read(&mut map)?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(wire)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A member that may appear only once. In proto3 JSON, null means absent.
struct Member<T> {
    is_there: bool,
    value: Option<T>,
}

impl<T> Default for Member<T> {
    fn default() -> Self {
        Self {
            is_there: false,
            value: None,
        }
    }
}

impl<T> Member<T> {
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error>
    where
        T: Deserialize<'de>,
    {
        if self.is_there {
            return Err(A::Error::custom("duplicate member"));
        }
        self.is_there = true;
        self.value = map.next_value()?;
        Ok(())
    }
}

impl<'a> Member<Text<'a>> {
    /// Returns the empty string if the member is absent.
    fn text(self) -> Cow<'a, str> {
        self.value.unwrap_or_default().0
    }
}

impl Envelope {
    pub(super) fn parse(body: &Bytes, headers: &HeaderMap) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(body).map_err(|_| EnvelopeError::NotUtf8)?;
        let wire = Wire::parse(text).map_err(|error| EnvelopeError::Json {
            line: error.line(),
            column: error.column(),
        })?;
        match &*wire.version.text() {
            "" => return Err(EnvelopeError::Missing("version")),
            VERSION => {}
            _ => return Err(EnvelopeError::Version),
        }
        let required = |name, member: Member<Text<'_>>| {
            let value = member.text();
            match value.len() {
                0 => Err(EnvelopeError::Missing(name)),
                1..=MAX_NAME => Ok(value.into_owned()),
                _ => Err(EnvelopeError::TooLong(name)),
            }
        };
        let envelope = Self {
            webhook_id: required("webhookId", wire.webhook_id)?,
            event: required("event", wire.event)?,
            callback_url: Some(wire.callback_url.text().into_owned()).filter(|url| !url.is_empty()),
            payload: match wire.payload.value {
                Some(payload) => body.slice_ref(payload.get().as_bytes()),
                None => Bytes::from_static(b"null"),
            },
        };
        envelope.check_headers(headers)?;
        Ok(envelope)
    }

    /// Checks the headers, which are not signed: they may be absent, but must not
    /// contradict the body, since a proxy may have routed by them.
    fn check_headers(&self, headers: &HeaderMap) -> Result<(), EnvelopeError> {
        let pairs = [
            (&WEBHOOK_VERSION, "version", VERSION),
            (&WEBHOOK_ID, "webhookId", &self.webhook_id),
            (&WEBHOOK_EVENT, "event", &self.event),
            (
                &WEBHOOK_CALLBACK_URL,
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
                let name = name.as_str();
                return Err(EnvelopeError::Header { name, member });
            }
        }
        Ok(())
    }
}
