//! How long a response stays fresh (RFC 9111).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES};

use crate::header::{date, delta_seconds, text};

/// The response's freshness lifetime, or `None` if it declares none.
///
/// `max-age` takes precedence over `Expires` (RFC 9111 section 5.3), `Age` is
/// subtracted, and an invalid value counts as stale (section 4.2.1).
pub(super) fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") {
                let given = delta_seconds(argument.trim().trim_matches('"')).unwrap_or_default();
                max_age = Some(max_age.map_or(given, |least: Duration| least.min(given)));
            }
        }
    }
    let age = text(headers, &AGE)
        .and_then(delta_seconds)
        .unwrap_or_default();
    max_age
        .or_else(|| expires(headers))
        .map(|lifetime| lifetime.saturating_sub(age))
}

fn expires(headers: &HeaderMap) -> Option<Duration> {
    let expires = headers.get(EXPIRES)?;
    let sent = date(headers, &DATE)?;
    // Many servers send `Expires: 0` for "stale".
    let expires = expires
        .to_str()
        .ok()
        .and_then(|text| httpdate::parse_http_date(text).ok());
    Some(
        expires
            .and_then(|expires| expires.duration_since(sent).ok())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    fn headers(lines: Lines) -> HeaderMap {
        lines
            .iter()
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
    fn lifetimes() {
        let table: &[(Lines, Option<u64>)] = &[
            (&[], None),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "public, max-age=600")], Some(600)),
            (&[("cache-control", "Public , MAX-AGE=600")], Some(600)),
            (&[("cache-control", "max-age=\"600\"")], Some(600)),
            (
                &[("cache-control", "max-age=600"), ("age", "100")],
                Some(500),
            ),
            (&[("cache-control", "max-age=600"), ("age", "700")], Some(0)),
            (
                &[("cache-control", "max-age=600"), ("age", "old")],
                Some(600),
            ),
            (&[("cache-control", "max-age=600, max-age=60")], Some(60)),
            (
                &[
                    ("cache-control", "max-age=600"),
                    ("cache-control", "no-store"),
                ],
                Some(0),
            ),
            (&[("cache-control", "no-cache, max-age=600")], Some(0)),
            (&[("cache-control", "max-age=ten")], Some(0)),
            (&[("cache-control", "max-age=-1")], Some(0)),
            (&[("cache-control", "max-age")], Some(0)),
            (
                &[("cache-control", "max-age=99999999999999999999999")],
                Some(u64::MAX),
            ),
            (&[("cache-control", "s-maxage=600")], None),
            (&[("cache-control", "xmax-age=600")], None),
            (
                &[DATED, ("expires", "Sun, 06 Nov 1994 08:59:37 GMT")],
                Some(600),
            ),
            (
                &[
                    DATED,
                    ("expires", "Sun, 06 Nov 1994 08:59:37 GMT"),
                    ("age", "60"),
                ],
                Some(540),
            ),
            (
                &[DATED, ("expires", "Sun, 06 Nov 1994 08:39:37 GMT")],
                Some(0),
            ),
            (&[DATED, ("expires", "0")], Some(0)),
            // Without a date to compare with, it says nothing.
            (&[("expires", "Sun, 06 Nov 1994 08:59:37 GMT")], None),
            (
                &[
                    DATED,
                    ("expires", "Sun, 06 Nov 1994 08:59:37 GMT"),
                    ("cache-control", "max-age=60"),
                ],
                Some(60),
            ),
        ];
        for (lines, expected) in table {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(lifetime(&headers(lines)), expected, "{lines:?}");
        }
    }
}
