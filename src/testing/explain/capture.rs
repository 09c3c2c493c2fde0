//! A captured request, with the capturing tool's changes undone.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// The most headers that a captured request may have.
const MAX_HEADERS: usize = 256;

/// A captured request: from a tool on the wire, a proxy's log, or a program.
#[derive(Clone)]
pub struct CapturedRequest {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    pub(super) remarks: Vec<String>,
}

/// The bytes are not an HTTP/1.1 request. The error does not quote them.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not an HTTP/1.1 request (request line, headers, empty line, body): {reason}")]
pub struct CaptureError {
    reason: String,
}

impl CapturedRequest {
    /// Parses the raw bytes of an HTTP/1.1 request: request line, headers, an empty
    /// line, body.
    ///
    /// It undoes what tools commonly change, and the explanation says so: line ends
    /// of LF alone, `HTTP/2` in the request line, a missing empty line after the
    /// headers, bytes after the body, a chunked body.
    ///
    /// # Errors
    /// [`CaptureError`] if the bytes are not a request.
    pub fn parse(raw: &[u8]) -> Result<Self, CaptureError> {
        let mut remarks = Vec::new();
        let raw = with_version_1(raw, &mut remarks);
        let (mut parts, head) = if let Some(read) = read_head(&raw)? {
            read
        } else {
            let completed = [&raw, "\r\n\r\n".as_bytes()].concat();
            let (parts, _) = read_head(&completed)?.ok_or_else(|| error(&"it is empty"))?;
            remarks.push("the headers do not end with an empty line: one was added".to_owned());
            (parts, raw.len())
        };
        let (head, body) = raw.split_at_checked(head).unwrap_or((&raw, &[]));
        if !head.windows(2).any(|pair| pair == b"\r\n") {
            remarks.push("its lines end with LF, not with CRLF as on the wire".to_owned());
        }
        let body = match unchunked(&mut parts.headers, body, &mut remarks) {
            Some(body) => body,
            None => declared(&parts.headers, body, &mut remarks).to_vec(),
        };
        Ok(Self {
            parts,
            body: body.into(),
            remarks,
        })
    }

    /// The request's body as it was captured.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// A complete request, kept by a program.
impl From<Request<Bytes>> for CapturedRequest {
    fn from(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            parts,
            body,
            remarks: Vec::new(),
        }
    }
}

/// Omits the headers and the body, which hold secrets.
impl std::fmt::Debug for CapturedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CapturedRequest")
            .field("method", &self.parts.method)
            .field("path", &self.parts.uri.path())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

fn error(reason: &impl ToString) -> CaptureError {
    CaptureError {
        reason: reason.to_string(),
    }
}

/// Tools write an HTTP/2 request like an HTTP/1.1 request with another version.
fn with_version_1(raw: &[u8], remarks: &mut Vec<String>) -> Vec<u8> {
    let end = raw.iter().position(|byte| *byte == b'\n');
    let (line, rest) = raw.split_at(end.unwrap_or(raw.len()));
    let line = line.trim_ascii_end();
    for version in [" HTTP/2.0", " HTTP/2", " HTTP/3.0", " HTTP/3"] {
        if let Some(line) = line.strip_suffix(version.as_bytes()) {
            remarks.push(format!("its request line says{version}"));
            let rest = if rest.is_empty() { b"\n" } else { rest };
            return [line, b" HTTP/1.1", rest].concat();
        }
    }
    raw.to_vec()
}

/// The head and its length; `None` if the head is incomplete.
fn read_head(raw: &[u8]) -> Result<Option<(Parts, usize)>, CaptureError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(raw).map_err(|reason| error(&reason))?
    else {
        return Ok(None);
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method.unwrap_or_default().as_bytes())
        .map_err(|reason| error(&reason))?;
    *request.uri_mut() = head
        .path
        .unwrap_or_default()
        .parse::<Uri>()
        .map_err(|reason| error(&reason))?;
    for header in &*head.headers {
        let name =
            HeaderName::from_bytes(header.name.as_bytes()).map_err(|reason| error(&reason))?;
        let value = HeaderValue::from_bytes(header.value).map_err(|reason| error(&reason))?;
        request.headers_mut().append(name, value);
    }
    Ok(Some((request.into_parts().0, length)))
}

/// Decodes a chunked body (RFC 9112 §7.1). A capture that is cut short gives a
/// shorter body.
fn unchunked(headers: &mut HeaderMap, raw: &[u8], remarks: &mut Vec<String>) -> Option<Vec<u8>> {
    headers.get(TRANSFER_ENCODING)?;
    let (mut body, mut rest, mut ended) = (Vec::new(), raw, false);
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        rest = rest.get(start..).unwrap_or_default();
        let (chunk, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        body.extend_from_slice(chunk);
        rest = match after.strip_prefix(b"\r\n") {
            Some(rest) => rest,
            None => after.strip_prefix(b"\n").unwrap_or(after),
        };
        ended = size == 0;
        if ended {
            break;
        }
    }
    if body.is_empty() && !ended && !raw.is_empty() {
        remarks.push(
            "its headers announce a chunked body, but it was captured without chunks".to_owned(),
        );
        return Some(raw.to_vec());
    }
    if !ended {
        remarks.push("its body ends before the last chunk: the capture is cut short".to_owned());
    }
    // As a server passes it on.
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Some(body)
}

/// The bytes that a server would read as the body.
fn declared<'a>(headers: &HeaderMap, raw: &'a [u8], remarks: &mut Vec<String>) -> &'a [u8] {
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        if !raw.is_empty() {
            remarks.push(
                "it has no Content-Length: all bytes after its headers are its body".to_owned(),
            );
        }
        return raw;
    };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    match length.and_then(|length| raw.split_at_checked(length)) {
        Some((body, more)) if !more.is_empty() => {
            remarks.push(format!(
                "{} bytes follow the body that Content-Length tells of: a server does not read them",
                more.len()
            ));
            body
        }
        _ => raw,
    }
}
