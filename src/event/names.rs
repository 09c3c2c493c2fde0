//! Finds the names of members.

/// Names, each with its index, and a table that says at which index to look for one.
pub(crate) struct Names {
    names: &'static [&'static str],
    /// At a name's hash, or behind it: its index, and 1; 0 if there is no further name.
    table: [u8; SIZE],
}

/// More than twice as many as the names, so that few have the same place.
const SIZE: usize = 128;

/// The most names.
pub(crate) const MOST: usize = SIZE / 2;

impl Names {
    #[allow(
        clippy::indexing_slicing,
        reason = "it runs at compile time, and the index is smaller than the size"
    )]
    pub(crate) const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= MOST);
        let mut table = [0; SIZE];
        let mut rest = names;
        let mut number = 1;
        while let [name, others @ ..] = rest {
            let mut place = hash(name.as_bytes());
            while table[place] != 0 {
                place = (place + 1) % SIZE;
            }
            table[place] = number;
            number += 1;
            rest = others;
        }
        Self { names, table }
    }

    pub(crate) const fn count(&self) -> usize {
        self.names.len()
    }

    /// The name at this index.
    pub(crate) fn at(&self, index: usize) -> Option<&'static str> {
        self.names.get(index).copied()
    }

    /// The index of the name.
    pub(crate) fn index_of(&self, name: &[u8]) -> Option<usize> {
        let first = hash(name);
        let places = (first..SIZE).chain(0..first);
        for place in places {
            let index = usize::from(*self.table.get(place)?).checked_sub(1)?;
            if self.names.get(index)?.as_bytes() == name {
                return Some(index);
            }
        }
        None
    }
}

/// Of what names of one message differ in.
const fn hash(name: &[u8]) -> usize {
    match name {
        [first, .., last] => (name.len() * 3 + *first as usize * 5 + *last as usize * 11) % SIZE,
        _ => name.len(),
    }
}
