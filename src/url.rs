//! Redacts and inspects URLs.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A URL whose `Display` and `Debug` leave out possible secrets.
#[derive(Clone)]
pub(crate) struct RedactedUrl(pub(crate) String);

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped, since it may not be a valid URL.
        let Self(url) = self;
        let (before, after) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
        if let Some((scheme, _)) = before.split_once("://")
            && url.contains('@')
        {
            write!(f, "{}://", scheme.escape_debug())?;
        }
        if after.contains('@') {
            // A password may contain any character.
            return f.write_str("…");
        }
        match before.rsplit_once('@') {
            Some((_, shown)) => write!(f, "…@{}", shown.escape_debug())?,
            None => write!(f, "{}", before.escape_debug())?,
        }
        match after.chars().next() {
            Some(mark) => write!(f, "{mark}…"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Whether a URL's host contains non-ASCII characters.
pub(crate) fn has_unicode_host(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next();
    authority.is_some_and(|authority| !authority.is_ascii())
}

/// Whether `host`, as written in a URL, is this machine: `localhost`, an address in
/// 127.0.0.0/8, or `[::1]`.
pub(crate) fn is_loopback(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|v4: Ipv4Addr| v4.is_loopback())
        || v6.is_some_and(|v6| v6.parse().is_ok_and(|v6: Ipv6Addr| v6.is_loopback()))
}
