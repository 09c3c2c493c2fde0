use std::error::Error;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;

use crate::rejection::{Rejection, RejectionHooks};
use crate::verify::Verifier;

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
        request: Request<B>,
    ) -> Result<Request<Full<Bytes>>, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let uri = original_uri(&request);
        let verified = self.verifier.verify(request, uri.path()).await;
        verified.inspect_err(|rejection| self.hooks.observe(rejection))
    }

    pub(super) fn response(&self, rejection: &Rejection) -> Response<Full<Bytes>> {
        self.hooks.response(rejection)
    }
}

/// The URI that the caller asked for, also below nested axum routers, which strip
/// what they have matched.
fn original_uri<B>(request: &Request<B>) -> Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = crate::axum::original_uri(request.extensions()) {
        return original.clone();
    }
    request.uri().clone()
}
