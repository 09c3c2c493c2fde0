//! URLs as they may be shown.

use std::fmt;

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
