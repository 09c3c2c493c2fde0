use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use super::endpoint::{Endpoint, Reaction};
use super::{FakeTenant, Fault, Validator};
use crate::future::BoxFuture;
use crate::keys::{Fetch, FetchError};

/// A [`Fetch`] that answers every request with a tenant's keys, in process.
///
/// Made by [`FakeTenant::fetch`]. Clones share one state: keep one and give another
/// to the receiver. The answer is decided when the request begins.
#[derive(Clone, Debug)]
pub struct FakeFetch {
    endpoint: Arc<Endpoint>,
}

impl FakeFetch {
    pub(super) fn new(tenant: FakeTenant) -> Self {
        Self {
            endpoint: Arc::new(Endpoint::new(tenant)),
        }
    }

    /// The number of requests for the keys.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.endpoint.requests()
    }

    /// The number of requests answered with 304: see
    /// [`set_validator`](Self::set_validator).
    #[must_use]
    pub fn not_modified(&self) -> usize {
        self.endpoint.not_modified()
    }

    /// The last request for the keys.
    #[must_use]
    pub fn last_request(&self) -> Option<Request<()>> {
        self.endpoint.last_request()
    }

    /// Answers with this response from now on; with `None`, with the keys again.
    pub fn answer_with(&self, answer: Option<Response<Bytes>>) {
        self.endpoint.answer_with(answer);
    }

    /// Sets or removes the keys' `Cache-Control`; by default there is none.
    ///
    /// # Panics
    /// If the text is not valid in a header.
    pub fn cache_control(&self, value: Option<&str>) {
        self.endpoint.cache_control(value);
    }

    /// Sends the keys with this validator and answers 304 while they have not
    /// changed; by default there is none.
    pub fn set_validator(&self, validator: Option<Validator>) {
        self.endpoint.set_validator(validator);
    }

    /// Injects a fault into every answer from now on; `None` ends it.
    ///
    /// # Panics
    /// At the next request, if it is a redirect to a URL that is not valid in a
    /// header.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.endpoint.set_fault(fault);
    }
}

impl Fetch for FakeFetch {
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let answer = match self.endpoint.react(request) {
                Reaction::Answer(answer) => answer,
                Reaction::AnswerAfter(wait, answer) => {
                    tokio::time::sleep(wait).await;
                    answer
                }
                Reaction::Reset(_) => return Err(FetchError::new("connection reset")),
                Reaction::HangUp => return Err(FetchError::new("connection refused")),
            };
            if answer.body().len() > max_body {
                return Err(FetchError::new("the answer is too long"));
            }
            Ok(answer)
        })
    }
}
