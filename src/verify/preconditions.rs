//! Checks the request before its token is read.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, Method};

use crate::excerpt::for_log;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PreconditionError {
    #[error("the method is {0:?}, webhooks are sent with POST")]
    Method(String),
    #[error("the content type is not application/json")]
    MediaType,
    #[error("the body has a content coding")]
    ContentCoding,
}

/// Checks the method, media type and content coding.
pub(super) fn check(parts: &Parts) -> Result<(), PreconditionError> {
    check_method(parts)?;
    check_media_type(parts)?;
    check_content_coding(parts)
}

/// RFC 9110 §9.
pub(super) fn check_method(parts: &Parts) -> Result<(), PreconditionError> {
    if parts.method == Method::POST {
        Ok(())
    } else {
        Err(PreconditionError::Method(for_log(parts.method.as_str())))
    }
}

/// RFC 9110 §8.3.
pub(super) fn check_media_type(parts: &Parts) -> Result<(), PreconditionError> {
    if single(parts, &CONTENT_TYPE).is_some_and(is_json) {
        Ok(())
    } else {
        Err(PreconditionError::MediaType)
    }
}

/// RFC 9110 §8.4.
pub(super) fn check_content_coding(parts: &Parts) -> Result<(), PreconditionError> {
    let identity =
        |coding: &str| coding.trim().is_empty() || coding.trim().eq_ignore_ascii_case("identity");
    let plain = parts.headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        value
            .to_str()
            .is_ok_and(|list| list.split(',').all(identity))
    });
    if plain {
        Ok(())
    } else {
        Err(PreconditionError::ContentCoding)
    }
}

/// Returns the value of a header that must be present exactly once.
fn single<'a>(parts: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    let mut values = parts.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}
