//! Reads the body within a size and a time limit, and hashes it as it arrives.

use std::error::Error;
use std::mem;
use std::num::IntErrorKind;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError};
use sha2::{Digest, Sha256};
use tokio::task::coop::consume_budget;

/// The longest declared length, in bytes, for which a buffer is allocated before the
/// bytes arrive.
const MAX_TRUSTED_LENGTH: usize = 64 * 1024;

/// The limits on the body's size and on the time to read it.
pub(crate) struct BodyPolicy {
    pub(crate) max_bytes: usize,
    /// From the first poll to the end of the body.
    pub(crate) timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is longer than {0}")]
    TooLarge(String),
    #[error("the body did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("reading the body failed")]
    Read(#[source] Box<dyn Error + Send + Sync>),
    #[error("the body is empty: has a layer outside this one consumed it?")]
    Empty,
    #[error(
        "the body has {came} bytes, Content-Length says {declared}: \
         has a layer outside this one consumed or changed it?"
    )]
    Length { came: usize, declared: u64 },
}

/// Checks the declared length alone, which costs nothing: before the token is parsed.
pub(super) fn check_declared(headers: &HeaderMap, policy: &BodyPolicy) -> Result<(), BodyError> {
    check_length(declared_length(headers).unwrap_or(0), policy.max_bytes)
}

/// Reads the body. Returns its bytes and their SHA-256.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    policy: &BodyPolicy,
) -> Result<(Bytes, [u8; 32]), BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let declared = declared_length(headers);
    let limit = policy.max_bytes;
    check_length(declared.unwrap_or(0).max(body.size_hint().lower()), limit)?;
    let (bytes, digest) = tokio::time::timeout(policy.timeout, collect(body, declared, limit))
        .await
        .map_err(|_| BodyError::Timeout(policy.timeout))??;
    match declared {
        _ if bytes.is_empty() => Err(BodyError::Empty),
        Some(declared) if u64::try_from(bytes.len()) != Ok(declared) => Err(BodyError::Length {
            came: bytes.len(),
            declared,
        }),
        _ => Ok((bytes, digest)),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(length)
}

fn check_length(bytes: u64, limit: usize) -> Result<(), BodyError> {
    if bytes > u64::try_from(limit).unwrap_or(u64::MAX) {
        Err(too_large(limit))
    } else {
        Ok(())
    }
}

/// Parses `Content-Length`. A number beyond `u64` becomes `u64::MAX`.
fn length(value: &HeaderValue) -> Option<u64> {
    match value.to_str().ok()?.parse() {
        Ok(length) => Some(length),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Some(u64::MAX),
        Err(_) => None,
    }
}

/// Reads the frames. A single frame is not copied; several are copied once, into a
/// buffer of the declared length if that is short. Memory for a longer one grows with
/// the bytes that arrive, not with what `Content-Length` declares.
async fn collect<B>(
    body: B,
    declared: Option<u64>,
    limit: usize,
) -> Result<(Bytes, [u8; 32]), BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let declared = declared.and_then(|bytes| usize::try_from(bytes).ok());
    let declared = declared.unwrap_or(0);
    let mut body = pin!(body);
    let mut hash = Sha256::new();
    // Holds the first frame until a second one arrives; then `joined` holds all.
    let mut single = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        // Every frame may be ready at once: yield, so that the time limit is polled.
        consume_budget().await;
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|error| read_error(error.into()))?;
        // The digest does not cover trailers.
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let length = data.remaining();
        if length == 0 {
            continue;
        }
        if length > limit - single.len() - joined.len() {
            return Err(too_large(limit));
        }
        let data = data.copy_to_bytes(length);
        hash.update(&data);
        if single.is_empty() && joined.is_empty() {
            single = data;
        } else {
            if joined.is_empty() {
                let first = mem::take(&mut single);
                joined.reserve(declared.min(MAX_TRUSTED_LENGTH).max(first.len() + length));
                joined.put(first);
            }
            if joined.capacity() - joined.len() < length {
                let rest = declared.saturating_sub(joined.len()).min(joined.len());
                joined.reserve(rest.max(length));
            }
            joined.put(data);
        }
    }
    let bytes = if joined.is_empty() {
        single
    } else {
        joined.freeze()
    };
    Ok((bytes, hash.finalize().into()))
}

fn too_large(limit: usize) -> BodyError {
    BodyError::TooLarge(format!("the limit of {limit} bytes"))
}

/// Maps an outer layer's limit (tower-http's `RequestBodyLimit`) to `TooLarge`.
fn read_error(error: Box<dyn Error + Send + Sync>) -> BodyError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return BodyError::TooLarge("a layer outside this one allows".to_owned());
        }
        cause = error.source();
    }
    BodyError::Read(error)
}
