//! Response decompression as in ConductorOne's HTTP client: Go's, which accepts gzip
//! by default and unpacks it.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

/// The largest unpacked body, in bytes: far more than any answer may have.
const LIMIT: u64 = 16 << 20;

/// Unpacks a body, and adjusts the headers as if it had come unpacked.
pub(super) fn unpack(headers: &mut HeaderMap, body: Bytes) -> io::Result<Bytes> {
    let is_packed = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    if !is_packed {
        return Ok(body);
    }
    let mut content = Vec::new();
    MultiGzDecoder::new(&*body)
        .take(LIMIT)
        .read_to_end(&mut content)?;
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(content.into())
}
