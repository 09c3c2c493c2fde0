//! Finds the names of members.

/// The names of a message's fields and of its oneofs' members, and a table that says
/// where to look for one.
pub(crate) struct Names {
    /// Of the fields, then of each oneof.
    lists: &'static [&'static [&'static str]],
    /// At a name's hash, or behind it: its number, and 1; 0 if there is no further name.
    table: [u8; SIZE],
}

/// A name that was found.
pub(crate) struct Found {
    pub(crate) name: &'static str,
    /// Its number among all names.
    pub(crate) number: u8,
    pub(crate) list: usize,
    pub(crate) index: usize,
}

/// The most names: the table has twice as many places and more, so that few have the same
/// one, and a search ends.
pub(crate) const MOST: u8 = 63;
const SIZE: usize = 2 * (MOST as usize + 1);

impl Names {
    #[allow(
        clippy::indexing_slicing,
        reason = "it runs at compile time, and the index is smaller than the size"
    )]
    pub(crate) const fn new(lists: &'static [&'static [&'static str]]) -> Self {
        let mut table = [0; SIZE];
        let mut number = 0;
        let mut rest = lists;
        while let [names, others @ ..] = rest {
            let mut names = *names;
            while let [name, others @ ..] = names {
                let mut place = hash(name.as_bytes());
                while table[place] != 0 {
                    place = (place + 1) % SIZE;
                }
                number += 1;
                table[place] = number;
                names = others;
            }
            rest = others;
        }
        assert!(number <= MOST);
        Self { lists, table }
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Found> {
        let mut place = hash(name);
        loop {
            let number = self.table.get(place)?.checked_sub(1)?;
            let found = self.at(number)?;
            if found.name.as_bytes() == name {
                return Some(found);
            }
            place = (place + 1) % SIZE;
        }
    }

    /// The name with this number.
    fn at(&self, number: u8) -> Option<Found> {
        let mut index = usize::from(number);
        for (list, names) in self.lists.iter().enumerate() {
            if let Some(name) = names.get(index) {
                return Some(Found {
                    name,
                    number,
                    list,
                    index,
                });
            }
            index -= names.len();
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
