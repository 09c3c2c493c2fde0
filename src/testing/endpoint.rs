//! The answers of the tenant's JWKS URL, in process and over a socket.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
    RETRY_AFTER,
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use super::{FakeTenant, Fault, Validator, lock};

#[derive(Debug)]
pub(super) struct Endpoint {
    tenant: FakeTenant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: usize,
    not_modified: usize,
    last_request: Option<Request<()>>,
    cache_control: Option<HeaderValue>,
    validator: Option<Validator>,
    /// The last published text, and how often it has changed.
    published: String,
    changes: u32,
    answer: Option<Response<Bytes>>,
    fault: Option<Fault>,
}

/// How the endpoint reacts to a request.
pub(super) enum Reaction {
    Answer(Response<Bytes>),
    AnswerAfter(Duration, Response<Bytes>),
    /// The connection ends after half of the answer.
    Reset(Response<Bytes>),
    HangUp,
}

impl Endpoint {
    pub(super) fn new(tenant: FakeTenant) -> Self {
        Self {
            tenant,
            state: Mutex::default(),
        }
    }

    /// Counts a request and decides the reaction.
    pub(super) fn react(&self, request: Request<()>) -> Reaction {
        let mut state = lock(&self.state);
        state.requests += 1;
        let answer = match &state.answer {
            Some(answer) => answer.clone(),
            None => self.keys(&mut state, &request),
        };
        state.last_request = Some(request);
        match &state.fault {
            None => Reaction::Answer(answer),
            Some(Fault::Down) => Reaction::HangUp,
            Some(Fault::Slow(wait)) => Reaction::AnswerAfter(*wait, answer),
            Some(Fault::Reset) => Reaction::Reset(answer),
            Some(Fault::Status(status, wait)) => {
                let mut answer = status_only(*status);
                if let Some(wait) = wait {
                    let headers = answer.headers_mut();
                    headers.insert(RETRY_AFTER, wait.as_secs().into());
                }
                Reaction::Answer(answer)
            }
            Some(Fault::Html) => {
                let page = "<!DOCTYPE html><title>Sign in</title><h1>Sign in</h1>";
                Reaction::Answer(with_type("text/html", page.into()))
            }
            Some(Fault::Truncated) => {
                Reaction::Answer(answer.map(|body| body.slice(..body.len() / 2)))
            }
            Some(Fault::Huge) => Reaction::Answer(answer.map(|body| {
                let mut body = body.to_vec();
                body.resize(body.len() + 4 * 1024 * 1024, b' ');
                body.into()
            })),
            Some(Fault::Redirect(url)) => {
                let mut answer = status_only(StatusCode::FOUND);
                answer.headers_mut().insert(LOCATION, header_value(url));
                Reaction::Answer(answer)
            }
            Some(Fault::BadKeys) => {
                let keys = self.tenant.broken_jwks();
                Reaction::Answer(with_type("application/json", keys.into()))
            }
        }
    }

    /// The keys, or 304 if the request has them already.
    fn keys(&self, state: &mut State, request: &Request<()>) -> Response<Bytes> {
        let keys = self.tenant.jwks();
        if state.published != keys {
            state.published.clone_from(&keys);
            state.changes += 1;
        }
        let mut answer = with_type("application/json", keys.into());
        if let Some(validator) = state.validator {
            let (name, value, condition) = validator.headers(state.changes);
            if request.headers().get(condition) == Some(&value) {
                state.not_modified += 1;
                answer = status_only(StatusCode::NOT_MODIFIED);
            }
            answer.headers_mut().insert(name, value);
        }
        if let Some(value) = &state.cache_control {
            answer.headers_mut().insert(CACHE_CONTROL, value.clone());
        }
        answer
    }

    pub(super) fn requests(&self) -> usize {
        lock(&self.state).requests
    }

    pub(super) fn not_modified(&self) -> usize {
        lock(&self.state).not_modified
    }

    pub(super) fn last_request(&self) -> Option<Request<()>> {
        lock(&self.state).last_request.clone()
    }

    pub(super) fn answer_with(&self, answer: Option<Response<Bytes>>) {
        lock(&self.state).answer = answer;
    }

    pub(super) fn cache_control(&self, value: Option<&str>) {
        lock(&self.state).cache_control = value.map(header_value);
    }

    pub(super) fn set_validator(&self, validator: Option<Validator>) {
        lock(&self.state).validator = validator;
    }

    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        lock(&self.state).fault = fault;
    }
}

impl Validator {
    /// The header, its value after this number of changes, and the request header
    /// that it is compared with.
    fn headers(self, changes: u32) -> (HeaderName, HeaderValue, HeaderName) {
        match self {
            Self::ETag => (ETAG, header_value(&format!("\"{changes}\"")), IF_NONE_MATCH),
            Self::LastModified => {
                // An arbitrary day: that of the token in the documentation.
                let first = SystemTime::UNIX_EPOCH + Duration::from_secs(1_713_312_120);
                let date = first + Duration::from_secs(changes.into());
                let date = httpdate::fmt_http_date(date);
                (LAST_MODIFIED, header_value(&date), IF_MODIFIED_SINCE)
            }
        }
    }
}

fn with_type(content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn status_only(status: StatusCode) -> Response<Bytes> {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header's value")
}
