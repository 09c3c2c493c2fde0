//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use http::HeaderValue;

/// Whole seconds, at least one, rounded up: so that the retry does not come a
/// moment early.
pub(crate) fn retry_after(wait: Duration) -> HeaderValue {
    let seconds = wait.as_millis().div_ceil(1000);
    HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX).max(1))
}
