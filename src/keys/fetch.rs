//! The port through which key sets are fetched, and reading them from a file.

use std::error::Error;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use crate::excerpt::one_line;
use crate::future::BoxFuture;

/// Makes the GET requests of a [`JwksCache`](super::JwksCache).
///
/// An implementation moves bytes and judges nothing: the cache itself looks at
/// the status, the headers and the document, limits how often it asks, and
/// gives up after its time limit by dropping the future.
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`, a GET with the URL and conditional headers, and gives
    /// back whatever the server answers, error statuses included.
    ///
    /// Redirects must not be followed. An answer whose body is longer than
    /// `max_body` bytes is an error, and reading stops there.
    ///
    /// # Errors
    /// [`FetchError`] if no complete answer could be had.
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

/// Why a fetch got no complete answer.
#[derive(Clone, Debug)]
pub struct FetchError {
    reason: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl FetchError {
    /// An error with its reason, which is logged and shown in
    /// [`KeyHealth`](super::KeyHealth): it must not contain secrets. Control
    /// characters are escaped and an overlong reason is cut off.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self {
            reason: one_line(&reason.to_string()),
            source: None,
        }
    }

    /// The same error with its cause, which the reason should not repeat. It is
    /// logged and shown like the reason.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    pub(super) fn too_large(max_body: usize) -> Self {
        Self::new(format_args!("the answer is longer than {max_body} bytes"))
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

/// Reads a key set from a file, whatever URL is asked for, so that a file gets
/// the same cache, limits and tolerance as a URL.
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
        // Opening a pipe would block for as long as nobody writes to it.
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
                .unwrap_or_else(|_| Err(FetchError::new("reading the file was broken off")))
                .map(|bytes| Response::new(Bytes::from(bytes)))
        })
    }
}

fn unread(error: std::io::Error) -> FetchError {
    FetchError::new("reading the file failed").with_source(error)
}
