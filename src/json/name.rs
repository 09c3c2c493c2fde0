//! Parses member names, including those that are not valid Unicode.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A member's unescaped name, borrowed if it has no escapes. It is UTF-8 unless it
/// contains half of a surrogate pair; the member can be skipped even then.
pub(crate) struct Name<'a>(Cow<'a, [u8]>);

impl<'a> Name<'a> {
    /// The name, or `None` if it is not UTF-8.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The field's JSON name: `displayName` for the proto name `display_name` (proto3 JSON
    /// accepts both). Empty if the name is not UTF-8.
    pub(crate) fn of_field(&self) -> Cow<'_, str> {
        self.in_camel_case().map_or_else(
            || Cow::Borrowed(self.text().unwrap_or_default()),
            Cow::Owned,
        )
    }

    /// The JSON name of a field with this proto name; `None` if it is not a proto name, or
    /// is the same.
    pub(crate) fn in_camel_case(&self) -> Option<String> {
        self.0
            .contains(&b'_')
            .then(|| in_camel_case(self.text()?))
            .flatten()
    }

    /// Whether the name may contain an unescaped control character, which is invalid JSON
    /// that parsing into bytes accepts.
    pub(crate) fn may_be_invalid(&self) -> bool {
        match &self.0 {
            Cow::Borrowed(name) => name.iter().any(|byte| *byte < b' '),
            Cow::Owned(_) => true,
        }
    }

    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        self.0
    }
}

/// Converts a proto name to camel case; `None` if it is not a proto name.
fn in_camel_case(name: &str) -> Option<String> {
    let mut words = name.split('_');
    let mut camel = words.next()?.to_owned();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    for word in words {
        let (first, rest) = word.split_at_checked(1)?;
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    let is_plain = name.bytes().all(|byte| plain(byte) || byte == b'_');
    (is_plain && !name.starts_with('_')).then_some(camel)
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_bytes<E: Error>(self, name: &'de [u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name.as_bytes())))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
                self.visit_bytes(name.as_bytes())
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}
