//! The one bearer token of a request (RFC 6750 §2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BearerError {
    #[error("there is no Authorization header")]
    Missing,
    #[error("the Authorization header's scheme is not Bearer")]
    OtherScheme,
    #[error("there is more than one Authorization header")]
    Several,
    #[error("the token has {length} bytes, more than the limit of {limit}")]
    TooLong { length: usize, limit: usize },
}

/// Returns the token once its length is checked. Nothing in it is verified.
pub(super) fn token(headers: &HeaderMap, limit: usize) -> Result<&[u8], BearerError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(BearerError::Missing)?;
    if values.next().is_some() {
        return Err(BearerError::Several);
    }
    let value = value.as_bytes();
    let end_of_scheme = value
        .iter()
        .position(|byte| *byte == b' ')
        .unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end_of_scheme);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(BearerError::OtherScheme);
    }
    // Only spaces separate the two (RFC 9110 §11.4).
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = rest.get(spaces..).unwrap_or_default().trim_ascii_end();
    if token.len() > limit {
        return Err(BearerError::TooLong {
            length: token.len(),
            limit,
        });
    }
    Ok(token)
}
