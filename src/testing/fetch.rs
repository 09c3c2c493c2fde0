use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use super::endpoint::{Endpoint, Reaction};
use super::{FakeTenant, Fault, Validator};
use crate::future::BoxFuture;
use crate::keys::{Fetch, FetchError};

/// A [`Fetch`] that answers every request with a tenant's keys, in process.
///
/// Made by [`FakeTenant::fetch`]. Clones share one state: keep one, give the
/// other to the receiver. What a request gets is settled when it begins.
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

    /// How many times the keys were asked for.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.endpoint.requests()
    }

    /// How many of those answers were 304: see
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

    /// Answers with this, whatever it is, from now on; with `None`, with the
    /// keys again.
    pub fn answer_with(&self, answer: Option<Response<Bytes>>) {
        self.endpoint.answer_with(answer);
    }

    /// Sends the keys with this `Cache-Control`, or without; at first without.
    ///
    /// # Panics
    /// If the text cannot stand in a header.
    pub fn cache_control(&self, value: Option<&str>) {
        self.endpoint.cache_control(value);
    }

    /// Sends the keys with this validator, and answers 304 while they stay as
    /// they are; at first without any.
    pub fn set_validator(&self, validator: Option<Validator>) {
        self.endpoint.set_validator(validator);
    }

    /// Lets this go wrong from now on; with `None`, nothing any longer.
    ///
    /// # Panics
    /// When the keys are asked for, if it is a redirection to what cannot stand
    /// in a header.
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
