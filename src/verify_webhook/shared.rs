use std::error::Error;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Full;

use crate::rejection::{Rejection, RejectionHooks};
use crate::verify::{Verifier, let_through};

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
        let (parts, body) = request.into_parts();
        let path = original_uri(&parts).path();
        match self.verifier.verify(&parts, path, body).await {
            Ok(webhook) => Ok(let_through(parts, webhook)),
            Err(rejection) => {
                self.hooks.observe(&rejection);
                Err(rejection)
            }
        }
    }

    pub(super) fn response(&self, rejection: &Rejection) -> Response<Full<Bytes>> {
        self.hooks.response(rejection)
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
