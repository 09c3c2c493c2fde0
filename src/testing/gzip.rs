//! What the HTTP client of ConductorOne, which is written in Go, does unasked: it
//! accepts answers in gzip, and hands their content on.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

/// How much is unpacked at most, in bytes: far more than any answer may have.
const LIMIT: u64 = 16 << 20;

/// The content of an answer's body, and its headers as if it had come like that.
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
