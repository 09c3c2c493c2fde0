//! Reads JSON into the model, in one pass.
//!
//! A value of the model names the [`Place`] that its JSON goes to, and a message the
//! slots of its members. All else is the same for all messages, and is compiled once:
//! code for each message would not fit into a processor's cache, and waiting for it
//! would take longer than the work.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::any::AnyMessage;
use super::error::whole;
use super::names::{self, Found, Names};
use super::number::{FromScalar, read_scalar};
use super::reading::{Reading, TooMuch};
use super::unknown::{Json, UnknownMember};
use crate::json::Name;

/// Where JSON that is not `null` goes.
pub(crate) enum Place<'a> {
    Flag(&'a mut bool),
    Text(&'a mut String),
    Scalar(&'a mut dyn FromScalar),
    Json(&'a mut Json),
    Any(&'a mut AnyMessage),
    Message(&'a mut dyn Message),
    /// A message with memory of its own.
    Boxed(&'a mut dyn Message),
    /// It is skipped.
    Nowhere,
    List(&'a mut dyn List),
    Map(&'a mut dyn Map),
    /// A list of anything.
    Texts(&'a mut dyn Texts),
}

/// A value of the model with its default, which `null` means.
pub(crate) trait Slot {
    /// Where JSON that is not `null` goes.
    fn place(&mut self) -> Place<'_>;
}

/// A message with its defaults.
pub(crate) trait Message {
    /// The names of its fields, and those of each oneof's members.
    fn names(&self) -> &'static Names;
    /// Where the field at this index of their names goes, unless it is `null`.
    fn field(&mut self, index: usize) -> Option<Place<'_>>;
    /// The oneof at this index.
    fn group(&mut self, index: usize) -> Option<&mut dyn Group>;
}

/// A group of members of which at most one is set.
pub(crate) trait Group {
    /// The name of the member that is set.
    fn set_member(&self) -> Option<&str>;
    /// Sets the member at this index of their names, to its default.
    fn set(&mut self, index: usize) -> Option<Place<'_>>;
    /// Takes an unknown member if the group is unset; gives it back otherwise.
    fn adopt(&mut self, unknown: UnknownMember) -> Option<UnknownMember>;
}

/// A list.
pub(crate) trait List {
    /// Adds the default of an item.
    fn add(&mut self) -> Option<&mut dyn Slot>;
    fn size_of_item(&self) -> usize;
    fn shrink(&mut self);
}

/// A list that reads its items itself.
pub(crate) trait Texts {
    /// Adds an item with this JSON.
    fn add(&mut self, json: &RawValue, reading: &Reading) -> Result<(), TooMuch>;
}

/// A map with strings as keys.
pub(crate) trait Map {
    /// Adds the default of a value; gives back a key that is there.
    fn add(&mut self, key: String) -> Result<&mut dyn Slot, String>;
}

/// Reads a message from what has JSON.
pub(crate) fn read_message<'de, D: Deserializer<'de>>(
    deserializer: D,
    message: &mut dyn Message,
) -> Result<(), D::Error> {
    let json = Box::<RawValue>::deserialize(deserializer)?;
    let reading = Reading::of(json.get());
    whole(Members(message, &reading), json.get()).map_err(D::Error::custom)
}

/// Reads a value that may be `null`.
pub(crate) struct Read<'a, T: ?Sized>(pub(crate) &'a mut T, pub(crate) &'a Reading);

impl<'de, T: Slot + ?Sized> DeserializeSeed<'de> for Read<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Slot + ?Sized> Visitor<'de> for Read<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        read_into(self.0.place(), deserializer, self.1)
    }
}

fn read_into<'de, D: Deserializer<'de>>(
    place: Place<'_>,
    deserializer: D,
    reading: &Reading,
) -> Result<(), D::Error> {
    match place {
        Place::Flag(flag) => *flag = Deserialize::deserialize(deserializer)?,
        Place::Text(text) => *text = Deserialize::deserialize(deserializer)?,
        Place::Scalar(scalar) => read_scalar(scalar, deserializer)?,
        Place::Json(json) => *json = Deserialize::deserialize(deserializer)?,
        Place::Any(any) => *any = AnyMessage::read(deserializer, reading)?,
        Place::Message(message) => Members(message, reading).deserialize(deserializer)?,
        Place::Boxed(message) => {
            reading.take(size_of_val(message)).map_err(Error::custom)?;
            Members(message, reading).deserialize(deserializer)?;
        }
        Place::Nowhere => {
            IgnoredAny::deserialize(deserializer)?;
        }
        Place::List(list) => deserializer.deserialize_seq(Items(list, reading))?,
        Place::Texts(list) => deserializer.deserialize_seq(ReadTexts(list, reading))?,
        Place::Map(map) => deserializer.deserialize_map(Entries(map, reading))?,
    }
    Ok(())
}

/// Reads the members of a message.
pub(crate) struct Members<'a>(pub(crate) &'a mut dyn Message, pub(crate) &'a Reading);

/// The known members that have occurred.
#[derive(Default)]
struct Seen(u64);

const AT_TYPE: u8 = names::MOST;

impl Seen {
    /// Records a member, and refuses a second one: readers differ in which of two they
    /// take.
    fn once<E: Error>(&mut self, number: u8, name: &str) -> Result<(), E> {
        let member = 1 << number;
        if self.0 & member != 0 {
            return Err(twice(name));
        }
        self.0 |= member;
        Ok(())
    }
}

pub(crate) fn twice<E: Error>(name: &str) -> E {
    E::custom(format_args!("{name:?} occurs twice"))
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let reading = self.1;
        let names = self.0.names();
        let mut seen = Seen::default();
        let mut unknown = None;
        while let Some(name) = map.next_key::<Name<'_>>()? {
            let found = names
                .find(name.as_bytes())
                .or_else(|| names.find(name.in_camel_case()?.as_bytes()));
            if let Some(found) = found {
                seen.once(found.number, found.name)?;
                self.read_known(&found, &mut map)?;
                continue;
            }
            if name.may_be_invalid() {
                reading.doubt();
            }
            match name.text() {
                Some("@type") => seen.once(AT_TYPE, "@type")?,
                Some(name) if unknown.is_none() && self.0.group(0).is_some() => {
                    unknown = UnknownMember::read(name, &mut map)?;
                    continue;
                }
                _ => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        for group in 0.. {
            let (Some(group), Some(member)) = (self.0.group(group), unknown.take()) else {
                break;
            };
            unknown = group.adopt(member);
        }
        Ok(())
    }
}

impl Members<'_> {
    fn read_known<'de, A: MapAccess<'de>>(
        &mut self,
        found: &Found,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let Self(message, reading) = self;
        let in_member = |_: &A::Error| reading.failed_in(found.name);
        let Some(group) = found.list.checked_sub(1) else {
            let mut field = Field(&mut **message, found.index);
            return map
                .next_value_seed(Read(&mut field, reading))
                .inspect_err(in_member);
        };
        let mut member = Member {
            group: message.group(group),
            index: found.index,
            other: None,
        };
        map.next_value_seed(Read(&mut member, reading))
            .inspect_err(in_member)?;
        match member.other {
            Some(other) => Err(A::Error::custom(format_args!(
                "both {other:?} and {:?} are set, at most one may be",
                found.name
            ))),
            None => Ok(()),
        }
    }
}

/// A field of a message.
struct Field<'a>(&'a mut dyn Message, usize);

impl Slot for Field<'_> {
    fn place(&mut self) -> Place<'_> {
        self.0.field(self.1).unwrap_or(Place::Nowhere)
    }
}

/// A member of a oneof, which is set once it has a value.
struct Member<'a> {
    group: Option<&'a mut dyn Group>,
    index: usize,
    /// The member that was set before.
    other: Option<String>,
}

impl Slot for Member<'_> {
    fn place(&mut self) -> Place<'_> {
        let Some(group) = &mut self.group else {
            return Place::Nowhere;
        };
        self.other = group.set_member().map(str::to_owned);
        match self.other {
            Some(_) => Place::Nowhere,
            None => group.set(self.index).unwrap_or(Place::Nowhere),
        }
    }
}

/// Reads the items of a list. One that is `null` has its default.
struct Items<'a>(&'a mut dyn List, &'a Reading);

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(list, reading) = self;
        for index in 0.. {
            let item = seq
                .next_element_seed(Item(list, reading))
                .inspect_err(|_| reading.failed_at(index))?;
            if item.is_none() {
                break;
            }
            reading.take(list.size_of_item()).map_err(Error::custom)?;
        }
        list.shrink();
        Ok(())
    }
}

/// Reads the next item of a list.
struct Item<'a>(&'a mut dyn List, &'a Reading);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self(list, reading) = self;
        let item = list.add().ok_or_else(|| Error::custom("no item"))?;
        Read(item, reading).deserialize(deserializer)
    }
}

struct ReadTexts<'a>(&'a mut dyn Texts, &'a Reading);

impl<'de> Visitor<'de> for ReadTexts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(json) = seq.next_element()? {
            self.0.add(json, self.1).map_err(Error::custom)?;
        }
        Ok(())
    }
}

/// Reads the entries of a map. A value that is `null` has its default.
struct Entries<'a>(&'a mut dyn Map, &'a Reading);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // A node of the tree has room for eleven entries, and at least five entries
        // unless it is the only node.
        const ROOM: usize = 12;
        const HELD: usize = 5;

        let Self(entries, reading) = self;
        let mut count = 0;
        while let Some(key) = map.next_key::<String>()? {
            let value = entries.add(key).map_err(|key| twice::<A::Error>(&key))?;
            if count % HELD == 0 {
                let entry = size_of::<String>() + size_of_val(value);
                reading.take(ROOM * entry).map_err(Error::custom)?;
            }
            count += 1;
            map.next_value_seed(Read(value, reading))?;
        }
        Ok(())
    }
}
