//! What the tenant's JWKS URL answers, however it is reached.

use std::sync::Mutex;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};

use super::{FakeTenant, lock};

#[derive(Debug)]
pub(super) struct Endpoint {
    tenant: FakeTenant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: usize,
    last_request: Option<Request<()>>,
    cache_control: Option<HeaderValue>,
    answer: Option<Response<Bytes>>,
}

impl Endpoint {
    pub(super) fn new(tenant: FakeTenant) -> Self {
        Self {
            tenant,
            state: Mutex::default(),
        }
    }

    /// Counts a request and answers it.
    pub(super) fn answer(&self, request: Request<()>) -> Response<Bytes> {
        let mut state = lock(&self.state);
        state.requests += 1;
        state.last_request = Some(request);
        state.answer.clone().unwrap_or_else(|| {
            let mut answer = Response::new(Bytes::from(self.tenant.jwks()));
            let headers = answer.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Some(value) = &state.cache_control {
                headers.insert(CACHE_CONTROL, value.clone());
            }
            answer
        })
    }

    pub(super) fn requests(&self) -> usize {
        lock(&self.state).requests
    }

    pub(super) fn last_request(&self) -> Option<Request<()>> {
        lock(&self.state).last_request.clone()
    }

    pub(super) fn answer_with(&self, answer: Option<Response<Bytes>>) {
        lock(&self.state).answer = answer;
    }

    pub(super) fn cache_control(&self, value: Option<&str>) {
        let value = value.map(|v| HeaderValue::from_str(v).expect("a header's value"));
        lock(&self.state).cache_control = value;
    }
}
