//! proto3's JSON, as ConductorOne writes it: what a field may look like on the
//! wire, and the three macros in which the model is written.
//!
//! - A field that is absent or `null` has its default, and a default is not
//!   written.
//! - What this version does not know (fields, enum values, members of a oneof)
//!   is never an error.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::number::{Scalar, integer, wrong};
use super::unknown::{Json, UnknownMember, UnknownValue};

/// A value on the wire that is not `null`.
pub(crate) trait Value: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A member of a message. An absent one has its default.
pub(crate) trait Field: Default {
    /// Reads a value that may be `null`.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
    /// What to write, unless it is the default.
    fn written(&self) -> Option<impl Serialize>;
}

/// Values that have a default of their own, which stands for `null`.
pub(crate) trait Defaulted: Value + Default + PartialEq {}

impl<T: Defaulted> Field for T {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(read_optional(deserializer)?.unwrap_or_default())
    }

    fn written(&self) -> Option<impl Serialize> {
        (*self != Self::default()).then_some(Written(self))
    }
}

impl<T: Value> Field for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_optional(deserializer)
    }

    fn written(&self) -> Option<impl Serialize> {
        self.as_ref().map(Written)
    }
}

/// Writes a value through serde.
struct Written<'a, T>(&'a T);

impl<T: Value> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// Reads a value through serde.
struct Read<T>(T);

impl<'de, T: Value> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// Reads a field through serde.
struct ReadField<T>(T);

impl<'de, T: Field> Deserialize<'de> for ReadField<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

fn read_optional<'de, T: Value, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Read<T>>::deserialize(deserializer)?.map(|Read(value)| value))
}

/// The next member's value, which may be `null`.
pub(crate) fn next_field<'de, T: Field, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value().map(|ReadField(value)| value)
}

/// The next member's value, `None` for `null`.
pub(crate) fn next_member<'de, T: Value, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<Option<T>, A::Error> {
    next_field::<Option<T>, A>(map)
}

pub(crate) fn write_field<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    field: &impl Field,
) -> Result<(), M::Error> {
    match field.written() {
        Some(value) => map.serialize_entry(name, &value),
        None => Ok(()),
    }
}

pub(crate) fn write_member<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: &impl Value,
) -> Result<(), M::Error> {
    map.serialize_entry(name, &Written(value))
}

/// A member's name, borrowed where it holds no escapes. (`Cow` alone never
/// borrows.)
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) std::borrow::Cow<'a, str>);

macro_rules! through_serde {
    ($($kind:ty),+) => {$(
        impl Value for $kind {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }

            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }
    )+};
}
through_serde!(String, bool, Json);

impl Defaulted for String {}
impl Defaulted for bool {}

impl<T: Value> Value for Box<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Box::new)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).write(serializer)
    }
}

/// The longest list. An item of three bytes on the wire may be a message of
/// hundreds in memory.
const MAX_ITEMS: usize = 10_000;

/// A list; `null` among its items is the item's default.
impl<T: Value + Default> Value for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Value + Default> Visitor<'de> for Items<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<Option<Read<T>>>()? {
                    if items.len() == MAX_ITEMS {
                        return Err(A::Error::custom(format_args!(
                            "a list of more than {MAX_ITEMS} items"
                        )));
                    }
                    items.push(item.map(|Read(item)| item).unwrap_or_default());
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Written))
    }
}

impl<T: Value + Default + PartialEq> Defaulted for Vec<T> {}

/// A map with strings for keys; `null` among its values is the value's default.
impl<T: Value + Default> Value for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Option<Read<T>>>::deserialize(deserializer)?;
        Ok(map
            .into_iter()
            .map(|(key, value)| (key, value.map(|Read(value)| value).unwrap_or_default()))
            .collect())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, value)| (key, Written(value))))
    }
}

impl<T: Value + Default + PartialEq> Defaulted for BTreeMap<String, T> {}

/// A group of members of which at most one is set.
pub(crate) trait Oneof: Default {
    /// Reads the next member's value if the group has a member of that name:
    /// `false` if it has none, and nothing was read.
    fn read_member<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<bool, A::Error>;

    /// Takes a member that nobody knows if the group is unset; gives it back
    /// otherwise.
    fn adopt(&mut self, unknown: Option<UnknownMember>) -> Option<UnknownMember>;

    fn write_member<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// Defines messages: a struct with the fields' names in Rust and on the wire,
/// and the oneofs, whose members are named where the oneof is defined.
macro_rules! message {
    (
        $(#[$about:meta])*
        $message:ident {
            $( $(#[$doc:meta])* $field:ident $name:literal: $kind:ty, )*
        }
        $( oneof { $( $(#[$group_doc:meta])* $group:ident: $group_kind:ty, )+ } )?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $message {
            $( $(#[$doc])* pub $field: $kind, )*
            $($( $(#[$group_doc])* pub $group: $group_kind, )+)?
        }

        impl<'de> serde::Deserialize<'de> for $message {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;

                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $message;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object (", stringify!($message), ")"))
                    }

                    #[allow(unused_mut, reason = "a message may be empty")]
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$message, A::Error> {
                        let mut message = $message::default();
                        $( let mut unknown = $crate::event::wire::none!($($group)+); )?
                        while let Some($crate::event::wire::Name(name)) = map.next_key()? {
                            match &*name {
                                $( $name => message.$field = $crate::event::wire::next_field(&mut map)?, )*
                                _ => {
                                    $(
                                        $(
                                            if $crate::event::wire::Oneof::read_member(
                                                &mut message.$group, &name, &mut map,
                                            )? {
                                                continue;
                                            }
                                        )+
                                        if unknown.is_none() && &*name != "@type" {
                                            unknown = $crate::event::UnknownMember::read(&name, &mut map)?;
                                            continue;
                                        }
                                    )?
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        $($(
                            unknown = $crate::event::wire::Oneof::adopt(&mut message.$group, unknown);
                        )+
                        drop(unknown);
                        )?
                        Ok(message)
                    }
                }

                deserializer.deserialize_map(Members)
            }
        }

        impl serde::Serialize for $message {
            #[allow(unused_mut, reason = "a message may be empty")]
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $( $crate::event::wire::write_field(&mut map, $name, &self.$field)?; )*
                $($( $crate::event::wire::Oneof::write_member(&self.$group, &mut map)?; )+)?
                serde::ser::SerializeMap::end(map)
            }
        }

        impl $crate::event::wire::Value for $message {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <Self as serde::Deserialize>::deserialize(deserializer)
            }

            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(self, serializer)
            }
        }
    };
}
pub(crate) use message;

/// Defines a oneof: an enum with the members' names in Rust and on the wire.
macro_rules! oneof {
    (
        $(#[$about:meta])*
        $oneof:ident {
            $( $(#[$doc:meta])* $member:ident $name:literal: $kind:ty, )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub enum $oneof {
            /// None of the members that this version of the crate knows is set.
            /// (A newer one that is not an object is not seen.)
            #[default]
            Unset,
            $( $(#[$doc])* $member($kind), )+
            /// An object beside the unset group, which this version of the crate does
            /// not know: a newer member, or a newer field of the message itself.
            Unknown($crate::event::UnknownMember),
        }

        impl $oneof {
            /// Whether a member is set that this version of the crate knows.
            #[must_use]
            pub fn is_known(&self) -> bool {
                !matches!(self, Self::Unset | Self::Unknown(_))
            }

            /// The name of the member that is set, as it is on the wire.
            #[must_use]
            pub fn name(&self) -> Option<&str> {
                match self {
                    Self::Unset => None,
                    $( Self::$member(_) => Some($name), )+
                    Self::Unknown(member) => Some(&member.name),
                }
            }
        }

        impl $crate::event::wire::Oneof for $oneof {
            fn read_member<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                let member = match name {
                    $( $name => $crate::event::wire::next_member(map)?.map(Self::$member), )+
                    _ => return Ok(false),
                };
                // `null` is a member that is not set.
                if let Some(member) = member {
                    if let Some(first) = self.name() {
                        return Err(serde::de::Error::custom(format_args!(
                            "both {first:?} and {name:?} are set, of which one may be"
                        )));
                    }
                    *self = member;
                }
                Ok(true)
            }

            fn adopt(
                &mut self,
                unknown: Option<$crate::event::UnknownMember>,
            ) -> Option<$crate::event::UnknownMember> {
                match (&self, unknown) {
                    (Self::Unset, Some(member)) => {
                        *self = Self::Unknown(member);
                        None
                    }
                    (_, unknown) => unknown,
                }
            }

            fn write_member<M: serde::ser::SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                match self {
                    Self::Unset => Ok(()),
                    $( Self::$member(value) => $crate::event::wire::write_member(map, $name, value), )+
                    Self::Unknown(member) => map.serialize_entry(&member.name, &member.json),
                }
            }
        }
    };
}
pub(crate) use oneof;

/// Stands for the members of a oneof that nobody knows.
macro_rules! none {
    ($($group:ident)+) => {
        None::<$crate::event::UnknownMember>
    };
}
pub(crate) use none;

/// An enum on the wire: a name, or a number of which only 0 is known.
pub(crate) trait Enum: Default {
    fn from_name(name: &str) -> Option<Self>;
    fn unknown(value: UnknownValue) -> Self;
}

pub(crate) fn read_enum<'de, T: Enum, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let expected = "the name or number of an enum's value";
    match Scalar::read(deserializer, expected)? {
        Scalar::Text(name) => {
            Ok(T::from_name(&name).unwrap_or_else(|| T::unknown(UnknownValue::Name(name))))
        }
        Scalar::Number(number) => match integer(&number).map(i32::try_from) {
            Some(Ok(0)) => Ok(T::default()),
            Some(Ok(number)) => Ok(T::unknown(UnknownValue::Number(number))),
            _ => Err(wrong(&number, expected)),
        },
    }
}

/// Defines an enum, with its values' names in Rust and on the wire. The first
/// is the default, number 0.
macro_rules! enumeration {
    (
        $(#[$about:meta])*
        $enum:ident {
            $(#[$first_doc:meta])* $first:ident $first_name:literal,
            $( $(#[$doc:meta])* $value:ident $name:literal, )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $enum {
            $(#[$first_doc])*
            #[default]
            $first,
            $( $(#[$doc])* $value, )*
            /// A value that this version of the crate does not know.
            Unknown($crate::event::UnknownValue),
        }

        impl $enum {
            /// The value's name on the wire, unless it is unknown and came as a
            /// number.
            #[must_use]
            pub fn name(&self) -> Option<&str> {
                match self {
                    Self::$first => Some($first_name),
                    $( Self::$value => Some($name), )*
                    Self::Unknown($crate::event::UnknownValue::Name(name)) => Some(name),
                    Self::Unknown($crate::event::UnknownValue::Number(_)) => None,
                }
            }
        }

        impl $crate::event::wire::Enum for $enum {
            fn from_name(name: &str) -> Option<Self> {
                match name {
                    $first_name => Some(Self::$first),
                    $( $name => Some(Self::$value), )*
                    _ => None,
                }
            }

            fn unknown(value: $crate::event::UnknownValue) -> Self {
                Self::Unknown(value)
            }
        }

        impl $crate::event::wire::Value for $enum {
            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::event::wire::read_enum(deserializer)
            }

            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::Unknown($crate::event::UnknownValue::Number(number)) => serializer.serialize_i32(*number),
                    _ => serializer.serialize_str(self.name().unwrap_or_default()),
                }
            }
        }

        impl $crate::event::wire::Defaulted for $enum {}
    };
}
pub(crate) use enumeration;
