//! Boxes, options, lists and maps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::ser::Serializer;

use super::place::{List, Map, Message, Place, Slot};
use super::wire::{Defaulted, Value, Written};

impl<T: Value> Value for Box<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).write(serializer)
    }
}

impl<T: Message> Slot for Box<T> {
    fn place(&mut self) -> Place<'_> {
        Place::Boxed(&mut **self)
    }
}

impl<T: Slot + Default> Slot for Option<T> {
    fn place(&mut self) -> Place<'_> {
        self.insert(T::default()).place()
    }
}

impl<T: Slot + Default> Slot for Vec<T> {
    fn place(&mut self) -> Place<'_> {
        Place::List(self)
    }
}

impl<T: Slot + Default> List for Vec<T> {
    fn add(&mut self) -> Option<&mut dyn Slot> {
        // A list of one message is common, and a message may be large.
        if self.len() == self.capacity() {
            self.reserve_exact(self.len().max(1));
        }
        self.push(T::default());
        self.last_mut().map(|item| item as &mut dyn Slot)
    }

    fn size_of_item(&self) -> usize {
        size_of::<T>()
    }

    fn shrink(&mut self) {
        self.shrink_to_fit();
    }
}

impl<T: Value> Value for Vec<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Written))
    }
}

impl<T: Value + Slot + Default + PartialEq> Defaulted for Vec<T> {}

impl<T: Slot + Default> Slot for BTreeMap<String, T> {
    fn place(&mut self) -> Place<'_> {
        Place::Map(self)
    }
}

impl<T: Slot + Default> Map for BTreeMap<String, T> {
    fn add(&mut self, key: String) -> Result<&mut dyn Slot, String> {
        match self.entry(key) {
            Entry::Vacant(entry) => Ok(entry.insert(T::default())),
            Entry::Occupied(entry) => Err(entry.key().clone()),
        }
    }
}

impl<T: Value> Value for BTreeMap<String, T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(key, value)| (key, Written(value))))
    }
}

impl<T: Value + Slot + Default + PartialEq> Defaulted for BTreeMap<String, T> {}
