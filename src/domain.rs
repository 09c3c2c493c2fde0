//! Validates a tenant's domain.

use crate::config_error::ConfigError;
use crate::url::RedactedUrl;

/// Checks that a tenant's domain is a bare host name in lower case, as in `iss`.
///
/// `what` names the setting at the beginning of the error's text.
pub(crate) fn check_domain(what: &str, tenant: &RedactedUrl) -> Result<(), ConfigError> {
    let RedactedUrl(domain) = tenant;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    if domain.len() <= 253 && domain.split('.').all(is_label) {
        return Ok(());
    }
    // If it is a URL, it may contain a password.
    let shown = if domain.contains(':') {
        format!("{tenant:?}")
    } else {
        format!("{domain:?}")
    };
    let punycode = if domain.is_ascii() {
        ""
    } else {
        ", in punycode (xn--…)"
    };
    Err(ConfigError::new(format!(
        "{what} {shown} is not a lower-case host name: write it like example.conductor.one, without scheme, port and path{punycode}"
    )))
}
