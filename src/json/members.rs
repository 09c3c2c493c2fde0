//! Parses an object's members straight into a struct.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{JsonError, Text, parse};

/// The members of an object that a struct takes.
pub(crate) trait Members<'de>: Default {
    /// Reads the value of a member that the struct has, with [`read_once`]. Returns
    /// `false` for any other, which the caller skips.
    fn read<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Parses an object in which each name occurs once, those of other members included.
pub(crate) fn parse_members<'a, M: Members<'a>>(json: &'a [u8]) -> Result<M, JsonError> {
    parse(json).map(|Object(members)| members)
}

/// Reads the value of a member, unless it has one.
pub(crate) fn read_once<'de, T, A>(member: &mut Option<T>, map: &mut A) -> Result<bool, A::Error>
where
    T: Deserialize<'de>,
    A: MapAccess<'de>,
{
    if member.is_some() {
        return Err(A::Error::custom("duplicate name"));
    }
    *member = Some(map.next_value()?);
    Ok(true)
}

struct Object<M>(M);

impl<'de, M: Members<'de>> Deserialize<'de> for Object<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<M>(PhantomData<M>);

        impl<'de, M: Members<'de>> Visitor<'de> for ObjectVisitor<M> {
            type Value = Object<M>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = M::default();
                let mut others = BTreeSet::new();
                while let Some(Text(name)) = map.next_key()? {
                    if !members.read(&name, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                        if !others.insert(name) {
                            return Err(A::Error::custom("duplicate name"));
                        }
                    }
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A value that should be a string. Any other is kept as such, so that it can be told
/// from an absent one.
pub(crate) enum MaybeText<'a> {
    Text(Cow<'a, str>),
    /// An array of one string.
    Single(Cow<'a, str>),
    Other,
}

impl<'de> Deserialize<'de> for MaybeText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;

        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = MaybeText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(MaybeText::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(MaybeText::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                // Not parsed yet, so that nested arrays do not nest calls.
                let first: Option<&RawValue> = array.next_element()?;
                let mut is_single = true;
                while array.next_element::<IgnoredAny>()?.is_some() {
                    is_single = false;
                }
                let text = first.and_then(|raw| serde_json::from_str(raw.get()).ok());
                match text {
                    Some(Text(text)) if is_single => Ok(MaybeText::Single(text)),
                    _ => Ok(MaybeText::Other),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(MaybeText::Other)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(MaybeText::Other)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(MaybeText::Other)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(MaybeText::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(MaybeText::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(MaybeText::Other)
            }
        }

        deserializer.deserialize_any(AnyVisitor)
    }
}
