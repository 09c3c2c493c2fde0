//! URLs: how they may be shown, and where they lead.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A URL that is shown without what might be a secret.
#[derive(Clone)]
pub(crate) struct RedactedUrl(pub(crate) String);

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        let (before, shown) = url.rsplit_once('@').unwrap_or(("", url));
        if let Some((scheme, _)) = before.split_once("://") {
            write!(f, "{}://…@", scheme.escape_debug())?;
        }
        let mut parts = shown.split(['?', '#']);
        // Escaped: it is not known to be a URL yet.
        write!(f, "{}", parts.next().unwrap_or_default().escape_debug())?;
        if parts.next().is_some() {
            f.write_str("?…")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Whether `host`, as it stands in a URL, is this very machine: `localhost`, an
/// address in 127.0.0.0/8, or `[::1]`.
pub(crate) fn is_loopback(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|v4: Ipv4Addr| v4.is_loopback())
        || v6.is_some_and(|v6| v6.parse().is_ok_and(|v6: Ipv6Addr| v6.is_loopback()))
}
