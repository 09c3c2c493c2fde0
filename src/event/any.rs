//! Messages that name their own type (`google.protobuf.Any`).

use memchr::memchr2;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{PayloadError, whole};
use super::names::Names;
use super::place::{Group, Message, Place, Read, Slot};
use super::reading::{Reading, SMALL_BLOCK};
use super::unknown::Json;
use super::wire::Value;

/// A message that names its own type (`google.protobuf.Any`).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AnyMessage {
    /// The part of `@type` after the last slash, such as `c1.api.app.v1.App`; empty if
    /// there is no `@type`.
    pub type_name: String,
    /// The whole object. A well-known type has its value in the member `value`.
    pub json: Option<Json>,
}

impl AnyMessage {
    pub(super) fn new(type_name: String, json: Json) -> Self {
        Self {
            type_name,
            json: Some(json),
        }
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        reading.take(SMALL_BLOCK).map_err(D::Error::custom)?;
        let json = Json::deserialize(deserializer)?;
        let type_name = type_name(json.get()).map_err(D::Error::custom)?;
        Ok(Self {
            type_name: type_name.unwrap_or_default(),
            json: Some(json),
        })
    }
}

impl Slot for AnyMessage {
    fn place(&mut self) -> Place<'_> {
        Place::Any(self)
    }
}

impl Value for AnyMessage {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// The part of an object's `@type` after the last slash, wherever `@type` is in the
/// object; `None` if it is absent.
pub(super) fn type_name(json: &str) -> Result<Option<String>, serde_json::Error> {
    // Without `@` and escapes there is no `@type`, and no need to parse.
    let is_object = json.trim_ascii_start().starts_with('{');
    if is_object && memchr2(b'@', b'\\', json.as_bytes()).is_none() {
        return Ok(None);
    }
    let mut object = TypeUrl(None);
    whole(Read(&mut object, &Reading::of(json)), json)?;
    Ok(object.0.map(|url| last_part(&url).to_owned()))
}

/// The `@type` of a message.
struct TypeUrl(Option<String>);

impl Slot for TypeUrl {
    fn place(&mut self) -> Place<'_> {
        Place::Message(self)
    }
}

impl Message for TypeUrl {
    fn names(&self) -> &'static Names {
        static NAMES: Names = Names::new(&[&["@type"]]);
        &NAMES
    }

    fn field(&mut self, _: usize) -> Option<Place<'_>> {
        Some(self.0.place())
    }

    fn group(&mut self, _: usize) -> Option<&mut dyn Group> {
        None
    }
}

/// What follows the last slash.
pub(crate) fn last_part(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or_default()
}

/// Checks that a payload's `@type` is the event's name.
pub(super) fn check_type(event: &str, came: Option<&str>) -> Result<(), PayloadError> {
    match came {
        Some(came) if came != event => Err(PayloadError::new(
            "payload.@type",
            format!("expected {event:?} as in the envelope's event, got {came:?}"),
        )),
        _ => Ok(()),
    }
}

/// [`type_name`] of an object whose first member is `@type`, without escapes, as
/// nearly always. It does not read further, where a second `@type` may be.
pub(super) fn leading_type_name(json: &str) -> Option<&str> {
    const ENOUGH: usize = 256;

    let head = (0..4).find_map(|less| json.get(..ENOUGH - less));
    let (blank, rest) = head.unwrap_or(json).strip_prefix('{')?.split_once('"')?;
    let rest = rest.strip_prefix("@type\"")?;
    if !blank.trim_ascii().is_empty() {
        return None;
    }
    let rest = rest.trim_ascii_start().strip_prefix(':')?;
    let rest = rest.trim_ascii_start().strip_prefix('"')?;
    let (url, _) = rest.split_once('"')?;
    (!url.contains('\\')).then(|| last_part(url))
}
