//! Reads and writes header fields about time: `Retry-After` (RFC 9110 §10.2.3), dates
//! and seconds.
//!
//! A date is compared with the response's `Date`, never with this machine's clock, which
//! may be wrong by hours.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The value of `Retry-After`.
pub(crate) fn write_retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(whole_seconds(wait).as_secs())
}

/// Rounds up to whole seconds, at least one, so that the retry does not come too early.
pub(crate) fn whole_seconds(wait: Duration) -> Duration {
    let up = u64::from(wait.subsec_nanos() > 0);
    Duration::from_secs(wait.as_secs().saturating_add(up).max(1))
}

/// Returns the wait that `Retry-After` asks for, if the header is valid.
pub(crate) fn read_retry_after(headers: &HeaderMap) -> Option<Duration> {
    delta_seconds(text(headers, &RETRY_AFTER)?).or_else(|| {
        let until = date(headers, &RETRY_AFTER)?;
        until.duration_since(date(headers, &DATE)?).ok()
    })
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

pub(crate) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

/// Parses a number of seconds. One beyond `u64` becomes `u64::MAX`.
pub(crate) fn delta_seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    fn headers(lines: Lines) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    const DATED: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn retries() {
        let table: &[(Lines, Option<u64>)] = &[
            (&[], None),
            (&[("retry-after", "7")], Some(7)),
            (&[("retry-after", " 7 ")], Some(7)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-7")], None),
            (&[("retry-after", "1.5")], None),
            (
                &[("retry-after", "99999999999999999999999")],
                Some(u64::MAX),
            ),
            (
                &[DATED, ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")],
                Some(20),
            ),
            (
                &[DATED, ("retry-after", "Sun, 06 Nov 1994 08:49:17 GMT")],
                None,
            ),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")], None),
        ];
        for (lines, expected) in table {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(read_retry_after(&headers(lines)), expected, "{lines:?}");
        }
    }
}
