//! The port through which documents are posted.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use crate::excerpt::one_line;
use crate::future::BoxFuture;

/// Makes the POST requests of a [`CallbackClient`](super::CallbackClient).
///
/// An implementation only sends the request: the client checks the URL before,
/// reads the status and headers after, decides about retries, and drops the future
/// after its time limit.
///
/// The request's URL and body are secrets: never log them.
pub trait Post: fmt::Debug + Send + Sync + 'static {
    /// Sends `request` once and returns the server's answer without its body,
    /// including error statuses.
    ///
    /// Do not follow redirects, and do not retry.
    ///
    /// # Errors
    /// [`PostError`] if there was no answer.
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>>;
}

impl<P: Post + ?Sized> Post for Arc<P> {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        (**self).post(request)
    }
}

/// Why a POST got no answer, and whether the server may have received it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct PostError {
    reason: String,
    unsent: bool,
}

impl PostError {
    /// Nothing was sent, for instance because the connection failed.
    ///
    /// The reason is logged: it must not contain secrets. Control characters are
    /// escaped and a long reason is truncated.
    pub fn unsent(reason: impl fmt::Display) -> Self {
        Self {
            reason: one_line(&reason.to_string()).into_owned(),
            unsent: true,
        }
    }

    /// The server may have received the request. The reason is as for
    /// [`unsent`](Self::unsent).
    pub fn unknown(reason: impl fmt::Display) -> Self {
        Self {
            unsent: false,
            ..Self::unsent(reason)
        }
    }

    /// Whether nothing was sent, for certain.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.unsent
    }
}
