//! What a ledger has to do: for metrics.

use std::time::Duration;

/// A layer's deliveries that were answered 202 and not called back yet, and those that
/// were given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    promised: u64,
    oldest: Option<Duration>,
    dead: u64,
}

impl Backlog {
    /// Up to this number deliveries are counted: 10,000 promised ones, and as many dead.
    pub const MOST: u64 = 10_000;

    /// For implementations of [`Ledger`](super::Ledger): so many promised deliveries, the
    /// oldest of which was promised so long ago, and so many dead ones.
    #[must_use]
    pub const fn new(promised: u64, oldest: Option<Duration>, dead: u64) -> Self {
        Self {
            promised,
            oldest,
            dead,
        }
    }

    /// The number of deliveries that were promised, and are neither called back nor dead;
    /// [`MOST`](Self::MOST) if there are more.
    #[must_use]
    pub const fn promised(&self) -> u64 {
        self.promised
    }

    /// How long ago the oldest of them was promised, on the ledger's clock; `None` if
    /// there is none. It is derived from when its record expires: if the
    /// [retention](super::Retention) was changed since, it is wrong by the difference.
    #[must_use]
    pub const fn oldest(&self) -> Option<Duration> {
        self.oldest
    }

    /// The number of dead deliveries; [`MOST`](Self::MOST) if there are more.
    #[must_use]
    pub const fn dead(&self) -> u64 {
        self.dead
    }
}
