use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::endpoint::Endpoint;
use super::{FakeTenant, lock};
use crate::BoxFuture;
use crate::keys::{Fetch, FetchError};

/// A [`Fetch`] that answers every request with a tenant's keys, in process.
///
/// Made by [`FakeTenant::fetch`]. Clones share one state: keep one, give the
/// other to the receiver. What a request gets is settled when it begins.
#[derive(Clone, Debug)]
pub struct FakeFetch {
    endpoint: Arc<Endpoint>,
    line: Arc<Mutex<Line>>,
}

/// What the way to the tenant is like.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    delay: Duration,
    unreachable: bool,
}

impl FakeFetch {
    pub(super) fn new(tenant: FakeTenant) -> Self {
        Self {
            endpoint: Arc::new(Endpoint::new(tenant)),
            line: Arc::default(),
        }
    }

    /// How many times the keys were asked for.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.endpoint.requests()
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

    /// Answers that long after being asked, on tokio's clock; at first, at
    /// once.
    pub fn set_delay(&self, delay: Duration) {
        lock(&self.line).delay = delay;
    }

    /// Fails as if nobody listened, or no longer.
    pub fn set_unreachable(&self, unreachable: bool) {
        lock(&self.line).unreachable = unreachable;
    }
}

impl Fetch for FakeFetch {
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let line = *lock(&self.line);
            let answer = self.endpoint.answer(request);
            if !line.delay.is_zero() {
                tokio::time::sleep(line.delay).await;
            }
            if line.unreachable {
                return Err(FetchError::new("connection refused"));
            }
            if answer.body().len() > max_body {
                return Err(FetchError::new("the answer is too long"));
            }
            Ok(answer)
        })
    }
}
