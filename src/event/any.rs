//! Messages that say themselves of which type they are (`google.protobuf.Any`).

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{PayloadError, read};
use super::unknown::Json;
use super::wire::Value;

/// A message that says itself of which type it is (`google.protobuf.Any`).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AnyMessage {
    /// `@type` without what precedes the last slash, such as
    /// `c1.api.app.v1.App`; empty if there was none.
    pub type_name: String,
    /// The whole object; a well-known type has its value under `value`.
    pub json: Option<Json>,
}

impl AnyMessage {
    pub(super) fn new(type_name: String, json: Json) -> Self {
        Self {
            type_name,
            json: Some(json),
        }
    }
}

impl Value for AnyMessage {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(rename = "@type", borrow)]
            type_url: Option<Cow<'a, str>>,
        }

        let json = Json::deserialize(deserializer)?;
        let Typed { type_url } = json.parse().map_err(D::Error::custom)?;
        let type_name = type_url
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            type_name,
            json: Some(json),
        })
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// `@type` without what precedes the last slash, wherever it stands in the
/// object; `None` if it is absent or there is no object.
pub(super) fn type_name(json: &str, path: &str) -> Result<Option<String>, PayloadError> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "@type", borrow)]
        type_url: Option<Cow<'a, str>>,
    }

    let last = |url: &str| url.rsplit('/').next().map(ToOwned::to_owned);
    if let Some(url) = leading_type(json) {
        return Ok(last(url));
    }
    let typed: Option<Typed<'_>> = read(json, path)?;
    let type_url = typed.and_then(|typed| typed.type_url);
    Ok(type_url.as_deref().and_then(last))
}

/// `@type` where it is the first member, as it is nearly always, and is written
/// plainly: found without a look at what follows.
fn leading_type(json: &str) -> Option<&str> {
    let rest = json.trim_ascii_start().strip_prefix('{')?;
    let rest = rest.trim_ascii_start().strip_prefix("\"@type\"")?;
    let rest = rest.trim_ascii_start().strip_prefix(':')?;
    let rest = rest.trim_ascii_start().strip_prefix('"')?;
    let (url, _) = rest.split_once('"')?;
    Some(url).filter(|url| !url.contains('\\'))
}
