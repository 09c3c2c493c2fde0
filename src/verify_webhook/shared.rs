use std::error::Error;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, Uri};
use http_body::Body;
use http_body_util::Full;
use tracing::Span;

use crate::rejection::{Rejection, RejectionHooks};
use crate::verify::{Verifier, Webhook};

/// What the clones of a layer and its services share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) verifier: Verifier,
    hooks: RejectionHooks,
}

impl Shared {
    pub(super) fn new(verifier: Verifier, hooks: RejectionHooks) -> Self {
        Self { verifier, hooks }
    }

    pub(super) async fn verify<B>(
        &self,
        head: &Parts,
        body: B,
        span: &Span,
    ) -> Result<Webhook, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let path = original_uri(head).path();
        let verified = self.verifier.verify(head, path, body, span).await;
        verified.inspect_err(|rejection| self.hooks.observe(rejection))
    }

    /// The answer to the request with this head.
    pub(super) fn refuse(&self, head: Parts, rejection: &Rejection) -> Response<Full<Bytes>> {
        self.hooks.response_to(head, rejection)
    }
}

/// The URI that the caller asked for, also below nested axum routers, which strip
/// what they have matched.
fn original_uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = crate::axum::original_uri(&parts.extensions) {
        return original;
    }
    &parts.uri
}
