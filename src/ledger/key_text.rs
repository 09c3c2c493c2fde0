//! A delivery's key as text: for logs, URLs and stores.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use super::lease::{DeliveryKey, Name};

/// 96 lower-case hexadecimal digits: the layer's name (16), the tenant's (16) and
/// the digest (64). This form is stable, and [`FromStr`] reads no other.
impl fmt::Display for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layer, tenant) = (self.layer(), self.tenant());
        let bytes = layer.as_bytes().iter().chain(tenant.as_bytes());
        bytes
            .chain(self.as_bytes())
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not a [`DeliveryKey`]: it does not have exactly 96 lower-case
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delivery key has exactly 96 lower-case hexadecimal digits")]
#[non_exhaustive]
pub struct ParseDeliveryKeyError;

/// Reads what [`Display`](fmt::Display) writes.
impl FromStr for DeliveryKey {
    type Err = ParseDeliveryKeyError;

    fn from_str(text: &str) -> Result<Self, ParseDeliveryKeyError> {
        parse(text).ok_or(ParseDeliveryKeyError)
    }
}

fn parse(text: &str) -> Option<DeliveryKey> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut bytes = [0; 8 + 8 + 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    let (layer, rest) = bytes.split_first_chunk()?;
    let (tenant, digest) = rest.split_first_chunk()?;
    let key = DeliveryKey::from_bytes(digest.try_into().ok()?);
    Some(key.scoped(Name::from_bytes(*layer), Name::from_bytes(*tenant)))
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// As the text of [`Display`](fmt::Display), in every format.
impl Serialize for DeliveryKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeliveryKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
