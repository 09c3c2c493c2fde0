use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::Instant;

/// The response body of [`DeliverOnce`](super::DeliverOnce): a complete document.
#[derive(Debug, Default)]
pub struct DocumentBody {
    document: Full<Bytes>,
    _handed_over: Option<HandedOver>,
}

/// Signals, when dropped, that the server has finished a response.
///
/// A server drops an empty body after it writes the head. It also does so when the
/// client has disconnected, so a callback that is refused soon after is retried.
#[derive(Debug)]
pub(super) struct HandedOver(pub(super) watch::Sender<Option<Instant>>);

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.0.send_if_modified(|at| {
            let is_first = at.is_none();
            at.get_or_insert_with(Instant::now);
            is_first
        });
    }
}

impl DocumentBody {
    pub(super) fn new(document: Bytes) -> Self {
        Full::new(document).into()
    }

    /// An empty body that signals when it was written.
    pub(super) fn telling(handed_over: HandedOver) -> Self {
        Self {
            document: Full::default(),
            _handed_over: Some(handed_over),
        }
    }
}

impl From<Full<Bytes>> for DocumentBody {
    fn from(document: Full<Bytes>) -> Self {
        Self {
            document,
            _handed_over: None,
        }
    }
}

impl Body for DocumentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.document).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.document.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.document.size_hint()
    }
}
