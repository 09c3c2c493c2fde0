//! Times and durations.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;

use serde::Serializer;

use super::number::{FromScalar, Scalar};
use super::place::{Place, Slot};
use super::wire::Value;

/// A point in time, to the nanosecond.
///
/// It is parsed from an RFC 3339 text (`"2026-01-02T03:04:05.5+01:00"`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(
    /// In UTC. (jiff's own time stamps end a day before proto's.)
    DateTime,
);

const A_TIME: &str = "a time as in RFC 3339";
const A_DURATION: &str = "seconds like \"3.5s\"";

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        let since = self.0.duration_since(EPOCH);
        since.as_secs() - i64::from(since.subsec_nanos() < 0)
    }

    /// The time as a [`SystemTime`]; `None` if this platform's `SystemTime` cannot
    /// represent it.
    #[must_use]
    pub fn to_system_time(self) -> Option<SystemTime> {
        let since = self.0.duration_since(EPOCH);
        if since.is_negative() {
            UNIX_EPOCH.checked_sub(since.unsigned_abs())
        } else {
            UNIX_EPOCH.checked_add(since.unsigned_abs())
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let zone = text.rfind(['Z', 'z', '+', '-'])?;
        let (local, zone) = text.split_at_checked(zone)?;
        if !local.starts_with(|first: char| first.is_ascii_digit()) || !local.contains(['T', 't']) {
            return None;
        }
        let local: DateTime = local.parse().ok()?;
        local.checked_sub(offset(zone)?).ok().map(Self)
    }
}

/// `Z`, or hours and minutes like `+01:00`.
fn offset(zone: &str) -> Option<jiff::SignedDuration> {
    if matches!(zone, "Z" | "z") {
        return Some(jiff::SignedDuration::ZERO);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |text: &str, limit: i64| -> Option<i64> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| digits && *number < limit)
    };
    let offset =
        jiff::SignedDuration::from_secs(number(hours, 24)? * 3600 + number(minutes, 60)? * 60);
    Some(if zone.starts_with('-') {
        -offset
    } else {
        offset
    })
}

impl FromStr for Timestamp {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        Self::parse(text).ok_or(ScalarError(A_TIME))
    }
}

/// The text is not a time or duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct ScalarError(&'static str);

impl fmt::Display for Timestamp {
    /// RFC 3339, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Value for Timestamp {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Slot for Option<Timestamp> {
    fn place(&mut self) -> Place<'_> {
        Place::Scalar(self)
    }
}

impl FromScalar for Option<Timestamp> {
    fn expected(&self) -> &'static str {
        A_TIME
    }

    fn set(&mut self, scalar: &Scalar<'_>) -> Option<()> {
        *self = Some(Timestamp::parse(scalar.text()?)?);
        Some(())
    }
}

/// A length of time, to the nanosecond. It may be negative.
///
/// It is made from a [`Duration`], or parsed from a text (`"-1.5s"`).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignedDuration(jiff::SignedDuration);

impl SignedDuration {
    /// Whole seconds, rounded towards zero.
    #[must_use]
    pub fn as_seconds(self) -> i64 {
        self.0.as_secs()
    }

    /// The duration; `None` if it is negative.
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
    /// Seconds with as many decimals as needed, and `s`.
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

impl FromStr for SignedDuration {
    type Err = ScalarError;

    fn from_str(text: &str) -> Result<Self, ScalarError> {
        Self::parse(text).ok_or(ScalarError(A_DURATION))
    }
}

impl From<Duration> for SignedDuration {
    /// A duration over 10,000 years becomes 10,000 years.
    fn from(duration: Duration) -> Self {
        const LONGEST: Duration = Duration::from_secs(315_576_000_000);
        Self(jiff::SignedDuration::try_from(duration.min(LONGEST)).unwrap_or_default())
    }
}

impl Slot for SignedDuration {
    fn place(&mut self) -> Place<'_> {
        Place::Scalar(self)
    }
}

impl FromScalar for SignedDuration {
    fn expected(&self) -> &'static str {
        A_DURATION
    }

    fn set(&mut self, scalar: &Scalar<'_>) -> Option<()> {
        *self = Self::parse(scalar.text()?)?;
        Some(())
    }
}

impl Value for SignedDuration {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
