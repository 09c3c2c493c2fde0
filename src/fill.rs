//! How full a store is.

/// How full a store is that has a limit: for metrics.
///
/// Where each tenant has its own share, it is that of the fullest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    records: usize,
    capacity: usize,
}

impl Fill {
    /// So many records of at most so many.
    #[must_use]
    pub const fn new(records: usize, capacity: usize) -> Self {
        Self { records, capacity }
    }

    /// The number of records.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.records
    }

    /// The most records that there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether a smaller part of its capacity is left than of the other's.
    pub(crate) fn is_fuller_than(self, other: Self) -> bool {
        let parts = |one: usize, other: usize| one as u128 * other as u128;
        parts(self.records, other.capacity) > parts(other.records, self.capacity)
    }
}
