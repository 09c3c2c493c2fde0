//! proto3 JSON as ConductorOne writes it, and the three macros that define the model.
//!
//! - A field that is absent or `null` has its default. A default is not written.
//! - A field has two names: the JSON name (`displayName`) and the name in the proto file
//!   (`display_name`). It may occur once, under either name. The same holds for a oneof's
//!   members, the keys of a map and `@type`.
//! - Fields, enum values and members of a oneof that this version does not know are not
//!   errors.
//! - Memory other than for strings is counted: see [`Reading`].

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::number::{Scalar, integer, wrong};
use super::reading::Reading;
use super::unknown::{Json, UnknownMember, UnknownValue};
use crate::json::Name;

/// A value on the wire that is not `null`.
pub(crate) trait Value: Sized {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error>;
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A member of a message. An absent one has its default.
pub(crate) trait Field: Default {
    /// Reads a value that may be `null`.
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error>;
    /// The value to write; `None` if it is the default.
    fn written(&self) -> Option<impl Serialize>;
}

/// Values with a default, which `null` means.
pub(crate) trait Defaulted: Value + Default + PartialEq {}

impl<T: Defaulted> Field for T {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        Ok(Nullable::new(reading)
            .deserialize(deserializer)?
            .unwrap_or_default())
    }

    fn written(&self) -> Option<impl Serialize> {
        (*self != Self::default()).then_some(Written(self))
    }
}

impl<T: Value> Field for Option<T> {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        Nullable::new(reading).deserialize(deserializer)
    }

    fn written(&self) -> Option<impl Serialize> {
        self.as_ref().map(Written)
    }
}

/// Writes a value through serde.
pub(crate) struct Written<'a, T>(pub(crate) &'a T);

impl<T: Value> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// Reads a value through serde; `None` for `null`.
pub(crate) struct Nullable<'r, T>(&'r Reading, PhantomData<T>);

impl<'r, T> Nullable<'r, T> {
    pub(crate) fn new(reading: &'r Reading) -> Self {
        Self(reading, PhantomData)
    }
}

impl<'de, T: Value> DeserializeSeed<'de> for Nullable<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Value> Visitor<'de> for Nullable<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::read(deserializer, self.0).map(Some)
    }
}

/// Reads a field through serde.
struct ReadField<'r, T>(&'r Reading, PhantomData<T>);

impl<'de, T: Field> DeserializeSeed<'de> for ReadField<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(deserializer, self.0)
    }
}

/// The name of the next member.
pub(crate) fn next_name<'de, A: MapAccess<'de>>(
    map: &mut A,
    reading: &Reading,
) -> Result<Option<Name<'de>>, A::Error> {
    let name = map.next_key::<Name<'_>>()?;
    if name.as_ref().is_some_and(Name::may_be_invalid) {
        reading.doubt();
    }
    Ok(name)
}

/// The value of the member with this name, which may be `null`.
pub(crate) fn next_field<'de, T: Field, A: MapAccess<'de>>(
    map: &mut A,
    name: &str,
    reading: &Reading,
) -> Result<T, A::Error> {
    map.next_value_seed(ReadField(reading, PhantomData))
        .inspect_err(|_| reading.failed_in(name))
}

/// The value of the member with this name; `None` for `null`.
pub(crate) fn next_member<'de, T: Value, A: MapAccess<'de>>(
    map: &mut A,
    name: &str,
    reading: &Reading,
) -> Result<Option<T>, A::Error> {
    next_field::<Option<T>, A>(map, name, reading)
}

/// Records that a member occurs, and refuses a second one: readers differ in which of
/// two they take.
pub(crate) fn once<E: Error>(seen: &mut bool, name: &str) -> Result<(), E> {
    if std::mem::replace(seen, true) {
        return Err(twice(name));
    }
    Ok(())
}

pub(crate) fn twice<E: Error>(name: &str) -> E {
    E::custom(format_args!("{name:?} occurs twice"))
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

macro_rules! through_serde {
    ($($kind:ty),+) => {$(
        impl Value for $kind {
            fn read<'de, D: Deserializer<'de>>(
                deserializer: D,
                _: &Reading,
            ) -> Result<Self, D::Error> {
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

/// A group of members of which at most one is set.
pub(crate) trait Oneof: Default {
    /// Which of the members have occurred.
    type Seen: Default;

    /// Reads the next member's value if the group has a member with this name.
    /// Otherwise reads nothing, and gives `false`.
    fn read_member<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        seen: &mut Self::Seen,
        reading: &Reading,
    ) -> Result<bool, A::Error>;

    /// Takes an unknown member if the group is unset; gives it back otherwise.
    fn adopt(&mut self, unknown: Option<UnknownMember>) -> Option<UnknownMember>;

    fn write_member<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// Defines a message: a struct, with the names of its fields in Rust and on the wire,
/// and its oneofs, which name their members in their own definition. If the message has
/// `shows(…)`, its `Debug` shows these fields alone, since the others are not for logs.
macro_rules! message {
    (
        $(#[$about:meta])*
        $message:ident $(shows( $($shown:ident),* ))? {
            $( $(#[$doc:meta])* $field:ident $name:literal: $kind:ty, )*
        }
        $( oneof { $( $(#[$group_doc:meta])* $group:ident: $group_kind:ty, )+ } )?
    ) => {
        $(#[$about])*
        #[derive(Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $message {
            $( $(#[$doc])* pub $field: $kind, )*
            $($( $(#[$group_doc])* pub $group: $group_kind, )+)?
        }

        $crate::event::wire::debug! {
            $message $([ $($shown)* ])? { $($field)* $($($group)+)? }
        }

        impl<'de> serde::Deserialize<'de> for $message {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let reading = $crate::event::reading::Reading::default();
                $crate::event::wire::Value::read(deserializer, &reading)
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
            fn read<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
                reading: &$crate::event::reading::Reading,
            ) -> Result<Self, D::Error> {
                #[derive(Default)]
                struct Seen {
                    at_type: bool,
                    $( $field: bool, )*
                    $($( $group: <$group_kind as $crate::event::wire::Oneof>::Seen, )+)?
                }

                struct Members<'r>(&'r $crate::event::reading::Reading);

                impl<'de> serde::de::Visitor<'de> for Members<'_> {
                    type Value = $message;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object (", stringify!($message), ")"))
                    }

                    #[allow(unused_mut, unused_variables, reason = "a message may be empty")]
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$message, A::Error> {
                        use $crate::event::wire;

                        let Self(reading) = self;
                        let mut message = $message::default();
                        let mut seen = Seen::default();
                        $( let mut unknown = wire::none!($($group)+); )?
                        while let Some(name) = wire::next_name(&mut map, reading)? {
                            match &*name.of_field() {
                                $( $name => {
                                    wire::once(&mut seen.$field, $name)?;
                                    message.$field = wire::next_field(&mut map, $name, reading)?;
                                } )*
                                field => {
                                    if field == "@type" {
                                        wire::once(&mut seen.at_type, field)?;
                                    }
                                    $(
                                        $(
                                            if wire::Oneof::read_member(
                                                &mut message.$group, field, &mut map, &mut seen.$group, reading,
                                            )? {
                                                continue;
                                            }
                                        )+
                                        if unknown.is_none() && field != "@type"
                                            && let Some(name) = name.text()
                                        {
                                            unknown = $crate::event::UnknownMember::read(name, &mut map)?;
                                            continue;
                                        }
                                    )?
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        $($(
                            unknown = wire::Oneof::adopt(&mut message.$group, unknown);
                        )+
                        drop(unknown);
                        )?
                        Ok(message)
                    }
                }

                deserializer.deserialize_map(Members(reading))
            }

            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(self, serializer)
            }
        }
    };
}
pub(crate) use message;

/// Implements a message's `Debug`: all fields, or those in `shows(…)`.
macro_rules! debug {
    ($message:ident $([ $($shown:ident)* ])? { $($field:ident)* }) => {
        impl std::fmt::Debug for $message {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($message));
                $crate::event::wire::debug!(@ self shown $([ $($shown)* ])? { $($field)* })
            }
        }
    };
    (@ $self:ident $f:ident [ $($shown:ident)* ] { $($field:ident)* }) => {{
        $( $f.field(stringify!($shown), &$self.$shown); )*
        $f.finish_non_exhaustive()
    }};
    (@ $self:ident $f:ident { $($field:ident)* }) => {{
        $( $f.field(stringify!($field), &$self.$field); )*
        $f.finish()
    }};
}
pub(crate) use debug;

/// Defines a oneof: an enum, with the names of its members in Rust and on the wire.
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
            /// No member that this version of the crate knows is set. (A newer member
            /// that is not an object is ignored.)
            #[default]
            Unset,
            $( $(#[$doc])* $member($kind), )+
            /// An object that this version of the crate does not know, beside the unset
            /// group: a newer member, or a newer field of the message itself.
            Unknown($crate::event::UnknownMember),
        }

        impl $oneof {
            /// Whether a known member is set.
            #[must_use]
            pub fn is_known(&self) -> bool {
                !matches!(self, Self::Unset | Self::Unknown(_))
            }

            /// The name on the wire of the member that is set.
            #[must_use]
            pub fn name(&self) -> Option<&str> {
                match self {
                    Self::Unset => None,
                    $( Self::$member(_) => Some($name), )+
                    Self::Unknown(member) => Some(&member.name),
                }
            }
        }

        const _: () = {
        #[derive(Default)]
        #[allow(non_snake_case, reason = "named like the members")]
        pub(crate) struct Seen {
            $( $member: bool, )+
        }

        impl $crate::event::wire::Oneof for $oneof {
            type Seen = Seen;

            fn read_member<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                map: &mut A,
                seen: &mut Seen,
                reading: &$crate::event::reading::Reading,
            ) -> Result<bool, A::Error> {
                use $crate::event::wire;

                let member = match name {
                    $( $name => {
                        wire::once(&mut seen.$member, $name)?;
                        wire::next_member(map, $name, reading)?.map(Self::$member)
                    } )+
                    _ => return Ok(false),
                };
                // A member that is `null` is not set.
                if let Some(member) = member {
                    if let Some(first) = self.name() {
                        return Err(serde::de::Error::custom(format_args!(
                            "both {first:?} and {name:?} are set, at most one may be"
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
    };
}
pub(crate) use oneof;

/// The unknown members of a oneof: none so far.
macro_rules! none {
    ($($group:ident)+) => {
        None::<$crate::event::UnknownMember>
    };
}
pub(crate) use none;

/// An enum on the wire: a name, or a number, of which only 0 is known.
pub(crate) trait Enum: Default {
    fn from_name(name: &str) -> Option<Self>;
    fn unknown(value: UnknownValue) -> Self;
}

pub(crate) fn read_enum<'de, T: Enum, D: Deserializer<'de>>(
    deserializer: D,
    reading: &Reading,
) -> Result<T, D::Error> {
    let expected = "the name or number of an enum's value";
    match Scalar::read(deserializer, reading, expected)? {
        Scalar::Text(name) => {
            Ok(T::from_name(&name).unwrap_or_else(|| T::unknown(UnknownValue::Name(name.into()))))
        }
        Scalar::Number(number) => match integer(&number).map(i32::try_from) {
            Some(Ok(0)) => Ok(T::default()),
            Some(Ok(number)) => Ok(T::unknown(UnknownValue::Number(number))),
            _ => Err(wrong(&number, expected)),
        },
    }
}

/// Defines an enum, with the names of its values in Rust and on the wire. The first
/// value is the default, number 0.
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
            /// The value's name on the wire; `None` if ConductorOne sent an unknown
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
            fn read<'de, D: serde::Deserializer<'de>>(
                deserializer: D,
                reading: &$crate::event::reading::Reading,
            ) -> Result<Self, D::Error> {
                $crate::event::wire::read_enum(deserializer, reading)
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
