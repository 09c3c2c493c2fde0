//! The callback URL, a secret.

use std::fmt;

/// The URL to which an answer may be posted later. It holds a token, and anyone
/// who has it can answer: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl(String);

impl CallbackUrl {
    pub(crate) fn new(url: String) -> Self {
        Self(url)
    }

    /// The URL itself. Keep it out of logs.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackUrl(…)")
    }
}
