//! Parses JSON objects in which each name occurs only once.

mod members;
mod name;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use members::{MaybeText, Members, parse_members, read_once};
pub(crate) use name::Name;

/// The unparsed members of a JSON object. Parsing fails on a duplicate name, since two
/// parsers could disagree on which member counts (RFC 7515 §4, RFC 7519 §4).
pub(crate) struct UniqueMembers<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> UniqueMembers<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, JsonError> {
        parse(json)
    }

    /// Parses the member of that name. `Some(Err)` if it is present but not a `T`.
    pub(crate) fn get<T: Deserialize<'a>>(
        &self,
        name: &str,
    ) -> Option<Result<T, serde_json::Error>> {
        self.0.get(name).map(|raw| serde_json::from_str(raw.get()))
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, JsonError> {
    // All of it must be UTF-8, including ignored members.
    let json = std::str::from_utf8(json).map_err(|_| JsonError::NotUtf8)?;
    serde_json::from_str(json).map_err(|error| JsonError::Parse {
        line: error.line(),
        column: error.column(),
    })
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("not UTF-8")]
    NotUtf8,
    // Not the parser's own text, which quotes unexpected input.
    #[error("not a JSON object with unique names: see line {line} column {column}")]
    Parse { line: usize, column: usize },
}

impl<'de> Deserialize<'de> for UniqueMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = UniqueMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(Text(name)) = map.next_key()? {
                    match members.entry(name) {
                        Entry::Vacant(entry) => entry.insert(map.next_value()?),
                        Entry::Occupied(_) => return Err(A::Error::custom("duplicate name")),
                    };
                }
                Ok(UniqueMembers(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A string, borrowed if it has no escapes. (`Cow` alone never borrows.)
#[derive(Default, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);
