//! Values that this version of the crate does not know.

use std::fmt;

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Free-form JSON. It is kept as text and parsed on request, so that its depth or
/// content cannot make the message around it unreadable.
///
/// Two values are equal if their texts are. The default is `null`.
#[derive(Clone, Default)]
pub struct Json(Option<Box<RawValue>>);

impl Json {
    /// Serializes a value.
    ///
    /// # Errors
    /// If the value cannot be serialized to JSON.
    pub fn new(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self::from)
    }

    /// The JSON text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.as_deref().map_or("null", RawValue::get)
    }

    /// Parses it into a type of yours, such as [`serde_json::Value`].
    ///
    /// # Errors
    /// If the JSON is not such a `T`, or nested deeper than 128 levels.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Some(raw))
    }
}

/// A member of a oneof that this version of the crate does not know: an object
/// beside an otherwise unset group.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UnknownMember {
    /// The member's name on the wire.
    pub name: String,
    /// The member's value.
    pub json: Json,
}

impl UnknownMember {
    /// Reads the next member's value. Gives it if it is an object, as the members of
    /// oneofs are.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        name: &str,
        map: &mut A,
    ) -> Result<Option<Self>, A::Error> {
        let json: &RawValue = map.next_value()?;
        Ok(json.get().starts_with('{').then(|| Self {
            name: name.to_owned(),
            json: json.to_owned().into(),
        }))
    }
}

/// A value of an enum that this version of the crate does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnknownValue {
    /// ConductorOne sent a name.
    Name(Box<str>),
    /// ConductorOne sent a number. (It may be the number of a known value: ConductorOne
    /// does not publish the numbers, and sends names.)
    Number(i32),
}
