//! proto3 JSON as ConductorOne writes it, and the three macros that define the model.
//!
//! - A field that is absent or `null` has its default. A default is not written.
//! - A field has two names: the JSON name (`displayName`) and the name in the proto file
//!   (`display_name`). It may occur once, under either name. The same holds for a oneof's
//!   members, the keys of a map and `@type`.
//! - Fields, enum values and members of a oneof that this version does not know are not
//!   errors.
//! - Memory other than for strings is counted: see [`Reading`].

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::number::{Scalar, integer};
use super::place::{Group, Place, Slot};
use super::unknown::{Json, UnknownValue};

/// A value on the wire that is not `null`.
pub(crate) trait Value {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A member of a message. An absent one has its default.
pub(crate) trait Field: Slot + Default {
    /// The value to write; `None` if it is the default.
    fn written(&self) -> Option<impl Serialize>;
}

/// Values with a default, which `null` means.
pub(crate) trait Defaulted: Value + Slot + Default + PartialEq {}

impl<T: Defaulted> Field for T {
    fn written(&self) -> Option<impl Serialize> {
        (*self != Self::default()).then_some(Written(self))
    }
}

impl<T: Value> Field for Option<T>
where
    Self: Slot,
{
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
    ($($kind:ty: $place:ident;)+) => {$(
        impl Slot for $kind {
            fn place(&mut self) -> Place<'_> {
                Place::$place(self)
            }
        }

        impl Value for $kind {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }
    )+};
}

through_serde! {
    bool: Flag;
    String: Text;
    Json: Json;
}

impl Defaulted for String {}
impl Defaulted for bool {}

/// A group of members of which at most one is set.
pub(crate) trait Oneof: Group + Default {
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
                let mut message = Self::default();
                $crate::event::place::read_message(deserializer, &mut message)?;
                Ok(message)
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
            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(self, serializer)
            }
        }

        impl $crate::event::place::Slot for $message {
            fn place(&mut self) -> $crate::event::place::Place<'_> {
                $crate::event::place::Place::Message(self)
            }
        }

        const _: () = {
            use $crate::event::names::Names;
            use $crate::event::place::{Group, Message, Place};

            static NAMES: Names = Names::new(&[&[$($name),*], $($(<$group_kind>::NAMES),+)?]);
            const FIELDS: &[fn(&mut $message) -> Place<'_>] =
                &[$(|message| $crate::event::place::Slot::place(&mut message.$field)),*];
            const GROUPS: &[fn(&mut $message) -> &mut dyn Group] =
                &[$($(|message| &mut message.$group),+)?];

            impl Message for $message {
                fn names(&self) -> &'static Names {
                    &NAMES
                }

                fn field(&mut self, index: usize) -> Option<Place<'_>> {
                    FIELDS.get(index).map(|field| field(self))
                }

                fn group(&mut self, index: usize) -> Option<&mut dyn Group> {
                    GROUPS.get(index).map(|group| group(self))
                }
            }
        };
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

        impl $oneof {
            pub(crate) const NAMES: &[&str] = &[$($name),+];
        }

        const _: () = {
            use $crate::event::UnknownMember;
            use $crate::event::place::{Group, Place, Slot};

            const MEMBERS: &[fn(&mut $oneof) -> Option<Place<'_>>] = &[$(
                |group| {
                    *group = $oneof::$member(Default::default());
                    match group {
                        $oneof::$member(member) => Some(member.place()),
                        _ => None,
                    }
                }
            ),+];

            impl Group for $oneof {
                fn set_member(&self) -> Option<&str> {
                    self.name()
                }

                fn set(&mut self, index: usize) -> Option<Place<'_>> {
                    MEMBERS.get(index).and_then(|member| member(self))
                }

                fn adopt(&mut self, unknown: UnknownMember) -> Option<UnknownMember> {
                    if matches!(self, Self::Unset) {
                        *self = Self::Unknown(unknown);
                        return None;
                    }
                    Some(unknown)
                }
            }
        };

        impl $crate::event::wire::Oneof for $oneof {
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

pub(crate) const ENUM: &str = "the name or number of an enum's value";

/// The value of an enum: one of those with a name, of which the first has the number 0,
/// or an unknown one.
pub(crate) fn value_of_enum<T: Clone>(
    values: &[(&str, T)],
    unknown: fn(UnknownValue) -> T,
    scalar: &Scalar<'_>,
) -> Option<T> {
    let known = match scalar {
        Scalar::Text(text) => values.iter().find(|(name, _)| name == text),
        Scalar::Number(number) if integer(number)? == 0 => values.first(),
        Scalar::Number(_) => None,
    };
    Some(match (known, scalar) {
        (Some((_, value)), _) => value.clone(),
        (None, Scalar::Text(name)) => unknown(UnknownValue::Name((&**name).into())),
        (None, Scalar::Number(number)) => {
            unknown(UnknownValue::Number(integer(number)?.try_into().ok()?))
        }
    })
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

        impl $crate::event::place::Slot for $enum {
            fn place(&mut self) -> $crate::event::place::Place<'_> {
                $crate::event::place::Place::Scalar(self)
            }
        }

        impl $crate::event::number::FromScalar for $enum {
            fn expected(&self) -> &'static str {
                $crate::event::wire::ENUM
            }

            fn set(&mut self, scalar: &$crate::event::number::Scalar<'_>) -> Option<()> {
                const VALUES: &[(&str, $enum)] =
                    &[($first_name, $enum::$first), $(($name, $enum::$value)),*];
                *self = $crate::event::wire::value_of_enum(VALUES, Self::Unknown, scalar)?;
                Some(())
            }
        }

        impl $crate::event::wire::Value for $enum {
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
