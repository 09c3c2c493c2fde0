//! Times and durations.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use super::wire::Value;

/// A point in time, to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0
            .as_nanosecond()
            .div_euclid(1_000_000_000)
            .try_into()
            .unwrap_or(i64::MAX)
    }

    /// The same for the standard library, unless this platform's `SystemTime`
    /// cannot hold it.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        self.0.try_into().ok()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Value for Timestamp {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            D::Error::custom(format_args!("expected a time as in RFC 3339, got {text:?}"))
        })
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A length of time, to the nanosecond; it may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedDuration(jiff::SignedDuration);

impl SignedDuration {
    /// Whole seconds, rounded towards zero.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0.as_secs()
    }

    /// The duration, unless it is negative.
    #[must_use]
    pub fn to_std(self) -> Option<Duration> {
        self.0.try_into().ok()
    }

    /// `"-1.5s"`: seconds with up to nine digits of a fraction.
    fn parse(text: &str) -> Option<Self> {
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.strip_suffix('s')?;
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
            return None;
        }
        let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
        let duration = jiff::SignedDuration::new(seconds.parse().ok()?, nanoseconds);
        Some(Self(if negative { -duration } else { duration }))
    }
}

impl fmt::Display for SignedDuration {
    /// Seconds with the fraction that it takes, and `s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0.is_negative() { "-" } else { "" };
        write!(f, "{sign}{}", self.0.as_secs().unsigned_abs())?;
        match self.0.subsec_nanos().unsigned_abs() {
            0 => {}
            nanoseconds => {
                let fraction = format!("{nanoseconds:09}");
                write!(f, ".{}", fraction.trim_end_matches('0'))?;
            }
        }
        f.write_str("s")
    }
}

impl fmt::Debug for SignedDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Value for SignedDuration {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format_args!("expected seconds like \"3.5s\", got {text:?}"))
        })
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
