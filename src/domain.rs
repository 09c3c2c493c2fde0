//! A tenant's domain.

use crate::config_error::ConfigError;
use crate::url::RedactedUrl;

/// Checks that a tenant is named by a bare host name, in lower case as in `iss`.
///
/// `what` begins the error's text: what names the tenant.
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
    // Taken for a URL, it may have a password.
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
        "{what} {shown} is no host name in lower case: write it like example.conductor.one, without scheme, port and path{punycode}"
    )))
}
