//! Numbers of proto3 JSON, without loss of digits.
//!
//! They are parsed from their text. serde would round them, and represent them
//! differently with `serde_json/arbitrary_precision`, which any crate in the
//! dependency tree may enable.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny};
use serde::ser::Serializer;
use serde_json::value::RawValue;

use super::place::{Place, Slot};
use super::wire::{Defaulted, Value};
use crate::excerpt::for_log;

/// A number, or a string that may contain one.
pub(crate) enum Scalar<'a> {
    Number(&'a str),
    Text(Cow<'a, str>),
}

/// A value that is made of a number or a string.
pub(crate) trait FromScalar {
    /// What the scalar must be.
    fn expected(&self) -> &'static str;
    /// Takes the scalar's value; `None` if it has none of this type.
    fn set(&mut self, scalar: &Scalar<'_>) -> Option<()>;
}

pub(super) fn read_scalar<'de, D: Deserializer<'de>>(
    value: &mut dyn FromScalar,
    deserializer: D,
) -> Result<(), D::Error> {
    let json = <&RawValue>::deserialize(deserializer)?.get();
    Scalar::of(json)
        .and_then(|scalar| value.set(&scalar))
        .ok_or_else(|| {
            let expected = value.expected();
            D::Error::custom(format_args!("expected {expected}, got {}", for_log(json)))
        })
}

impl<'a> Scalar<'a> {
    fn of(json: &'a str) -> Option<Self> {
        match json.as_bytes() {
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                Some(Self::Text(std::str::from_utf8(text).ok()?.into()))
            }
            [b'"', ..] => serde_json::from_str(json).ok().map(Self::Text),
            [b'-' | b'0'..=b'9', ..] => Some(Self::Number(json)),
            _ => None,
        }
    }

    /// The text of the number, also if it was in a string.
    fn number(&self) -> Option<&str> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => Some(&**text).filter(|text| is_number(text)),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Text(text) => Some(text),
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

    if let Ok(number) = number.parse() {
        return Some(number);
    }
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
        impl Slot for $kind {
            fn place(&mut self) -> Place<'_> {
                Place::Scalar(self)
            }
        }

        impl FromScalar for $kind {
            fn expected(&self) -> &'static str {
                $expected
            }

            fn set(&mut self, scalar: &Scalar<'_>) -> Option<()> {
                *self = integer(scalar.number()?)?.try_into().ok()?;
                Some(())
            }
        }

        impl Value for $kind {
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

impl Slot for f64 {
    fn place(&mut self) -> Place<'_> {
        Place::Scalar(self)
    }
}

/// A double: a number, or a string with a number, `NaN` or `Infinity`.
impl FromScalar for f64 {
    fn expected(&self) -> &'static str {
        "a number"
    }

    fn set(&mut self, scalar: &Scalar<'_>) -> Option<()> {
        *self = match scalar.text() {
            Some("NaN") => f64::NAN,
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            // The standard library rounds to the nearest double, as in IEEE 754.
            _ => {
                let number: f64 = scalar.number()?.parse().ok()?;
                Some(number).filter(|number| number.is_finite())?
            }
        };
        Some(())
    }
}

impl Value for f64 {
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
