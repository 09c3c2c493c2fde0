//! The names of the ledger's keys in Redis.

use std::fmt::Write;

use crate::ledger::DeliveryKey;

/// Into how many parts the deliveries are divided. The keys of a part have a
/// hash tag in common (`{07}`), so that they are in one slot of a Redis Cluster
/// and one script may change several; the parts are in different slots.
pub(super) const SHARDS: u8 = 16;

/// What the names of a shard's keys begin with.
pub(super) fn shard_prefix(prefix: &str, shard: u8) -> String {
    format!("{prefix}{{{shard:02}}}:")
}

/// The name of a shard's index: the promised deliveries, by when they are due.
pub(super) fn index(shard_prefix: &str) -> String {
    format!("{shard_prefix}due")
}

/// The shard of a delivery.
pub(super) fn shard(key: DeliveryKey) -> u8 {
    let [first, ..] = key.as_bytes();
    first % SHARDS
}

/// The delivery's key in hexadecimal digits, as in logs.
pub(super) fn id(key: DeliveryKey) -> String {
    let mut id = String::with_capacity(64);
    for byte in key.as_bytes() {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The delivery with this id.
pub(super) fn delivery(id: &[u8]) -> Option<DeliveryKey> {
    let (pairs, []) = id.as_chunks::<2>() else {
        return None;
    };
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    bytes?.try_into().ok().map(DeliveryKey::from_bytes)
}
