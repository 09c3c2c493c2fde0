//! Boxes, lists and maps. Their memory is counted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;

use super::reading::Reading;
use super::wire::{Defaulted, Nullable, Value, Written, next_member, twice};

impl<T: Value> Value for Box<T> {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        reading.take(size_of::<T>())?;
        T::read(deserializer, reading).map(Box::new)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).write(serializer)
    }
}

/// A list. An item that is `null` has its default.
impl<T: Value + Default> Value for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        struct Items<'r, T>(&'r Reading, PhantomData<T>);

        impl<'de, T: Value + Default> Visitor<'de> for Items<'_, T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let Self(reading, _) = self;
                let mut items = Vec::new();
                while let Some(item) = seq
                    .next_element_seed(Nullable::<T>::new(reading))
                    .inspect_err(|_| reading.failed_at(items.len()))?
                {
                    reading.take(size_of::<T>())?;
                    items.push(item.unwrap_or_default());
                }
                items.shrink_to_fit();
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Items(reading, PhantomData))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Written))
    }
}

impl<T: Value + Default + PartialEq> Defaulted for Vec<T> {}

/// A map with strings as keys. A value that is `null` has its default.
impl<T: Value + Default> Value for BTreeMap<String, T> {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        struct Entries<'r, T>(&'r Reading, PhantomData<T>);

        impl<'de, T: Value + Default> Visitor<'de> for Entries<'_, T> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                // A node of the tree has room for eleven entries, and at least five
                // entries unless it is the only node.
                const ROOM: usize = 12;
                const HELD: usize = 5;

                let Self(reading, _) = self;
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if entries.len() % HELD == 0 {
                        reading.take(ROOM * size_of::<(String, T)>())?;
                    }
                    let value = next_member(&mut map, &key, reading)?;
                    match entries.entry(key) {
                        Entry::Vacant(entry) => entry.insert(value.unwrap_or_default()),
                        Entry::Occupied(entry) => return Err(twice(entry.key())),
                    };
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Entries(reading, PhantomData))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, value)| (key, Written(value))))
    }
}

impl<T: Value + Default + PartialEq> Defaulted for BTreeMap<String, T> {}
