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

use crate::future::within;

/// How many frames are held before they are copied.
const MAX_HELD: usize = 64;

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
    let (bytes, digest) = within(policy.timeout, collect(body, limit))
        .await
        .ok_or(BodyError::Timeout(policy.timeout))??;
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

/// Reads the frames. A single frame is not copied; up to [`MAX_HELD`] are copied once,
/// when all have arrived, into a buffer of their length. Memory grows with the bytes
/// that arrive, not with what `Content-Length` declares.
async fn collect<B>(body: B, limit: usize) -> Result<(Bytes, [u8; 32]), BodyError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut body = pin!(body);
    let mut hash = Sha256::new();
    let mut length = 0;
    // The body is the joined frames, then the first one held, then the others held.
    let mut joined = BytesMut::new();
    let mut first = Bytes::new();
    let mut others: Vec<Bytes> = Vec::new();
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
        let bytes = data.remaining();
        if bytes == 0 {
            continue;
        }
        if bytes > limit - length {
            return Err(too_large(limit));
        }
        let data = data.copy_to_bytes(bytes);
        hash.update(&data);
        length += bytes;
        if first.is_empty() {
            first = data;
            continue;
        }
        others.push(data);
        if others.len() == MAX_HELD {
            joined.put(mem::take(&mut first));
            for frame in others.drain(..) {
                joined.put(frame);
            }
        }
    }
    if joined.is_empty() && others.is_empty() {
        return Ok((first, hash.finalize().into()));
    }
    joined.reserve(length - joined.len());
    joined.put(first);
    for frame in others {
        joined.put(frame);
    }
    Ok((joined.freeze(), hash.finalize().into()))
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
