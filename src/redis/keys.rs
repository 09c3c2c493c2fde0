//! The names of the ledger's keys in Redis.

use std::fmt::Write;

use crate::ledger::{DeliveryKey, Name};

/// The number of shards. The keys of a shard share a hash tag (`{07}`), so that they
/// are in one slot of a Redis Cluster and one script may change several of them; the
/// shards are in different slots.
pub(super) const SHARDS: u8 = 16;

/// The deliveries of one layer in one shard.
pub(super) struct Shard {
    /// The prefix of its keys.
    prefix: String,
    /// The key of an index: the promised deliveries, by when they are due.
    pub(super) due: String,
    /// The key of an index: the same, by when their records expire.
    pub(super) ends: String,
    /// The key of an index: the shard's dead deliveries of all layers.
    pub(super) dead: String,
    /// The key of an index: the same, by when their records expire.
    pub(super) dead_ends: String,
}

impl Shard {
    pub(super) fn new(prefix: &str, number: u8, layer: Name) -> Self {
        let prefix = format!("{prefix}{{{number:02}}}:");
        let layer = hex(layer.as_bytes());
        Self {
            due: format!("{prefix}due:{layer}"),
            ends: format!("{prefix}ends:{layer}"),
            dead: format!("{prefix}dead"),
            dead_ends: format!("{prefix}dead_ends"),
            prefix,
        }
    }

    /// The shard of a delivery.
    pub(super) fn of(prefix: &str, key: DeliveryKey) -> Self {
        Self::new(prefix, number(key), key.layer())
    }

    /// The key of the record with this id.
    pub(super) fn record(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }
}

/// The number of a delivery's shard.
pub(super) const fn number(key: DeliveryKey) -> u8 {
    let [first, ..] = key.as_bytes();
    *first % SHARDS
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// The delivery with this id: a key's text.
pub(super) fn delivery(id: &[u8]) -> Option<DeliveryKey> {
    std::str::from_utf8(id).ok()?.parse().ok()
}
