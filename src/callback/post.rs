//! The port through which documents are posted.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use crate::excerpt::one_line;
use crate::future::BoxFuture;

/// Makes the POST requests of a [`CallbackClient`](super::CallbackClient).
///
/// An implementation moves bytes and judges nothing: the client checks the URL
/// before, looks at the status and headers after, decides what is tried again,
/// and gives up after its time limit by dropping the future.
///
/// The request's URL and body are secrets: they must not be logged.
pub trait Post: fmt::Debug + Send + Sync + 'static {
    /// Sends `request`, once, and gives back whatever the server answers, error
    /// statuses included. The answer's body is of no interest.
    ///
    /// Redirects must not be followed, and nothing be tried again.
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

/// Why a POST got no answer, and whether it may have arrived all the same.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct PostError {
    reason: String,
    unsent: bool,
}

impl PostError {
    /// Nothing of the request was sent: no connection was had.
    ///
    /// The reason is logged: it must not contain secrets. Control characters
    /// are escaped and an overlong reason is cut off.
    pub fn unsent(reason: impl fmt::Display) -> Self {
        Self {
            reason: one_line(&reason.to_string()),
            unsent: true,
        }
    }

    /// The request may have been received, or not. The reason is as for
    /// [`unsent`](Self::unsent).
    pub fn unknown(reason: impl fmt::Display) -> Self {
        Self {
            unsent: false,
            ..Self::unsent(reason)
        }
    }

    /// Whether it is certain that nothing was sent.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.unsent
    }
}
