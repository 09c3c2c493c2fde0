//! Numbers of proto3 JSON, without loss of digits.
//!
//! They are parsed from their text. serde would round them, and represent them
//! differently with `serde_json/arbitrary_precision`, which any crate in the
//! dependency tree may enable.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny};
use serde::ser::Serializer;
use serde_json::value::RawValue;

use super::reading::Reading;
use super::wire::{Defaulted, Value};
use crate::excerpt::for_log;

/// A number, or a string that may contain one.
pub(super) enum Scalar<'a> {
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    pub(super) fn read<D: Deserializer<'a>>(
        deserializer: D,
        reading: &Reading,
        expected: &str,
    ) -> Result<Self, D::Error> {
        if reading.is_of_text() {
            return Self::of(<&RawValue>::deserialize(deserializer)?, expected);
        }
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Ok(match Scalar::of(&json, expected)? {
            Scalar::Number(number) => Self::Number(number.into_owned().into()),
            Scalar::Text(text) => Self::Text(text.into_owned().into()),
        })
    }

    fn of<E: Error>(json: &'a RawValue, expected: &str) -> Result<Self, E> {
        let json = json.get();
        match json.as_bytes() {
            [b'"', .., b'"'] if !json.contains('\\') => {
                Ok(Self::Text(json.trim_matches('"').into()))
            }
            [b'"', ..] => serde_json::from_str::<String>(json)
                .map(|text| Self::Text(text.into()))
                .map_err(E::custom),
            [b'-' | b'0'..=b'9', ..] => Ok(Self::Number(json.into())),
            _ => Err(wrong(json, expected)),
        }
    }

    /// The text of the number, also if it was in a string.
    fn number(&self) -> Option<&str> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => Some(&**text).filter(|text| is_number(text)),
        }
    }
}

pub(super) fn wrong<E: Error>(came: &str, expected: &str) -> E {
    E::custom(format_args!("expected {expected}, got {}", for_log(came)))
}

impl std::fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => f.write_str(number),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// Whether the whole text is a JSON number.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The value of a JSON number that is an integer, such as `5`, `5.0` or `1e3`. `None`
/// if it is not an integer, or does not fit into 64 bits.
pub(super) fn integer(number: &str) -> Option<i64> {
    const LONGEST: usize = 19;

    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // An exponent beyond `i64` puts the number out of range.
    let exponent: i64 = exponent.parse().ok()?;
    let zeros = i64::try_from(zeros).ok()? - i64::try_from(fraction.len()).ok()?;
    let zeros = usize::try_from(exponent.checked_add(zeros)?).ok()?;
    if zeros > LONGEST || significant.len() + zeros > LONGEST {
        return None;
    }
    let magnitude: i128 = format!("{significant}{}", "0".repeat(zeros)).parse().ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

macro_rules! integers {
    ($($kind:ty, $expected:literal, |$number:ident, $serializer:ident| $write:expr;)+) => {$(
        impl Value for $kind {
            fn read<'de, D: Deserializer<'de>>(deserializer: D, reading: &Reading) -> Result<Self, D::Error> {
                let scalar = Scalar::read(deserializer, reading, $expected)?;
                scalar
                    .number()
                    .and_then(integer)
                    .and_then(|number| number.try_into().ok())
                    .ok_or_else(|| wrong(&scalar.to_string(), $expected))
            }

            fn write<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                let $number = self;
                $write
            }
        }

        impl Defaulted for $kind {}
    )+};
}

integers! {
    // As a string, since the numbers of some readers have fewer than 64 bits.
    i64, "an integer of 64 bits, as a string or a number",
        |number, serializer| serializer.collect_str(number);
    i32, "an integer of 32 bits",
        |number, serializer| serializer.serialize_i32(*number);
    u32, "an integer of 32 bits that is not negative",
        |number, serializer| serializer.serialize_u32(*number);
}

/// A double: a number, or a string with a number, `NaN` or `Infinity`.
impl Value for f64 {
    fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        reading: &Reading,
    ) -> Result<Self, D::Error> {
        let expected = "a number";
        let scalar = Scalar::read(deserializer, reading, expected)?;
        let number = match &scalar {
            Scalar::Text(text) if text == "NaN" => Some(f64::NAN),
            Scalar::Text(text) if text == "Infinity" => Some(f64::INFINITY),
            Scalar::Text(text) if text == "-Infinity" => Some(f64::NEG_INFINITY),
            // The standard library rounds to the nearest double, as in IEEE 754.
            _ => scalar
                .number()
                .and_then(|number| number.parse().ok())
                .filter(|number: &f64| number.is_finite()),
        };
        number.ok_or_else(|| wrong(&scalar.to_string(), expected))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Whole numbers without a fraction: most of the fields are counts.
            #[allow(
                clippy::cast_possible_truncation,
                reason = "checked to be whole and small"
            )]
            number if number.fract() == 0.0 && number.abs() < 9e15 => {
                serializer.serialize_i64(*number as i64)
            }
            number if number.is_finite() => serializer.serialize_f64(*number),
            number if number.is_nan() => serializer.serialize_str("NaN"),
            number if *number > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

impl Defaulted for f64 {}
