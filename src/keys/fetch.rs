//! The port that fetches key sets, and its implementation for files.

use std::error::Error;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use crate::excerpt::one_line;
use crate::future::BoxFuture;

/// Sends the GET requests of a [`JwksCache`](super::JwksCache).
///
/// An implementation transfers bytes and checks nothing. The cache checks the
/// status, the headers and the document, limits the number of requests, and
/// drops the future after its time limit.
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`, a GET with the URL and conditional headers, and returns
    /// the response, whatever its status.
    ///
    /// It must not follow redirects. It must not read more than `max_body` bytes;
    /// a longer body is an error.
    ///
    /// # Errors
    /// [`FetchError`] if there is no complete response.
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>>;
}

impl<F: Fetch + ?Sized> Fetch for Arc<F> {
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        (**self).fetch(request, max_body)
    }
}

/// Why a fetch returned no complete response.
#[derive(Clone, Debug)]
pub struct FetchError {
    reason: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl FetchError {
    /// Creates an error. The reason is logged and shown in
    /// [`KeyHealth`](super::KeyHealth), so it must not contain secrets. Control
    /// characters are escaped, and a reason over 400 bytes is cut.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self {
            reason: one_line(&reason.to_string()).into_owned(),
            source: None,
        }
    }

    /// Adds the cause, which the reason should not repeat. It is logged and shown
    /// after the reason.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    pub(super) fn too_large(max_body: usize) -> Self {
        Self::new(format_args!("the response is longer than {max_body} bytes"))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The error itself, so that it can be downcast; thiserror gives the `Arc`.
        self.source.as_deref().map(|source| source as _)
    }
}

/// Reads a key set from a file and ignores the request's URL. So the cache, its
/// limits and its tolerance of failures are the same for a file and a URL.
#[derive(Clone, Debug)]
pub(super) struct FileFetch {
    path: PathBuf,
}

impl FileFetch {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the file, blocking.
    pub(super) fn read(&self, max_body: usize) -> Result<Vec<u8>, FetchError> {
        // Opening a pipe blocks until something writes to it.
        if !std::fs::metadata(&self.path).map_err(unread)?.is_file() {
            return Err(FetchError::new("it is not a file"));
        }
        let file = std::fs::File::open(&self.path).map_err(unread)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(max_body).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(unread)?;
        if bytes.len() > max_body {
            Err(FetchError::too_large(max_body))
        } else {
            Ok(bytes)
        }
    }
}

impl Fetch for FileFetch {
    fn fetch(
        &self,
        _request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let file = self.clone();
        Box::pin(async move {
            tokio::task::spawn_blocking(move || file.read(max_body))
                .await
                .unwrap_or_else(|_| Err(FetchError::new("reading the file was cancelled")))
                .map(|bytes| Response::new(Bytes::from(bytes)))
        })
    }
}

fn unread(error: std::io::Error) -> FetchError {
    FetchError::new("reading the file failed").with_source(error)
}
